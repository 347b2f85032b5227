"""Find the channels of a model's linear layers that must be scaled together.

A linear layer may scale each of its output channels by a factor of its own, so each channel gets an
id. The ids follow the values through the graph, in id tensors with the shape that one sample has:

1. A layer's output channels get new ids. All positions of an input channel get the same id.
2. An operator that scales its output as its input is scaled (Relu) keeps the ids. A product with
   pinned values keeps them too. So does a Clip, whose limits must be scaled with its input.
3. The terms of a sum, a maximum or a minimum must have the same scale, so their ids are united. The
   same holds for all values that a pool, a resize or a reduction mixes. A value that is known to
   be 0 fits every scale.
4. An operator that only moves values (Reshape, Concat, Slice) is run on the ids themselves.
5. Shapes and constants are computed, since rule 4 needs them.
6. Inputs, outputs and constants are pinned: their scale is 1. All inputs and outputs of any other
   node are pinned too, and tensors whose shape is unknown or too large.
"""

import contextlib
import sys
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from onnx_evoq.model.channels.disjoint_sets import PINNED, ZERO, DisjointSets, IdTensor, compact
from onnx_evoq.model.channels.known_tensors import KnownTensors, filled_ids, ids_of_values
from onnx_evoq.model.constants import MOST_VALUES, NodeValues, values_of
from onnx_evoq.model.graph import attribute, bodies, constant_tensors, is_standard, reads
from onnx_evoq.model.layers import LinearLayer, clip_limits

