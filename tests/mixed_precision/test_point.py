"""A point is measured on what would be emitted."""

from itertools import pairwise

import numpy as np
import pytest
from graphs import fire, mlp, random, task_of

import onnx_evoq
from onnx_evoq.mixed_precision.point import ParetoPoint, build_point
from onnx_evoq.model import load
from onnx_evoq.setup import Policy
from onnx_evoq.setup.task import Task

X = random(32, 4, seed=5)
BOTH = {"first": 4, "second": 3}


@pytest.fixture
def task() -> Task:
    return task_of(load(mlp()), X[:24], X[24:])


def test_a_point_has_the_policy_its_bytes_and_its_errors(task: Task) -> None:
    point = build_point(task, Policy(BOTH), 0, lambda _: 1.5)
    assert point.policy == Policy(BOTH)
    assert point.packed_bytes == 12 + 7 + 2 + 36  # codes of 4 and 3 bits, steps, biases
    assert point.file_bytes > point.packed_bytes
    assert point.search > 0
    assert point.heldout > 0
    assert point.drop == 1.5


def test_more_bits_are_larger_and_better(task: Task) -> None:
    points = [
        build_point(task, Policy(dict.fromkeys(BOTH, b)), 0, lambda _: 0.0) for b in (2, 4, 8)
    ]
    for narrow, wide in pairwise(points):
        assert narrow.packed_bytes < wide.packed_bytes
        assert narrow.search > wide.search


def test_the_same_seed_gives_the_same_point(task: Task) -> None:
    one, other = (build_point(task, Policy(BOTH), 3, lambda _: 0.0) for _ in range(2))
    assert one == other


def test_the_drop_is_measured_on_the_quantized_model(task: Task) -> None:
    asked = []
    build_point(task, Policy(BOTH), 0, lambda model: asked.append(model) or 0.0)
    (model,) = asked
    first = next(w for w in onnx_evoq.inspect(model).weights if w.name == "first")
    steps = np.abs(np.array([first.low, first.high])) * 2**4
    assert np.array_equal(steps, np.rint(steps))  # on a grid


def test_channels_are_split() -> None:
    model, x = load(fire()), random(12, 2, 6, 6)
    task = task_of(model, x, x[:4])
    bits = dict.fromkeys(["squeeze", "one", "three", "last"], 4)
    plain = build_point(task, Policy(bits), 0, lambda _: 0.0)
    split = build_point(task, Policy(bits, {"squeeze": 1 / 9}), 0, lambda _: 0.0)
    # A tenth channel of squeeze, with a bias, and a column for it in both that read it.
    added = (10 * 2 - 9 * 2) // 2 + 4 + 5 // 2 + 17 * 9 // 2
    assert split.packed_bytes - plain.packed_bytes == pytest.approx(added, abs=2)


def test_what_json_takes() -> None:
    point = ParetoPoint(
        Policy({"a": (2, 3)}, {"a": 0.5}, {"a": "channel"}), 10, 20, 0.25, 0.5, 1.0, 0.01
    )
    assert point.to_dict() == {
        "bits": {"a": [2, 3]}, "expansion": {"a": 0.5}, "granularity": {"a": "channel"},
        "packed_bytes": 10, "file_bytes": 20, "search": 0.25, "heldout": 0.5, "drop": 1.0,
        "nmse": 0.01,
    }  # fmt: skip
