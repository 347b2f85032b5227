"""The first layer of an input: what a matrix of constants makes of its values as they are."""

from onnx import ModelProto

from onnx_evoq.model.graph import is_standard
from onnx_evoq.model.inputs.constants import Constants

# Nodes whose outputs are values of their inputs.
_MOVES = {
    "Cast", "Concat", "Flatten", "Identity", "Pad", "Reshape", "Slice", "SpaceToDepth",
    "Transpose",
}  # fmt: skip
_CHANNEL_AXES = {"Conv": 1, "Gemm": 1, "MatMul": -1}


def first_layer(model: ModelProto, name: str) -> tuple[str, int] | None:
    """The first layer that reads an input.

    Args:
        model: a model as `load` returns it.
        name: the name of the input.

    Returns:
        The output of the layer, and its axis of channels. None if something else reads the input.
    """
    constants, same = Constants(model.graph), {name}
    for node in model.graph.node:
        if not same.intersection(node.input) or node.op_type == "Shape":
            continue
        if not is_standard(node):
            return None
        axis = _CHANNEL_AXES.get(node.op_type)
        if axis is not None and node.input[0] in same and node.input[1] in constants:
            return node.output[0], axis
        if node.op_type not in _MOVES:
            return None
        same.update(node.output)
    return None
