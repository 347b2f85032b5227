"""Fold BatchNormalization into the Conv, ConvTranspose or Gemm before it.

With ``g = scale / sqrt(var + epsilon)`` per channel, ``y = g * (W x + b - mean) + B`` is the layer
with weight ``g W`` and bias ``g (b - mean) + B``. A node is folded if

1. BatchNormalization runs in inference mode and all its parameters are initializers,
2. nothing else reads the layer's output,
3. the layer's weight (and bias, if any) is an initializer that the layer reads directly,
4. that bias has one value per channel, not one per sample as Gemm allows,
5. the folded values are finite in the weight's type.

The folded weight keeps the weight's name. If other nodes read the weight too, they keep it, and the
folded one gets a new name. The arithmetic is in float64.
"""

from typing import TypeAlias

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from onnx_evoq.array_types import Array, Float64Array
from onnx_evoq.model.graph import (
    attribute,
    copy_of,
    drop_unread,
    is_standard,
    names_in_use,
    node_label,
    reads,
    unused_name,
)
from onnx_evoq.model.tensors import array_of

Tensors: TypeAlias = dict[str, TensorProto]


def fold_batch_norm(model: ModelProto) -> tuple[ModelProto, list[str]]:
    """The model with BatchNormalization folded, and the names of the folded nodes.

    Args:
        model: a model as `load` returns it; it stays as it is.

    Returns:
        `model` itself if it has no BatchNormalization.
    """
    if not any(node.op_type == "BatchNormalization" for node in model.graph.node):
        return model, []
    folded_model = copy_of(model)
    graph = folded_model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    used = names_in_use(graph)
    folded = []
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        layer = _layer_before(norm, graph, tensors)
        if layer is None or _bias_per_sample(layer, tensors):
            continue
        try:
            values = _folded_values(norm, layer, tensors)
        except ValueError:  # sizes that do not agree, which a session will complain of
            continue
        if all(np.isfinite(array.astype(np.float64)).all() for array in values):  # rule 5
            _fold(norm, layer, values, graph, tensors, used)
            folded.append(node_label(norm))
    if folded:
        drop_unread(graph)
    return folded_model, folded


def _layer_before(norm: NodeProto, graph: GraphProto, tensors: Tensors) -> NodeProto | None:
    training = attribute(norm, "training_mode", 0) or len([n for n in norm.output if n]) > 1
    if not is_standard(norm) or training or any(n not in tensors for n in norm.input[1:]):
        return None  # rule 1
    if len(tensors[norm.input[1]].dims) != 1:
        return None  # one scale per position, as old operator sets allow (spatial=0)
    value = norm.input[0]
    readers = [node for node in graph.node if value in reads(node)]
    if len(readers) != 1 or value in {output.name for output in graph.output}:
        return None  # rule 2
    for node in graph.node:
        if value in node.output and is_standard(node):
            constants = [name for name in node.input[1:] if name]
            known = all(name in tensors for name in constants)  # rule 3
            return node if node.op_type in ("Conv", "ConvTranspose", "Gemm") and known else None
    return None


def _bias_per_sample(layer: NodeProto, tensors: Tensors) -> bool:  # rule 4
    shape = tensors[layer.input[2]].dims if len(layer.input) > 2 and layer.input[2] else []
    return len(shape) == 2 and shape[0] != 1


def _folded_values(norm: NodeProto, layer: NodeProto, tensors: Tensors) -> tuple[Array, Array]:
    """The layer's new weight and bias, in the weight's type."""
    scale, offset, mean, var = (_float64(tensors[name]) for name in norm.input[1:])
    gain = scale / np.sqrt(var + attribute(norm, "epsilon", 1e-5))  # (channels,)
    weight = _float64(tensors[layer.input[1]])
    bias = np.zeros_like(mean)  # (channels,)
    if len(layer.input) > 2 and layer.input[2]:
        bias = _float64(tensors[layer.input[2]])
        if layer.op_type == "Gemm":
            bias = bias.reshape(-1) * attribute(layer, "beta", 1.0)  # (channels,) or (1,)
    kind = tensors[layer.input[1]].data_type
    dtype = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    with np.errstate(over="ignore"):  # rule 5 refuses infinite values
        folded_weight = _scaled(weight, gain, layer).astype(dtype)
        return folded_weight, (gain * (bias - mean) + offset).astype(dtype)


def _fold(
    norm: NodeProto,
    layer: NodeProto,
    values: tuple[Array, Array],
    graph: GraphProto,
    tensors: Tensors,
    used: set[str],
) -> None:
    name = layer.input[1]
    if sum(name in reads(node) for node in graph.node) > 1:  # the others keep the old weight
        name = unused_name(f"{name}_folded", used)
    bias_name = unused_name(f"{norm.output[0]}_bias", used)
    for target, array in zip((name, bias_name), values, strict=True):
        tensor = tensors[target] if target in tensors else graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(array, target))
        tensors[target] = tensor
    del layer.input[1:]
    layer.input.extend([name, bias_name])
    for candidate in [a for a in layer.attribute if a.name == "beta"]:
        layer.attribute.remove(candidate)
    layer.output[0] = norm.output[0]
    graph.node.remove(norm)


def _scaled(weight: Float64Array, gain: Float64Array, layer: NodeProto) -> Float64Array:
    if layer.op_type == "Conv":
        return weight * gain.reshape(-1, *[1] * (weight.ndim - 1))  # (out, in/group, *kernel)
    if layer.op_type == "Gemm":
        return weight * (gain[:, None] if attribute(layer, "transB", 0) else gain)
    # ConvTranspose: (in, out/group, *kernel); each group connects its own inputs and outputs
    groups = int(attribute(layer, "group", 1))
    split = weight.reshape(groups, -1, *weight.shape[1:])  # (group, in/group, out/group, *kernel)
    per_group = gain.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    return (split * per_group).reshape(weight.shape)


def _float64(tensor: TensorProto) -> Float64Array:
    return np.asarray(array_of(tensor), np.float64)
