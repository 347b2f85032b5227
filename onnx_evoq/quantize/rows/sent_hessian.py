"""What the search of codes reads of a Hessian, in little more than half of its bytes.

Of an H that is given as a matrix, the algorithms read H in the type of products, its diagonal and
its Cholesky factor. H is symmetric, and the factor is triangular (`sent_matrices`). So H of 4096
columns takes 69 MB, in place of 268 MB with its sums in float64.
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
from onnx_evoq.quantize.rows.sent_matrices import SentSymmetric, bands_of, from_bands


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
        rounded: H.
        diagonal: H_jj, (groups, columns).
        order: of the factor, (groups, columns).
        pivots: of the factor, (groups, columns).
        lower: bands of the factor.
    """

    rounded: SentSymmetric
    diagonal: Float64Array
    order: Indices
    pivots: Float64Array
    lower: list[Floats]

    @classmethod
    def of(cls, hessian: RoundedHessian) -> "SentHessian":
        """What is sent of a Hessian."""
        factor = hessian.factor
        return cls(
            SentSymmetric.of(hessian.rounded), hessian.diagonal,
            factor.order, factor.pivots, bands_of(factor.lower),
        )  # fmt: skip

    def hessian(self) -> RoundedHessian:
        """The Hessian that was sent, to the bit."""
        factor = CholeskyFactor(self.order, self.pivots, from_bands(self.lower))
        return RoundedHessian(self.rounded.matrices(), self.diagonal, factor)
