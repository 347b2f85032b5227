"""Find the layers with a closed form: their output is a matrix product with a weight, plus a bias.

Reconstruction needs the input, the output and the bias of such a layer. `linear_layers` has other
rules: it finds the layers whose channels can be rescaled and split.

A weight has such a layer if exactly one node reads it, in the main graph or in a body of an If, a
Loop or a Scan, and this node is

1. a Conv or ConvTranspose (the latter with explicit pads and no output_shape),
2. a Gemm without transA and with alpha = beta = 1,
3. a MatMul with a weight of two axes, whose other input is no constant.

The layer's output is that of the node, or that of an Add after it which adds a constant per
channel. This constant, or the node's third input, is the bias, if nothing else reads it
(`own_biases` makes sure of that for a third input). A node with any other third input is no such
layer. If only the Add of a residual branch reads the output, the layer's errors are measured in
that sum.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto, TensorProto, helper

from onnx_evoq.model.graph import (
    Runnable,
    Weight,
    all_nodes,
    attribute,
    constant_tensors,
    is_standard,
    walk,
)
from onnx_evoq.model.inside import constants_in, input_inside, output_inside, shown_nodes
from onnx_evoq.model.layers.activations import activation_of, in_a_row
from onnx_evoq.quantize import Activation, Dense, Linear, Window


@dataclass(frozen=True)
class Layer:
    """A layer with a closed form.

    Attributes:
        weight: the name of its weight.
        linear: how the weight becomes a matrix.
        input: the tensor that the weight is multiplied with.
        output: the layer's output, its bias included; None if it is no tensor of the model, since
            the node goes on with it.
        bias: the initializer that holds its bias; None if it has none of its own.
        sum: the sum of a residual branch that alone reads the output; None if there is none, or if
            it is no tensor.
        other: the other term of that sum.
        activation: the activation that alone reads the output, or the sum; None if it depends on
            its input everywhere, or if there is none.
        float_names: the names of `read` in the float model, where activations are integers; empty
            if they are the same.
    """

    weight: str
    linear: Linear
    input: str
    output: str | None
    bias: str | None
    sum: str | None = None
    other: str | None = None
    activation: Activation | None = None
    float_names: tuple[str, ...] = ()

    @property
    def read(self) -> list[str]:
        """The tensors that the layer's columns and the other term of a sum come from."""
        return [self.input] if self.other is None else [self.input, self.other]

    @property
    def given(self) -> list[str]:
        """The tensors that the targets come from: its output, or what gives it, and the sum."""
        if self.output is None:
            return list(self.float_names) or self.read
        return [self.output] if self.sum is None else [self.output, self.sum]


def find_layers(model: Runnable, weights: Sequence[Weight]) -> dict[str, Layer]:
    """The layers with a closed form, by the name of their weight, in the graph's order.

    Args:
        model: the model, as `load` returns it.
        weights: the weights whose layers to find, as `find_weights` lists them.
    """
    finder = _LayerFinder(model)
    names = {weight.name for weight in weights}
    layers = {}
    for node, graph in shown_nodes(model):
        index = next((k for k, name in enumerate(node.input) if name in names), None)
        layer = None if index is None else finder.layer(node, index)
        if index is not None and layer is not None:
            layers[layer.weight] = finder.inside(layer, node, 1 - index) if graph else layer
    return layers


