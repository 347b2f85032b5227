"""Find the layers with a closed form: their output is a matrix product with a weight, plus a bias.

Reconstruction needs the input, the output and the bias of such a layer. `linear_layers` has other
rules: it finds the layers whose channels can be rescaled and split.

A weight has such a layer if a node reads it, in the main graph or in a body of an If, a Loop or a
Scan, directly or behind views; if its product with the node's input is known (`products`); and if
that input is no constant. If several nodes do so, their layers are tied (`tied`). Recurrent
operators have rules of their own (`gates`).

The layer's output is that of the node, or that of an Add after it which adds a constant per
channel. This constant, or the bias among the node's inputs, is the layer's, if nothing else reads
it (`own_biases` makes sure of that for an input). If only the Add of a residual branch reads the
output, the layer's errors are measured in that sum.

The output is no tensor of the model if the node goes on with it (`products.fused`), or if another
term than a bias of its own is added to it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import GraphProto, NodeProto

from onnx_evoq.model.graph import (
    Runnable,
    all_nodes,
    as_network,
    bodies,
    constant_tensors,
    is_standard,
    needed_nodes,
    opset_of,
    walk,
)
from onnx_evoq.model.inside import (
    constants_in,
    has_gate_columns,
    input_inside,
    output_inside,
    shown_nodes,
)
from onnx_evoq.model.layers.activations import activation_of, in_a_row
from onnx_evoq.model.layers.gates import gate_layer
from onnx_evoq.model.layers.last_sigmoids import before_last_sigmoids
from onnx_evoq.model.layers.layer import Layer
from onnx_evoq.model.layers.tied import tied
from onnx_evoq.model.products import (
    Read,
    WeightReads,
    added_terms,
    bias_position,
    fused_activation,
    goes_on,
    has_inner_product,
    scales_terms,
)
from onnx_evoq.model.weights import Weight, weight_inputs
from onnx_evoq.quantize import Activation


def find_layers(model: Runnable, weights: Sequence[Weight]) -> dict[str, Layer]:
    """The layers with a closed form, by the name of their weight, in the graph's order.

    Args:
        model: the model, as `load` returns it.
        weights: the weights whose layers to find, as `find_weights` lists them.
    """
    finder, reads = _LayerFinder(model), WeightReads(model)
    of_name = {weight.name: weight for weight in weights}
    layers: dict[str, list[Layer]] = {}
    unneeded = _without_effect(model.graph)
    for node, graph in shown_nodes(model):
        if not unneeded.isdisjoint(node.output):
            continue
        for index in weight_inputs(node):
            read = reads.of(node, index)
            layer = None
            if read is not None and read.weight in of_name:
                layer = finder.layer(node, index, read)
            if layer is not None:
                shown = finder.inside(layer, node, index) if graph else layer
                layers.setdefault(layer.weight, []).append(shown)
    found = {
        name: own[0]
        if len(own) == len(of_name[name].nodes) == 1
        else tied(model, own, of_name[name])
        for name, own in layers.items()
    }
    return {name: layer for name, layer in found.items() if layer is not None}


def _without_effect(graph: GraphProto) -> set[str]:
    """The outputs of all nodes that no output of the model depends on, in bodies, too."""
    needed = {name for node in needed_nodes(graph) for name in node.output}
    nodes = [node for node in graph.node if needed.isdisjoint(node.output)]
    inner = [n for node in nodes for body in bodies(node) for n in all_nodes(body)]
    return {name for node in [*nodes, *inner] for name in node.output if name}


class _LayerFinder:
    """Finds the layers of one model, with what it must know of the whole graph."""

    def __init__(self, model: Runnable) -> None:
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in all_nodes(model.graph):
            for name in {name for name in node.input if name}:
                self._readers[name].append(node)
        self._shared = {name for name, nodes in self._readers.items() if len(nodes) > 1}
        self._opset = opset_of(as_network(model).model)
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        graphs = list(walk(model.graph))
        self._outputs = {value.name for graph in graphs for value in graph.output}
        self._before_sigmoids = before_last_sigmoids(model.graph)
        self._constant_names = constants_in(model)
        self._constants = {k: v for graph in graphs for k, v in constant_tensors(graph).items()}
        self._makers = {
            name: (node, graph) for node, graph in shown_nodes(model) for name in node.output
        }

    def layer(self, node: NodeProto, index: int, read: Read) -> Layer | None:
        """The layer of the weight that the input `index` of `node` is, None if it has none."""
        if has_gate_columns(node, self._opset):
            direct = node.input[index] == read.weight
            return gate_layer(node, index, self._tensors, self._shared) if direct else None
        linear, data = read.linear, node.input[0 if index else 1]
        if linear is None or data in self._constant_names:
            return None
        groups, rows = linear.matrix(np.broadcast_to(False, read.shape)).shape[:2]
        per_channel = linear.bias_shape(read.shape)
        position, bias = bias_position(node, index), None
        given = node.input[position] if position and len(node.input) > position else ""
        if given and not scales_terms(node):
            bias = self._own_bias(given, read.bias_shape)
        if goes_on(node) or (given and bias is None):
            known, other = self._inner_term(node, bias)
            inner = self._inner_activation(node, per_channel, (groups, rows)) if known else None
            return Layer(read.weight, linear, data, None, bias, None, other, inner)
        output = node.output[0]
        if position is None or (not given and read.channels_only):
            output, bias = self._added_bias(output, per_channel)
        total, other = self._residual_sum(output)
        activation = self._activation(total or output, per_channel, (groups, rows))
        return Layer(
            read.weight, linear, data, output, bias, total, other, activation,
            gives_scores=(total or output) in self._before_sigmoids,
        )  # fmt: skip

    def _inner_term(self, node: NodeProto, bias: str | None) -> tuple[bool, str | None]:
        """Whether all that a node adds to its product is known, and what it is besides a bias."""
        terms = [term for term in added_terms(node) if term != bias]
        known = not scales_terms(node) and not self._constant_names.intersection(terms)
        if not terms or not known or len(terms) > 1:
            return not terms, None
        return True, terms[0]

    def _inner_activation(
        self, node: NodeProto, per_channel: tuple[int, ...] | None, rows: tuple[int, int]
    ) -> Activation | None:
        """The activation of a node's product, which may be within the node."""
        inner = fused_activation(node)
        if inner is not None:
            return activation_of(inner, {})
        if has_inner_product(node):
            return None
        return self._activation(node.output[0], per_channel, rows)

    def inside(self, layer: Layer, node: NodeProto, index: int) -> Layer:
        """A layer of a node in a body, with the names by which its tensors can be had.

        What the gates of a recurrent operator multiply has such names anyway.

        Args:
            layer: the layer, with the names that its tensors have in the body.
            node: the node.
            index: which of its inputs the weight is.
        """
        if layer.half_bias is not None:
            return layer
        inner = replace(layer, input=input_inside(node, 0 if index else 1))
        if layer.output is None and layer.other is not None:
            return replace(inner, other=input_inside(node, list(node.input).index(layer.other)))
        if layer.output is None:
            return inner
        inner = replace(inner, output=output_inside(self._makers[layer.output][0]))
        if layer.sum is None or layer.other is None:
            return inner
        adding, _ = self._makers[layer.sum]
        other = input_inside(adding, list(adding.input).index(layer.other))
        return replace(inner, sum=output_inside(adding), other=other)

    def _activation(
        self, name: str, per_channel: tuple[int, ...] | None, rows: tuple[int, int]
    ) -> Activation | None:
        """The activation that alone reads a tensor, or the two of them in a row."""
        per_channel = per_channel or ()
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

    def _own_bias(self, name: str, shape: tuple[int, ...] | None) -> str | None:
        """`name`, if it is an initializer of that shape which nothing else reads."""
        if name not in self._tensors or name in self._outputs or len(self._readers[name]) > 1:
            return None
        dims = tuple(self._tensors[name].dims)
        while shape is not None and len(dims) > len(shape) and dims[0] == 1:
            dims = dims[1:]
        return name if dims == shape else None

    def _added_bias(self, output: str, shape: tuple[int, ...] | None) -> tuple[str, str | None]:
        """The output of a layer and its bias, where an Add may add the bias."""
        added = self._added_term(output)
        bias = None if added is None else self._own_bias(added[1], shape)
        return (output, None) if added is None or bias is None else (added[0], bias)

    def _residual_sum(self, output: str) -> tuple[str, str] | tuple[None, None]:
        """The sum that alone reads `output`, and its other term, if that is no constant."""
        added = self._added_term(output)
        return (None, None) if added is None or added[1] in self._constant_names else added
