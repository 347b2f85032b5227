"""Samples of different shapes, from end to end: texts, sounds, graphs, sequences in time."""

from collections.abc import Callable

import numpy as np
import pytest
from calls import optimize
from graphs import model_of, node, random
from onnx import ModelProto

from onnx_evoq import Resources, evaluate, rank_sensitivity
from onnx_evoq.model import serialize

Feeds = list[dict[str, np.ndarray]]
Case = Callable[[], tuple[ModelProto, Feeds]]
LENGTHS = [3, 9, 1, 5, 9, 4, 7, 3, 8, 5, 2, 6]


def texts() -> tuple[ModelProto, Feeds]:
    """Words (n, t) -> classes (n, 4)."""
    nodes = [
        node("Gather", ["table", "ids"], ["g"]),
        node("MatMul", ["g", "w"], ["h"]),
        node("ReduceMax", ["h"], ["m"], axes=[1], keepdims=0),
        node("MatMul", ["m", "v"], ["y"]),
    ]
    weights = {"table": random(20, 6), "w": random(6, 8, seed=1), "v": random(8, 4, seed=2)}
    model = model_of(nodes, {"ids": ["n", "t"]}, {"y": None}, weights, dtypes={"ids": "int64"})
    rng = np.random.default_rng(0)
    return model, [{"ids": rng.integers(0, 20, (1, length))} for length in LENGTHS]


def sounds() -> tuple[ModelProto, Feeds]:
    """Frames (n, 3, t) -> scores of each frame (n, 4, t)."""
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3], pads=[1, 1]),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "v"], ["y"], kernel_shape=[1]),
    ]
    weights = {"w": random(6, 3, 3), "b": random(6, seed=1), "v": random(4, 6, 1, seed=2)}
    model = model_of(nodes, {"x": ["n", 3, "t"]}, {"y": None}, weights)
    return model, [{"x": random(1, 3, 10 * length, seed=length)} for length in LENGTHS]


def sequences() -> tuple[ModelProto, Feeds]:
    """Steps (t, 1, 3) -> scores of each step (t, 1, 2), without an axis of samples in front."""
    nodes = [
        node("LSTM", ["x", "w", "r"], ["h"], hidden_size=4),
        node("Squeeze", ["h", "axis"], ["s"]),
        node("MatMul", ["s", "v"], ["y"]),
    ]
    weights = {
        "w": random(1, 16, 3), "r": random(1, 16, 4, seed=1), "v": random(4, 2, seed=2),
        "axis": np.array([1]),
    }  # fmt: skip
    model = model_of(nodes, {"x": ["t", 1, 3]}, {"y": None}, weights)
    return model, [{"x": random(length, 1, 3, seed=length)} for length in LENGTHS]


def graphs() -> tuple[ModelProto, Feeds]:
    """Nodes (n, 3) and edges (2, e) -> scores of each node (n, 2)."""
    nodes = [
        node("MatMul", ["nodes", "w"], ["h"]),
        node("Gather", ["edges", "zero"], ["from"]),
        node("Gather", ["h", "from"], ["sent"]),
        node("ReduceMean", ["sent"], ["mean"], axes=[0]),
        node("Add", ["h", "mean"], ["s"]),
        node("Relu", ["s"], ["r"]),
        node("MatMul", ["r", "v"], ["y"]),
    ]
    weights = {"w": random(3, 8), "v": random(8, 2, seed=1), "zero": np.array(0)}
    inputs: dict[str, list[int | str]] = {"nodes": ["n", 3], "edges": [2, "e"]}
    model = model_of(nodes, inputs, {"y": None}, weights, dtypes={"edges": "int64"})
    rng = np.random.default_rng(0)
    return model, [
        {"nodes": random(n, 3, seed=n), "edges": rng.integers(0, n, (2, 1 + n // 2))}
        for n in LENGTHS
    ]


CASES = [texts, sounds, sequences, graphs]


@pytest.mark.parametrize("case", CASES)
def test_a_model_is_optimized_and_the_number_of_workers_changes_no_byte(case: Case) -> None:
    model, feeds = case()
    one, other = (
        optimize(model, feeds, bits=4, strategy="none", resources=Resources(workers=workers))
        for workers in (1, 2)
    )
    assert serialize(one.model) == serialize(other.model)
    assert one.scores["start"].search < one.scores["nearest"].search


@pytest.mark.parametrize("case", CASES)
def test_a_float_model_agrees_with_itself(case: Case) -> None:
    model, feeds = case()
    score = evaluate(model, feeds, reference=model)
    assert (score.samples, score.mse, score.agreement) == (len(LENGTHS), 0, 1)


@pytest.mark.parametrize("case", [texts, sequences])
def test_each_weight_has_a_sensitivity(case: Case) -> None:
    model, feeds = case()
    ranking = rank_sensitivity(model, feeds, bits=3)
    assert ranking.rows
    assert all(row.score > 0 for row in ranking.rows)


def test_integer_activations_are_fitted_to_sounds_of_any_length() -> None:
    model, feeds = sounds()
    result = optimize(model, feeds, bits=8, strategy="none", activations=8)
    assert evaluate(result.model, feeds, metric="sqnr", reference=model).value > 20


def test_a_metric_of_the_user_sees_outputs_and_labels_in_the_order_of_the_samples() -> None:
    model, feeds = sequences()
    seen = []

    def order(outputs: dict[str, np.ndarray], labels: np.ndarray) -> float:
        seen.extend((len(y), len(own), own[0]) for y, own in zip(outputs["y"], labels, strict=True))
        return 1.0

    order.higher_is_better = True  # type: ignore[attr-defined]
    labelled = [{**feed, "y": np.full(len(feed["x"]), k)} for k, feed in enumerate(feeds)]
    evaluate(model, labelled, metric=order)
    assert seen == [(length, length, number) for number, length in enumerate(LENGTHS)]
