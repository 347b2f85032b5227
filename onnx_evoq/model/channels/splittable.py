"""Which layers' output channels can be split in two without a change of what the model computes.

An output channel is duplicated: its row of the weight and its bias are copied as they are, and
whatever reads it takes half of either copy (Zhao et al., Improving Neural Network Quantization
without Retraining using Outlier Channel Splitting, 2019, https://arxiv.org/abs/1901.09504; Chen et
al., Net2Net, 2016, https://arxiv.org/abs/1511.05641). With the activation f between two layers,

    W2[:, c] f(W1[c] x + b[c]) = W2[:, c] / 2 f(W1[c] x + b[c]) + W2[:, c] / 2 f(W1[c] x + b[c])

A layer can be expanded by these rules; the channels are followed through the graph in its order:

1. The layer is a Conv, ConvTranspose, Gemm or MatMul as `linear_layers` finds them, without groups;
   its third input, if any, is a constant.
2. What works on each value by itself (Relu) passes channels on; so does what works position by
   position (Add, Mul) on tensors that all carry the channels of the same layers (x * Sigmoid(x)),
   or on constants. A constant per channel, as a bias behind a MatMul, is duplicated along.
3. Pools, BatchNormalization and InstanceNormalization, and what reduces or squeezes other axes
   keep the channels. Flatten makes a block of features of each.
4. Concat along the channels puts those of several layers in a row.
5. Everything ends in layers as in rule 1, which read all their input channels so; of those, the
   weights are halved. There is at least one.
6. Anything else is in the way: a sum with what another layer made, a layer with groups, an output
   of the model, a Reshape, a node that is not named here.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from onnx_evoq.model.channels.channel_flow import Channels, channels_behind, constants_axis
from onnx_evoq.model.graph import (
    attribute,
    constant_tensors,
    find_weights,
    node_label,
    reader_counts,
    reads,
)
from onnx_evoq.model.layers import LinearLayer, linear_layers


@dataclass(frozen=True)
class ChannelSlice:
    """Where a layer's channels lie in a constant that a node reads.

    Attributes:
        node: the first output of that node.
        input: which of its inputs the constant is.
        axis: the constant's axis along which the channels lie.
        start: where they begin there.
        block: how many entries in a row belong to one channel.
        halved: whether both copies of a channel get half of what it had.
    """

    node: str
    input: int
    axis: int
    start: int
    block: int
    halved: bool


@dataclass(frozen=True)
class SplittableLayer:
    """How the output channels of a layer can be duplicated.

    Attributes:
        weight: the layer's weight.
        channels: how many output channels it has.
        places: the constants that hold something for each channel, the weight itself included.
        carriers: tensors that get more channels.
    """

    weight: str
    channels: int
    slices: tuple[ChannelSlice, ...]
    carriers: tuple[str, ...]


def splittable_layers(model: ModelProto) -> tuple[dict[str, SplittableLayer], dict[str, str]]:
    """The weights whose output channels can be duplicated, and for the others what is in the way.

    Args:
        model: a model as `load` returns it. Fold BatchNormalization first.

    Returns:
        By the name of the weight, in the order of `find_weights`: how it can be expanded; and a
        reason, one line, for each that cannot.
    """
    walk = _Walk(model)
    for node in model.graph.node:
        walk.visit(node)
    for value in model.graph.output:
        walk.refuse([value.name], f"its output is an output of the model ({value.name})")
    allowed, reasons = {}, {}
    for weight in find_weights(model)[0]:
        reason = walk.reason(weight.name, weight.op_type)
        if reason is None:
            allowed[weight.name] = walk.expansion(weight.name)
        else:
            reasons[weight.name] = reason
    return allowed, reasons


class _Walk:
    """A walk through the nodes in their order."""

    def __init__(self, model: ModelProto) -> None:
        self._layers = {layer.node.output[0]: layer for layer in linear_layers(model.graph)}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._constants = constant_tensors(model.graph)
        self._counts = reader_counts(model.graph)
        self._carried: dict[str, Channels] = {}
        self._found: dict[str, LinearLayer] = {}  # by weight, and so the others
        self._slices: dict[str, list[ChannelSlice]] = defaultdict(list)
        self._carriers: dict[str, list[str]] = defaultdict(list)
        self._reasons: dict[str, str] = {}

    def reason(self, weight: str, op_type: str) -> str | None:
        """What is in the way, None if nothing is."""
        if weight not in self._found:
            return f"it is not the weight of one linear layer alone ({op_type})"
        if weight not in self._reasons and not any(p.halved for p in self._slices[weight]):
            return "no layer reads its output"
        return self._reasons.get(weight)

    def expansion(self, weight: str) -> SplittableLayer:
        """How a layer can be expanded."""
        return SplittableLayer(
            weight,
            self._found[weight].output_channels,
            tuple(self._slices[weight]),
            tuple(self._carriers[weight]),
        )

    def refuse(self, names: Iterable[str], reason: str, kept: Sequence[str | None] = ()) -> None:
        """Let no layer be expanded whose channels one of the tensors carries, but those `kept`."""
        for name in names:
            for weight, _ in self._carried[name].parts if name in self._carried else ():
                if weight is not None and weight not in kept:
                    self._reasons.setdefault(weight, reason)

    def visit(self, node: NodeProto) -> None:
        """Say which channels the output of `node` carries, or what is in their way."""
        carriers = [name for name in node.input if name in self._carried]
        inside = reads(node) - set(node.input)  # what graphs inside it read
        self.refuse(inside, self._obstacle(node))
        layer = self._layers.get(node.output[0]) if node.output else None
        if layer is not None:
            if not self._read(layer, carriers):
                self.refuse(carriers, self._obstacle(node))
            self._begin(layer)
        elif carriers:
            self._pass_on(node)

    def _begin(self, layer: LinearLayer) -> None:  # rule 1
        node, weight = layer.node, layer.weight
        parts = ((weight, layer.output_channels),)
        if layer.axis == -1:
            before = self._carried.get(node.input[0])
            known = None if before is None else before.rank
            channels = Channels(parts, -1, 2 if node.op_type == "Gemm" else known)
        else:
            rank = len(self._tensors[weight].dims)
            channels = Channels(parts, 1 - rank, rank)
        self._found[weight] = layer
        self._note_slice(channels, node, 1, layer.output_axis, channels.count)
        if len(node.input) > 2 and node.input[2] and not self._along(channels, node, 2, -1):
            self._reasons[weight] = f"its bias is no constant ({node.input[2]})"
        if attribute(node, "group", 1) != 1:
            self._reasons[weight] = "it has groups"
        self._carry(node.output[0], channels)

    def _read(self, layer: LinearLayer, carriers: list[str]) -> bool:  # rule 5
        """Note that a layer reads what its input carries, if it reads it channel by channel."""
        node = layer.node
        if not carriers:
            return True
        channels = self._carried[node.input[0]] if carriers == [node.input[0]] else None
        if channels is None or attribute(node, "group", 1) != 1:
            return False
        if not (channels.axis == -1 if layer.axis == -1 else channels.second):
            return False
        if layer.input_channels % channels.count:
            return False
        self._note_slice(
            channels, node, 1, 1 - layer.output_axis, layer.input_channels, halved=True
        )
        return True

    def _pass_on(self, node: NodeProto) -> None:  # rules 2 to 4
        inputs = [self._carried.get(name) for name in node.input]
        first = next(channels for channels in inputs if channels is not None)
        passed, axis = channels_behind(node, inputs, self._constants), constants_axis(node, first)
        if passed is not None and axis is not None:
            beside = [k for k, channels in enumerate(inputs) if channels is None]
            passed = passed if all(self._along(first, node, k, axis) for k in beside) else None
        if passed is not None:
            self._carry(node.output[0], passed)
        kept = () if passed is None else [weight for weight, _ in passed.parts]
        self.refuse(node.input, self._obstacle(node), kept)  # rule 6

    def _carry(self, name: str, channels: Channels) -> None:
        self._carried[name] = channels
        for weight in {weight for weight, _ in channels.parts if weight is not None}:
            self._carriers[weight].append(name)

    def _along(self, channels: Channels, node: NodeProto, position: int, axis: int) -> bool:
        """Whether an input is a constant with one value for all channels, or one for each.

        Where there is one for each, it is duplicated along.
        """
        name = node.input[position]
        if name not in self._constants:
            return False
        dims = self._constants[name].dims
        if len(dims) < -axis:
            return True
        if dims[axis] == channels.count and name in self._tensors and not channels.flat:
            self._note_slice(channels, node, position, len(dims) + axis, dims[axis])
            return True
        return bool(dims[axis] == 1)

    def _note_slice(
        self, channels: Channels, node: NodeProto, position: int, axis: int, size: int,
        halved: bool = False,
    ) -> None:  # fmt: skip
        """Note that `size` entries along an axis of a constant belong to the channels."""
        block, start = size // channels.count, 0
        for weight, count in channels.parts:
            if weight is not None:
                part = ChannelSlice(node.output[0], position, axis, start * block, block, halved)
                self._slices[weight].append(part)
            start += count

    def _obstacle(self, node: NodeProto) -> str:  # rule 6
        """The reason why the channels of a layer cannot go through a node."""
        name = node_label(node)
        if node.op_type in ("Add", "Sub", "Sum", "Mean"):
            return f"its output goes into a sum ({name})"
        if attribute(node, "group", 1) != 1:
            return f"its output goes into a layer with groups ({name})"
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            weight = node.input[1]
            if weight in self._tensors and self._counts[weight] > 1:
                return f"its output goes into a layer with a shared weight ({name})"
        return f"its output goes into {node.op_type} ({name})"
