"""Which layers' channels a tensor carries, and where, as they go through nodes without weights.

Axes are counted from the last, -1, since that is how ONNX aligns what broadcasts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import NodeProto, TensorProto, numpy_helper

from onnx_evoq.model.graph import attribute, is_standard

_VALUE_BY_VALUE = {
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Dropout", "Elu", "Erf", "Exp", "Floor",
    "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg",
    "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign",
    "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
}  # fmt: skip
_POSITION_BY_POSITION = {
    "Add", "Sub", "Sum", "Mean", "Mul", "Div", "Pow", "PRelu", "Max", "Min",
}  # fmt: skip
_NORMS = {"BatchNormalization", "InstanceNormalization"}
_POOLS = {
    "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool",
}  # fmt: skip


@dataclass(frozen=True)
class Channels:
    """The channels that a tensor carries.

    Attributes:
        parts: (weight, channels) of each layer that they come from, in their order; no weight for
            channels that stay as they are.
        axis: where they lie.
        rank: how many axes the tensor has, None if unknown.
        flat: whether each channel is a block of features, whose size is not known here.
    """

    parts: tuple[tuple[str | None, int], ...]
    axis: int
    rank: int | None
    flat: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(channels for _, channels in self.parts)

    @property
    def second(self) -> bool:
        """Whether they lie along the second axis, and each is one entry there."""
        return self.rank is not None and self.axis == 1 - self.rank and not self.flat


def channels_behind(
    node: NodeProto, inputs: Sequence[Channels | None], constants: Mapping[str, TensorProto]
) -> Channels | None:
    """The channels of a node's one output; None where they are not known to go through it.

    Args:
        node: a node that is no linear layer.
        inputs: what each of its inputs carries, at least one of them something.
        constants: the model's, by name.
    """
    tensors = [channels for channels in inputs if channels is not None]
    if not is_standard(node) or not node.output[0] or any(node.output[1:]):
        return None
    if node.op_type in _POSITION_BY_POSITION:
        ranks = [len(constants[name].dims) for name in node.input if name in constants]
        return combined_channels(tensors, ranks)
    if node.op_type == "Concat":
        whole = len(tensors) == len(inputs)
        return concatenated_channels(tensors, int(attribute(node, "axis", 1))) if whole else None
    channels = inputs[0]
    if channels is None or len(tensors) > 1 or _trains(node, constants):
        return None
    match node.op_type:
        case op_type if op_type in _VALUE_BY_VALUE:
            return channels
        case op_type if op_type in _POOLS or (op_type in _NORMS and attribute(node, "spatial", 1)):
            return channels if channels.second else None
        case op_type if op_type.startswith("Reduce") or op_type == "Squeeze":
            keep = op_type != "Squeeze" and bool(attribute(node, "keepdims", 1))
            return reduced_channels(channels, _axes(node, constants), keep=keep)
        case "Flatten":
            return flattened_channels(channels, int(attribute(node, "axis", 1)))
        case _:
            return None


def constants_axis(node: NodeProto, channels: Channels) -> int | None:
    """The axis along which a node's constants have something for each of an input's channels.

    It is counted from the last; None where the node asks nothing of that kind.
    """
    if node.op_type in _NORMS:
        return -1
    return channels.axis if node.op_type in _POSITION_BY_POSITION else None


def flattened_channels(channels: Channels, axis: int) -> Channels | None:
    """Behind a Flatten that keeps `axis` axes; None where the channels are no blocks of features.

    Example:
        >>> flattened_channels(Channels((("w", 8),), axis=-3, rank=4), 1)
        Channels(parts=(('w', 8),), axis=-1, rank=2, flat=True)
    """
    if not channels.second or axis != 1:
        return None
    return replace(channels, axis=-1, rank=2, flat=True)


def concatenated_channels(tensors: Sequence[Channels], axis: int) -> Channels | None:
    """Behind a Concat along `axis`; None where the channels are not put in a row.

    Example:
        >>> one, other = Channels((("w", 8),), -3, 4), Channels((("v", 2),), -3, 4)
        >>> concatenated_channels([one, other], axis=1).parts
        (('w', 8), ('v', 2))
    """
    first = tensors[0]
    if axis >= 0:
        axis -= first.rank or 0
    if {(c.axis, c.rank, c.flat) for c in tensors} != {(axis, first.rank, False)}:
        return None
    return replace(first, parts=tuple(part for channels in tensors for part in channels.parts))


def combined_channels(tensors: Sequence[Channels], ranks: Sequence[int] = ()) -> Channels | None:
    """Behind what works position by position; None where channels do not meet one by one.

    Channels of different layers stay as they are from here on. Blocks meet nothing, since one may
    be larger than another.

    Args:
        tensors: the inputs that carry channels.
        ranks: of the other inputs, which broadcast along the channels.

    Example:
        >>> one, other = Channels((("w", 8),), -3, 4), Channels((("v", 8),), -3, 4)
        >>> combined_channels([one, one]).parts, combined_channels([one, other]).parts
        ((('w', 8),), ((None, 8),))
    """
    first = tensors[0]
    if len(tensors) > 1 and any(channels.flat for channels in tensors):
        return None
    if any((c.axis, c.count) != (first.axis, first.count) for c in tensors):
        return None
    alike = all(channels.parts == first.parts for channels in tensors)
    parts = first.parts if alike else ((None, first.count),)
    known = [channels.rank for channels in tensors if channels.rank is not None]
    rank = max([*known, *ranks]) if len(known) == len(tensors) else None
    return replace(first, parts=parts, rank=rank)


def reduced_channels(channels: Channels, axes: Sequence[int], *, keep: bool) -> Channels | None:
    """Behind what makes one value of all along `axes`; None where the channels are among these.

    Args:
        channels: of the input.
        axes: none for all of them.
        keep: whether the axes stay, with size 1.

    Example:
        >>> reduced_channels(Channels((("w", 8),), axis=-3, rank=4), [2, 3], keep=False)
        Channels(parts=(('w', 8),), axis=-1, rank=2, flat=False)
    """
    if not axes or (channels.rank is None and max(axes) >= 0):
        return None
    gone = {axis if axis < 0 else axis - (channels.rank or 0) for axis in axes}
    if channels.axis in gone:
        return None
    if keep:
        return channels
    channels_behind = sum(axis > channels.axis for axis in gone)
    rank = None if channels.rank is None else channels.rank - len(gone)
    return replace(channels, axis=channels.axis + channels_behind, rank=rank)


def _axes(node: NodeProto, constants: Mapping[str, TensorProto]) -> list[int]:
    """What a node says of its axes, in an attribute or an input."""
    if len(node.input) > 1 and node.input[1] in constants:
        return [int(axis) for axis in numpy_helper.to_array(constants[node.input[1]]).flat]
    return next((list(a.ints) for a in node.attribute if a.name == "axes"), [])


def _trains(node: NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    """Whether a node behaves as in training, or may do so."""
    flag = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    if flag and flag in constants:
        return bool(numpy_helper.to_array(constants[flag]))
    return bool(flag) or bool(attribute(node, "training_mode", 0))
