"""The best float weight W* of a layer for changed inputs, and how much its solution is damped.

For columns x with H = E[x x^T], targets t with C = E[t x^T], and the layer's weight W,

    W* = W + (C - W H)(H + d I)^-1

minimises E|W* x - t|^2 with a pull towards W. The damping d is a share of the mean of H's diagonal.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.quantize.closed_form.moments import Moments
from onnx_evoq.quantize.grid import Linear

Floats = NDArray[np.float64]

DAMPINGS = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
# What half of the data needs is more than what all of it does. And what fits badly at each position
# counts less than what it does to all of a sample: a tenth was better than the whole on a ResNet-8,
# a ResNet-20 and a SqueezeNet (by 2, 9 and 11 % of the output error).
_FULLER = 0.1
_FAINTEST = 3e-5  # damping of W*: H is known to about 5e-6 of its diagonal's mean
_USUAL = 0.03
_TIE = 1e-6  # share of a loss
_REFIT = 1e-3  # damping where there is no time to choose it
# Columns above which time counts: the damping is the usual one or none, judged on one half of the
# data.
_LARGE = 1200


def refit(
    weight: NDArray[np.float32], layer: Linear, moments: Moments
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The best float weight for changed inputs, W*, and the bias that goes with it, (channels,).

    Args:
        weight: the float weight, in its own shape.
        layer: how it becomes a matrix.
        moments: of its columns and targets.
    """
    aim = best_float(layer.matrix(weight).astype(np.float64), moments, _REFIT)
    bias = bias_of(aim, moments).ravel()
    return np.asarray(layer.weight(aim, weight.shape), np.float32), bias.astype(np.float32)


def bias_of(matrix: Floats, moments: Moments) -> Floats:
    """What the bias has to be, (groups, rows); zero where the means count, for want of one."""
    if not moments.centred:
        return np.zeros_like(moments.t_mean)
    return moments.t_mean - (matrix @ moments.x_mean[:, :, None])[:, :, 0]


def damped(metric: Floats, share: float) -> Floats:
    """``H + share * mean(diag H) * I`` for each group; I where H is zero."""
    columns = metric.shape[1]
    mean = np.trace(metric, axis1=1, axis2=2) / columns  # (groups,)
    least = max(float(mean.max(initial=0.0)), 1e-30) * 1e-6
    lift = np.where(mean > least, share * mean, 1.0)
    lifted, place = metric.copy(), np.arange(columns)
    lifted[:, place, place] += lift[:, None]
    return lifted


def best_float(matrix: Floats, moments: Moments, share: float) -> Floats:
    """W*, the best float weight for the inputs, (groups, rows, columns); W for no share."""
    if not np.isfinite(share):
        return matrix
    missed = moments.cross - matrix @ moments.metric
    solved = np.linalg.solve(damped(moments.metric, share), missed.transpose(0, 2, 1))
    return np.asarray(matrix + solved.transpose(0, 2, 1))


def choose_damping(matrix: Floats, folds: tuple[Moments, Moments] | None) -> float:
    """A share of the damping whose W* fits unseen data best; infinite if W itself does.

    Args:
        matrix: W.
        folds: moments of two halves of the data; None if there is too little to divide.
    """
    if folds is None:
        return float("inf")
    shares: Sequence[float] = DAMPINGS
    trials = [folds, folds[::-1]]
    if matrix.shape[2] > _LARGE:
        shares, trials = (_USUAL,), [folds]
    losses = {float("inf"): sum(_misfit(matrix, unseen) for _, unseen in trials)}
    for share in shares:
        losses[share] = sum(
            _misfit(best_float(matrix, seen, share), unseen) for seen, unseen in trials
        )
    best, own = min(losses, key=lambda share: losses[share]), losses[float("inf")]
    if own - losses[best] <= _TIE * abs(own):
        return float("inf")
    return max(_FAINTEST, best * _FULLER) if len(shares) > 1 else best


def _misfit(matrix: Floats, moments: Moments) -> float:
    """``E|W x - t|^2`` less ``E|t|^2``."""
    return float(((matrix @ moments.metric - 2 * moments.cross) * matrix).sum())
