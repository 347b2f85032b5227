"""The fitness of a model for a task, and whether its max drop allows it."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import mlp, random, rounded, run, task_of

from onnx_evoq.model import load, with_codes
from onnx_evoq.setup import model_value

MODEL = load(mlp())
CHANGED = with_codes(MODEL, rounded(MODEL, 3))
SEARCH, HELDOUT = random(16, 4, seed=1), random(12, 4, seed=2)


def test_the_fitness_of_an_error_is_the_error_on_the_heldout_set() -> None:
    outputs = [run(model, {"x": HELDOUT})["logits"] for model in (MODEL, CHANGED)]
    error = float(np.square(outputs[0] - outputs[1]).mean())
    assert task_of(MODEL, SEARCH, HELDOUT).fitness(CHANGED) == pytest.approx(error, rel=1e-4)


def test_the_fitness_is_lower_for_a_better_model() -> None:
    task = task_of(MODEL, SEARCH, HELDOUT, metric="agreement")
    assert task.fitness(CHANGED) == -model_value(CHANGED, task.heldout_set)
    assert task.fitness(MODEL) < task.fitness(CHANGED)


def test_without_a_max_drop_every_model_is_allowed() -> None:
    assert task_of(MODEL, SEARCH, HELDOUT).allows(CHANGED)


def test_the_check_of_the_max_drop_decides() -> None:
    task = replace(
        task_of(MODEL, SEARCH, HELDOUT), max_drop_check=lambda model: model is not CHANGED
    )
    assert task.allows(MODEL)
    assert not task.allows(CHANGED)
