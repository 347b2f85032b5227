"""The limits of a Clip, and a Clip whose channels have limits of their own.

If a channel of the input of Clip(x, low, high) is scaled by s > 0, its output is scaled by s if its
limits are:

    Clip(s x, s low, s high) = s Clip(x, low, high)

ONNX's Clip has one limit for all channels, so Max and Min take its place (Relu for a lower limit of
0).
"""

from collections.abc import Mapping
from math import isfinite

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.array_types import Float64Array
from onnx_evoq.model.graph import (
    attribute,
    constant_tensors,
    copy_of,
    drop_unread,
    is_standard,
    names_in_use,
    unused_name,
)
from onnx_evoq.model.tensors import array_of


def clip_limits(node: NodeProto, tensors: Mapping[str, TensorProto]) -> tuple[float, float] | None:
    """The limits of a Clip, infinite where it has none; None if one of them is no constant.

    Args:
        node: a Clip, with attributes (up to operator set 10) or inputs.
        tensors: the model's constants by name, from `constant_tensors`.
    """
    limits = [attribute(node, "min", -float("inf")), attribute(node, "max", float("inf"))]
    for index, name in enumerate(node.input[1:]):
        if name and name not in tensors:
            return None
        if name:
            limits[index] = float(array_of(tensors[name]).item())
    return limits[0], limits[1]


def with_scaled_limits(model: ModelProto, scales: Mapping[str, Float64Array]) -> ModelProto:
    """A copy of `model` in which the limits of each Clip are scaled channel by channel.

    Args:
        model: a model as `load` returns it.
        scales: the factors of a Clip's limits, by the name of its output, in a shape that
            broadcasts along its input. Clips whose factors are all 1 stay.
    """
    changed = copy_of(model)
    tensors, used = constant_tensors(changed.graph), names_in_use(changed.graph)
    nodes: list[NodeProto] = []
    for node in changed.graph.node:
        scale = scales.get(node.output[0]) if node.op_type == "Clip" and is_standard(node) else None
        limits = None if scale is None else clip_limits(node, tensors)
        if scale is None or limits is None or (scale == 1).all():
            nodes.append(node)
        else:
            nodes += _max_and_min(node, limits, scale, _dtype(node, tensors), changed.graph, used)
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    drop_unread(changed.graph)  # the limits of the Clips that are gone
    return changed


def _max_and_min(
    clip: NodeProto,
    limits: tuple[float, float],
    scale: Float64Array,
    dtype: np.dtype,
    graph: GraphProto,
    used: set[str],
) -> list[NodeProto]:
    """The nodes that clip at the scaled limits; their constants are added to `graph`."""
    steps: list[tuple[str, float]] = []
    if isfinite(limits[0]):
        steps.append(("Relu" if limits[0] == 0 else "Max", limits[0]))
    if isfinite(limits[1]):
        steps.append(("Min", limits[1]))
    name, output, nodes = clip.input[0], clip.output[0], []
    for index, (op_type, limit) in enumerate(steps or [("Identity", 0.0)]):
        inputs = [name]
        if op_type in ("Max", "Min"):
            values = np.clip(limit * scale, np.finfo(dtype).min, np.finfo(dtype).max)
            inputs.append(unused_name(f"{output}_{op_type.lower()}", used))
            graph.initializer.append(numpy_helper.from_array(values.astype(dtype), inputs[1]))
        last = index >= len(steps) - 1
        name = output if last else unused_name(f"{output}_above", used)
        nodes.append(helper.make_node(op_type, inputs, [name], name=clip.name if last else ""))
    return nodes


def _dtype(clip: NodeProto, tensors: Mapping[str, TensorProto]) -> np.dtype:
    """The type of a Clip's limits; float32 where they are attributes."""
    names = [name for name in clip.input[1:] if name]
    kind = tensors[names[0]].data_type if names else TensorProto.FLOAT
    return np.dtype(helper.tensor_dtype_to_np_dtype(kind))
