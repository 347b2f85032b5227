"""Which channels of a model's linear layers must be scaled together.

A linear layer may scale each of its output channels as it likes, so each gets an id of its own.
The ids follow the values through the graph, in tensors of the shape that one sample has:

1. A layer's output channels get fresh ids. All positions of an input channel get the same id.
2. What keeps a scale position by position (Relu) keeps the ids; so does a product with something
   pinned.
3. Terms of a sum, a maximum or a minimum must have the same scale: their ids are joined. So are
   those that a pool, a resize or a reduction mixes. A value that is known to be 0 joins any.
4. What moves values about (Reshape, Concat, Slice) is run on the ids themselves.
5. Shapes and constants are computed, as rule 4 needs them.
6. Inputs, outputs and constants are pinned: their scale is 1. So is all that any other node
   reads or makes, and what has an unknown shape or too large a one.
"""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from onnx_evoq.model.channels.disjoint_sets import PINNED, ZERO, DisjointSets, IdTensor
from onnx_evoq.model.graph import (
    MOST_VALUES,
    NodeValues,
    Shape,
    attribute,
    bodies,
    count,
    input_specs,
    is_standard,
    reads,
    shapes_of,
    values_of,
)
from onnx_evoq.model.layers import LinearLayer

_KEEPING = {"Relu", "LeakyRelu", "PRelu", "Identity", "Dropout", "Abs", "Neg", "Cast"}
_SUMS = {"Add", "Sub", "Sum", "Mean", "Max", "Min"}
_GLOBAL_POOLS = {"GlobalMaxPool", "GlobalAveragePool"}
_POOLS = {"MaxPool", "AveragePool", "Resize", "Upsample"} | _GLOBAL_POOLS
_REDUCTIONS = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"}
# Which inputs hold values that are moved; the others say where to
_MOVED: dict[str, Sequence[int]] = {
    "Concat": range(1 << 16),  # all of them
    "DepthToSpace": (0,),
    "Expand": (0,),
    "Flatten": (0,),
    "Gather": (0,),
    "Pad": (0, 2),
    "Reshape": (0,),
    "Slice": (0,),
    "SpaceToDepth": (0,),
    "Split": (0,),
    "Squeeze": (0,),
    "Tile": (0,),
    "Transpose": (0,),
    "Unsqueeze": (0,),
}
_RANDOM = ("Random", "Multinomial", "Bernoulli", "Dropout")
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}

_MOST_CONSTANTS = 1 << 16  # of the inputs of a node that is computed


def channel_ids(
    model: ModelProto, layers: Sequence[LinearLayer]
) -> list[tuple[IdTensor, IdTensor]]:
    """The ids of each layer's output channels and of its input channels.

    Args:
        model: a model as `load` returns it.
        layers: as `linear_layers` finds them in it.

    Returns:
        For each layer, (output channels,) and (input channels,). Channels with the same id must
        have the same scale; with the id PINNED, or ZERO, the scale 1.
    """
    walk = _Walk(model, layers)
    for node in model.graph.node:
        walk.visit(node)
    for value in model.graph.output:
        walk.pin(value.name)
    return [(walk.roots(layer, 0), walk.roots(layer, 1)) for layer in layers]


