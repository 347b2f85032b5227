"""Find the activations of a model that lie between QuantizeLinear and DequantizeLinear."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from onnx import ModelProto

from onnx_evoq.model.graph import constant_tensors, reads
from onnx_evoq.model.integer.prepared import OF_OUTPUT
from onnx_evoq.model.layers import clip_limits

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # with weights, on integers
LIMITS = ("Clip", "Relu")  # which a runtime computes with the operator before them


@dataclass(frozen=True)
class QuantizedActivation:
    """A tensor between QuantizeLinear and DequantizeLinear.

    Attributes:
        name: the tensor in the float model.
        scale: the initializer that holds its scale; tensors that share it have the same one.
        zero_point: the initializer that holds its zero point.
        codes: the integer tensor.
        dequantized: the tensor that other nodes read.
        low: the initializer that holds the lowest code; None if the codes are not clipped.
        high: likewise, the highest.
    """

    name: str
    scale: str
    zero_point: str
    codes: str
    dequantized: str
    low: str | None = None
    high: str | None = None


def quantized_activations(placed: ModelProto) -> list[QuantizedActivation]:
    """The activations that are quantized, in the graph's order."""
    readers = {
        node.input[0]: node
        for node in placed.graph.node
        if node.op_type in ("Clip", "Cast", "DequantizeLinear")
    }
    found = []
    for node in placed.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        limits: Sequence[str | None] = (None, None)
        reader = readers[node.output[0]]
        while reader.op_type != "DequantizeLinear":
            limits = reader.input[1:] if reader.op_type == "Clip" else limits
            reader = readers[reader.output[0]]
        name, (scale, zero_point) = node.input[0].removesuffix(OF_OUTPUT), node.input[1:]
        low, high = limits
        found.append(
            QuantizedActivation(
                name, scale, zero_point, node.output[0], reader.output[0], low, high
            )
        )
    return found


def at_the_ends(placed: ModelProto) -> tuple[set[str], set[str]]:
    """The names of the activations that no other comes before, and of those that nothing needs.

    Nothing needs an activation as integers if neither another one nor a product with weights
    depends on it: it is an output of the model, or what a few float operators make one of.

    Args:
        placed: a model with Q and DQ.
    """
    tensors = quantized_activations(placed)
    dequantized = {tensor.dequantized for tensor in tensors}
    behind = set[str]()  # tensors that depend on an activation
    for node in placed.graph.node:
        if any(name in behind or name in dequantized for name in reads(node)):
            behind.update(node.output)
    needed = set[str]()  # tensors that an activation or a product depends on
    for node in reversed(placed.graph.node):
        if node.op_type in ("QuantizeLinear", *PRODUCTS) or not needed.isdisjoint(node.output):
            needed |= reads(node)
    quantizers = {node.output[0]: node.input[0] for node in placed.graph.node if node.input}
    first = {tensor.name for tensor in tensors if quantizers[tensor.codes] not in behind}
    return first, {tensor.name for tensor in tensors if tensor.dequantized not in needed}


def clip_limit_of(model: ModelProto, name: str) -> float:
    """The upper limit of the Clip that computes a tensor; infinite if none does."""
    maker = next((node for node in model.graph.node if name in node.output), None)
    if maker is None or maker.op_type != "Clip":
        return inf
    limits = clip_limits(maker, constant_tensors(model.graph))
    return inf if limits is None else limits[1]
