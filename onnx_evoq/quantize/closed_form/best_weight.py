"""The best float weight W* of a layer for changed inputs, and the damping of its solution.

For columns x with H = E[x x^T], targets t with C = E[t x^T], and the layer's weight W,

    W* = W + (C - W H)(H + d I)^-1

minimises E|W* x - t|^2 plus a penalty on the distance to W. The damping is a share of the mean of
H's diagonal: d = damping * mean(diag H).
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.bias_correction import corrected_bias
from onnx_evoq.quantize.closed_form.moments import Moments
from onnx_evoq.quantize.grid import MANY_COLUMNS, Linear

ROUNDING_DAMPING = 0.03  # of H where codes are chosen without a search for the damping
DAMPINGS = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
# Half of the data needs more damping than all of it. And errors that differ from position to
# position count less than errors of a whole sample. A tenth of the best damping was better than the
# whole on a ResNet-8, a ResNet-20 and a SqueezeNet (by 2, 9 and 11 % of the output error).
_SHARE_OF_BEST = 0.1
_MIN_DAMPING = 3e-5  # H is known to about 5e-6 of its diagonal's mean
_DAMPING_OF_MANY_COLUMNS = 0.03
_MIN_GAIN = 1e-6  # share of a loss
_REFIT_DAMPING = 1e-3


def refit(
    weight: Float32Array, layer: Linear, moments: Moments
) -> tuple[Float32Array, Float32Array]:
    """The best float weight W*, in the weight's shape, and its bias, (channels,).

    Args:
        weight: the float weight, in its own shape.
        layer: how the weight becomes a matrix.
        moments: second moments of the layer's columns and targets.
    """
    matrix = layer.matrix(weight).astype(np.float64)
    best_weight = solve_best_weight(matrix, moments, _REFIT_DAMPING)
    bias = corrected_bias(best_weight, moments).ravel()
    return np.asarray(layer.weight(best_weight, weight.shape), np.float32), bias.astype(np.float32)


def damped_hessian(hessian: Float64Array, damping: float) -> Float64Array:
    """``H + damping * mean(diag H) * I`` of each group; a group with H = 0 gets I."""
    columns = hessian.shape[1]
    mean = np.trace(hessian, axis1=1, axis2=2) / columns  # (groups,)
    zero = max(float(mean.max(initial=0.0)), 1e-30) * 1e-6
    added = np.where(mean > zero, damping * mean, 1.0)
    damped, index = hessian.copy(), np.arange(columns)
    damped[:, index, index] += added[:, None]
    return damped


def solve_best_weight(matrix: Float64Array, moments: Moments, damping: float) -> Float64Array:
    """The best float weight W*, (groups, rows, columns).

    Args:
        matrix: W, (groups, rows, columns).
        moments: H and C.
        damping: d as a share of the mean of H's diagonal; W* is W if it is infinite.
    """
    if not np.isfinite(damping):
        return matrix
    residual = moments.cross - matrix @ moments.hessian  # C - W H
    solved = np.linalg.solve(damped_hessian(moments.hessian, damping), residual.transpose(0, 2, 1))
    return np.asarray(matrix + solved.transpose(0, 2, 1))


def choose_damping(matrix: Float64Array, folds: tuple[Moments, Moments] | None) -> float:
    """The damping for all of the data, from cross-validation on two halves of it.

    Args:
        matrix: W, (groups, rows, columns).
        folds: moments of the two halves; None if there is too little data to divide.

    Returns:
        A tenth of the damping whose W* from one half fits the other half best; infinite if W itself
        fits best. For many columns one damping is compared with W, on one half, to save time.
    """
    if folds is None:
        return float("inf")
    dampings: Sequence[float] = DAMPINGS
    trials = [folds, folds[::-1]]
    if many_columns := matrix.shape[2] > MANY_COLUMNS:
        dampings, trials = (_DAMPING_OF_MANY_COLUMNS,), [folds]
    losses = {
        damping: sum(
            _loss(solve_best_weight(matrix, seen, damping), unseen) for seen, unseen in trials
        )
        for damping in (float("inf"), *dampings)
    }
    best, loss_of_w = min(losses, key=lambda damping: losses[damping]), losses[float("inf")]
    if loss_of_w - losses[best] <= _MIN_GAIN * abs(loss_of_w):
        return float("inf")
    return best if many_columns else max(_MIN_DAMPING, best * _SHARE_OF_BEST)


def _loss(matrix: Float64Array, moments: Moments) -> float:
    """``E|W x - t|^2`` minus ``E|t|^2``."""
    return float(((matrix @ moments.hessian - 2 * moments.cross) * matrix).sum())
