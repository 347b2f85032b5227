"""Square matrices as they are sent: in little more than half of their bytes, and without loss.

Of triangular matrices, bands of rows are sent up to their last column on the diagonal. So are those
of symmetric ones, with the entries right of the bands that are not those below them: sums may
differ in their last bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Indices

_BAND = 128  # rows that end at the same column

Matrices = NDArray[np.floating]  # (groups, columns, columns)


@dataclass(frozen=True, eq=False)
class SentSymmetric:
    """Symmetric matrices as they are sent.

    Example:
        >>> sent = SentSymmetric.of(np.array([[[1.0, 2.0], [2.0, 3.0]]]))
        >>> sent.matrices().tolist()
        [[[1.0, 2.0], [2.0, 3.0]]]

    Attributes:
        bands: as `bands_of` gives them.
        odd: entries right of the bands that are not those below them: groups, rows and columns.
        values: of these entries.
    """

    bands: list[Matrices]
    odd: tuple[Indices, ...]
    values: Matrices

    @classmethod
    def of(cls, matrices: Matrices) -> "SentSymmetric":
        """What is sent of matrices, (groups, columns, columns)."""
        odd = _odd_entries(matrices)
        return cls(bands_of(matrices), odd, matrices[odd])

    def matrices(self) -> Matrices:
        """The matrices that were sent, to the bit."""
        found = from_bands(self.bands)
        for start, band in zip(_starts(found), self.bands, strict=True):
            end = start + band.shape[1]
            found[:, :start, start:end] = band[:, :, :start].transpose(0, 2, 1)
        found[self.odd] = self.values
        return found


def bands_of(matrices: Matrices) -> list[Matrices]:
    """The rows of matrices without most of what is right of the diagonal.

    Args:
        matrices: (groups, columns, columns).

    Returns:
        (groups, at most 128, columns) each.
    """
    return [
        np.ascontiguousarray(matrices[:, start : start + _BAND, : start + _BAND])
        for start in _starts(matrices)
    ]


def from_bands(bands: list[Matrices]) -> Matrices:
    """The matrices whose bands are given, with zeros right of them."""
    groups, _, columns = bands[-1].shape
    matrices = np.zeros((groups, columns, columns), bands[-1].dtype)
    for start, band in zip(_starts(matrices), bands, strict=True):
        matrices[:, start : start + band.shape[1], : band.shape[2]] = band
    return matrices


def _starts(matrices: Matrices) -> range:
    return range(0, matrices.shape[1], _BAND)


def _odd_entries(matrices: Matrices) -> tuple[Indices, ...]:
    found = []
    for start in _starts(matrices):
        above = matrices[:, :start, start : start + _BAND]
        below = matrices[:, start : start + _BAND, :start].transpose(0, 2, 1)
        group, row, column = np.nonzero(above != below)
        found.append((group, row, column + start))
    return tuple(np.concatenate(each) for each in zip(*found, strict=True))
