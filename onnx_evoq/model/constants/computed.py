"""Compute what depends on constants alone.

A node is computed if it belongs to ONNX's own operator set, draws no random numbers, has no body,
and all that it reads is constant. What makes codes, or floats of codes, is computed on request
only. A node whose result is much larger than the initializers that it comes from is not computed,
unless a layer with weights reads it:

1. It may have as many values as these initializers together, or 1,024; for a layer 2**24.
2. It may have as many bytes as they have, or 8,192; for a layer any number.
3. Once the results take 2 GB, no more are computed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnx_evoq.array_types import Array
from onnx_evoq.model.constants.node_outputs import is_sequence, outputs_of
from onnx_evoq.model.constants.one_node import MOST_VALUES, count
from onnx_evoq.model.graph import (
    all_nodes,
    bodies,
    constant_tensors,
    is_quantized,
    is_random,
    is_standard,
    walk,
)
from onnx_evoq.model.tensors import array_of
from onnx_evoq.model.weights import has_weights

FEW_VALUES = 1024
_FEW_BYTES = 8 * FEW_VALUES
_MOST_BYTES = 1 << 31
_VIEWS = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_FLOATS = ("float16", "float32")  # which a Cast takes to each other


@dataclass(frozen=True)
class Computed:
    """A tensor that a node computes from constants.

    Attributes:
        sources: the initializers, and outputs of Constant nodes, whose values it comes from.
        same_as: the first tensor that has the same values, type and shape for a reason that the
            graph shows; it may be one of the sources, or the tensor itself.
        root: the tensor that it is a view of: the same values in another shape or order of axes, or
            in the other type of float16 and float32; itself if it is no view.
        grown: whether it has more values than its sources, and not only a few.
        of_layer: whether a layer with weights reads it, or a tensor that comes from it.
    """

    sources: frozenset[str]
    same_as: str
    root: str
    grown: bool
    of_layer: bool


class Constants:
    """The constants of a model whose tensors have unique names.

    Args:
        model: the model; `compute` changes nothing of it.
        held: the initializers of the main graph, if the model itself has none.
        requantize: whether QuantizeLinear and DequantizeLinear of constants are computed.

    Attributes:
        tensors: the initializers and the constants of Constant nodes, by name.
        owners: the number of the graph that each tensor belongs to, 0 for the main graph.
        computed: what `compute` found, in the order of the graph, by name.
        values: the values of those of them that other nodes, or outputs, read.
    """

    def __init__(
        self, model: ModelProto, held: Mapping[str, TensorProto], requantize: bool
    ) -> None:
        self._model, self._requantize = model, requantize
        self.tensors: dict[str, TensorProto] = dict(held)
        self.owners = dict.fromkeys(held, 0)
        inputs = set[str]()
        for number, graph in enumerate(walk(model.graph)):
            own = constant_tensors(graph)
            self.tensors.update(own)
            self.owners.update(dict.fromkeys(own, number))
            self.owners.update((name, number) for node in graph.node for name in node.output)
            inputs |= {value.name for value in graph.input}
        self.tensors = {n: tensor for n, tensor in self.tensors.items() if n not in inputs}
        self.computed: dict[str, Computed] = {}
        self.values: dict[str, Array] = {}
        self._equal: dict[tuple[object, ...], str] = {}

    def compute(self) -> None:
        """Compute all that can be computed."""
        nodes = self._candidates()
        of_layers = self._read_by_layers(nodes)
        wanted = self._wanted(nodes)  # names of tensors whose values stay
        waiting = Counter(name for node in nodes for name in node.input)  # reads to come
        staying = 0  # bytes of these values
        for node in nodes:
            of_layer = not of_layers.isdisjoint(node.output)
            if staying <= _MOST_BYTES and self._compute(node, of_layer):  # rule 3
                for name in node.output:
                    wanted.update({self.same_as(name), self.root(name)} - {name})
                    if name in wanted and self.same_as(name) not in self.tensors:
                        staying += self.values[name].nbytes
            else:
                wanted.update(node.input)
            waiting.subtract(node.input)
            for name in (*node.input, *node.output):
                if not waiting[name] and (name not in wanted or name in self.tensors):
                    self.values.pop(name, None)
        self.values = {name: self.values[name] for name in self.computed if name in self.values}

    def value_of(self, name: str) -> Array | None:
        """The value of a constant that a node reads, None if it is no constant."""
        if name in self.tensors:
            return array_of(self.tensors[name])
        return self.values.get(name)

    def count(self, sources: Iterable[str]) -> int:
        """The number of values of some of `tensors`."""
        return sum(count(tuple(self.tensors[name].dims)) for name in sources)

    def size(self, sources: Iterable[str]) -> int:
        """The bytes of some of `tensors`, as arrays."""
        return sum(
            count(tuple(tensor.dims)) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
            for tensor in (self.tensors[name] for name in sources)
        )

    def _candidates(self) -> list[NodeProto]:
        """The nodes that depend on constants alone, in an order in which they can be computed."""
        known = set(self.tensors)
        nodes = []
        for node in all_nodes(self._model.graph):
            if node.op_type == "Constant" or not self._may_compute(node):
                continue
            if known.issuperset(name for name in node.input if name):
                nodes.append(node)
                known.update(name for name in node.output if name)
        return nodes

    def _may_compute(self, node: NodeProto) -> bool:
        if any(bodies(node)) or is_random(node):
            return False
        if is_quantized(node):
            computable = node.op_type in ("QuantizeLinear", "DequantizeLinear")
            return self._requantize and computable
        return is_standard(node)

    def _wanted(self, candidates: Sequence[NodeProto]) -> set[str]:
        """What nodes read that are no candidates, and the outputs of graphs."""
        computed = {name for node in candidates for name in node.output if name}
        wanted = {
            name
            for node in all_nodes(self._model.graph)
            if computed.isdisjoint(node.output)
            for name in node.input
        }
        for graph in walk(self._model.graph):
            wanted |= {value.name for value in graph.output}
        return wanted

    def _read_by_layers(self, candidates: Sequence[NodeProto]) -> set[str]:
        """The outputs of candidates that layers with weights read, maybe through candidates."""
        read = {
            name
            for node in all_nodes(self._model.graph)
            if has_weights(node)
            for name in node.input
        }
        for node in reversed(candidates):
            if not read.isdisjoint(node.output):
                read.update(node.input)
        return read

    def _compute(self, node: NodeProto, of_layer: bool) -> bool:
        """Compute a node, and say whether that was possible."""
        inputs: list[Array | None] = []
        for name in node.input:
            if name and name not in self.values and name not in self.tensors:
                return False
            inputs.append(self._value(name) if name else None)
        read = [] if node.op_type in ("Shape", "Size") else [name for name in node.input if name]
        sources = frozenset[str]().union(*map(self._sources, read))
        own = self.count(sources)
        most = max(own, MOST_VALUES if of_layer else FEW_VALUES)
        try:
            outputs = outputs_of(node, inputs, self._model, most)
        except ValueError:
            return False
        size = max(_FEW_BYTES, self.size(sources))
        if not of_layer and any(value.nbytes > size for value in outputs):
            return False
        given = [name for name in node.output if name]
        for name, value in zip(given, outputs, strict=True):
            self.values[name] = value
            same = self._same(node, name, inputs, value)
            root = self._root(node, inputs[0], value) if inputs else None
            grown = value.size > max(own, FEW_VALUES)
            self.computed[name] = Computed(sources, same, root or same, grown, of_layer)
            if same not in self.tensors:
                self.values.setdefault(same, value)
        return True

    def _value(self, name: str) -> Array:
        if name not in self.values:
            self.values[name] = array_of(self.tensors[name])
        return self.values[name]

    def _sources(self, name: str) -> frozenset[str]:
        return self.computed[name].sources if name in self.computed else frozenset([name])

    def same_as(self, name: str) -> str:
        """The first tensor that has the values of a constant."""
        return self.computed[name].same_as if name in self.computed else name

    def root(self, name: str) -> str:
        """The tensor that a constant is a view of."""
        return self.computed[name].root if name in self.computed else name

    def _same(
        self, node: NodeProto, name: str, inputs: Sequence[Array | None], value: Array
    ) -> str:
        for other, held in zip(node.input, inputs, strict=True):
            if held is not None and _equal(held, value):
                return self.same_as(other)
        read = tuple(map(self._identity, node.input, inputs))
        attributes = tuple(sorted(entry.SerializeToString() for entry in node.attribute))
        # What is no float stays in its own graph, so another graph cannot read it.
        graph = 0 if moves_to_main(value) else self.owners[name]
        position = list(node.output).index(name)
        key = (graph, node.domain, node.op_type, attributes, read, position)
        return self._equal.setdefault(key, name)

    def _identity(self, name: str, value: Array | None) -> object:
        """What is equal for two constants of the same values: few indices count by their values."""
        if value is None or value.dtype.kind not in "biu" or value.size > FEW_VALUES:
            return self.same_as(name) if name else ""
        return value.dtype.name, value.shape, value.tobytes()

    def _root(self, node: NodeProto, first: Array | None, value: Array) -> str | None:
        """The tensor that the output of a node is a view of, None if it is no view."""
        if node.op_type not in _VIEWS or first is None or first.size != value.size:
            return None
        types = {first.dtype.name, value.dtype.name}
        if len(types) > 1 and not types.issubset(_FLOATS):
            return None
        return self.root(node.input[0])


def moves_to_main(value: Array) -> bool:
    """Whether a constant becomes an initializer of the main graph wherever it was computed."""
    return value.dtype.name in _FLOATS and value.ndim >= 1


def _equal(one: Array, other: Array) -> bool:
    """Whether two arrays have the same type, shape and bits."""
    if one.dtype != other.dtype or one.shape != other.shape or is_sequence(one):
        return False
    return one is other or np.array_equal(_bits(one), _bits(other))


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
