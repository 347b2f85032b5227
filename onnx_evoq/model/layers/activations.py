"""Find the range in which an activation depends on its input.

Beyond this range many inputs give the same output, so errors of the layer before do not matter.
"""

from collections.abc import Mapping
from math import isfinite

import numpy as np
from onnx import NodeProto, TensorProto

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model.graph import FLOAT_TYPES, attribute, is_standard
from onnx_evoq.model.layers.clip_limits import clip_limits
from onnx_evoq.model.tensors import array_of
from onnx_evoq.quantize import Activation


def activation_of(
    node: NodeProto,
    tensors: Mapping[str, TensorProto],
    per_channel: tuple[int, ...] = (),
    rows: tuple[int, int] = (1, 1),
) -> Activation | None:
    """The range in which a node depends on its first input, None if it depends on it everywhere.

    Args:
        node: any node.
        tensors: the model's constants by name, from `constant_tensors`.
        per_channel: the shape of a constant that has one value for each channel of its input.
        rows: (groups, rows), which the channels are divided into.
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
        low, high = clip_limits(node, tensors) or (0.0, 0.0)
        return Activation(low, high) if low < high and (isfinite(low) or isfinite(high)) else None
    if node.op_type in ("Max", "Min") and len(node.input) == 2:
        limits = _limits_of_channels(tensors.get(node.input[1]), per_channel)
        if limits is not None:
            limits = limits.reshape(rows[0], 1, rows[1])
            return Activation(low=limits) if node.op_type == "Max" else Activation(-np.inf, limits)
    return None


def in_a_row(first: Activation, second: Activation | None) -> Activation:
    """The range of two activations in a row; that of the first if they cannot be joined."""
    if second is None or first.alpha or second.alpha:
        return first
    low, high = np.maximum(first.low, second.low), np.minimum(first.high, second.high)
    return Activation(low, high) if (low < high).all() else first


def _limits_of_channels(
    tensor: TensorProto | None, per_channel: tuple[int, ...]
) -> Float32Array | None:
    """The limits of all channels, in order; None if it is not a tensor of that kind."""
    if tensor is None or tensor.data_type not in FLOAT_TYPES or not per_channel:
        return None
    dims = tuple(tensor.dims)
    while len(dims) > len(per_channel) and dims[0] == 1:
        dims = dims[1:]
    return array_of(tensor).astype(np.float32) if dims == per_channel else None
