"""How the first nodes of a model scale an input, which says which numbers it expects.

Sums and products with constants of one value, or one per channel of an image, are followed through
casts and moves of axes: together they are ``factor * x + offset``. A Clip, a QuantizeLinear or a
BatchNormalization behind them says itself which numbers it expects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, NodeProto

from onnx_evoq.array_types import Float64Array
from onnx_evoq.model.graph import all_nodes, is_standard
from onnx_evoq.model.inputs.constants import Constants

_MOVES = ("Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_MOST_CHANNELS = 4  # longer constants are weights


@dataclass(frozen=True)
class InputScaling:
    """What the first nodes do with an input.

    Attributes:
        factor: by which values are multiplied, the mean of all channels.
        offset: what is added then, the mean of all channels.
        limits: the lowest and the highest input that counts, if a node says so.
        mean: of the input, of each channel or of all, if a BatchNormalization says so.
        deviation: with the means.
        channel_axis: the axis of these channels.
    """

    factor: float = 1.0
    offset: float = 0.0
    limits: tuple[float, float] | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    channel_axis: int = 1


def input_scalings(model: ModelProto) -> dict[str, InputScaling]:
    """How the first nodes of a model scale each of its inputs, by name.

    Args:
        model: a model as `load` returns it.
    """
    constants = Constants(model.graph)
    readers: dict[str, list[NodeProto]] = {}
    for node in all_nodes(model.graph):
        if node.op_type != "Shape":
            for name in node.input:
                readers.setdefault(name, []).append(node)
    return {value.name: _followed(value.name, readers, constants) for value in model.graph.input}


def _followed(
    name: str, readers: Mapping[str, list[NodeProto]], constants: Constants
) -> InputScaling:
    found = InputScaling()
    axes: list[int] | None = list(range(8))  # of the input, None once they are no longer known
    while len(readers.get(name, ())) == 1 and is_standard(readers[name][0]):
        (node,) = readers[name]
        if node.op_type == "BatchNormalization":
            return _with_statistics(found, node, constants, axes)
        if node.op_type == "Clip":
            return _with_limits(found, *(_number(constants, node, i) for i in (1, 2)))
        if node.op_type == "QuantizeLinear":
            return _with_limits(found, *_range_of_codes(node, constants))
        if node.op_type in ("Add", "Div", "Mul", "Sub"):
            numbers = constants.values(node.input[1 if node.input[0] == name else 0])
            if numbers is None or not 0 < numbers.size <= _MOST_CHANNELS:
                break
            found = _scaled(found, node.op_type, numbers, node.input[0] == name)
        elif node.op_type == "Transpose" and axes:
            moved = next((a.ints for a in node.attribute if a.name == "perm"), ())
            axes = [axes[axis] for axis in moved] or None
        elif node.op_type in ("Reshape", "Squeeze", "Unsqueeze"):
            axes = None
        elif node.op_type not in _MOVES:
            break
        name = node.output[0]
    return found


def _scaled(found: InputScaling, op: str, numbers: Float64Array, left: bool) -> InputScaling:
    """The same behind a sum or a product of x and constants; `left` if x comes first."""
    number, factor, offset = float(numbers.mean()), found.factor, found.offset
    if op == "Add":
        return replace(found, offset=offset + number)
    if op == "Sub":
        sign = 1 if left else -1
        return replace(found, factor=sign * factor, offset=sign * (offset - number))
    if op == "Div" and (not left or (numbers == 0).any()):
        return found
    by = float((1 / numbers).mean()) if op == "Div" else number
    return replace(found, factor=factor * by, offset=offset * by)


def _number(constants: Constants, node: NodeProto, position: int) -> float | None:
    return constants.number(node.input[position]) if len(node.input) > position else None


def _with_limits(found: InputScaling, low: float | None, high: float | None) -> InputScaling:
    """The same where a node counts numbers from `low` to `high` only."""
    if low is None or high is None or low >= high or found.factor == 0:
        return found
    ends = sorted((end - found.offset) / found.factor for end in (low, high))
    return replace(found, limits=(ends[0], ends[1]))


def _range_of_codes(node: NodeProto, constants: Constants) -> tuple[float | None, float | None]:
    """The lowest and the highest number that a QuantizeLinear has a code for."""
    step, zero = _number(constants, node, 1), _number(constants, node, 2)
    if step is None:
        return None, None
    kind = constants.dtype(node.input[2]) if len(node.input) > 2 else None
    limits = np.iinfo(kind or np.uint8)
    return (limits.min - (zero or 0)) * step, (limits.max - (zero or 0)) * step


def _with_statistics(
    found: InputScaling, node: NodeProto, constants: Constants, axes: list[int] | None
) -> InputScaling:
    """The same where a BatchNormalization says which mean and variance it met in training."""
    mean, variance = (constants.values(name) for name in node.input[3:5])
    if mean is None or variance is None or found.factor == 0 or not (variance > 0).any():
        return found
    mean = (mean - found.offset) / found.factor
    deviation = np.sqrt(np.maximum(variance, 0)) / abs(found.factor)
    if axes is None:  # it is not known which axis of the input these channels are
        spread = np.sqrt((deviation**2).mean() + mean.var())
        mean, deviation, axes = mean.mean(keepdims=True), np.array([spread]), [0, 1]
    return replace(
        found,
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        channel_axis=axes[1],
    )
