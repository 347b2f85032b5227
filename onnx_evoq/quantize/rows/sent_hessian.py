"""What the search of codes reads of a Hessian, in little more than half of its bytes.

Of an H that is given as a matrix, the algorithms read H in the type of products, its diagonal and
its Cholesky factor. The factor is triangular. H is symmetric but for the last bits of few entries,
which are sent beside its triangle. So H of 4096 columns takes 69 MB, in place of 268 MB with its
sums in float64.
"""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid import (
    CholeskyFactor,
    FactoredHessian,
    Floats,
    MatrixProducts,
)

_BAND = 128  # rows that end at the same column


@dataclass(frozen=True, eq=False)
class RoundedHessian(MatrixProducts):
    """An H that is given as a matrix, in the type of products only.

    Attributes:
        rounded: H with its damping, (groups, columns, columns).
        diagonal: H_jj, (groups, columns).
        factor: the Cholesky factor.
    """

    rounded: Floats
    diagonal: Float64Array
    factor: CholeskyFactor

    @property
    def dtype(self) -> type[np.floating]:
        """That of products."""
        return self.rounded.dtype.type

    @classmethod
    def of(cls, hessian: FactoredHessian, groups: slice) -> "RoundedHessian":
        """Some groups of a Hessian, of which nothing is copied."""
        factor = hessian.factor
        own = CholeskyFactor(factor.order[groups], factor.pivots[groups], factor.lower[groups])
        return cls(hessian.rounded[groups], hessian.diagonal[groups], own)


@dataclass(frozen=True, eq=False)
class SentHessian:
    """A `RoundedHessian` as it is sent.

    Attributes:
        bands: rows of H up to their last column on the diagonal, (groups, at most 128, columns).
        odd: where H is not symmetric to the last bit, entries above the diagonal: their groups,
            rows and columns.
        values: of these entries.
        diagonal: H_jj, (groups, columns).
        order: of the factor, (groups, columns).
        pivots: of the factor, (groups, columns).
        lower: rows of the factor, as `bands`.
    """

    bands: list[Floats]
    odd: tuple[Indices, ...]
    values: Floats
    diagonal: Float64Array
    order: Indices
    pivots: Float64Array
    lower: list[Floats]

    @classmethod
    def of(cls, hessian: RoundedHessian) -> "SentHessian":
        """What is sent of a Hessian."""
        rounded, factor = hessian.rounded, hessian.factor
        odd = _odd_entries(rounded)
        return cls(
            _bands(rounded), odd, rounded[odd],
            hessian.diagonal, factor.order, factor.pivots, _bands(factor.lower),
        )  # fmt: skip

    def hessian(self) -> RoundedHessian:
        """The Hessian that was sent, to the bit."""
        rounded, lower = _from_bands(self.bands), _from_bands(self.lower)
        for start, band in zip(_starts(self.diagonal.shape[1]), self.bands, strict=True):
            end = start + band.shape[1]
            rounded[:, :start, start:end] = band[:, :, :start].transpose(0, 2, 1)
        rounded[self.odd] = self.values
        factor = CholeskyFactor(self.order, self.pivots, lower)
        return RoundedHessian(rounded, self.diagonal, factor)


def _starts(columns: int) -> range:
    return range(0, columns, _BAND)


def _bands(matrix: Floats) -> list[Floats]:
    """The rows of matrices, (groups, columns, columns), without most of what is right of them."""
    ends = [(start, min(start + _BAND, matrix.shape[1])) for start in _starts(matrix.shape[1])]
    return [np.ascontiguousarray(matrix[:, start:end, :end]) for start, end in ends]


def _from_bands(bands: list[Floats]) -> Floats:
    """The matrices whose bands are given, with zeros right of them."""
    groups, _, columns = bands[-1].shape
    matrix = np.zeros((groups, columns, columns), bands[-1].dtype)
    for start, band in zip(_starts(columns), bands, strict=True):
        matrix[:, start : start + band.shape[1], : band.shape[2]] = band
    return matrix


def _odd_entries(matrix: Floats) -> tuple[Indices, ...]:
    """The entries right of the bands that are not those below them: groups, rows and columns."""
    found = []
    for start in _starts(matrix.shape[1]):
        above = matrix[:, :start, start : start + _BAND]
        below = matrix[:, start : start + _BAND, :start].transpose(0, 2, 1)
        group, row, column = np.nonzero(above != below)
        found.append((group, row, column + start))
    return tuple(np.concatenate(each) for each in zip(*found, strict=True))
