"""The samples that a model is scored on."""

import numpy as np
import pytest
from graphs import mlp, model_of, node, random
from onnx import ModelProto
from sample_groups import inputs_of

from onnx_evoq.data import Data
from onnx_evoq.errors import ModelError
from onnx_evoq.model import load
from onnx_evoq.setup import find_samples

FEEDS = [{"x": random(rows, 4, seed=rows)} for rows in (3, 5)]


def shapes(model: ModelProto) -> list[tuple[int, ...]]:
    """The shapes of the groups that feeds of 3 and 5 rows become."""
    found = find_samples(load(model), "m.onnx", Data(FEEDS), np.random.default_rng(0))
    return [group.inputs["x"].shape for group in found.groups]


def test_data_are_read_and_inputs_drawn_without_them() -> None:
    model, rng = load(mlp()), np.random.default_rng(0)
    rows = random(5, 4)
    assert np.array_equal(inputs_of(find_samples(model, "m.onnx", Data(rows), rng))["x"], rows)
    assert inputs_of(find_samples(model, "m.onnx", Data(samples=3), rng))["x"].shape == (3, 4)


def test_a_model_without_inputs_is_refused() -> None:
    model = model_of([node("Identity", ["w"], ["y"])], {}, {"y": None}, {"w": random(2)})
    with pytest.raises(ModelError, match="takes no inputs, so that there is nothing to score it"):
        find_samples(load(model), "m.onnx", Data(), np.random.default_rng(0))


def test_rows_that_the_model_keeps_apart_are_samples() -> None:
    assert shapes(mlp()) == [(8, 4)]


def test_rows_that_the_model_mixes_are_one_sample() -> None:
    nodes = [node("CumSum", ["x", "axis"], ["sum"]), node("MatMul", ["sum", "w"], ["y"])]
    values = {"axis": np.array(0), "w": random(4, 2)}
    assert shapes(model_of(nodes, {"x": ["t", 4]}, {"y": ["t", 2]}, values)) == [
        (1, 3, 4),
        (1, 5, 4),
    ]


def test_samples_take_a_quarter_of_the_memory_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "onnx_evoq.setup.synthetic.samples.cache_memory", lambda resources: 4 * 3 * 16
    )
    assert shapes(mlp()) == [(3, 4)]
