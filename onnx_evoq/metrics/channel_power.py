"""The power of an output's channels, which their errors are measured against.

A detector gives boxes of hundreds of pixels and scores below 1 in one output. The squared error of
the whole output is that of the boxes alone. So each channel is divided by its own power.

1. The power of a channel is the mean over its values of their variance over the samples: what does
   not depend on the input cannot be lost. Of a single sample it is the variance over the channel's
   values.
2. It is at least a millionth of the channel's mean square: nothing asks for more than three digits.
3. Scores are channels between 0 and 1. Their power is at least a hundredth of their mean power: a
   class that no sample shows would count for all others.
4. A channel that never changes has the mean power of the others.

Where each channel has a tenth of the mean power or more, they are alike, and have the mean power.
So are class probabilities, which share one unit.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Float64Array

_DIGITS = 1e-6  # of the mean square
_RARE = 1e-2  # of the mean power of scores
_CONSTANT = 1e-15  # of the largest power; scores of 1e-4 beside boxes of 1,000 are at 1e-14
_ALIKE = 0.1  # of the mean power
_FAR_APART = 1e-4  # of the mean power
_SHORT = 8  # times as long is the longest axis


@dataclass(frozen=True, eq=False)
class _Values:
    """Each value of one sample's output, seen over all samples of that shape.

    Attributes:
        count: the number of samples.
        mean: of each value.
        variance: of each value over the samples.
        square: the mean square of each value.
        low: the lowest of each value.
        high: the highest.
    """

    count: int
    mean: Float64Array
    variance: Float64Array
    square: Float64Array
    low: Float64Array
    high: Float64Array

    @classmethod
    def of(cls, parts: Sequence[Array]) -> "_Values":
        """Those of some batches, (count, ...) each."""
        count = sum(len(part) for part in parts)
        mean = np.sum([part.sum(axis=0, dtype=np.float64) for part in parts], axis=0) / count
        away = sum(np.square(part.astype(np.float64) - mean).sum(axis=0) for part in parts)
        return cls(
            count,
            mean,
            np.asarray(away) / max(count - 1, 1),
            np.asarray(away) / count + np.square(mean),
            np.min([part.min(axis=0) for part in parts], axis=0).astype(np.float64),
            np.max([part.max(axis=0) for part in parts], axis=0).astype(np.float64),
        )

    def power(self, axis: int) -> Float64Array:
        """The power of each channel along an axis, (channels,)."""
        if self.count > 1:
            power = _over_others(self.variance, axis)
        else:
            power = _over_others(self.square, axis) - np.square(_over_others(self.mean, axis))
        return np.maximum(power, _DIGITS * _over_others(self.square, axis))

    def are_scores(self, axis: int) -> NDArray[np.bool_]:
        """Whether all values of each channel lie between 0 and 1, (channels,)."""
        inside = (self.low >= 0) & (self.high <= 1)
        return np.asarray(_by_channel(inside, axis).all(axis=1))


def _by_channel(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """The values of each channel, (channels, values)."""
    values = np.atleast_1d(values)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _over_others(values: Float64Array, axis: int) -> Float64Array:
    """The mean over all axes but one, (channels,)."""
    return np.asarray(_by_channel(values, axis).mean(axis=1))


def channel_power(
    batches: Sequence[Array], axis: int | None = None, *, alike: bool = False
) -> tuple[int | None, Float64Array]:
    """The axis of channels of unlike power, and the power of each.

    Args:
        batches: an output of the float model for each batch, (count, ...) each.
        axis: of the channels, counted from the last, if it is known. Otherwise it is the shortest
            axis along which they are unlike. Positions are unlike, too, so for an axis that is
            about as long as the longest, powers must differ by far.
        alike: whether channels are alike, whatever their power.

    Returns:
        The axis, counted from the last, and (channels,) powers; or None and (1,) the mean power, if
        channels are alike.
    """
    groups = defaultdict(list)
    for part in batches:
        groups[part.shape[1:]].append(part)
    with np.errstate(invalid="ignore", over="ignore"):  # outputs of a broken model
        seen = [_Values.of(parts) for parts in groups.values() if parts[0].size]
        axes = [] if alike else _axes(seen, axis)
        for k, is_short in axes:
            power = _powers(seen, k)
            if power.min() < (_ALIKE if is_short else _FAR_APART) * power.mean():
                return k, power
        if not axes and len({values.mean.shape for values in seen}) > 1:
            means = [values.power(-1).mean() for values in seen]
            return None, np.atleast_1d(np.average(means, weights=[v.count for v in seen]))
        shortest = axes[0][0] if axes else -1
        return None, np.atleast_1d(_powers(seen, shortest).mean()) if seen else np.ones(1)


def shared_power(power: Float64Array) -> Float64Array:
    """The power of each channel, or the mean of all where they are alike, in the same shape.

    A channel that never changes has the mean power of the others.

    Example:
        >>> shared_power(np.array([1.0, 3.0])).tolist(), shared_power(np.array([1e4, 1.0])).tolist()
        ([2.0, 2.0], [10000.0, 1.0])
    """
    live = power > _CONSTANT * power.max(initial=0)
    if not live.any() or power.min() >= _ALIKE * power.mean():
        return np.full_like(power, power.mean())
    return np.where(live, power, power[live].mean())


def _axes(seen: Sequence[_Values], axis: int | None) -> list[tuple[int, bool]]:
    """The axes that may be that of the channels, shortest first, and whether each is short."""
    ranks = {values.mean.ndim for values in seen}
    rank = ranks.pop() if len(ranks) == 1 else 0
    lengths = {
        k: sizes.pop()
        for k in (range(-rank, 0) if axis is None else [axis])
        if len(sizes := {values.mean.shape[k] for values in seen}) == 1
    }
    lengths = {k: length for k, length in lengths.items() if length > 1}
    least, most = min(lengths.values(), default=1), max(lengths.values(), default=1)
    return [
        (k, length == least or _SHORT * length <= most)
        for k, length in sorted(lengths.items(), key=lambda each: each[1])
    ]


def _powers(seen: Sequence[_Values], axis: int) -> Float64Array:
    """The powers of channels by the rules above, (channels,)."""
    counts = [values.count for values in seen]
    power = np.average([values.power(axis) for values in seen], axis=0, weights=counts)
    power = np.nan_to_num(power, nan=0.0, posinf=0.0)
    scores = np.all([values.are_scores(axis) for values in seen], axis=0)
    if scores.any():
        power[scores] = np.maximum(power[scores], _RARE * power[scores].mean())
    live = power > _CONSTANT * power.max()
    if not live.any():
        return np.ones_like(power)
    power[~live] = power[live].mean()
    return np.asarray(power)
