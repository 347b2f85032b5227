"""The best float weight W* of a layer for changed inputs, and how much its solution is damped.

For columns x with H = E[x x^T], targets t with C = E[t x^T], and the layer's weight W,

    W* = W + (C - W H)(H + d I)^-1

minimises E|W* x - t|^2 with a pull towards W. The damping d is a share of the mean of H's diagonal.
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.moments import Moments
from onnx_evoq.quantize.grid import Linear

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
_SEARCHED_UP_TO = 1200


def refit(
    weight: Float32Array, layer: Linear, moments: Moments
) -> tuple[Float32Array, Float32Array]:
    """The best float weight for changed inputs, W*, and the bias that goes with it, (channels,).

    Args:
        weight: the float weight, in its own shape.
        layer: how it becomes a matrix.
        moments: of its columns and targets.
    """
    best_weight = best_float(layer.matrix(weight).astype(np.float64), moments, _REFIT)
    bias = bias_of(best_weight, moments).ravel()
    return np.asarray(layer.weight(best_weight, weight.shape), np.float32), bias.astype(np.float32)


def bias_of(matrix: Float64Array, moments: Moments) -> Float64Array:
    """What the bias has to be, (groups, rows); zero where the means count, for want of one."""
    if not moments.centred:
        return np.zeros_like(moments.t_mean)
    return moments.t_mean - (matrix @ moments.x_mean[:, :, None])[:, :, 0]


def damped(hessian: Float64Array, share: float) -> Float64Array:
    """``H + share * mean(diag H) * I`` for each group; I where H is zero."""
    columns = hessian.shape[1]
    mean = np.trace(hessian, axis1=1, axis2=2) / columns  # (groups,)
    least = max(float(mean.max(initial=0.0)), 1e-30) * 1e-6
    lift = np.where(mean > least, share * mean, 1.0)
    lifted, index = hessian.copy(), np.arange(columns)
    lifted[:, index, index] += lift[:, None]
    return lifted


def best_float(matrix: Float64Array, moments: Moments, share: float) -> Float64Array:
    """W*, the best float weight for the inputs, (groups, rows, columns); W for no share."""
    if not np.isfinite(share):
        return matrix
    missed = moments.cross - matrix @ moments.hessian
    solved = np.linalg.solve(damped(moments.hessian, share), missed.transpose(0, 2, 1))
    return np.asarray(matrix + solved.transpose(0, 2, 1))


def choose_damping(matrix: Float64Array, folds: tuple[Moments, Moments] | None) -> float:
    """A share of the damping whose W* fits unseen data best; infinite if W itself does.

    Args:
        matrix: W.
        folds: moments of two halves of the data; None if there is too little to divide.
    """
    if folds is None:
        return float("inf")
    shares: Sequence[float] = DAMPINGS
    trials = [folds, folds[::-1]]
    if matrix.shape[2] > _SEARCHED_UP_TO:
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


def _misfit(matrix: Float64Array, moments: Moments) -> float:
    """``E|W x - t|^2`` less ``E|t|^2``."""
    return float(((matrix @ moments.hessian - 2 * moments.cross) * matrix).sum())
