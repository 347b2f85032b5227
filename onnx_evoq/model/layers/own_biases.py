"""Give layers a bias of their own, which reconstruction may change."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph import (
    all_nodes,
    attribute,
    copy_of,
    is_standard,
    names_in_use,
    unused_name,
    walk,
)
from onnx_evoq.model.inside import shown_nodes
from onnx_evoq.model.products import Read, WeightReads, bias_position, scales_terms
from onnx_evoq.model.tensors import array_of
from onnx_evoq.model.weights import weight_inputs


def own_biases(model: ModelProto, weights: Iterable[str]) -> ModelProto:
    """The model with a bias of its own for each layer of `weights` that may have one.

    1. A layer without a bias gets zeros, if its node takes a bias.
    2. A bias that other nodes read too (exporters share equal ones), or that is an output of the
       model, is copied. So is one that an Add adds to the output of the node alone.
    3. One value for all channels becomes one for each, and the `beta` of a Gemm goes into its bias.

    The outputs stay the same. A bias that a node computes stays as it is.

    Returns:
        A copy; `model` itself if all of them have one.
    """
    new = _NewBiases(model).of(set(weights))
    if not new:
        return model
    changed, used = copy_of(model), names_in_use(model.graph)
    nodes = [node for node, _ in shown_nodes(changed)]
    for bias in new:
        name = unused_name(f"{bias.weight}_bias", used)
        changed.graph.initializer.append(numpy_helper.from_array(bias.values, name))
        node = nodes[bias.node]
        node.input.extend([""] * (bias.position + 1 - len(node.input)))
        node.input[bias.position] = name
        if scales_terms(node):
            (beta,) = (each for each in node.attribute if each.name == "beta")
            node.attribute.remove(beta)
    read = {name for node in all_nodes(changed.graph) for name in node.input}
    read |= {value.name for graph in walk(changed.graph) for value in graph.output}
    for tensor in [t for t in changed.graph.initializer if t.name in {b.old for b in new} - read]:
        changed.graph.initializer.remove(tensor)
    return changed


@dataclass(frozen=True, eq=False)
class _NewBias:
    """A bias that a node gets.

    Attributes:
        weight: the weight of the layer.
        node: the number of the node that adds the bias.
        position: which of its inputs the bias is.
        values: the values.
        old: the initializer that it replaces, "" for none.
    """

    weight: str
    node: int
    position: int
    values: Array
    old: str = ""


class _NewBiases:
    """Finds the biases that layers of a model lack."""

    def __init__(self, model: ModelProto) -> None:
        self._reads = WeightReads(model)
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._nodes = [node for node, _ in shown_nodes(model)]
        self._adding = {
            name: index
            for index, node in enumerate(self._nodes)
            for name in (node.input if node.op_type == "Add" and is_standard(node) else ())
        }
        self._counts = Counter(name for node in all_nodes(model.graph) for name in node.input)
        self._counts.update(v.name for graph in walk(model.graph) for v in graph.output)

    def of(self, weights: Collection[str]) -> list[_NewBias]:
        """The new biases of the layers with these weights."""
        new = []
        for index, node in enumerate(self._nodes):
            for position in weight_inputs(node):
                read = self._reads.of(node, position)
                if read is not None and read.weight in weights and read.linear is not None:
                    place = bias_position(node, position)
                    if place is None:
                        new.append(self._added(index, read))
                    else:
                        new.append(self._given(index, place, read))
        return [bias for bias in new if bias is not None]

    def _given(self, index: int, place: int, read: Read) -> _NewBias | None:
        """The new bias among the inputs of a node, at `place`."""
        node, shape = self._nodes[index], read.bias_shape
        old = node.input[place] if len(node.input) > place else ""
        if shape is None or (old and old not in self._tensors):
            return None
        if not old:
            dtype = helper.tensor_dtype_to_np_dtype(self._tensors[read.weight].data_type)
            return _NewBias(read.weight, index, place, np.zeros(shape, dtype))  # rule 1
        values = array_of(self._tensors[old])
        scaled, one = scales_terms(node), values.size == 1 and values.shape != shape
        if self._counts[old] <= 1 and not scaled and not one:
            return None
        self._counts[old] -= 1  # rule 2
        if scaled:
            values = (values * attribute(node, "beta", 1)).astype(values.dtype)
        values = np.broadcast_to(values, shape).copy() if one else values  # rule 3
        return _NewBias(read.weight, index, place, values, old)

    def _added(self, index: int, read: Read) -> _NewBias | None:
        """The new bias that an Add adds to the output of a node."""
        output, shape = self._nodes[index].output[0], read.bias_shape
        adding = self._adding.get(output)
        if self._counts[output] != 1 or adding is None:
            return None
        names = list(self._nodes[adding].input)
        position = 1 - names.index(output)
        old = names[position]
        if old not in self._tensors or self._counts[old] <= 1 or shape is None:
            return None
        values = array_of(self._tensors[old])
        if values.shape[values.ndim - len(shape) :] != shape or values.size != prod(shape):
            return None
        self._counts[old] -= 1
        return _NewBias(read.weight, adding, position, values, old)
