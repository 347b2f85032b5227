"""The best float weight W* of a layer for changed inputs, and the damping of its solution.

For columns x with H = E[x x^T], targets t with C = E[t x^T], and the layer's weight W,

    W* = W + (C - W H)(H + d I)^-1

minimises E|W* x - t|^2 plus a penalty on the distance to W. The damping is a share of the mean of
H's diagonal: d = damping * mean(diag H).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.grid import FactoredHessian, Linear
from onnx_evoq.quantize.moments import (
    HeldoutLosses,
    LayerSamples,
    Moments,
    corrected_bias,
    transposed,
)

ROUNDING_DAMPING = 0.03  # of H where codes are chosen without a search for the damping
DAMPINGS = (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0)  # that are compared; ascending
_FIRST = (3, 4)  # of these, with which the comparison begins
# Without held-out samples, one half judges the other. Half of the data needs more damping than all
# of it. And errors that differ from position to position count less than errors of a whole sample.
# A tenth of the best damping was better than the whole on a ResNet-8, a ResNet-20 and a SqueezeNet
# (by 2, 9 and 11 % of the output error). But a layer whose best damping is large has too few
# samples for its columns, and needs all of it.
_MIN_SHARE_OF_BEST = 0.1
_DAMPING_WITHOUT_SHARE = 10.0
_MIN_DAMPING = 3e-5  # H is known to about 5e-6 of its diagonal's mean
USUAL_DAMPING = 0.03  # of W*, where dampings are not compared
# More columns are solved in float32: where dampings are compared, and for W* itself.
MOST_COLUMNS_IN_DOUBLE, MOST_COLUMNS_OF_W_IN_DOUBLE = 256, 2048
_ROWS = 64  # of a layer choose its damping, about
_LEAST_GAIN = 1e-6  # share of a loss
_REFIT_DAMPING = 1e-3


def refit(
    weight: Float32Array, layer: Linear, moments: Moments
) -> tuple[Float32Array, Float32Array]:
    """The best float weight W*, in the weight's shape, and its bias.

    The bias is (channels,), or (uses, channels) for the moments of several uses.

    Args:
        weight: the float weight, in its own shape.
        layer: how the weight becomes a matrix.
        moments: second moments of the layer's columns and targets.
    """
    matrix = layer.matrix(weight).astype(np.float64)
    best_weight = solve_best_weight(matrix, moments, _REFIT_DAMPING)
    biases = corrected_bias(best_weight, moments)
    bias = biases.reshape(*biases.shape[:-2], -1)
    return np.asarray(layer.weight(best_weight, weight.shape), np.float32), bias.astype(np.float32)


def factored(hessian: Float64Array, damping: float) -> FactoredHessian:
    """``H + d I`` with its Cholesky factor, for the search of codes.

    Args:
        hessian: H, (groups, columns, columns).
        damping: d as a share of the mean of H's diagonal.
    """
    return FactoredHessian(hessian, added_damping(hessian, damping))


def added_damping(hessian: Float64Array, damping: float) -> Float64Array:
    """``d = damping * mean(diag H)`` of each group, (groups,); 1 for a group with H = 0.

    Args:
        hessian: H, (groups, columns, columns).
        damping: d as a share of the mean of H's diagonal.
    """
    mean = np.trace(hessian, axis1=1, axis2=2) / hessian.shape[1]  # (groups,)
    zero = max(float(mean.max(initial=0.0)), 1e-30) * 1e-6
    return np.where(mean > zero, damping * mean, 1.0)


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
    return np.asarray(matrix + solved(moments.hessian, damping, residual))


def solved(
    hessian: Float64Array,
    damping: float,
    residual: Float64Array,
    most_in_double: int = MOST_COLUMNS_OF_W_IN_DOUBLE,
) -> NDArray[np.floating]:
    """``residual (H + d I)^-1``, (groups, rows, columns).

    Args:
        hessian: H, (groups, columns, columns).
        damping: d as a share of the mean of H's diagonal.
        residual: (groups, rows, columns).
        most_in_double: number of columns above which it is computed in float32.
    """
    dtype: type[np.floating] = np.float64 if hessian.shape[1] <= most_in_double else np.float32
    damped, index = hessian.astype(dtype), np.arange(hessian.shape[1])
    damped[:, index, index] = hessian[:, index, index] + added_damping(hessian, damping)[:, None]
    right = residual.transpose(0, 2, 1).astype(dtype, copy=False)
    return np.linalg.solve(damped, right).transpose(0, 2, 1)


def choose_damping(
    matrix: Float64Array, folds: tuple[Moments, Moments] | None, *, heldout: bool = False
) -> float:
    """The damping of W* that fits unseen samples best.

    With D = (C - W H)(H + d I)^-1 of one fold and H', C' of the other, W* = W + D changes the loss
    of the other by

        tr(D H' D^T) + 2 tr(D (W H' - C')^T)

    The comparison goes from one damping to the next as long as that lowers the loss.

    Args:
        matrix: W, (groups, rows, columns).
        folds: moments of the samples, and of those that judge; None if there are none of these.
        heldout: whether the second fold is of held-out samples. They have had no part in the layers
            before this one. Else the folds are halves of the samples.

    Returns:
        The damping whose W* from the first fold fits the second one best, or the one for all
        samples that follows from that of a half (`damping_of_all`); infinite if W itself fits best.
    """
    if folds is None:
        return float("inf")
    seen, unseen = folds
    some = rows_for_all(matrix)
    matrix = matrix[:, some]
    hessian, residual = seen.hessian, seen.cross[:, some] - matrix @ seen.hessian
    slope = 2 * (matrix @ unseen.hessian - unseen.cross[:, some])
    in_double = matrix.shape[2] <= MOST_COLUMNS_IN_DOUBLE
    rounded = unseen.hessian if in_double else unseen.hessian.astype(np.float32)

    def change(damping: float) -> float:
        if not np.isfinite(damping):
            return 0.0
        moved = solved(hessian, damping, residual, MOST_COLUMNS_IN_DOUBLE)
        return float(((moved @ rounded + slope) * moved).sum(dtype=np.float64))

    of_matrix = abs(_loss(matrix, unseen, some))
    best = best_of_dampings(lambda dampings: [change(each) for each in dampings], of_matrix)
    return best if heldout else damping_of_all(best)


def choose_damping_by_samples(
    matrix: Float64Array, moments: Moments, samples: LayerSamples
) -> float:
    """As `choose_damping`, with samples that judge in place of their moments.

    Of many columns, the product of their columns would take longer than the comparison, and as much
    memory as H. Each W* is judged with the bias that it would have.

    Args:
        matrix: W, (groups, rows, columns).
        moments: of the samples that W* is fitted to.
        samples: some of which judge by themselves.
    """
    some = rows_for_all(matrix)
    matrix = matrix[:, some]
    residual = moments.cross[:, some] - matrix @ moments.hessian

    def weight(damping: float) -> Float64Array:
        if not np.isfinite(damping):
            return matrix
        return matrix + solved(moments.hessian, damping, residual, MOST_COLUMNS_IN_DOUBLE)

    x_mean, t_mean = (
        np.where(np.array(moments.by_use)[:, None, None], each, 0).astype(np.float32)
        for each in (moments.x_mean, moments.t_mean[..., some])
    )  # (uses, groups, columns), (uses, groups, rows)

    def losses(dampings: Sequence[float]) -> Sequence[float]:
        weights = [transposed(weight(each)) for each in dampings]
        return samples.heldout_losses(HeldoutLosses(weights, some, x_mean, t_mean))

    return best_of_dampings(losses)


def rows_for_all(matrix: Float64Array) -> slice:
    """Some rows of a matrix, (groups, rows, columns), that stand for all of them."""
    return slice(None, None, -(-matrix.shape[1] // _ROWS))


def best_of_dampings(
    losses: Callable[[Sequence[float]], Sequence[float]], scale: float | None = None
) -> float:
    """The best damping of W*; infinite if W itself is best.

    Args:
        losses: those of W* with some dampings; W* with an infinite one is W. It may leave out what
            is the same for all.
        scale: a gain of less than a millionth of it is none; None for the loss of W.
    """
    own, *first = losses([float("inf"), *(DAMPINGS[number] for number in _FIRST)])
    found = dict(zip(_FIRST, first, strict=True))  # by the number of the damping
    while True:
        best = min(found, key=lambda number: np.nan_to_num(found[number], nan=np.inf))
        new = sorted({best - 1, best + 1} & set(range(len(DAMPINGS))) - found.keys())
        if not new:
            break
        found |= zip(new, losses([DAMPINGS[number] for number in new]), strict=True)
    gains = own - found[best] > _LEAST_GAIN * (own if scale is None else scale)
    return DAMPINGS[best] if gains else float("inf")


def damping_of_all(best: float) -> float:
    """The damping for all of the data, from the one that is best for half of them."""
    if not np.isfinite(best):
        return best
    share = float(np.clip(best / _DAMPING_WITHOUT_SHARE, _MIN_SHARE_OF_BEST, 1.0))
    return max(_MIN_DAMPING, best * share)


def _loss(matrix: Float64Array, moments: Moments, rows: slice) -> float:
    """``E|W x - t|^2`` minus ``E|t|^2``, for some rows of the targets."""
    return float(((matrix @ moments.hessian - 2 * moments.cross[:, rows]) * matrix).sum())
