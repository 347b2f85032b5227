"""Matrices arrive to the bit, in little more than half of their bytes."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.executors.tasks.packing import packed, parts_of, unpacked
from onnx_evoq.quantize.rows import sent_matrices as module
from onnx_evoq.quantize.rows.sent_matrices import SentSymmetric, bands_of, from_bands


@pytest.mark.parametrize("width", [1, 3, 4, 9])
@pytest.mark.parametrize("odd", [False, True])
def test_symmetric_matrices_come_back_whole(
    monkeypatch: pytest.MonkeyPatch, width: int, odd: bool
) -> None:
    monkeypatch.setattr(module, "_BAND", 4)
    x = random(2, 7, width)
    products = x.transpose(0, 2, 1) @ x
    products = np.tril(products) + np.tril(products, -1).transpose(0, 2, 1)
    if odd:
        products[1, 0, -1] += 1e-3
        products[0, -1, 0] = np.nan
    found: SentSymmetric = unpacked(packed(parts_of(SentSymmetric.of(products))[0]))
    np.testing.assert_array_equal(found.matrices(), products)
    assert found.matrices().dtype == np.float32
    assert sum(band.size for band in found.bands) <= 2 * width * (width + 4) / 2 + 2 * 16


def test_of_triangular_matrices_only_bands_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BAND", 3)
    lower = np.tril(random(2, 8, 8))
    bands = bands_of(lower)
    assert [band.shape for band in bands] == [(2, 3, 3), (2, 3, 6), (2, 2, 8)]
    np.testing.assert_array_equal(from_bands(bands), lower)
