"""Layers whose codes are chosen again by what they do to the end of the network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, model_of, node, random, task_of

from onnx_evoq.model import fold_batch_norm, load, with_codes
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed, reconstruct_layers
from onnx_evoq.reconstruct.output_correction import correct_outputs
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value


def case(**options: Any) -> tuple[Task, Reconstructed]:
    model, _ = fold_batch_norm(load(conv_net()))
    task = task_of(
        model, random(64, 3, 8, 8, seed=1), random(32, 3, 8, 8, seed=2), **{"bits": 2, **options}
    )
    return task, reconstruct_layers(task, np.random.default_rng(0))


def error(task: Task, found: Reconstructed) -> float:
    return model_value(with_codes(found.model, found.quantized), task.heldout_set)


def steered(task: Task, start: Reconstructed, seed: int = 0) -> Reconstructed:
    return correct_outputs(task, start, np.random.default_rng(seed))[0]


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_the_error_on_the_heldout_set_falls(granularity: str) -> None:
    task, start = case(granularity=granularity)
    assert error(task, steered(task, start)) < error(task, start)


def test_codes_change_and_stay_on_their_grids() -> None:
    task, start = case()
    found = steered(task, start)
    changed = [n for n in found.quantized if (found.quantized[n][0] != start.quantized[n][0]).any()]
    assert changed
    for codes, grid in found.quantized.values():
        assert codes.min() >= grid.low
        assert codes.max() <= grid.high


def test_same_seed_same_codes() -> None:
    task, start = case()
    one, other = steered(task, start), steered(task, start)
    for name in one.quantized:
        np.testing.assert_array_equal(one.quantized[name].codes, other.quantized[name].codes)


def test_what_the_guard_refuses_is_not_taken() -> None:
    task, start = case()
    assert steered(replace(task, max_drop_check=lambda model: False), start) is start


def test_without_time_nothing_is_done() -> None:
    task, start = case()
    given = replace(task, deadline=Deadline(0))
    assert correct_outputs(given, start, np.random.default_rng(0)) == (start, 0, "time")


def test_outputs_that_are_no_numbers_are_not_steered() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["a"]), node("ArgMax", ["a"], ["y"], keepdims=0, axis=1)]
    weights = {"w": random(4, 4), "b": random(4)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n"]}, weights, dtypes={"y": "int64"}))
    task = task_of(model, random(20, 4), random(8, 4), metric="agreement")
    start = reconstruct_layers(task, np.random.default_rng(0))
    assert steered(task, start) is start
