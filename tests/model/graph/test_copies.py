"""Copies of models, whole and without large values."""

from pathlib import Path

import numpy as np
import onnx
from external_models import moved
from graphs import mlp, model_of, node, random
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnx_evoq.model.graph import copy_of, serialize, tensors_in, without_values


def test_a_copy_shares_nothing() -> None:
    model = mlp()
    copy = copy_of(model)
    assert copy == model
    copy.graph.node[0].op_type = "Gemm"
    assert model.graph.node[0].op_type == "MatMul"


def test_a_serialized_model_can_be_read_again() -> None:
    assert onnx.ModelProto.FromString(serialize(mlp())) == mlp()


def nested() -> ModelProto:
    """A model with large tensors in a graph, in a node, and in a body of a node of a body."""
    large = numpy_helper.from_array(random(20, 20), "large")
    small = numpy_helper.from_array(np.float32([1]), "small")
    result = [helper.make_tensor_value_info("o", 1, None)]
    inner = helper.make_graph(
        [node("Constant", [], ["c"], value=large), node("Add", ["c", "small"], ["o"])],
        "inner", [], result, [large, small],
    )  # fmt: skip
    choice = node("If", ["flag"], ["o"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([choice], "outer", [], result, [large])
    nodes = [
        node("If", ["flag"], ["p"], then_branch=outer, else_branch=inner),
        node("Constant", [], ["q"], value=small),
        node("Sum", ["x", "p", "q"], ["y"]),
    ]
    weights = {"flag": np.array(True), "large": random(30, 30)}
    model = model_of(nodes, {"x": [20, 20]}, {"y": [20, 20]}, weights)
    model.metadata_props.add(key="author", value="someone")
    return model


def test_a_copy_without_values_has_all_else() -> None:
    model = nested()
    before, copy = model.SerializeToString(), without_values(model)
    assert model.SerializeToString() == before
    assert copy.ByteSize() < 2000 < model.ByteSize() // 4
    onnx.checker.check_model(copy)
    for tensor in tensors_in(model.graph):
        if tensor.name == "large":
            tensor.CopyFrom(TensorProto(name="large", data_type=tensor.data_type, dims=[0]))
    assert copy == model


def test_values_in_data_files_are_left_out(tmp_path: Path) -> None:
    model = mlp()
    tensor = model.graph.initializer[1]  # few bytes
    tensor.CopyFrom(moved(tensor, tmp_path / "w.data"))
    assert not without_values(model).graph.initializer[1].external_data
