"""Draw the positions at which a layer's columns and targets are gathered.

Behind a Sigmoid at the end of a model, an error d of the layer is an error s'(t) d of the score. At
most positions of a detector the score is next to 0, and so is the slope s'. So positions are drawn
with a probability that rises with the squared slope, and least squares count them so.
"""

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array, Indices

_MOST_SLOPE = 0.25  # of a Sigmoid
_FLAT = 0.05  # what a position counts where the slope is 0, as it must stay there


def drawn_positions(everywhere: int, count: int, rng: np.random.Generator) -> Indices:
    """Positions that are drawn alike, (count,), each once, in their order.

    Args:
        everywhere: the number of all positions.
        count: how many to draw.
        rng: draws them.
    """
    return np.sort(rng.choice(everywhere, count, replace=False, shuffle=False))


def drawn_by_weight(weights: Float64Array, count: int, rng: np.random.Generator) -> Indices:
    """Positions that are drawn by their weights, (count,), in their order.

    A position is drawn as often as its weight asks for, up to one time (systematic sampling).

    Args:
        weights: (positions,), positive.
        count: how many to draw.
        rng: draws where to begin.

    Example:
        >>> drawn_by_weight(np.array([1.0, 1.0, 4.0]), 6, np.random.default_rng(0)).tolist()
        [0, 1, 2, 2, 2, 2]
    """
    ends = np.cumsum(weights / weights.sum())
    points = (np.arange(count) + rng.random()) / count
    return np.minimum(np.searchsorted(ends, points, side="right"), len(weights) - 1)


def slopes_of_scores(outputs: Float32Array, samples: int) -> Float64Array:
    """What each position counts if a Sigmoid makes scores of the outputs, (positions,).

    It is the squared slope of the Sigmoid as a share of the largest, of the row where that is most,
    and the mean over the samples.

    Args:
        outputs: of the float model, (groups, samples * positions, rows).
        samples: how many there are.
    """
    with np.errstate(over="ignore"):
        scores = 1 / (1 + np.exp(-outputs.astype(np.float64)))
    slopes = np.square(scores * (1 - scores) / _MOST_SLOPE).max(axis=(0, 2))
    return np.asarray(_FLAT + slopes.reshape(samples, -1).mean(axis=0))
