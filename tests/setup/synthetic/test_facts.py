"""What is known of inputs before a model is run."""

import pytest
from graphs import model_of, node
from onnx import TensorProto

from onnx_evoq.errors import DataError, ModelError
from onnx_evoq.model import InputScaling, InputUses
from onnx_evoq.setup.synthetic.facts import facts_of


def test_each_input_has_names_uses_and_a_scaling() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 3]}, {"y": None}, {})
    facts = facts_of(model)
    assert [spec.name for spec in facts.specs] == ["x"]
    assert facts.names == {"x": ("n", None)}
    assert facts.uses == {"x": InputUses(otherwise=True)}
    assert facts.scalings == {"x": InputScaling()}


def test_input_without_a_shape_is_refused() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": ["n"]}, {"y": None}, {})
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(DataError, match=r"input 'x' states no shape.*: give data"):
        facts_of(model)


def test_text_cannot_be_drawn() -> None:
    model = model_of([node("Identity", ["x"], ["y"])], {"x": ["n"]}, {"y": None}, {})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(ModelError, match="input 'x' takes text, which cannot be drawn: give"):
        facts_of(model)
