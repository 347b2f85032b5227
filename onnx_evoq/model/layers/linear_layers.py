"""Find the linear layers whose channels can be rescaled and split.

They must own their weights and biases, so that these can be changed for this layer alone, and it
must be known which channels each entry of the weight connects. `closed_form` has other rules: it
finds the layers whose output is a matrix product with a known bias, for reconstruction.

1. A layer is a Conv or ConvTranspose (with any groups), a Gemm that does not transpose its input,
   or a MatMul with a matrix on its right.
2. Its weight is an initializer that the layer reads directly, and nothing else reads.
3. Its biases are its third input and the terms that an Add right after it adds per output channel,
   if each is an initializer that nothing else reads. A layer with a third input of another kind is
   a layer too, but its output channels are fixed.
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
        biases: the initializers with one value per output channel.
        axis: the axis of the channels in its input and its output: 1, or -1 for the last axis.
        outputs: the output channel of each entry along the weight's first two axes, in a shape that
            broadcasts to these, (n, 1) for example.
        inputs: the input channel of each entry along them, likewise.
        fixed: whether its third input is not a bias of its own, so that its outputs cannot be
            scaled.
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
        """The number of output channels."""
        return int(self.outputs.max()) + 1

    @property
    def output_axis(self) -> int:
        """The axis of the weight, 0 or 1, that the output channels of a group lie along."""
        rows_first = self.node.op_type == "Conv" or attribute(self.node, "transB", 0)
        return 0 if rows_first else 1

    @property
    def input_channels(self) -> int:
        """The number of input channels."""
        return int(self.inputs.max()) + 1


def linear_layers(graph: GraphProto) -> list[LinearLayer]:
    """The layers of `graph` in its order, without those of the graphs inside it."""
    own = _own_tensors(graph)
    adds: dict[str, list[str]] = defaultdict(list)  # by tensor: the terms added to it
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
    """The float initializers that one input of one node reads, by name."""
    readers = reader_counts(graph)
    return {
        tensor.name: tensor
        for tensor in graph.initializer
        if readers[tensor.name] == 1
        and tensor.data_type in FLOAT_TYPES
        and np.prod(tensor.dims, dtype=np.int64)
    }


def _is_layer(node: NodeProto, weight: TensorProto) -> bool:
    rank = len(weight.dims)
    if node.op_type in ("Conv", "ConvTranspose"):
        return is_standard(node) and rank > 2
    reads_matrix = node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not attribute(node, "transA", 0)
    )
    return is_standard(node) and reads_matrix and rank == 2


def _layer(
    node: NodeProto, weight: TensorProto, own: dict[str, TensorProto], added: list[str]
) -> LinearLayer:
    outputs, inputs = weight_channels(node, weight)
    channels = int(outputs.max()) + 1
    convolves = node.op_type in ("Conv", "ConvTranspose")
    from_last = len(weight.dims) - 1 if convolves else 1  # the channel axis of the output
    biases = [
        name for name in added if name in own and _per_channel(own[name], channels, from_last)
    ]
    fixed = False
    if len(node.input) > 2 and node.input[2]:  # (channels,), or a shape that Gemm broadcasts
        bias = own.get(node.input[2])
        fixed = bias is None or not _per_channel(bias, channels, 1)
        biases += [] if fixed else [node.input[2]]
    axis = 1 if convolves else -1
    return LinearLayer(node, weight.name, tuple(biases), axis, outputs, inputs, fixed)


def weight_channels(node: NodeProto, weight: TensorProto) -> tuple[Indices, Indices]:
    """The output and the input channel of each entry along the weight's first two axes.

    Args:
        node: a Conv, ConvTranspose or Gemm, or a MatMul with the weight on its right.
        weight: its weight, with two axes or more.

    Returns:
        Indices of output channels, and indices of input channels. Both broadcast to (n, m): all of
        them would take more memory than the weight.
    """
    rows, columns = np.indices(weight.dims[:2], sparse=True)  # (n, 1) and (1, m)
    groups = int(attribute(node, "group", 1))
    group = rows // (weight.dims[0] // groups) if groups > 1 else np.zeros((1, 1), np.intp)
    match node.op_type:
        case "Conv":  # (out, in/group, *kernel)
            return rows, group * weight.dims[1] + columns
        case "ConvTranspose":  # (in, out/group, *kernel)
            return group * weight.dims[1] + columns, rows
        case "Gemm" if attribute(node, "transB", 0):  # (out, in)
            return rows, columns
        case _:  # (in, out)
            return columns, rows


def _per_channel(bias: TensorProto, channels: int, from_last: int) -> bool:
    """Whether `bias` has one value per channel along the axis -`from_last`, and no other axes."""
    size = np.prod(bias.dims, dtype=np.int64)
    along_axis = bias.dims[-from_last] if len(bias.dims) >= from_last else 1
    return bool(along_axis == channels == size)
