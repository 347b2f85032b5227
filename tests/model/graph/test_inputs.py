"""The inputs that a model must be fed."""

import numpy as np
import onnx
import pytest
from graphs import mlp, model_of, node, table_read_twice
from onnx import helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model import input_specs, load, weight_count
from onnx_evoq.signature import TensorSpec


def test_named_and_empty_axes_are_open() -> None:
    nodes = [node("Relu", ["x"], ["y"])]
    model = model_of(nodes, {"x": ["n", 3, None, 0]}, {"y": None}, {})
    assert input_specs(model) == [TensorSpec("x", np.dtype("float32"), (None, 3, None, None))]


def test_a_fixed_batch_is_stated() -> None:
    assert input_specs(load(mlp(batch=1)))[0].shape == (1, 4)


def test_an_input_without_a_shape_has_none() -> None:
    model = mlp()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    (spec,) = input_specs(load(model))
    assert spec.shape is None
    assert spec.describe() == "float32 of any shape"


def test_an_input_of_complex_numbers_is_refused() -> None:
    model = model_of([node("Identity", ["x"], ["y"])], {"x": ["n"]}, {"y": None}, {})
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.COMPLEX64
    with pytest.raises(ModelError, match="'x' holds complex64: export the model with float32"):
        input_specs(model)


def test_a_sequence_as_input_is_refused() -> None:
    tensor = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [3])
    sequence = helper.make_value_info("parts", helper.make_sequence_type_proto(tensor))
    graph = helper.make_graph(
        [node("ConcatFromSequence", ["parts"], ["y"], axis=0)],
        "test",
        [sequence],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(
        ModelError, match=r"input 'parts' is not a tensor .*: export the model with"
    ):
        input_specs(load(model))


def test_weights_are_all_numbers_of_initializers_but_those_of_tables() -> None:
    assert weight_count(load(mlp())) == 4 * 6 + 6 + 3 * 6 + 3
    assert weight_count(load(table_read_twice())) == 4 * 4


@pytest.mark.parametrize("kind", [0, 64])
def test_an_input_of_no_type_is_refused(kind: int) -> None:
    model = mlp()
    model.graph.input[0].type.tensor_type.elem_type = kind
    with pytest.raises(ModelError, match="input 'x' states no type of ONNX"):
        input_specs(model)
