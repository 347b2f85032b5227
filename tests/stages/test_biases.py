"""Biases against the end of the network: what is found, and when nothing is taken."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, rounded, scoring_set, task_of

from onnx_evoq.model import (
    Model,
    fold_batch_norm,
    initializer_values,
    load,
    replace_weights,
    serialize,
    with_codes,
)
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session, Target, find_metric, predict
from onnx_evoq.stages import Task, model_value
from onnx_evoq.stages.biases import Sketch, tune_biases
from onnx_evoq.stages.reconstruction import Reconstructed
from onnx_evoq.stages.scoring import ScoringSet

NAMES = {"first_bias": 6, "second_bias": 3}
SPREADS = {name: np.ones(size, np.float32) for name, size in NAMES.items()}


def task(**options: Any) -> Task:
    return task_of(load(mlp()), random(60, 4, seed=1), random(40, 4, seed=2), bits=8, **options)


def shifted(by: float = 0.3) -> Reconstructed:
    """The model at 8 bits with biases that are off."""
    model = load(mlp())
    biases = initializer_values(model, NAMES)
    moved = {name: bias + by * random(bias.size, seed=5) for name, bias in biases.items()}
    return Reconstructed(replace_weights(model, moved), rounded(model, 8), {}, ())


def tuned(given: Task, start: Reconstructed, seed: int = 0) -> tuple[Model, int]:
    return tune_biases(given, start, SPREADS, np.random.default_rng(seed))


def error(model: Model, start: Reconstructed, scoring: ScoringSet) -> float:
    return model_value(with_codes(model, start.quantized), scoring)


def test_biases_that_are_off_are_found_back() -> None:
    start, given = shifted(0.1), task()
    model, _ = tuned(given, start)
    for scoring in (given.search_set, given.heldout_set):
        assert error(model, start, scoring) < 0.1 * error(start.model, start, scoring)


def test_only_biases_change() -> None:
    start = shifted()
    model, _ = tuned(task(), start)
    weights = ["first", "second"]
    for before, after in zip(
        *(initializer_values(m, weights).values() for m in (start.model, model)), strict=True
    ):
        np.testing.assert_array_equal(after, before)
    assert model != start.model


def test_what_is_worse_on_the_heldout_set_is_not_taken() -> None:
    # The held-out set wants what the start answers, so that every step is for the worse.
    start, given = shifted(), task()
    session = Session(serialize(with_codes(start.model, start.quantized)))
    answers = list(predict(session, given.heldout_set.batches))
    content = ScoringSet(given.heldout_set.batches, Target(find_metric("mse"), answers, None))
    model, _ = tuned(replace(given, heldout_set=content), start)
    assert model == start.model


def test_each_channel_is_probed_once() -> None:
    _, evaluations = tuned(task(), shifted())
    assert evaluations == (1 + 6) + (1 + 3)


def test_out_of_time_the_biases_stay() -> None:
    start = shifted()
    assert tuned(task(deadline=Deadline(0)), start) == (start.model, 0)


def test_short_of_time_the_last_layers_come_first() -> None:
    ticks = iter(range(10**6))
    start = shifted()
    given = task(deadline=Deadline(16, clock=lambda: next(ticks)))
    model, _ = tuned(given, start)
    before, after = (initializer_values(m, NAMES) for m in (start.model, model))
    np.testing.assert_array_equal(after["first_bias"], before["first_bias"])
    assert (after["second_bias"] != before["second_bias"]).any()


def test_without_biases_nothing_is_done() -> None:
    start = shifted()
    found = tune_biases(task(), start, {}, np.random.default_rng(0))
    assert found == (start.model, 0)


def test_outputs_that_are_no_numbers_have_no_error_to_lower() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("ArgMax", ["a"], ["y"], keepdims=0, axis=1)]
    weights = {"w": random(4, 4), "b": random(4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n"]}, weights, dtypes={"y": "int64"}))
    given = task_of(model, random(20, 4), random(8, 4), metric="agreement")
    start = Reconstructed(model, rounded(model, 8), {}, ())
    spreads = {"b": np.ones(4, np.float32)}
    assert tune_biases(given, start, spreads, np.random.default_rng(0)) == (model, 0)


def test_an_exact_model_has_nothing_to_tune() -> None:
    exact = with_codes(load(mlp()), rounded(load(mlp()), 8))
    given = task_of(exact, random(20, 4, seed=1), random(8, 4, seed=2), bits=8)
    model, _ = tuned(given, Reconstructed(exact, rounded(exact, 8), {}, ()))
    assert model == exact


def test_a_convolutions_bias_is_tuned_too() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    given = task_of(model, random(40, 3, 8, 8, seed=1), random(24, 3, 8, 8, seed=2), bits=8)
    moved = {"b2": initializer_values(model, ["b2"])["b2"] + np.float32(0.2)}
    start = Reconstructed(replace_weights(model, moved), rounded(model, 8), {}, ())
    found, _ = tune_biases(given, start, {"b2": np.ones(6, np.float32)}, np.random.default_rng(0))
    before = error(start.model, start, given.heldout_set)
    assert error(found, start, given.heldout_set) < 0.1 * before


def test_a_channel_that_never_varies_is_tuned_as_well() -> None:
    spreads = {name: np.zeros(size, np.float32) for name, size in NAMES.items()}
    start = shifted(0.1)
    model, _ = tune_biases(task(), start, spreads, np.random.default_rng(0))
    given = task()
    assert error(model, start, given.heldout_set) <= error(start.model, start, given.heldout_set)


def test_the_same_seed_gives_the_same_biases() -> None:
    one, two = (tuned(task(), shifted(), seed=4)[0] for _ in range(2))
    assert one == two


# Sketches


def pairs(scoring: ScoringSet, outputs: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The distance of outputs from others, and that of their sketches."""
    sketch = Sketch(scoring, np.random.default_rng(0))
    one, two = (sketch({"y": values}) for values in (outputs, other))
    return float(np.square(outputs - other).sum()), float(np.square(one - two).sum())


def identity(width: int, samples: int = 20) -> ScoringSet:
    """Samples that a model of one output, "y", gives back twice as large."""
    nodes = [node("Mul", ["x", "two"], ["y"])]
    model = model_of(nodes, {"x": ["n", width]}, {"y": ["n", width]}, {"two": np.float32([2])})
    return scoring_set(load(model), {"x": random(samples, width)}, 8)


@pytest.mark.parametrize(("width", "tolerance"), [(5, 1e-4), (32, 1e-4), (600, 0.05)])
def test_distances_of_sketches_are_those_of_outputs(width: int, tolerance: float) -> None:
    scoring = identity(width)
    outputs, other = random(400, width, seed=1), random(400, width, seed=2)
    parts = scoring.target.reference or ()
    mean = np.mean([np.square(part["y"]).mean() for part in parts])
    distance, sketched = pairs(scoring, outputs, other)
    assert sketched * mean * width == pytest.approx(distance, rel=tolerance)


@pytest.mark.parametrize(("width", "size"), [(5, 5), (32, 32), (600, 32)])
def test_a_sketch_is_short(width: int, size: int) -> None:
    sketch = Sketch(identity(width), np.random.default_rng(0))
    assert sketch.size == size
    assert sketch.reference.shape == (20, size)
