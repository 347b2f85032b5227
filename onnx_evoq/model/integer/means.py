"""Give what an AveragePool computes a scale of its own."""

from collections.abc import Mapping

import numpy as np
from onnx import GraphProto, ModelProto, numpy_helper

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph import names_in_use, unused_name
from onnx_evoq.model.integer.prepared import CODES
from onnx_evoq.model.tensors import array_of


def unshare_means(
    placed: ModelProto, model: ModelProto, values: Mapping[str, tuple[Array, Array]]
) -> None:
    """Give the output of each AveragePool a scale of its own, in place.

    A mean over many positions has a smaller range than its input. The tool that placed the nodes
    makes them share a scale; the kernels of ONNX Runtime do not need it. What shared it by way of
    the pool (a Flatten behind it, for example) shares the new one.

    Args:
        placed: a model with Q and DQ.
        model: the float model that it was made from.
        values: the scale and the zero point of activations by name; others keep what they share.
    """
    graph, used = placed.graph, names_in_use(placed.graph)
    quantizers = {node.input[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    dequantizers = {
        node.input[0]: node for node in graph.node if node.op_type == "DequantizeLinear"
    }
    renamed: dict[str, tuple[str, list[str]]] = {}  # by a dequantized tensor: its old and new names
    for node in list(graph.node):
        first = node.input[0] if node.input else ""
        old, new = renamed.get(first, ("", []))
        if new and node.op_type in ("Conv", "ConvTranspose", "Gemm") and len(node.input) > 2:
            ratio = float(_value(graph, new[0])) / float(_value(graph, old))
            _rescale_bias(graph, model.graph, node.input[2], ratio)
        for output in node.output:
            quantizer = quantizers.get(output)
            if quantizer is None:
                continue
            if node.op_type == "AveragePool":
                old = quantizer.input[1]
                new = [unused_name(f"{output}_{part}", used) for part in ("scale", "zero_point")]
                kept = [_value(graph, name) for name in quantizer.input[1:]]
                for name, array in zip(new, values.get(output, kept), strict=True):
                    graph.initializer.append(numpy_helper.from_array(array, name))
            if new and quantizer.input[1] == old:
                dequantizer = dequantizers[quantizer.output[0]]
                for each in (quantizer, dequantizer):
                    del each.input[1:]
                    each.input.extend(new)
                renamed[dequantizer.output[0]] = old, new


def _value(graph: GraphProto, name: str) -> Array:
    return next(array_of(t) for t in graph.initializer if t.name == name)


def _rescale_bias(graph: GraphProto, floats: GraphProto, bias: str, ratio: float) -> None:
    """Change the scale of a bias of integers, in place: a kernel takes it to be s_x s_w.

    Args:
        graph: of the model with Q and DQ.
        floats: of the float model.
        bias: the dequantized bias.
        ratio: of the new scale to the old one.
    """
    maker = next((node for node in graph.node if bias in node.output), None)
    if maker is None or maker.op_type != "DequantizeLinear":
        return  # it is a float
    scale = _value(graph, maker.input[1]).astype(np.float64) * ratio
    values = _value(floats, maker.input[0].removesuffix(CODES)).astype(np.float64)
    changed = np.rint(values / scale).astype(np.int32), scale.astype(np.float32)
    arrays = dict(zip(maker.input[:2], changed, strict=True))
    for tensor in graph.initializer:
        if tensor.name in arrays:
            tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))
