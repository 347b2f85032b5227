"""Checks that agree with onnx.checker, except for shapes of inputs and outputs."""

import pytest
from graphs import mlp, node, split_net
from onnx import ModelProto, checker, helper

from onnx_evoq.model.files.validity import check_valid


def without_shape(end: str) -> ModelProto:
    model = mlp()
    getattr(model.graph, end)[0].type.tensor_type.ClearField("shape")
    return model


def test_a_valid_model_passes() -> None:
    check_valid(split_net())


@pytest.mark.parametrize("end", ["input", "output"])
def test_an_input_or_output_need_not_state_a_shape(end: str) -> None:
    model = without_shape(end)
    with pytest.raises(checker.ValidationError, match="shape"):
        checker.check_model(model)
    before = model.SerializeToString()
    check_valid(model)
    assert model.SerializeToString() == before


def test_an_input_that_is_a_sequence_passes() -> None:
    tensor = helper.make_tensor_type_proto(1, [3])
    parts = helper.make_value_info("parts", helper.make_sequence_type_proto(tensor))
    graph = helper.make_graph(
        [node("ConcatFromSequence", ["parts"], ["y"], axis=0)],
        "test",
        [parts],
        [helper.make_tensor_value_info("y", 1, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    check_valid(model)


@pytest.mark.parametrize("make", [mlp, lambda: without_shape("input")])
def test_any_other_mistake_is_found(make: object) -> None:
    model = make()  # type: ignore[operator]
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(checker.ValidationError, match="nowhere"):
        check_valid(model)


def test_an_output_without_a_type_is_found() -> None:
    model = mlp()
    model.graph.output[0].CopyFrom(helper.make_empty_tensor_value_info("logits"))
    with pytest.raises(checker.ValidationError, match="type"):
        check_valid(model)
