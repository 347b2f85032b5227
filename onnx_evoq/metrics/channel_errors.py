"""The relative error of each channel of each output, for reports."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from onnx_evoq.array_types import Arrays, Float64Array
from onnx_evoq.metrics.output_layout import Layouts, OutputLayout


def channel_errors(
    outputs: Iterable[Arrays], reference: Sequence[Arrays], layouts: Layouts
) -> Mapping[str, Float64Array]:
    """The mean squared error of each channel as a share of its power, of each output of floats.

    Args:
        outputs: a model's outputs for each batch; it may be an iterator.
        reference: the float model's.
        layouts: of the outputs.

    Returns:
        By output, (channels,), or (1,) if its channels are alike.

    Example:
        >>> layout = OutputLayout(channels=-1, power=np.array([100.0, 1.0]))
        >>> found = channel_errors(
        ...     [{"y": np.array([[1.0, 0.5]])}], [{"y": np.zeros((1, 2))}], {"y": layout})
        >>> found["y"].tolist()
        [0.01, 0.25]
    """
    names = [name for name, values in reference[0].items() if values.dtype.kind == "f"]
    sums = {name: np.zeros(layouts[name].power.shape) for name in names}
    counts = dict.fromkeys(names, 0)  # values of each channel
    for part, expected in zip(outputs, reference, strict=True):
        for name in names:
            with np.errstate(invalid="ignore", over="ignore"):
                y, r = (each[name].astype(np.float64) for each in (part, expected))
                squares = np.square(y - r)
            by_channel = _by_channel(squares, layouts[name])
            sums[name] += by_channel.sum(axis=1)
            counts[name] += by_channel.shape[1]
    return {name: sums[name] / max(counts[name], 1) / layouts[name].power for name in names}


def _by_channel(values: Float64Array, layout: OutputLayout) -> Float64Array:
    """The values of each channel, (channels, values)."""
    if layout.channels is None:
        return values.reshape(1, -1)
    return np.moveaxis(values, layout.channels, 0).reshape(values.shape[layout.channels], -1)
