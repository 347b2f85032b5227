"""Layers with a closed form: a weight, what it multiplies, and what comes out.

A weight has a layer if the main graph's one node that reads it is

1. a Conv or ConvTranspose (with explicit pads and no output_shape, if transposed),
2. a Gemm without transA and with alpha = beta = 1,
3. a MatMul whose other input is no constant, with a weight of two axes.

The layer's output is the node's, or that of an Add behind it which adds a constant per channel.
That constant, or the node's third input, is its bias, if nothing else reads it (`own_biases` sees
to that for a third input); a node with another third input has no layer. Where the output goes into
the Add of a residual branch and nowhere else, that sum is what counts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnx_evoq.model.graph import (
    Weight,
    all_nodes,
    attribute,
    constant_tensors,
    constants_of,
    is_standard,
)
from onnx_evoq.model.layers.activations import activation_of
from onnx_evoq.quantize import Activation, Dense, Linear, Window


@dataclass(frozen=True)
class Layer:
    """What a weight does.

    Attributes:
        weight: its name.
        linear: how it becomes a matrix.
        input: the tensor that it multiplies.
        output: the layer's output, its bias included.
        bias: the initializer that holds its bias; None where it has none of its own.
        sum: the sum that the output goes into, None where it is no residual branch.
        other: what the output is added to there.
        clamp: the activation that alone reads the output, or the sum; None where it lets all
            through.
    """

    weight: str
    linear: Linear
    input: str
    output: str
    bias: str | None
    sum: str | None = None
    other: str | None = None
    activation: Activation | None = None


def find_layers(model: ModelProto, weights: Sequence[Weight]) -> dict[str, Layer]:
    """The layers of those weights that have one, by the weight's name, in the graph's order.

    Args:
        model: the model, as `load` returns it.
        weights: as `find_weights` lists them.
    """
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in all_nodes(model.graph):
        for name in {name for name in node.input if name}:
            readers[name].append(node)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    own = {name: tensor for name, tensor in tensors.items() if name not in outputs}
    constant = constants_of(model.graph) | set(tensors)
    limits = constant_tensors(model.graph)
    wanted = {weight.name for weight in weights}
    made = {name for node in model.graph.node for name in node.output}

    def only_reader(output: str) -> NodeProto | None:
        """The one node that reads a tensor, if it is of the main graph."""
        if output in outputs or len(readers[output]) != 1:
            return None
        return readers[output][0] if readers[output][0].output[0] in made else None

    layers = {}
    for node in model.graph.node:
        index = next((k for k, name in enumerate(node.input) if name in wanted), None)
        if index is None or len(readers[node.input[index]]) > 1 or not is_standard(node):
            continue
        weight = tensors[node.input[index]]
        linear = _linear(node, index, weight)
        if linear is None or node.input[1 - index] in constant:
            continue
        channels = _channels(linear, weight)
        output, bias = node.output[0], None
        if len(node.input) > 2 and node.input[2]:
            bias = _own_bias(own.get(node.input[2]), readers, (channels,))
            if bias is None:
                continue
        elif node.op_type != "Gemm" and (reader := only_reader(output)) is not None:
            output, bias = _added_bias(node, reader, linear, channels, own, readers)
        total, other = None, None
        if (reader := only_reader(output)) is not None:
            total, other = _residual(output, reader, constant)
        reader = only_reader(total or output)
        activation = None if reader is None else activation_of(reader, limits)
        layers[weight.name] = Layer(
            weight.name, linear, node.input[1 - index], output, bias, total, other, activation
        )
    return layers


def _linear(node: NodeProto, index: int, weight: TensorProto) -> Linear | None:
    rank = len(weight.dims)
    if node.op_type == "MatMul" and rank == 2:
        return Dense(transposed=index == 1, left=index == 0)
    if node.op_type == "Gemm" and index == 1:
        plain = attribute(node, "alpha", 1) == attribute(node, "beta", 1) == 1
        if plain and not attribute(node, "transA", 0):
            return Dense(transposed=not attribute(node, "transB", 0))
    if node.op_type in ("Conv", "ConvTranspose") and index == 1 and rank > 2:
        return _window(node, weight)
    return None


def _window(node: NodeProto, weight: TensorProto) -> Window | None:
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel = tuple(weight.dims[2:])
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
    )
    if not transposed:
        return window
    # A ConvTranspose that crops more than a kernel's reach looks at no whole window there.
    reach = [d * (k - 1) for k, d in zip(kernel, window.dilations, strict=True)]
    if padding != "NOTSET" or "output_shape" in given:
        return None
    return window if all(p <= r for p, r in zip(pads, reach, strict=False)) else None


def _channels(linear: Linear, weight: TensorProto) -> int:
    rows = linear.matrix(np.empty(tuple(weight.dims), np.bool_)).shape[:2]
    return int(rows[0] * rows[1])


def _own_bias(
    tensor: TensorProto | None, readers: dict[str, list[NodeProto]], *shapes: tuple[int, ...]
) -> str | None:
    """The tensor's name, if it is one value per channel that nothing else reads."""
    if tensor is None or len(readers[tensor.name]) > 1:
        return None
    dims = tuple(tensor.dims)
    while len(dims) > 1 and dims[0] == 1 and dims not in shapes:
        dims = dims[1:]
    return tensor.name if dims in shapes else None


def _added_bias(
    node: NodeProto,
    reader: NodeProto,
    linear: Linear,
    channels: int,
    tensors: dict[str, TensorProto],
    readers: dict[str, list[NodeProto]],
) -> tuple[str, str | None]:
    """Output and bias of a layer with a node that may add one."""
    output = node.output[0]
    if reader.op_type != "Add" or not is_standard(reader):
        return output, None
    added = (
        next(name for name in reader.input if name != output) if len(set(reader.input)) > 1 else ""
    )
    # One value per channel, spread over what follows the channel axis.
    if isinstance(linear, Window):
        shape: tuple[int, ...] = (channels, *(1,) * len(linear.kernel))
    else:
        shape = (channels, 1) if linear.left else (channels,)
    bias = _own_bias(tensors.get(added), readers, shape)
    return (output, None) if bias is None else (reader.output[0], bias)


def _residual(output: str, reader: NodeProto, constant: set[str]) -> tuple[str | None, str | None]:
    """The sum that the output goes into, and what it is added to."""
    if reader.op_type != "Add" or not is_standard(reader):
        return None, None
    other = next((name for name in reader.input if name != output), None)
    if other is None or other in constant:
        return None, None
    return reader.output[0], other
