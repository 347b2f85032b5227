"""The best float weight W* of a layer for changed inputs, and the damping of its solution.

For columns x with H = E[x x^T], targets t with C = E[t x^T], and the layer's weight W,

    W* = W + (C - W H)(H + d I)^-1

minimises E|W* x - t|^2 plus a penalty on the distance to W. The damping is a share of the mean of
H's diagonal: d = damping * mean(diag H).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.grid import MANY_COLUMNS, Linear
from onnx_evoq.quantize.moments import Moments, corrected_bias

ROUNDING_DAMPING = 0.03  # of H where codes are chosen without a search for the damping
DAMPINGS = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# Half of the data needs more damping than all of it. And errors that differ from position to
# position count less than errors of a whole sample. A tenth of the best damping was better than the
# whole on a ResNet-8, a ResNet-20 and a SqueezeNet (by 2, 9 and 11 % of the output error). But a
# layer whose best damping is large has too few samples for its columns, and needs all of it.
_MIN_SHARE_OF_BEST = 0.1
_DAMPING_WITHOUT_SHARE = 10.0
_MIN_DAMPING = 3e-5  # H is known to about 5e-6 of its diagonal's mean
USUAL_DAMPING = 0.03  # of W*, where dampings are not compared
_DAMPINGS_OF_MANY_COLUMNS = (0.03, 3.0)
_MOST_COLUMNS_IN_DOUBLE = 256  # for comparing dampings
_ALL_ROWS = slice(None)
_ROWS = 64  # of a layer choose its damping, about
LEAST_GAIN = 1e-6  # share of a loss
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
    damped, index = hessian.copy(), np.arange(hessian.shape[1])
    damped[:, index, index] += _added(hessian, damping)[:, None]
    return damped


def _added(hessian: Float64Array, damping: float) -> Float64Array:
    """d of each group, (groups,)."""
    mean = np.trace(hessian, axis1=1, axis2=2) / hessian.shape[1]  # (groups,)
    zero = max(float(mean.max(initial=0.0)), 1e-30) * 1e-6
    return np.where(mean > zero, damping * mean, 1.0)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The eigenvectors V and eigenvalues e of a Hessian, H = V diag(e) V^T.

    With them, systems with ``H + d I`` are solved for any d, and for other targets.

    Attributes:
        hessian: H, (groups, columns, columns).
        values: e, (groups, columns).
        vectors: V, (groups, columns, columns).
    """

    hessian: Float64Array
    values: Float64Array
    vectors: Float64Array

    @classmethod
    def of(cls, hessian: Float64Array) -> "Spectrum":
        """The spectrum of a Hessian; of many columns in float32, in half the time."""
        in_double = hessian.shape[1] <= _MOST_COLUMNS_IN_DOUBLE
        return cls(hessian, *np.linalg.eigh(hessian if in_double else hessian.astype(np.float32)))

    def shrunk(self, projected: Float64Array, damping: float) -> Float64Array:
        """``projected (diag(e) + d I)^-1``, for vectors projected on V, (groups, rows, columns)."""
        added = _added(self.hessian, damping).astype(self.values.dtype)[:, None]
        return np.asarray(projected / (self.values + added)[:, None])


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


def choose_damping(
    matrix: Float64Array,
    folds: tuple[Moments, Moments] | None,
    spectra: Sequence[Spectrum] | None = None,
) -> float:
    """The damping for all of the data, from cross-validation on two halves of it.

    With Q = C - W H of one half and H', C' of the other, W* = W + D V^T with D = Q V (e + d)^-1
    changes the loss of the other half by

        tr(D (V^T H' V) D^T) + 2 tr(D ((W H' - C') V)^T)

    Args:
        matrix: W, (groups, rows, columns).
        folds: moments of the two halves; None if there is too little data to divide.
        spectra: of the Hessians of both halves; None to compute them here.

    Returns:
        A share of the damping whose W* from one half fits the other half best; infinite if W itself
        fits best. For many columns few dampings are compared, on one half, to save time.
    """
    if folds is None:
        return float("inf")
    if matrix.shape[2] > MANY_COLUMNS:
        some = slice(None, None, -(-matrix.shape[1] // _ROWS))  # rows that stand for all of them
        loss_of_w = _loss(matrix[:, some], folds[1], some)
        hessian, residual = folds[0].hessian, folds[0].cross[:, some]
        residual = (residual - matrix[:, some] @ hessian).transpose(0, 2, 1).astype(np.float32)
        losses = []
        for damping in _DAMPINGS_OF_MANY_COLUMNS:
            damped = damped_hessian(hessian, damping).astype(np.float32)
            change = np.linalg.solve(damped, residual).transpose(0, 2, 1)
            losses.append(_loss(matrix[:, some] + change, folds[1], some))
        best = int(np.argmin(losses))
        gains = loss_of_w - losses[best] > LEAST_GAIN * abs(loss_of_w)
        return _DAMPINGS_OF_MANY_COLUMNS[best] if gains else float("inf")
    spectra = spectra or [Spectrum.of(fold.hessian) for fold in folds]
    some = slice(None, None, -(-matrix.shape[1] // _ROWS))  # rows that stand for all of them
    matrix = matrix[:, some]
    changes = np.zeros(len(DAMPINGS))  # of the loss of W
    for spectrum, seen, unseen in zip(spectra, folds, folds[::-1], strict=True):
        vectors = spectrum.vectors
        dtype = vectors.dtype
        residual = (seen.cross[:, some] - matrix @ seen.hessian).astype(dtype, copy=False)
        projected = residual @ vectors  # (groups, rows, columns)
        hessian = unseen.hessian.astype(dtype, copy=False)
        rotated = vectors.transpose(0, 2, 1) @ (hessian @ vectors)
        excess = (matrix @ unseen.hessian - unseen.cross[:, some]).astype(dtype, copy=False)
        slope = excess @ vectors
        for index, damping in enumerate(DAMPINGS):
            change = spectrum.shrunk(projected, damping)
            changes[index] += ((change @ rotated + 2 * slope) * change).sum(dtype=np.float64)
    best = int(changes.argmin())
    if -changes[best] <= LEAST_GAIN * abs(sum(_loss(matrix, fold, some) for fold in folds)):
        return float("inf")
    return damping_of_all(DAMPINGS[best])


def damping_of_all(best: float) -> float:
    """The damping for all of the data, from the one that is best for half of them."""
    share = float(np.clip(best / _DAMPING_WITHOUT_SHARE, _MIN_SHARE_OF_BEST, 1.0))
    return max(_MIN_DAMPING, best * share)


def _loss(matrix: Float64Array, moments: Moments, rows: slice = _ALL_ROWS) -> float:
    """``E|W x - t|^2`` minus ``E|t|^2``, for some rows of the targets."""
    return float(((matrix @ moments.hessian - 2 * moments.cross[:, rows]) * matrix).sum())
