"""A hash of all that a model computes with."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import mlp, model_of, node
from onnx import ModelProto, numpy_helper

from onnx_evoq.model import as_written, graph_hash, load, save


def test_metadata_do_not_count() -> None:
    model = mlp()
    before = graph_hash(model)
    onnx.helper.set_model_props(model, {"author": "someone"})
    assert graph_hash(model) == before


@pytest.mark.parametrize("beside", [False, True])
def test_it_is_the_same_wherever_values_are_stored(tmp_path: Path, beside: bool) -> None:
    weights = {"w": np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)}
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 40]}, {"y": ["n", 30]}, weights))
    file = tmp_path / "net.onnx"
    save(model, file, beside=beside)
    assert (tmp_path / "net.onnx.data").exists() == beside
    assert graph_hash(as_written(file)) == graph_hash(model)


def altered(model: ModelProto, part: str) -> ModelProto:
    """The model with one change."""
    first = model.graph.initializer[0]
    if part == "value":
        values = numpy_helper.to_array(first).copy()
        values.flat[0] += 1
        first.CopyFrom(numpy_helper.from_array(values, first.name))
    elif part == "shape":
        first.dims[:] = [int(np.prod(first.dims))]
    elif part == "name":
        first.name = "other"
    elif part == "node":
        model.graph.node[0].op_type = "Other"
    elif part == "opset":
        model.opset_import[0].version += 1
    elif part == "text":
        model.graph.initializer.append(onnx.helper.make_tensor("t", 8, [1], [b"text"]))
    return model


def test_every_change_counts() -> None:
    parts = ["", "value", "shape", "name", "node", "opset", "text"]
    assert len({graph_hash(altered(mlp(), part)) for part in parts}) == len(parts)


def test_texts_count() -> None:
    one, other = (altered(mlp(), "text") for _ in range(2))
    assert graph_hash(one) == graph_hash(other)
    other.graph.initializer[-1].string_data[0] = b"other"
    assert graph_hash(one) != graph_hash(other)
