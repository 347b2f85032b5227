"""Foretell the mean loss of a candidate from its losses on the first samples."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.metrics import PerSample

COMPARED_AT = tuple(32 * 2**k for k in range(12))  # samples after which candidates are compared


class Forecast(NamedTuple):
    """An estimate of a candidate's mean loss over all samples.

    Attributes:
        mean: the estimate.
        error: its standard error; 0 if all samples were scored.
        differing: the number of samples whose loss differs from the relative's.
    """

    mean: float
    error: float
    differing: int


def forecast(losses: PerSample, relatives: Float64Array) -> Forecast:
    """Estimate the mean loss over all samples from the first n, with the closest relative.

    Args:
        losses: (n,), the losses on the first n samples.
        relatives: (relatives, samples), the losses of candidates that were scored on all samples.
            The first one wins among equally close ones.

    Example:
        >>> forecast(np.array([1.0, 3.0]), np.array([[1.0, 2.0, 4.0, 5.0]])).mean
        3.5
    """
    count, samples = len(losses), relatives.shape[1]
    differences = losses - relatives[:, :count]  # (relatives, n)
    deviations = differences.std(axis=1, ddof=1)  # (relatives,)
    closest = int(deviations.argmin())
    return Forecast(
        float(relatives[closest].mean() + differences[closest].mean()),
        float(deviations[closest] * np.sqrt((1 - count / samples) / count)),
        int(np.count_nonzero(differences[closest])),
    )


def comparison_batches(counts: Sequence[int]) -> list[int]:
    """The numbers of batches after which candidates are compared: at 32, 64, 128, .. samples.

    The last number is that of all batches.

    Args:
        counts: the number of samples in each batch.

    Example:
        >>> comparison_batches([16] * 64)
        [2, 4, 8, 16, 32, 64]
    """
    totals = list(accumulate(counts))
    ends = [bisect_left(totals, samples) + 1 for samples in COMPARED_AT if samples <= totals[-1]]
    return sorted({*ends, len(counts)})
