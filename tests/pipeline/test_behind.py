from dataclasses import replace

import numpy as np
import pytest
from graphs import random, task_of
from onnx import ModelProto
from selecting_nets import detector, two_stages

from onnx_evoq.model import as_network, initializer_values, load
from onnx_evoq.pipeline import reconstruct_behind
from onnx_evoq.setup import DEFAULT_RESOURCES, Task, points_of


def behind_task(model: ModelProto, size: int = 8, **options: object) -> Task:
    """The task of a model of two stages at 3 bits, scored before the second."""
    own = points_of(model, "m", DEFAULT_RESOURCES).own
    task = task_of(model, random(64, 4), random(24, 4, seed=9), bits=3, keep=["head"], size=size)
    return replace(task, own=own, behind={"head": 3}, **options)


def error_of(head: np.ndarray) -> float:
    """The error of the second stage for what the float model's first one gives it."""
    rows = random(200, 4, seed=5) @ random(4, 6)
    return float(np.square(rows @ (head - random(6, 3, seed=1))).mean())


@pytest.mark.parametrize("size", [1, 8])
def test_weights_behind_the_points_are_reconstructed(size: int) -> None:
    task = behind_task(load(two_stages()), size)
    found = reconstruct_behind(task, np.random.default_rng(0))
    assert list(found.codes_behind) == ["head"]
    network = as_network(found.model)
    codes = found.with_behind(network, {})["head"]
    rounded = found.with_behind(network, {}, nearest=True)["head"]
    assert error_of(codes.values) < 0.5 * error_of(rounded.values)
    assert [value.name for value in found.model.graph.output] == ["h"]
    assert found.weights == task.weights


def test_codes_of_a_weight_that_was_scaled_are_not_used() -> None:
    found = reconstruct_behind(behind_task(load(two_stages())), np.random.default_rng(0))
    network = as_network(found.model)
    (head,) = initializer_values(network, ["head"]).values()
    scaled = found.with_behind(network.with_values({"head": 2 * head}), {})["head"]
    rounded = found.with_behind(network, {}, nearest=True)["head"]
    np.testing.assert_array_equal(scaled.values, 2 * rounded.values)


def test_a_task_without_such_weights_stays_as_it_is() -> None:
    model = load(detector())
    own = points_of(model, "m", DEFAULT_RESOURCES).own
    task = task_of(model, random(4, 3, 8, 8), random(4, 3, 8, 8), size=1)
    for given in (task, replace(task, own=own)):
        assert reconstruct_behind(given, np.random.default_rng(0)) is given


def test_a_set_that_also_accepts_judges_no_damping() -> None:
    task = behind_task(load(two_stages()))
    same = replace(task, heldout_set=task.search_set)
    found, again = (reconstruct_behind(same, np.random.default_rng(0)) for _ in range(2))
    codes, others = (each.codes_behind["head"].codes for each in (found, again))
    np.testing.assert_array_equal(codes, others)
