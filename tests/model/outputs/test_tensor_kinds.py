from graphs import model_of, node, random
from onnx import ModelProto, helper

from onnx_evoq.model import load
from onnx_evoq.model.outputs.tensor_kinds import tensor_kinds


def selecting() -> ModelProto:
    """y = x w, the places i where it is above 0, and what a custom operator makes of y."""
    nodes = [
        node("MatMul", ["x", "w"], ["y"]),
        node("NonZero", ["y"], ["i"]),
        node("Own", ["y"], ["own"], domain="mine"),
        node("Relu", ["own"], ["z"]),
    ]
    # The file says that i has two columns, as in the run that made it.
    outputs = {"i": [2, 2], "z": None}
    model = model_of(nodes, {"x": ["n", 4]}, outputs, {"w": random(4, 3)}, dtypes={"i": "int64"})
    model.opset_import.append(helper.make_opsetid("mine", 1))
    return load(model)


def test_types_are_inferred_or_told() -> None:
    kinds = tensor_kinds(selecting())
    assert [kinds.is_float(name) for name in ("y", "i", "own")] == [True, False, None]
    assert kinds.told({"own": "float16"}).is_float("own")
    assert kinds.told({"own": ""}).is_float("own") is False


def test_a_shape_is_fixed_if_it_follows_from_the_inputs_whatever_the_file_says() -> None:
    fixed = tensor_kinds(selecting()).fixed
    assert "y" in fixed
    assert "i" not in fixed
