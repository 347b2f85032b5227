"""Write a model with QuantizeLinear and DequantizeLinear in QONNX.

What ONNX needs several nodes and a type of 8 or 16 bits for is one Quant node (see `quant_node`):

1. An activation's QuantizeLinear, Clip of the codes and DequantizeLinear become a Quant whose width
   and sign are those of the codes that the Clip lets through. Where no width has just these, as
   behind a Clip of the float model, a Clip of the values stands before the Quant.
2. Codes with a DequantizeLinear, of weights and biases, become floats ``scale * codes`` with a
   Quant, which changes none of them: it says their width. A weight has the width that it was given,
   and a bias the least one that holds its codes.

The zero point is 0 everywhere: it moves the codes in their type, and not their values. So the model
computes what the one with the two operators does.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.model.files import check_valid
from onnx_evoq.model.graph import (
    QONNX_DOMAIN,
    attribute,
    copy_of,
    drop_unread,
    names_in_use,
    replace_nodes,
    unused_name,
)
from onnx_evoq.model.integer import CODES, QuantizedActivation, quantized_activations
from onnx_evoq.model.qonnx.quant_node import CodeRange, narrowest_range, quant_nodes
from onnx_evoq.model.tensors import array_of

_VERSION = 1  # of the operators of QONNX


def emit_qonnx(qdq: ModelProto, widths: Mapping[str, int]) -> ModelProto:
    """The model in QONNX.

    Args:
        qdq: the model in the QDQ format, with codes of 8 bits or more; it stays as it is.
        widths: the bits of each weight by name; where channels differ, those of the widest, since
            a Quant has one width.
    """
    model = copy_of(qdq)
    graph, used = model.graph, names_in_use(model.graph)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    activations = {tensor.dequantized: tensor for tensor in quantized_activations(model)}
    quantized = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"}
    nodes: list[NodeProto] = []
    codes = set[str]()  # tensors of whole numbers, which are no more
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            found = activations.get(node.output[0])
            if found is None:
                nodes += _constant(graph, node, tensors, widths, used)
            else:
                nodes += _activation(graph, found, quantized[found.codes], tensors, used)
        elif node.op_type == "QuantizeLinear" or not codes.isdisjoint(node.input):
            codes.update(node.output)
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)
    drop_unread(graph)
    model.opset_import.append(helper.make_opsetid(QONNX_DOMAIN, _VERSION))
    check_valid(model)
    return model


def _activation(
    graph: GraphProto,
    tensor: QuantizedActivation,
    source: str,
    tensors: Mapping[str, TensorProto],
    used: set[str],
) -> list[NodeProto]:
    """The nodes of an activation; limits of its values are added to the graph.

    Args:
        graph: of the model.
        tensor: the activation.
        source: the tensor of floats that is quantized.
        tensors: the initializers by name.
        used: names that are taken.
    """
    scale, zero_point = (_value(tensors, name) for name in (tensor.scale, tensor.zero_point))
    if tensor.low is None or tensor.high is None:
        limits = np.iinfo(zero_point.dtype)
        ends = int(limits.min), int(limits.max)
    else:
        ends = int(_value(tensors, tensor.low)), int(_value(tensors, tensor.high))
    low, high = (end - int(zero_point) for end in ends)
    codes, nodes = narrowest_range(low, high), list[NodeProto]()
    if (low, high) != (codes.low, codes.high):
        names = [unused_name(f"{tensor.name}_{end}", used) for end in ("lowest", "highest")]
        for name, code in zip(names, (low, high), strict=True):
            limit = np.asarray(code * scale, np.float32).reshape(())
            graph.initializer.append(numpy_helper.from_array(limit, name))
        clipped = unused_name(f"{tensor.name}_clipped", used)
        label = unused_name(f"{tensor.name}_clip", used)
        nodes.append(helper.make_node("Clip", [source, *names], [clipped], label))
        source = clipped
    label = f"{tensor.name}_quant"
    return [
        *nodes,
        *quant_nodes(source, tensor.dequantized, scale.reshape(()), codes, label, used),
    ]


def _constant(
    graph: GraphProto,
    node: NodeProto,
    tensors: Mapping[str, TensorProto],
    widths: Mapping[str, int],
    used: set[str],
) -> list[NodeProto]:
    """The nodes of a weight or a bias; its values are added to the graph.

    Args:
        graph: of the model.
        node: the DequantizeLinear.
        tensors: the initializers by name.
        widths: the bits of weights by name.
        used: names that are taken.
    """
    stored, scale, *zero_point = (_value(tensors, name) for name in node.input if name)
    rank, name = stored.ndim, node.input[0].removesuffix(CODES)
    axis = int(attribute(node, "axis", 1)) % max(1, rank)

    def along(values: NDArray[Any]) -> NDArray[Any]:
        """Values with the axes of the tensor, to multiply it or be added to it."""
        return values.reshape([prod(values.shape) if each == axis else 1 for each in range(rank)])

    whole = stored.astype(np.int64)
    if zero_point:  # a layer that was quantized before may leave it out
        whole = whole - along(zero_point[0].astype(np.int64))
    step = along(scale.astype(np.float32))
    bits = widths.get(node.output[0], widths.get(name))
    if bits is None:
        codes = narrowest_range(int(whole.min(initial=-1)), int(whole.max(initial=0)))
    else:
        codes = CodeRange(bits)
    values = unused_name(f"{name}_values", used)
    floats = np.asarray(whole * step.astype(np.float64), np.float32)
    graph.initializer.append(numpy_helper.from_array(floats, values))
    return quant_nodes(values, node.output[0], step, codes, f"{name}_quant", used)


def _value(tensors: Mapping[str, TensorProto], name: str) -> NDArray[Any]:
    value: NDArray[Any] = array_of(tensors[name])
    return value
