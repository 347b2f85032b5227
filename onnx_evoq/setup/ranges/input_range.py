"""The range of the values that a model expects of an input.

1. The first nodes may say it: a BatchNormalization with the mean and the variance that it met, a
   Clip or a QuantizeLinear with its limits, or sums and products that map usual ranges (bytes, for
   example) to usual ranges.
2. Otherwise the BatchNormalization nodes may: the inputs of a usual range should give the means and
   variances that these met in training (`norm_fit`).
"""

import numpy as np

from onnx_evoq.data import Noise
from onnx_evoq.model import InputScaling

# Ranges that inputs usually have: shares, bytes, and sounds, with signs and without.
_RANGES = ((0, 1), (-1, 1), (0, 255), (-128, 127), (-32768, 32767), (0, 65535))
# Ranges that models usually compute with: these, and standardized numbers.
_SCALED = ((0, 1), (-1, 1), (-0.5, 0.5), (-2.1, 2.6), (0, 255), (-128, 127))
_PLAIN, _MOVED = (0.2, 5), 0.25  # factors and offsets between these may mean anything
_CLOSE = 0.25  # the difference of two ranges, as a share of their extent
# The mean and the standard deviation of red, green and blue in ImageNet, of values up to 1.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def scaled_range(noise: Noise, scaling: InputScaling, dtype: np.dtype, axes: int) -> Noise | None:
    """The range that the first nodes of a model expect; None if they do not say it.

    Args:
        noise: how the input is drawn otherwise.
        scaling: what the first nodes do with it.
        dtype: its type.
        axes: how many axes the model's input has.
    """
    whole = np.iinfo(dtype) if dtype.kind in "iu" else None
    lowest, highest = (whole.min, whole.max) if whole else (-np.inf, np.inf)
    if scaling.mean:
        axis = scaling.channel_axis - axes if len(scaling.mean) > 1 else noise.channel_axis
        return Noise(scaling.mean, scaling.deviation, lowest, highest, noise.image, axis)
    if scaling.limits is not None:
        low, high = scaling.limits
        return noise.within(max(low, lowest), min(high, highest))
    if _PLAIN[0] <= scaling.factor <= _PLAIN[1] and abs(scaling.offset) < _MOVED:
        return None
    ranges = [
        (low, high)
        for low, high in _RANGES
        if lowest <= low and high <= highest and (whole is None or high > 1)
    ]
    best = min(ranges, key=lambda each: _distance(each, scaling))
    return noise.within(*best) if _distance(best, scaling) <= _CLOSE else None


def _distance(given: tuple[float, float], scaling: InputScaling) -> float:
    """How far the scaled range is from the next usual one, as a share of the extent of that."""
    low, high = sorted(scaling.factor * end + scaling.offset for end in given)
    return min((abs(low - a) + abs(high - b)) / (b - a) for a, b in _SCALED)


def usual_ranges(noise: Noise, channels: int) -> list[Noise]:
    """The ranges that models are usually trained on, standardized numbers first.

    Args:
        noise: standardized.
        channels: how many the input has. Three may have the means and deviations of ImageNet.
    """
    found = [noise, *(noise.within(low, high) for low, high in _RANGES[:4])]
    if noise.image and channels == len(_MEAN):
        for factor, shift in ((1, 0), (2, -1), (255, 0)):
            mean = tuple(factor * m + shift for m in _MEAN)
            deviation = tuple(factor * d for d in _DEVIATION)
            low, high = shift, factor + shift
            found.append(
                Noise(mean, deviation, low, high, image=True, channel_axis=noise.channel_axis)
            )
    return found
