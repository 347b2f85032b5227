"""How well inputs fit the statistics that BatchNormalization nodes met in training.

Of each channel before a BatchNormalization, inputs have a mean and a variance, as the training data
had. If both are normal, the Kullback-Leibler divergence of the one from the other is

KL = (v / V + (m - M)^2 / V - 1 - ln(v / V)) / 2

The misfit is the mean of ln(1 + KL) over the channels of a node, and then over the nodes, of which
the n-th counts 1 / n: what is wrong with the inputs shows at the first nodes best.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from onnx_evoq.array_types import Arrays, Float64Array
from onnx_evoq.model import NormStatistics

_LEAST_VARIANCE = 1e-3  # as a share of the mean of the channels of a node


def misfit(statistics: Sequence[NormStatistics], outputs: Iterable[Arrays]) -> float:
    """The misfit of inputs.

    Args:
        statistics: of the nodes, in their order.
        outputs: for parts of the inputs, what the nodes read, (samples, channels, ...) by name.
    """
    count: dict[str, float] = {}
    sums: dict[str, Float64Array] = {}  # of the values and of their squares, (2, channels)
    for part in outputs:
        for name, values in part.items():
            axes = tuple(axis for axis in range(values.ndim) if axis != 1)
            exact = values.astype(np.float64)
            count[name] = count.get(name, 0.0) + values.size / values.shape[1]
            sums[name] = sums.get(name, 0) + np.stack([exact.sum(axes), (exact**2).sum(axes)])
    divergences = [_divergence(each, sums[each.tensor], count[each.tensor]) for each in statistics]
    return float(np.average(divergences, weights=1 / np.arange(1, len(divergences) + 1)))


def _divergence(node: NormStatistics, sums: Float64Array, count: float) -> float:
    """The mean of ln(1 + KL) over the channels, from the sums of values and squares."""
    mean = sums[0] / count
    least = _LEAST_VARIANCE * float(node.variance.mean())
    variance = np.maximum(sums[1] / count - mean**2, 0) + least  # (channels,)
    expected = node.variance + least
    ratio = variance / expected
    divergence = (ratio + (mean - node.mean) ** 2 / expected - 1 - np.log(ratio)) / 2
    return float(np.log1p(divergence).mean())