class _Walk:
    """A walk through the nodes in their order."""

    def __init__(self, model: ModelProto, layers: Sequence[LinearLayer]) -> None:
        self._model = model
        self._layers = {layer.node.output[0]: layer for layer in layers}
        self._channels: dict[str, tuple[IdTensor, IdTensor]] = {}  # by weight
        self._joints = DisjointSets()
        self._ids: dict[str, IdTensor] = {}  # not those of unknown shape
        self._constants: dict[str, NodeValues] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        for layer in layers:  # biases are scaled along with what they are added to
            for name in layer.biases:
                self._ids[name] = _filled(ZERO, self._constants.pop(name).shape)
        for spec in input_specs(model):
            # An open first axis is that of the samples.
            if spec.shape is not None and None not in spec.shape[1:]:
                shape = tuple(size or 1 for size in spec.shape)
                if count(shape) <= MOST_VALUES:
                    self._ids[spec.name] = _filled(PINNED, shape)

    def roots(self, layer: LinearLayer, side: int) -> IdTensor:
        """One id per output channel (side 0) or input channel (1) of a layer."""
        if layer.weight in self._channels:
            return self._joints.roots(self._channels[layer.weight][side])
        channels = (layer.output_channels, layer.input_channels)[side]
        return np.full(channels, PINNED, np.int32)

    def pin(self, name: str) -> None:
        """Give the scale 1 to all that a tensor holds."""
        if name in self._ids:
            self._joints.pin(self._ids[name])

    def visit(self, node: NodeProto) -> None:
        """Say what ids the outputs of `node` have."""
        rule = self._rule(node)
        made: Sequence[IdTensor | None] | None = None
        if rule is not None:
            with contextlib.suppress(ValueError):  # of shapes that do not suit each other
                made = rule(node)
        if made is None or not all(ids is None or 0 < ids.size <= MOST_VALUES for ids in made):
            made = self._pinned(node)
        for name, ids in zip(node.output, made, strict=False):
            if ids is not None:
                self._ids[name] = ids

    def _rule(self, node: NodeProto) -> Callable[[NodeProto], Sequence[IdTensor] | None] | None:
        if not is_standard(node) or any(bodies(node)):
            return None
        if node.output[0] in self._layers:
            return self._through_layer
        if all(name in self._constants for name in node.input if name):
            return self._computed
        match node.op_type:
            case "Shape" | "Size":
                return self._computed
            case "Mul" | "Div" | "MatMul":
                return self._multiplied
            case op_type if op_type in _KEEPING:
                return self._kept
            case op_type if op_type in _SUMS:
                return self._summed
            case op_type if op_type in _POOLS:
                return self._pooled
            case op_type if op_type in _REDUCTIONS:
                return self._reduced
            case op_type if op_type in _MOVED:
                return self._moved
            case _:
                return None

    def _through_layer(self, node: NodeProto) -> list[IdTensor] | None:  # rule 1
        layer = self._layers[node.output[0]]
        ids, shape = self._read(node.input[0]), self._shape(node)
        if ids is None or shape is None or ids.shape[layer.axis] != layer.input_channels:
            return None
        columns = self._joints.merged(ids, _axes_but(layer.axis, ids.ndim)).reshape(-1)
        rows = self._joints.fresh(layer.output_channels)
        if layer.fixed:
            self._joints.pin(rows)
            self.pin(node.input[2])
        indices = [1] * len(shape)
        indices[layer.axis] = len(rows)
        made = np.broadcast_to(rows.reshape(indices), shape)
        self._channels[layer.weight] = rows, columns
        return [made]

    def _kept(self, node: NodeProto) -> list[IdTensor] | None:  # rule 2
        if any(name not in self._constants for name in node.input[1:] if name):
            return None  # PRelu with a computed slope
        if node.op_type == "Cast" and attribute(node, "to", 0) not in _FLOATS:
            return None
        training = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
        if training and self._constants[training]:
            return None
        return _all_known([self._read(node.input[0])])

    def _multiplied(self, node: NodeProto) -> list[IdTensor] | None:  # rule 2
        factors, shape = _all_known([self._read(name) for name in node.input]), self._shape(node)
        if factors is None or shape is None:
            return None
        ids, other = factors
        summed = ids.ndim - 1
        if not self._joints.are_pinned(other):
            if not self._joints.are_pinned(ids) or node.op_type == "Div":
                return None
            ids, other = other, ids
            summed = ids.ndim - 2
        if node.op_type == "MatMul":  # (..., n, k) times (..., k, m), rule 3 for the sum over k
            if min(ids.ndim, other.ndim) < 2:
                return None
            ids = self._joints.merged(ids, [summed])
        return [np.broadcast_to(ids, shape)]

    def _summed(self, node: NodeProto) -> list[IdTensor] | None:  # rule 3
        terms = _all_known([self._read(name) for name in node.input])
        return None if terms is None else [self._joints.joined(terms)]

    def _pooled(self, node: NodeProto) -> list[IdTensor] | None:  # rule 3
        ids, shape = self._read(node.input[0]), self._shape(node)
        if ids is None or shape is None or ids.shape[:2] != shape[:2]:
            return None
        if any(entry.s == b"tf_crop_and_resize" for entry in node.attribute):
            return None  # what lies outside the picture gets a constant
        channels = self._joints.merged(ids, range(2, ids.ndim))
        return [np.broadcast_to(channels, shape)]

    def _reduced(self, node: NodeProto) -> list[IdTensor] | None:  # rule 3
        ids, shape = self._read(node.input[0]), self._shape(node)
        axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), None)
        if len(node.input) > 1 and node.input[1]:
            if node.input[1] not in self._constants:
                return None
            axes = [int(axis) for axis in self._constants[node.input[1]].flat]
        if ids is None or shape is None:
            return None
        if not axes:
            axes = [] if attribute(node, "noop_with_empty_axes", 0) else list(range(ids.ndim))
        merged = self._joints.merged(ids, [axis % ids.ndim for axis in axes])
        return [merged.reshape(shape)]

    def _moved(self, node: NodeProto) -> list[IdTensor] | None:  # rule 4
        if attribute(node, "value", 0):
            return None  # an old Pad with something else than 0
        moved = _MOVED[node.op_type]
        inputs: list[NodeValues | None] = []
        for position, name in enumerate(node.input):
            value = self._read(name) if position in moved else self._constants.get(name)
            if name and value is None:
                return None
            inputs.append(value)
        constant = [position not in moved for position in range(len(inputs))]
        made = values_of(node, inputs, constant, self._model)
        return [ids.astype(np.int32, copy=False) for ids in made]

    def _computed(self, node: NodeProto) -> list[IdTensor] | None:  # rule 5
        constant = node.op_type not in ("Shape", "Size")  # these ask for no values
        known = self._constants.get if constant else self._read
        inputs = [known(name) if name else None for name in node.input]
        if any(name and value is None for name, value in zip(node.input, inputs, strict=True)):
            return None
        if node.op_type.startswith(_RANDOM):
            return None
        if constant and sum(value.size for value in inputs if value is not None) > _MOST_CONSTANTS:
            return None
        made = values_of(node, inputs, [constant] * len(inputs), self._model)
        for name, value in zip(node.output, made, strict=False):
            self._constants[name] = value
        return [_ids_of(value) for value in made]

    def _pinned(self, node: NodeProto) -> list[IdTensor | None]:  # rule 6
        for name in reads(node):
            self.pin(name)
        shapes = self._shapes(node)
        return [None if shape is None else _filled(PINNED, shape) for shape in shapes]

    def _read(self, name: str) -> IdTensor | None:
        if name not in self._ids and name in self._constants:
            return _ids_of(self._constants[name])
        return self._ids.get(name)

    def _shape(self, node: NodeProto) -> Shape | None:
        return self._shapes(node)[0]

    def _shapes(self, node: NodeProto) -> list[Shape | None]:
        unknown: list[Shape | None] = [None for _ in node.output]
        if not is_standard(node) or any(bodies(node)):
            return unknown
        inputs: list[NodeValues | None] = []
        for name in node.input:
            value = self._constants[name] if name in self._constants else self._ids.get(name)
            if name and value is None:
                return unknown
            inputs.append(value)
        constant = [name in self._constants for name in node.input]
        shapes = shapes_of(node, inputs, constant, self._model)
        return [
            shape if shape is not None and 0 < count(shape) <= MOST_VALUES else None
            for shape in shapes
        ]


def _filled(entry: int, shape: Shape) -> IdTensor:
    return np.broadcast_to(np.int32(entry), shape)


def _ids_of(constant: NodeValues) -> IdTensor:
    return np.where(constant == 0, np.int32(ZERO), np.int32(PINNED))


def _all_known(tensors: Sequence[IdTensor | None]) -> list[IdTensor] | None:
    known = [tensor for tensor in tensors if tensor is not None]
    return known if len(known) == len(tensors) else None


def _axes_but(axis: int, rank: int) -> list[int]:
    return [other for other in range(rank) if other != axis % rank]
