"""The layout of outputs: which axes hold classes and channels, and the power of the channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float64Array
from onnx_evoq.metrics.channel_power import channel_power
from onnx_evoq.metrics.class_axis import class_axis
from onnx_evoq.signature import OutputHint


@dataclass(frozen=True, eq=False)
class OutputLayout:
    """What the values of an output are.

    Attributes:
        classes: the axis of the classes, counted from the last.
        probabilities: whether they are class probabilities.
        channels: the axis of channels of unlike power, counted from the last; None if all channels
            are alike.
        power: (channels,) the power of each; (1,) if they are alike.
    """

    classes: int = -1
    probabilities: bool = False
    channels: int | None = None
    power: Float64Array = field(default_factory=lambda: np.ones(1))

    @property
    def power_of_values(self) -> Float64Array:
        """The power of each value's channel, (channels, 1, ..), to be broadcast."""
        after = 0 if self.channels is None else -1 - self.channels
        return self.power.reshape(-1, *[1] * after)


Layouts = Mapping[str, OutputLayout]


def output_layouts(batches: Sequence[Arrays], hints: Mapping[str, OutputHint]) -> Layouts:
    """The layout of each output that holds numbers.

    Args:
        batches: the float model's outputs for each batch, name -> (count, ...).
        hints: what the graph says of outputs, by name.

    Example:
        >>> boxes_and_score = np.array([[300.0, 0.1], [100.0, 0.9], [200.0, 0.5]])
        >>> output_layouts([{"y": boxes_and_score}], {})["y"].power.round(2).tolist()
        [10000.0, 0.16]
    """
    return {
        name: _layout([batch[name] for batch in batches], hints.get(name, OutputHint()))
        for name, values in batches[0].items()
        if values.dtype.kind in "biuf"
    }


def _layout(batches: Sequence[Array], hint: OutputHint) -> OutputLayout:
    # Samples of several shapes: the largest come first, and tell most. One without the axis that
    # others have lost it as it was of size 1, and was taken for the samples'.
    rank = max(part.ndim for part in batches)
    parts = [part for part in batches if part.ndim == rank]
    parts.sort(key=lambda part: -part[:1].size)
    classes, shape = class_axis(parts, hint), parts[0].shape[1:]
    known = [axis for axis in range(-len(shape), 0) if shape[axis] in hint.channels]
    axis = known[0] if len(known) == 1 else None
    channels, power = channel_power(parts, axis, alike=classes.certain)
    return OutputLayout(classes.axis, classes.probabilities, channels, power)
