"""Follow the channels of layers through nodes without weights.

`channels_after` says which channels the output of a node has, and along which axis. Axes are
counted from the last, -1, since that is how ONNX aligns tensors that broadcast.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import NodeProto, TensorProto

from onnx_evoq.model.graph import attribute, is_standard
from onnx_evoq.model.tensors import array_of

_ELEMENTWISE = {
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Dropout", "Elu", "Erf", "Exp", "Floor",
    "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg",
    "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign",
    "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
}  # fmt: skip
_BROADCASTING = {
    "Add", "Sub", "Sum", "Mean", "Mul", "Div", "Pow", "PRelu", "Max", "Min",
}  # fmt: skip
_NORMS = {"BatchNormalization", "InstanceNormalization"}
_SPATIAL_POOLS = {
    "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool",
}  # fmt: skip


@dataclass(frozen=True)
class Channels:
    """The channels of layers that lie along one axis of a tensor.

    Attributes:
        sources: (weight, channels) of each layer that they come from, in their order. The weight is
            None where the channels must stay as they are.
        axis: the axis of the channels, counted from the last.
        rank: the number of axes of the tensor, None if it is not known.
        in_blocks: whether a channel is a block of several features. The size of a block is not
            known here.
    """

    sources: tuple[tuple[str | None, int], ...]
    axis: int
    rank: int | None
    in_blocks: bool = False

    @property
    def count(self) -> int:
        """The number of channels."""
        return sum(channels for _, channels in self.sources)

    @property
    def on_second_axis(self) -> bool:
        """Whether they lie along the second axis, one entry for each channel."""
        return self.rank is not None and self.axis == 1 - self.rank and not self.in_blocks


def channels_after(
    node: NodeProto, inputs: Sequence[Channels | None], constants: Mapping[str, TensorProto]
) -> Channels | None:
    """The channels of a node's one output; None if the node is not known to keep channels.

    Args:
        node: a node that is no linear layer.
        inputs: the channels of each of its inputs, None for one without; at least one has some.
        constants: the constants of the model, by name.
    """
    tensors = [channels for channels in inputs if channels is not None]
    if not is_standard(node) or not node.output[0] or any(node.output[1:]):
        return None
    if node.op_type in _BROADCASTING:
        ranks = [len(constants[name].dims) for name in node.input if name in constants]
        return combined_channels(tensors, ranks)
    if node.op_type == "Concat":
        all_known = len(tensors) == len(inputs)
        axis = int(attribute(node, "axis", 1))
        return concatenated_channels(tensors, axis) if all_known else None
    channels = inputs[0]
    if channels is None or len(tensors) > 1 or _may_train(node, constants):
        return None
    match node.op_type:
        case op_type if op_type in _ELEMENTWISE:
            return channels
        case op_type if op_type in _SPATIAL_POOLS:
            return channels if channels.on_second_axis else None
        case op_type if op_type in _NORMS and attribute(node, "spatial", 1):
            return channels if channels.on_second_axis else None
        case op_type if op_type.startswith("Reduce") or op_type == "Squeeze":
            keep = op_type != "Squeeze" and bool(attribute(node, "keepdims", 1))
            return reduced_channels(channels, _axes(node, constants), keep=keep)
        case "Flatten":
            return flattened_channels(channels, int(attribute(node, "axis", 1)))
        case _:
            return None


def constants_axis(node: NodeProto, channels: Channels) -> int | None:
    """The axis along which a node's constants may have a value for each channel.

    It is counted from the last. It is None if the node takes no constants of that kind.
    """
    if node.op_type in _NORMS:
        return -1
    return channels.axis if node.op_type in _BROADCASTING else None


def flattened_channels(channels: Channels, axis: int) -> Channels | None:
    """The channels after a Flatten at `axis`; None if they do not become blocks of features.

    Example:
        >>> flattened_channels(Channels((("w", 8),), axis=-3, rank=4), 1)
        Channels(sources=(('w', 8),), axis=-1, rank=2, in_blocks=True)
    """
    if not channels.on_second_axis or axis != 1:
        return None
    return replace(channels, axis=-1, rank=2, in_blocks=True)


def concatenated_channels(tensors: Sequence[Channels], axis: int) -> Channels | None:
    """The channels after a Concat along `axis`; None if that is not the axis of the channels.

    Example:
        >>> one, other = Channels((("w", 8),), -3, 4), Channels((("v", 2),), -3, 4)
        >>> concatenated_channels([one, other], axis=1).sources
        (('w', 8), ('v', 2))
    """
    first = tensors[0]
    if axis >= 0 and first.rank is not None:
        axis -= first.rank
    if {(c.axis, c.rank, c.in_blocks) for c in tensors} != {(axis, first.rank, False)}:
        return None
    return replace(first, sources=tuple(source for c in tensors for source in c.sources))


def combined_channels(tensors: Sequence[Channels], ranks: Sequence[int] = ()) -> Channels | None:
    """The channels after a node that combines its inputs elementwise; None if they do not align.

    Where channels of different layers meet, they must stay as they are from here on. Blocks of
    features are never combined, since those of one tensor may be larger than those of another.

    Args:
        tensors: the channels of the inputs that have some.
        ranks: the numbers of axes of the other inputs, which broadcast along the channels.

    Example:
        >>> one, other = Channels((("w", 8),), -3, 4), Channels((("v", 8),), -3, 4)
        >>> combined_channels([one, one]).sources, combined_channels([one, other]).sources
        ((('w', 8),), ((None, 8),))
    """
    first = tensors[0]
    if len(tensors) > 1 and any(channels.in_blocks for channels in tensors):
        return None
    if any((c.axis, c.count) != (first.axis, first.count) for c in tensors):
        return None
    same_sources = all(channels.sources == first.sources for channels in tensors)
    sources = first.sources if same_sources else ((None, first.count),)
    known_ranks = [channels.rank for channels in tensors if channels.rank is not None]
    rank = max([*known_ranks, *ranks]) if len(known_ranks) == len(tensors) else None
    return replace(first, sources=sources, rank=rank)


def reduced_channels(channels: Channels, axes: Sequence[int], *, keep: bool) -> Channels | None:
    """The channels after a reduction over `axes`; None if their own axis is one of these.

    Args:
        channels: the channels of the input.
        axes: the reduced axes; an empty list stands for all of them.
        keep: whether the axes stay, with size 1.

    Example:
        >>> reduced_channels(Channels((("w", 8),), axis=-3, rank=4), [2, 3], keep=False)
        Channels(sources=(('w', 8),), axis=-1, rank=2, in_blocks=False)
    """
    rank = channels.rank
    if not axes or (rank is None and max(axes) >= 0):
        return None
    reduced = {axis if rank is None or axis < 0 else axis - rank for axis in axes}
    if channels.axis in reduced:
        return None
    if keep:
        return channels
    removed_after = sum(axis > channels.axis for axis in reduced)
    rank = None if rank is None else rank - len(reduced)
    return replace(channels, axis=channels.axis + removed_after, rank=rank)


def _axes(node: NodeProto, constants: Mapping[str, TensorProto]) -> list[int]:
    """The axes that a node states, as an attribute or as a constant input."""
    if len(node.input) > 1 and node.input[1] in constants:
        return [int(axis) for axis in array_of(constants[node.input[1]]).flat]
    return next((list(a.ints) for a in node.attribute if a.name == "axes"), [])


def _may_train(node: NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    """Whether a node behaves as in training, or may do so."""
    flag = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    if flag and flag in constants:
        return bool(array_of(constants[flag]))
    return bool(flag) or bool(attribute(node, "training_mode", 0))