class _LayerFinder:
    """Finds the layers of one model, with what it must know of the whole graph."""

    def __init__(self, model: Runnable) -> None:
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in all_nodes(model.graph):
            for name in {name for name in node.input if name}:
                self._readers[name].append(node)
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        graphs = list(walk(model.graph))
        self._outputs = {value.name for graph in graphs for value in graph.output}
        self._constant_names = constants_in(model)
        self._constants = {k: v for graph in graphs for k, v in constant_tensors(graph).items()}
        self._makers = {
            name: (node, graph) for node, graph in shown_nodes(model) for name in node.output
        }

    def layer(self, node: NodeProto, index: int) -> Layer | None:
        """The layer of the weight that is the input `index` of `node`, None if it has none."""
        weight = self._tensors[node.input[index]]
        if len(self._readers[weight.name]) > 1 or not is_standard(node):
            return None
        linear = _linear(node, index, weight)
        if linear is None or node.input[1 - index] in self._constant_names:
            return None
        groups, rows = linear.matrix(np.empty(tuple(weight.dims), np.bool_)).shape[:2]
        channels = int(groups * rows)
        output, bias = node.output[0], None
        if len(node.input) > 2 and node.input[2]:
            bias = self._own_bias(node.input[2], (channels,))
            if bias is None:
                return None
        elif node.op_type != "Gemm":
            output, bias = self._added_bias(output, _bias_shape(linear, channels))
        total, other = self._residual_sum(output)
        activation = self._activation(
            total or output, _bias_shape(linear, channels), (groups, rows)
        )
        return Layer(
            weight.name, linear, node.input[1 - index], output, bias, total, other, activation
        )

    def inside(self, layer: Layer, node: NodeProto, index: int) -> Layer:
        """A layer of a node in a body, with the names by which its tensors can be had.

        Args:
            layer: the layer, with the names that its tensors have in the body.
            node: the node.
            index: of its input that the weight is multiplied with.
        """
        assert layer.output is not None
        inner = replace(
            layer,
            input=input_inside(node, index),
            output=output_inside(self._makers[layer.output][0]),
        )
        if layer.sum is None or layer.other is None:
            return inner
        adding, _ = self._makers[layer.sum]
        other = input_inside(adding, list(adding.input).index(layer.other))
        return replace(inner, sum=output_inside(adding), other=other)

    def _activation(
        self, name: str, per_channel: tuple[int, ...], rows: tuple[int, int]
    ) -> Activation | None:
        """The activation that alone reads a tensor, or the two of them in a row."""
        reader = self._only_reader(name)
        first = (
            None if reader is None else activation_of(reader, self._constants, per_channel, rows)
        )
        if reader is None or first is None:
            return None
        reader = self._only_reader(reader.output[0])
        if reader is None or reader.op_type not in ("Relu", "Clip", "Max", "Min"):
            return first
        return in_a_row(first, activation_of(reader, self._constants, per_channel, rows))

    def _only_reader(self, name: str) -> NodeProto | None:
        """The node that alone reads a tensor, if it is in the graph of that tensor."""
        if name in self._outputs or len(self._readers[name]) != 1:
            return None
        (reader,) = self._readers[name]
        graphs = {self._makers[n][1] for n in (name, reader.output[0]) if n in self._makers}
        return reader if len(graphs) == 1 and reader.output[0] in self._makers else None

    def _added_term(self, output: str) -> tuple[str, str] | None:
        """The sum of the Add that alone reads `output`, and its other term."""
        reader = self._only_reader(output)
        if reader is None or reader.op_type != "Add" or not is_standard(reader):
            return None
        other = next((name for name in reader.input if name != output), None)
        return None if other is None else (reader.output[0], other)

    def _own_bias(self, name: str, shape: tuple[int, ...]) -> str | None:
        """`name`, if it is an initializer of that shape which nothing else reads."""
        if name not in self._tensors or name in self._outputs or len(self._readers[name]) > 1:
            return None
        dims = tuple(self._tensors[name].dims)
        while len(dims) > len(shape) and dims[0] == 1:
            dims = dims[1:]
        return name if dims == shape else None

    def _added_bias(self, output: str, shape: tuple[int, ...]) -> tuple[str, str | None]:
        """The output of a layer and its bias, where an Add may add the bias."""
        added = self._added_term(output)
        bias = None if added is None else self._own_bias(added[1], shape)
        return (output, None) if added is None or bias is None else (added[0], bias)

    def _residual_sum(self, output: str) -> tuple[str, str] | tuple[None, None]:
        """The sum that alone reads `output`, and its other term, if that is no constant."""
        added = self._added_term(output)
        return (None, None) if added is None or added[1] in self._constant_names else added


def _bias_shape(linear: Linear, channels: int) -> tuple[int, ...]:
    """The shape of a bias that an Add spreads over the axes after the channel axis."""
    if isinstance(linear, Window):
        return (channels, *(1,) * len(linear.kernel))
    return (channels, 1) if linear.left else (channels,)


def _linear(node: NodeProto, index: int, weight: TensorProto) -> Linear | None:
    if node.op_type == "MatMul" and len(weight.dims) == 2:
        return Dense(transposed=index == 1, left=index == 0)
    if node.op_type == "Gemm" and index == 1:
        plain = attribute(node, "alpha", 1) == attribute(node, "beta", 1) == 1
        if plain and not attribute(node, "transA", 0):
            return Dense(transposed=not attribute(node, "transB", 0))
    if node.op_type in ("Conv", "ConvTranspose") and index == 1:
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
    if padding != "NOTSET" or "output_shape" in given:
        return None
    # A ConvTranspose that crops more than the reach of its kernel in front starts within a window.
    reach = [d * (k - 1) for k, d in zip(kernel, window.dilations, strict=True)]
    return window if all(p <= r for p, r in zip(pads[:space], reach, strict=True)) else None
