"""Find the layers whose output channels can be split in two without changing the model's outputs.

An output channel is duplicated: its row of the weight and its bias are copied as they are, and each
layer that reads the channel has half of the weight for either copy (outlier channel splitting: Zhao
et al., Improving Neural Network Quantization without Retraining using Outlier Channel Splitting,
2019, https://arxiv.org/abs/1901.09504; Chen et al., Net2Net, 2016,
https://arxiv.org/abs/1511.05641). With the activation f between two layers,

    W2[:, c] f(W1[c] x + b[c]) = W2[:, c] / 2 f(W1[c] x + b[c]) + W2[:, c] / 2 f(W1[c] x + b[c])

These rules say which layers are splittable; their channels are followed through the graph in order:

1. The layer is a Conv, ConvTranspose, Gemm or MatMul as `linear_layers` finds them, without groups;
   its third input, if any, is a constant.
2. An operator that works on each value by itself (Relu) keeps the channels. So does an elementwise
   operator (Add, Mul) if its inputs all have channels of the same layers (x * Sigmoid(x)) or are
   constants. A constant per channel, such as a bias after a MatMul, is duplicated as well.
3. Pools, BatchNormalization, InstanceNormalization, and operators that reduce or squeeze other axes
   keep the channels. Flatten makes each channel a block of features.
4. Concat along the channel axis puts the channels of several layers in a row.
5. The channels are read only by layers as in rule 1, which read all their input channels in this
   way. Their weights are halved. There is at least one such layer.
6. Any other use of the channels is an obstacle: a sum with the output of another layer, a layer
   with groups, an output of the model, a Reshape, or a node that is not named here.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from onnx_evoq.model.graph import (
    attribute,
    constant_tensors,
    node_label,
    reader_counts,
    reads,
)
from onnx_evoq.model.layers import LinearLayer, linear_layers
from onnx_evoq.model.splitting.channel_flow import Channels, channels_after, constants_axis
from onnx_evoq.model.weights import weight_operators


@dataclass(frozen=True)
class ChannelSlice:
    """Where a layer's channels lie in a constant that a node reads.

    Attributes:
        node: the name of the node's first output.
        input: the index of the constant among the node's inputs.
        constant: the name of the constant.
        axis: the axis of the constant that the channels lie along.
        start: the index of the first entry there.
        block: how many entries in a row belong to one channel.
        halved: whether each copy of a split channel gets half of the values.
    """

    node: str
    input: int
    constant: str
    axis: int
    start: int
    block: int
    halved: bool


@dataclass(frozen=True)
class SplittableLayer:
    """A layer whose output channels can be split.

    Attributes:
        weight: the name of the layer's weight.
        channels: the number of its output channels.
        slices: where the channels lie in constants, the weight itself included.
        widened: the tensors that have more channels after a split.
    """

    weight: str
    channels: int
    slices: tuple[ChannelSlice, ...]
    widened: tuple[str, ...]


def splittable_layers(model: ModelProto) -> tuple[dict[str, SplittableLayer], dict[str, str]]:
    """The layers whose output channels can be split, and for each other weight the obstacle.

    Args:
        model: a model as `load` returns it. Fold BatchNormalization first.

    Returns:
        Both by the name of the weight, in the order of `find_weights`: the splittable layers, and
        for each weight without one the reason, in one line.
    """
    flow = _ChannelFlow(model)
    for node in model.graph.node:
        flow.visit(node)
    for value in model.graph.output:
        flow.refuse([value.name], f"its output is an output of the model ({value.name})")
    allowed, reasons = {}, {}
    for weight, op_type in weight_operators(model).items():
        reason = flow.reason(weight, op_type)
        if reason is None:
            allowed[weight] = flow.splittable(weight)
        else:
            reasons[weight] = reason
    return allowed, reasons


class _ChannelFlow:
    """Follows the channels of all layers through the nodes, one node after the other."""

    def __init__(self, model: ModelProto) -> None:
        self._layers = {layer.node.output[0]: layer for layer in linear_layers(model.graph)}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._constants = constant_tensors(model.graph)
        self._counts = reader_counts(model.graph)
        self._channels: dict[str, Channels] = {}  # by tensor
        # By the weight of a layer
        self._started: dict[str, LinearLayer] = {}
        self._slices: dict[str, list[ChannelSlice]] = defaultdict(list)
        self._widened: dict[str, list[str]] = defaultdict(list)
        self._reasons: dict[str, str] = {}

    def reason(self, weight: str, op_type: str) -> str | None:
        """Why the layer of a weight cannot be split, None if it can."""
        if weight not in self._started:
            return f"it is not the weight of one linear layer alone ({op_type})"
        if weight not in self._reasons and not any(s.halved for s in self._slices[weight]):
            return "no layer reads its output"
        return self._reasons.get(weight)

    def splittable(self, weight: str) -> SplittableLayer:
        """The layer of a weight that can be split."""
        channels = self._started[weight].output_channels
        slices, widened = tuple(self._slices[weight]), tuple(self._widened[weight])
        return SplittableLayer(weight, channels, slices, widened)

    def refuse(self, names: Iterable[str], reason: str, kept: Sequence[str | None] = ()) -> None:
        """Refuse all layers, but those `kept`, whose channels lie in one of the tensors `names`."""
        for name in names:
            for weight, _ in self._channels[name].sources if name in self._channels else ():
                if weight is not None and weight not in kept:
                    self._reasons.setdefault(weight, reason)

    def visit(self, node: NodeProto) -> None:
        """Find the channels of the output of `node`, and refuse those that it does not keep."""
        inputs = [name for name in node.input if name in self._channels]
        captured = reads(node) - set(node.input)  # by graphs inside the node
        self.refuse(captured, self._obstacle(node))
        layer = self._layers.get(node.output[0]) if node.output else None
        if layer is not None:
            self._read(layer, inputs)
            self._start(layer)
        elif inputs:
            self._pass_on(node)

    def _start(self, layer: LinearLayer) -> None:  # rule 1
        """Let the channels of a layer begin at its output."""
        node, weight = layer.node, layer.weight
        sources = ((weight, layer.output_channels),)
        if layer.axis == -1:
            before = self._channels.get(node.input[0])
            rank = None if before is None else before.rank
            channels = Channels(sources, -1, 2 if node.op_type == "Gemm" else rank)
        else:
            rank = len(self._tensors[weight].dims)
            channels = Channels(sources, 1 - rank, rank)
        self._started[weight] = layer
        self._add_slices(channels, node, 1, layer.output_axis)
        if len(node.input) > 2 and node.input[2] and not self._fits(channels, node, 2, -1):
            self._reasons[weight] = f"its bias is no constant ({node.input[2]})"
        if attribute(node, "group", 1) != 1:
            self._reasons[weight] = "it has groups"
        self._set_channels(node.output[0], channels)

    def _read(self, layer: LinearLayer, inputs: list[str]) -> None:  # rule 5
        """Add the slices of a layer that reads channels one by one, or refuse the channels."""
        node = layer.node
        channels = self._channels.get(node.input[0])
        if (
            channels is not None
            and (channels.axis == -1 if layer.axis == -1 else channels.on_second_axis)
            and inputs == [node.input[0]]
            and attribute(node, "group", 1) == 1
            and layer.input_channels % channels.count == 0
        ):
            self._add_slices(channels, node, 1, 1 - layer.output_axis, halved=True)
        else:
            self.refuse(inputs, self._obstacle(node))

    def _pass_on(self, node: NodeProto) -> None:  # rules 2 to 4
        """Carry the channels through a node that is no layer, if it keeps them."""
        inputs = [self._channels.get(name) for name in node.input]
        first = next(channels for channels in inputs if channels is not None)
        output, axis = channels_after(node, inputs, self._constants), constants_axis(node, first)
        if output is not None and axis is not None:
            others = [k for k, channels in enumerate(inputs) if channels is None]
            output = output if all(self._fits(first, node, k, axis) for k in others) else None
        if output is not None:
            self._set_channels(node.output[0], output)
        kept = () if output is None else [weight for weight, _ in output.sources]
        self.refuse(node.input, self._obstacle(node), kept)  # rule 6

    def _set_channels(self, name: str, channels: Channels) -> None:
        self._channels[name] = channels
        for weight in {weight for weight, _ in channels.sources if weight is not None}:
            self._widened[weight].append(name)

    def _fits(self, channels: Channels, node: NodeProto, position: int, axis: int) -> bool:
        """Whether an input is a constant with one value for all channels, or one for each.

        If it has one for each, its slices are added, so that it is duplicated too.
        """
        name = node.input[position]
        if name not in self._constants:
            return False
        dims = self._constants[name].dims
        if len(dims) < -axis:
            return True
        if dims[axis] == channels.count and name in self._tensors and not channels.in_blocks:
            self._add_slices(channels, node, position, len(dims) + axis)
            return True
        return bool(dims[axis] == 1)

    def _add_slices(
        self, channels: Channels, node: NodeProto, position: int, axis: int, *, halved: bool = False
    ) -> None:
        """Add for each layer the slice of a constant that its channels have along `axis`."""
        constant, start = node.input[position], 0
        block = self._tensors[constant].dims[axis] // channels.count
        for weight, count in channels.sources:
            if weight is not None:
                entry = ChannelSlice(
                    node.output[0], position, constant, axis, start * block, block, halved
                )
                self._slices[weight].append(entry)
            start += count

    def _obstacle(self, node: NodeProto) -> str:  # rule 6
        """The reason why the channels of a layer cannot go through a node."""
        name = node_label(node)
        if node.op_type in ("Add", "Sub", "Sum", "Mean"):
            return f"its output goes into a sum ({name})"
        if attribute(node, "group", 1) != 1:
            return f"its output goes into a layer with groups ({name})"
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            weight = node.input[1] if len(node.input) > 1 else ""
            if weight in self._tensors and self._counts[weight] > 1:
                return f"its output goes into a layer with a shared weight ({name})"
        return f"its output goes into {node.op_type} ({name})"
