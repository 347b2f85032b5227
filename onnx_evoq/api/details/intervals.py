"""Intervals of 95 % confidence: for shares, and for means over samples.

A share has the interval of Wilson (Probable Inference, the Law of Succession, and Statistical
Inference, 1927). With n samples, a share p and z = 1.96:

    (p + z^2 / 2n  ±  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

A mean has the percentile interval of the bootstrap (Efron, 1979): the samples are drawn again and
again, with replacement, and the middle 95 % of the means count. Errors of samples are skewed, so
that an interval that is symmetric would go below 0.
"""

from math import sqrt

import numpy as np

from onnx_evoq.array_types import Float64Array

_Z = 1.959964  # of the normal distribution, for 95 %
_DRAWS = 1000


def wilson(share: float, samples: int) -> tuple[float, float]:
    """The interval of a share.

    Args:
        share: from 0 to 1.
        samples: how many there are, 1 or more.

    Example:
        >>> [round(limit, 3) for limit in wilson(0.9, 100)]
        [0.826, 0.945]
    """
    of_z = _Z**2 / samples
    middle = share + of_z / 2
    reach = _Z * sqrt(share * (1 - share) / samples + of_z / (4 * samples))
    low, high = (middle - reach) / (1 + of_z), (middle + reach) / (1 + of_z)
    return low if share > 0 else 0.0, high if share < 1 else 1.0


def bootstrap(values: Float64Array, rng: np.random.Generator) -> tuple[float, float] | None:
    """The interval of the mean; None for a single value, or if one is not finite.

    Args:
        values: (samples,).
        rng: draws the samples.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(_DRAWS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def paired(differences: Float64Array) -> tuple[float, float] | None:
    """The interval of a mean difference of two models on the same samples, by its normal form.

    Args:
        differences: (samples,).

    Returns:
        The limits; None for a single value.
    """
    if len(differences) < 2:
        return None
    reach = _Z * float(differences.std(ddof=1)) / sqrt(len(differences))
    middle = float(differences.mean())
    return middle - reach, middle + reach
