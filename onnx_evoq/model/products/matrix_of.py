"""How the weight of a node becomes a matrix, if its layer has a closed form.

1. A Conv, a ConvTranspose (with explicit pads and no output_shape), or a FusedConv is a window.
2. A matrix product is dense (`weights.equations`); `alpha` scales its columns.
3. A Gemm with a bias needs ``beta = 1`` (`own_biases` makes sure of that).
"""

from collections.abc import Sequence

from onnx import NodeProto, helper

from onnx_evoq.model.graph import attribute
from onnx_evoq.model.weights import equation_of, weight_inputs
from onnx_evoq.quantize import Dense, Linear, Window

_CONVOLUTIONS = {"Conv", "ConvTranspose", "FusedConv"}
_OF_SCALE = {"Gemm", "FusedGemm", "FusedMatMul", "TransposeMatMul"}


def linear_of(node: NodeProto, position: int, dims: Sequence[int]) -> Linear | None:
    """How a weight becomes a matrix; None if the layer has no closed form.

    Args:
        node: the node that multiplies the weight.
        position: which of its inputs the weight is.
        dims: the weight's shape.
    """
    if position not in weight_inputs(node):
        return None
    if node.op_type in _CONVOLUTIONS:
        return _window(node, dims)
    equation = equation_of(node, position, dims)
    if equation is None:
        return None
    scale = attribute(node, "alpha", 1) if node.op_type in _OF_SCALE else 1.0
    return Dense(equation, scale) if scale else None


def bias_position(node: NodeProto, position: int) -> int | None:
    """Which input of a node is the bias of the weight at `position`; None if none can be.

    Args:
        node: the node.
        position: which of its inputs the weight is.
    """
    if node.op_type in _CONVOLUTIONS or node.op_type in ("Gemm", "FusedGemm", "Attention"):
        return 2
    return position + 1 if node.op_type == "MoE" else None


def _window(node: NodeProto, dims: Sequence[int]) -> Window | None:
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = tuple(dims[2:])
    ones, space = (1,) * len(kernel), len(kernel)
    padding = given.get("auto_pad", b"NOTSET").decode()
    pads = tuple(given.get("pads", (0,) * 2 * space))
    transposed = node.op_type == "ConvTranspose"
    window = Window(
        kernel,
        tuple(given.get("strides", ones)),
        tuple(given.get("dilations", ones)),
        None if padding.startswith("SAME") else (0,) * 2 * space if padding == "VALID" else pads,
        int(given.get("group", 1)),
        transposed,
        padding == "SAME_LOWER",
        tuple(given.get("output_padding", ())),
    )
    if not transposed:
        return window
    if padding != "NOTSET" or "output_shape" in given:
        return None
    # A ConvTranspose that crops more than the reach of its kernel in front starts within a window.
    reach = [d * (k - 1) for k, d in zip(kernel, window.dilations, strict=True)]
    return window if all(p <= r for p, r in zip(pads[:space], reach, strict=True)) else None
