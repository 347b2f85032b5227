"""Find the linear layers whose weights and biases belong to them alone.

1. A layer is a Conv or ConvTranspose (with any groups), a Gemm that does not transpose its input,
   or a MatMul with a matrix on its right.
2. Its weight is an initializer that the layer reads directly, and nothing else reads.
3. Its biases are its third input and what an Add right behind it adds per output channel, each an
   initializer of its own. A third input of another kind does not keep the layer off the list, but
   its output channels are fixed then.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto

from onnx_evoq.array_types import Indices
from onnx_evoq.model.graph import FLOAT_TYPES, attribute, is_standard, reader_counts


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """A layer that maps input channels to output channels.

    Attributes:
        node: the node itself.
        weight: the initializer that holds its weight.
        biases: initializers with one value per output channel.
        axis: where channels lie in its input and its output: 1, or -1 for the last axis.
        outputs: (n, m) the output channel that each place of the weight's first two axes serves.
        inputs: (n, m) the input channel that it reads.
        fixed: whether something is added to the output that is no bias of the layer's own.
    """

    node: NodeProto
    weight: str
    biases: tuple[str, ...]
    axis: int
    outputs: Indices
    inputs: Indices
    fixed: bool

    @property
    def output_channels(self) -> int:
        """How many output channels there are."""
        return int(self.outputs.max()) + 1

    @property
    def output_axis(self) -> int:
        """Along which of the weight's first two axes the output channels of a group lie."""
        rows_first = self.node.op_type == "Conv" or attribute(self.node, "transB", 0)
        return 0 if rows_first else 1

    @property
    def input_channels(self) -> int:
        """How many input channels there are."""
        return int(self.inputs.max()) + 1


def linear_layers(graph: GraphProto) -> list[LinearLayer]:
    """The layers of `graph` in its order; graphs inside it are not searched."""
    own = _own_tensors(graph)
    adds: dict[str, list[str]] = defaultdict(list)  # what an Add reads: what it adds
    for node in graph.node:
        if node.op_type == "Add" and is_standard(node):
            first, second = node.input
            adds[first].append(second)
            adds[second].append(first)
    layers = []
    for node in graph.node:
        weight = own.get(node.input[1]) if len(node.input) > 1 else None
        if weight is not None and _is_layer(node, weight):
            layers.append(_layer(node, weight, own, adds[node.output[0]]))
    return layers


def _own_tensors(graph: GraphProto) -> dict[str, TensorProto]:
    """Float initializers that one input of one node reads."""
    readers = reader_counts(graph)
    return {
        tensor.name: tensor
        for tensor in graph.initializer
        if readers[tensor.name] == 1
        and tensor.data_type in FLOAT_TYPES
        and np.prod(tensor.dims, dtype=np.int64)
    }


def _is_layer(node: NodeProto, weight: TensorProto) -> bool:
    if not is_standard(node):
        return False
    match node.op_type:
        case "Conv" | "ConvTranspose":
            return len(weight.dims) >= 3
        case "Gemm":
            return len(weight.dims) == 2 and not attribute(node, "transA", 0)
        case "MatMul":
            return len(weight.dims) == 2
        case _:
            return False


def _layer(
    node: NodeProto, weight: TensorProto, own: dict[str, TensorProto], added: list[str]
) -> LinearLayer:
    outputs, inputs = _channels(node, weight)
    channels = int(outputs.max()) + 1
    convolves = node.op_type in ("Conv", "ConvTranspose")
    behind = len(weight.dims) - 1 if convolves else 1  # the channel axis, counted from the last
    biases = [name for name in added if name in own and _per_channel(own[name], channels, behind)]
    fixed = False
    if len(node.input) > 2 and node.input[2]:  # of (channels,), or what Gemm broadcasts
        bias = own.get(node.input[2])
        fixed = bias is None or not _per_channel(bias, channels, 1)
        biases += [] if fixed else [node.input[2]]
    axis = 1 if convolves else -1
    return LinearLayer(node, weight.name, tuple(biases), axis, outputs, inputs, fixed)


def _channels(node: NodeProto, weight: TensorProto) -> tuple[Indices, Indices]:
    """The output and the input channel of each place of the weight's first two axes."""
    rows, columns = np.indices(weight.dims[:2])
    groups = int(attribute(node, "group", 1))
    group = rows // (weight.dims[0] // groups)
    match node.op_type:
        case "Conv":  # (out, in/group, *kernel)
            return rows, group * weight.dims[1] + columns
        case "ConvTranspose":  # (in, out/group, *kernel)
            return group * weight.dims[1] + columns, rows
        case "Gemm" if attribute(node, "transB", 0):  # (out, in)
            return rows, columns
        case _:  # (in, out)
            return columns, rows


def _per_channel(bias: TensorProto, channels: int, behind: int) -> bool:
    """Whether `bias` broadcasts over everything but the axis that is `behind` from the end."""
    shape = (*[1] * (behind - len(bias.dims)), *bias.dims)
    return shape[-behind] == channels and np.prod(shape, dtype=np.int64) == channels
