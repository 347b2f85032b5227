"""Chunks of columns and targets, and what several of them become."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.quantize.moments.sample_chunk import SampleChunk, joined, less_means, transposed


def chunk(seed: int, *, shifted: bool = False) -> SampleChunk:
    """Two groups, five positions, four columns, three rows."""
    shift = random(2, 5, 3, seed=seed + 20) if shifted else None
    return SampleChunk(random(2, 5, 4, seed=seed) + 1, random(2, 5, 3, seed=seed + 10), shift)


def test_several_chunks_become_one() -> None:
    one, other = (chunk(seed, shifted=True) for seed in (1, 2))
    together = joined([one, other])
    for name in ("columns", "targets", "shift"):
        expected = np.concatenate([getattr(one, name), getattr(other, name)], axis=1)
        np.testing.assert_array_equal(getattr(together, name), expected)


def test_chunks_without_a_shift_are_joined_without_one() -> None:
    one, other = chunk(1), chunk(2)
    assert joined([one, other]).shift is None
    assert joined([one]) is one


def test_an_origin_is_subtracted_from_the_columns_only() -> None:
    one, other, origin = chunk(1), chunk(2), random(2, 4, seed=9)
    for given in ([one], [one, other]):
        found, plain = joined(given, origin), joined(given)
        np.testing.assert_array_equal(found.columns, plain.columns - origin[:, None])
        np.testing.assert_array_equal(found.targets, plain.targets)


@pytest.mark.parametrize("name", ["columns", "targets"])
@pytest.mark.parametrize(("value", "finite"), [(1e15, True), (1e30, False), (np.nan, False)])
def test_values_are_finite_if_their_squares_are(name: str, value: float, finite: bool) -> None:
    given = chunk(1)
    getattr(given, name)[1, 2, 0] = value
    with np.errstate(over="ignore"):
        assert given.finite == finite


def test_whether_values_are_finite_does_not_depend_on_others() -> None:
    large = np.full((1, 4, 2), 1.2e19, np.float32)  # the sum of two squares overflows
    for positions in (1, 4):
        assert SampleChunk(large[:, :positions], large[:, :positions]).finite


def test_means_are_subtracted_where_a_use_is_centred() -> None:
    parts = [random(1, 4, 2, seed=k) + 3 for k in range(3)]
    others = [random(1, 6, 2, seed=5), random(1, 6, 2, seed=6), random(1, 0, 2)]
    found = less_means(parts, others, [True, False, True])
    first = parts[0] - others[0].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.concatenate([first, parts[1], parts[2]], axis=1))


def test_a_matrix_is_transposed_in_single_precision() -> None:
    matrix = random(2, 3, 4).astype(np.float64)
    found = transposed(matrix)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, matrix.transpose(0, 2, 1).astype(np.float32))
