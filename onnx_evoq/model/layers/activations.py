"""Find the range in which an activation depends on its input.

Beyond this range many inputs give the same output, so errors of the layer before do not matter.
"""

from collections.abc import Mapping
from math import isfinite

from onnx import NodeProto, TensorProto, numpy_helper

from onnx_evoq.model.graph import attribute, is_standard
from onnx_evoq.quantize import Activation


def activation_of(node: NodeProto, tensors: Mapping[str, TensorProto]) -> Activation | None:
    """The range in which a node depends on its first input, None if it depends on it everywhere.

    Args:
        node: any node.
        tensors: the model's constants by name, from `constant_tensors`.
    """
    if not is_standard(node):
        return None
    if node.op_type == "Relu":
        return Activation()
    if node.op_type == "LeakyRelu":
        alpha = attribute(node, "alpha", 0.01)
        return Activation(alpha=alpha) if 0 <= alpha < 1 else None
    if node.op_type == "HardSwish":  # 0 below -3
        return Activation(low=-3.0)
    if node.op_type == "HardSigmoid":
        slope, middle = attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
        return Activation(-middle / slope, (1 - middle) / slope) if slope > 0 else None
    if node.op_type == "Clip":
        return _clip(node, tensors)
    return None


def _clip(node: NodeProto, tensors: Mapping[str, TensorProto]) -> Activation | None:
    """The limits of a Clip: attributes up to operator set 10, inputs from 11 on."""
    limits = [attribute(node, "min", -float("inf")), attribute(node, "max", float("inf"))]
    for index, name in enumerate(node.input[1:]):
        if name and name not in tensors:
            return None
        if name:
            limits[index] = float(numpy_helper.to_array(tensors[name]).item())
    low, high = limits
    return Activation(low, high) if low < high and (isfinite(low) or isfinite(high)) else None
