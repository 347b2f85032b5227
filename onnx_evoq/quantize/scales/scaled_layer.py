"""What the scales of channels are chosen for: linear layers, and activations that are rounded."""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices


@dataclass(frozen=True, eq=False)
class ScaledLayer:
    """A layer whose channels may be scaled.

    Attributes:
        weight: (groups, rows, columns).
        power: (groups, columns), what the squared error of each column's weights counts.
        output: the power of the output's channels, (groups, rows), or one number for all.
        rows: (groups, rows), the scale of each row, -1 for one that stays 1.
        columns: (groups, columns), the scale of each column, -1 for one that stays 1.
        bits: the width of the codes.
        per_channel: whether each row has a step of its own.
        pow2: whether steps are powers of two.
        least_share: of the mean power of a row's terms w x, which each of them counts with.
        importance: what its error counts beside those of other layers, besides the estimate.
    """

    weight: Float64Array
    power: Float64Array
    output: float | Float64Array
    rows: Indices
    columns: Indices
    bits: int
    per_channel: bool
    pow2: bool
    least_share: float = 0.01
    importance: float = 1.0


def activation_as_layer(
    values: Float64Array,
    channels: Indices,
    bits: int,
    *,
    signed: bool,
    pow2: bool,
    share: float = 1.0,
) -> ScaledLayer:
    """An activation as a layer: a row for each channel, whose weights are the channel's values.

    Each of its n values counts with 1/n, so the error of a row is the mean squared error of the
    channel. All channels have one step.

    Args:
        values: (channels, n), those of samples.
        channels: (channels,), the scale of each channel, -1 for one that stays 1.
        bits: the width of the codes.
        signed: whether there are negative codes. Without them the codes reach twice as far, as
            those of a weight with one bit more do.
        pow2: whether the step is a power of two.
        share: what its error counts beside the errors of weights.

    Example:
        >>> layer = activation_as_layer(
        ...     np.array([[0.0, 3.0], [1.0, 2.0]]), np.array([0, 1]), 4, signed=False, pow2=True
        ... )
        >>> layer.weight.shape, layer.power.tolist(), layer.bits
        ((1, 2, 2), [[0.5, 0.5]], 5)
    """
    count = values.shape[1]
    return ScaledLayer(
        weight=values[None],
        power=np.full((1, count), share / max(1, count)),
        output=float(np.square(values).mean()) if values.size else 0.0,
        rows=channels[None],
        columns=np.full((1, count), -1),
        bits=bits + (not signed),
        per_channel=False,
        pow2=pow2,
        least_share=0.0,  # a 0 has no error
    )