_SCALE_KEEPING = {"Relu", "LeakyRelu", "PRelu", "Identity", "Dropout", "Abs", "Neg", "Cast"}
_SUMS = {"Add", "Sub", "Sum", "Mean", "Max", "Min"}
_MIXING_POSITIONS = {
    "MaxPool", "AveragePool", "Resize", "Upsample", "GlobalMaxPool", "GlobalAveragePool",
}  # fmt: skip
_REDUCTIONS = {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"}
# The inputs whose values are moved; the other inputs say where to.
_MOVED_INPUTS: dict[str, Sequence[int]] = {
    "Concat": range(sys.maxsize),  # all of them
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

_MOST_INPUT_VALUES = 1 << 16  # of a node that is computed from constants
_MOST_LIMITS = 1 << 14  # of a Clip, as they are stored in the model


class ChannelIds(NamedTuple):
    """The ids of a model's channels. The ids PINNED and ZERO stand for the scale 1.

    Attributes:
        layers: for each layer, (output channels,) and (input channels,).
        clips: by the name of a Clip's output, the ids that its limits must be scaled with, in a
            shape that broadcasts along its input.
        tensors: likewise of tensors that were asked for, if ids differ along one axis at most.
    """

    layers: list[tuple[IdTensor, IdTensor]]
    clips: dict[str, IdTensor]
    tensors: dict[str, IdTensor]


def channel_ids(
    model: ModelProto, layers: Sequence[LinearLayer], tensors: Collection[str]
) -> ChannelIds:
    """The ids of all channels; those with the same id must have the same scale.

    Args:
        model: a model as `load` returns it.
        layers: its layers, as `linear_layers` finds them.
        tensors: names of tensors whose ids are wanted.
    """
    propagation = _IdPropagation(model, layers)
    for node in model.graph.node:
        propagation.visit(node)
    for value in model.graph.output:
        propagation.pin(value.name)
    channels = [propagation.channels_of(layer) for layer in layers]
    return ChannelIds(channels, propagation.clips(), propagation.along_one_axis(tensors))


class _IdPropagation:
    """Carries ids from the inputs of each node to its outputs, one node after the other."""

    def __init__(self, model: ModelProto, layers: Sequence[LinearLayer]) -> None:
        self._model = model
        self._layers = {layer.node.output[0]: layer for layer in layers}
        self._channels: dict[str, tuple[IdTensor, IdTensor]] = {}  # by weight
        self._sets = DisjointSets()
        self._known = KnownTensors(model, layers)
        self._tensors = constant_tensors(model.graph)
        self._clips: dict[str, IdTensor] = {}

    def clips(self) -> dict[str, IdTensor]:
        """The ids of each Clip, by the name of its output."""
        return {name: self._sets.roots(ids) for name, ids in self._clips.items()}

    def along_one_axis(self, names: Collection[str]) -> dict[str, IdTensor]:
        """The ids of tensors with one id for each channel, by name."""
        known = {n: compact([self._known.ids[n]])[0] for n in names if n in self._known.ids}
        return {n: self._sets.roots(i) for n, i in known.items() if i.size in (1, *i.shape)}

    def channels_of(self, layer: LinearLayer) -> tuple[IdTensor, IdTensor]:
        """(output channels,) and (input channels,): one id for each channel of a layer."""
        if layer.weight in self._channels:
            outputs, inputs = self._channels[layer.weight]
            return self._sets.roots(outputs), self._sets.roots(inputs)
        outputs = filled_ids(PINNED, (layer.output_channels,))
        return outputs, filled_ids(PINNED, (layer.input_channels,))

    def pin(self, name: str) -> None:
        """Give the scale 1 to all values of a tensor."""
        if name in self._known.ids:
            self._sets.pin(self._known.ids[name])

    def visit(self, node: NodeProto) -> None:
        """Give ids to the outputs of `node`."""
        rule = self._rule(node)
        outputs: Sequence[IdTensor | None] | None = None
        if rule is not None:
            with contextlib.suppress(ValueError):  # the shapes of the inputs do not go together
                outputs = rule(node)
        if outputs is None or not all(
            ids is None or 0 < ids.size <= MOST_VALUES for ids in outputs
        ):
            outputs = self._pinned(node)
        for name, ids in zip(node.output, outputs, strict=False):
            if ids is not None:
                self._known.ids[name] = ids

    def _rule(self, node: NodeProto) -> Callable[[NodeProto], Sequence[IdTensor] | None] | None:
        if not is_standard(node) or any(bodies(node)):
            return None
        if node.output[0] in self._layers:
            return self._through_layer
        if all(name in self._known.constants for name in node.input if name):
            return self._computed
        match node.op_type:
            case "Shape" | "Size":
                return self._computed
            case "Mul" | "Div" | "MatMul":
                return self._multiplied
            case op_type if op_type in _SCALE_KEEPING:
                return self._kept
            case "Clip":
                return self._clipped
            case op_type if op_type in _SUMS:
                return self._summed
            case op_type if op_type in _MIXING_POSITIONS:
                return self._pooled
            case op_type if op_type in _REDUCTIONS:
                return self._reduced
            case op_type if op_type in _MOVED_INPUTS:
                return self._moved
            case _:
                return None

    def _through_layer(self, node: NodeProto) -> list[IdTensor] | None:  # rule 1
        layer = self._layers[node.output[0]]
        ids, shape = self._known.read(node.input[0]), self._known.shape(node)
        if ids is None or shape is None or ids.shape[layer.axis] != layer.input_channels:
            return None
        other_axes = [axis for axis in range(ids.ndim) if axis != layer.axis % ids.ndim]
        inputs = self._sets.united_along(ids, other_axes).reshape(-1)
        outputs = self._sets.new_ids(layer.output_channels)
        if layer.fixed:
            self._sets.pin(outputs)
            self.pin(node.input[2])
        self._channels[layer.weight] = outputs, inputs
        along_axis = [1] * len(shape)
        along_axis[layer.axis] = len(outputs)
        return [np.broadcast_to(outputs.reshape(along_axis), shape)]

    def _kept(self, node: NodeProto) -> list[IdTensor] | None:  # rule 2
        constants = self._known.constants
        if any(name not in constants for name in node.input[1:] if name):
            return None  # PRelu with a computed slope
        if node.op_type == "Cast" and attribute(node, "to", 0) not in _FLOATS:
            return None
        training = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
        if training and constants[training]:
            return None
        ids = self._known.read(node.input[0])
        return None if ids is None else [ids]

    def _clipped(self, node: NodeProto) -> list[IdTensor] | None:  # rule 2
        ids, limits = self._known.read(node.input[0]), clip_limits(node, self._tensors)
        if ids is None or limits is None:
            return None
        (small,) = compact([ids])
        if small.size > _MOST_LIMITS or (not limits[0] <= 0 <= limits[1] and (small == ZERO).any()):
            return None
        self._clips[node.output[0]] = small
        return [ids]

    def _multiplied(self, node: NodeProto) -> list[IdTensor] | None:  # rule 2
        factors, shape = self._known.read_all(node), self._known.shape(node)
        if factors is None or shape is None:
            return None
        ids, other = factors
        summed_axis = ids.ndim - 1
        if not self._sets.are_pinned(other):
            if not self._sets.are_pinned(ids) or node.op_type == "Div":
                return None
            ids, other = other, ids
            summed_axis = ids.ndim - 2
        if node.op_type == "MatMul":  # (..., n, k) times (..., k, m), rule 3 for the sum over k
            if min(ids.ndim, other.ndim) < 2:
                return None
            ids = self._sets.united_along(ids, [summed_axis])
        return [np.broadcast_to(ids, shape)]

    def _summed(self, node: NodeProto) -> list[IdTensor] | None:  # rule 3
        terms = self._known.read_all(node)
        return None if terms is None else [self._sets.united(terms)]

    def _pooled(self, node: NodeProto) -> list[IdTensor] | None:  # rule 3
        ids, shape = self._known.read(node.input[0]), self._known.shape(node)
        if ids is None or shape is None or ids.shape[:2] != shape[:2]:
            return None
        if any(entry.s == b"tf_crop_and_resize" for entry in node.attribute):
            return None  # positions outside the picture get a constant
        channels = self._sets.united_along(ids, range(2, ids.ndim))
        return [np.broadcast_to(channels, shape)]

    def _reduced(self, node: NodeProto) -> list[IdTensor] | None:  # rule 3
        ids, shape = self._known.read(node.input[0]), self._known.shape(node)
        axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), None)
        if len(node.input) > 1 and node.input[1]:
            if node.input[1] not in self._known.constants:
                return None
            axes = [int(axis) for axis in self._known.constants[node.input[1]].flat]
        if ids is None or shape is None:
            return None
        if not axes:
            axes = [] if attribute(node, "noop_with_empty_axes", 0) else list(range(ids.ndim))
        return [self._sets.united_along(ids, [axis % ids.ndim for axis in axes]).reshape(shape)]

    def _moved(self, node: NodeProto) -> list[IdTensor] | None:  # rule 4
        if attribute(node, "value", 0):
            return None  # an old Pad with another value than 0
        moved = _MOVED_INPUTS[node.op_type]
        inputs: list[NodeValues | None] = []
        for position, name in enumerate(node.input):
            known = self._known.read if position in moved else self._known.constants.get
            value = known(name)
            if name and value is None:
                return None
            inputs.append(value)
        constant = [position not in moved for position in range(len(inputs))]
        outputs = values_of(node, inputs, constant, self._model)
        return [ids.astype(np.int32, copy=False) for ids in outputs]

    def _computed(self, node: NodeProto) -> list[IdTensor] | None:  # rule 5
        constant = node.op_type not in ("Shape", "Size")  # these two need no values
        known = self._known.constants.get if constant else self._known.read
        inputs = [known(name) if name else None for name in node.input]
        if any(name and value is None for name, value in zip(node.input, inputs, strict=True)):
            return None
        if node.op_type.startswith(_RANDOM):
            return None
        size = sum(value.size for value in inputs if value is not None)
        if constant and size > _MOST_INPUT_VALUES:
            return None
        outputs = values_of(node, inputs, [constant] * len(inputs), self._model)
        self._known.constants.update(zip(node.output, outputs, strict=False))
        return [ids_of_values(value) for value in outputs]

    def _pinned(self, node: NodeProto) -> list[IdTensor | None]:  # rule 6
        for name in reads(node):
            self.pin(name)
        shapes = self._known.shapes(node)
        return [None if shape is None else filled_ids(PINNED, shape) for shape in shapes]
