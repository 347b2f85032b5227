"""Moments against plain formulas in float64."""

from collections.abc import Iterator

import numpy as np
import pytest
from graphs import random
from numpy.typing import NDArray

from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.moments.moments import Moments
from onnx_evoq.quantize.moments.sums_of_chunk import TargetSums, target_sums

Floats = NDArray[np.float32]


def gathered(x: Floats, t: Floats, *, centred: bool, chunks: int = 4) -> MomentSums:
    sums = MomentSums(centred)
    for columns, targets in zip(
        np.array_split(x, chunks, axis=1), np.array_split(t, chunks, axis=1), strict=True
    ):
        sums.add(columns, targets)
    return sums


def sums_of(sums: MomentSums, x: Floats, t: Floats) -> TargetSums:
    """The sums of a chunk whose columns are given minus their origin, with other targets."""
    return target_sums(x, lambda some: t[:, some], sums.origins(0)[1])


def chunks_of(
    sums: MomentSums, x: Floats, t: Floats, count: int
) -> Iterator[tuple[TargetSums, bool, int]]:
    """Columns in chunks, with other targets."""
    centred = x - sums.origin()[:, None]
    for columns, targets in zip(
        *(np.array_split(e, count, axis=1) for e in (centred, t)), strict=True
    ):
        yield sums_of(sums, columns, targets), False, 0


def plain(x: Floats, t: Floats, *, centred: bool) -> Moments:
    """The formulas, position by position in float64."""
    x, t = x.astype(np.float64), t.astype(np.float64)
    x_mean, t_mean = x.mean(axis=1), t.mean(axis=1)
    if centred:
        x, t = x - x_mean[:, None], t - t_mean[:, None]
    hessian = np.einsum("gpi,gpj->gij", x, x) / x.shape[1]
    return Moments(hessian, np.einsum("gpi,gpj->gij", t, x) / x.shape[1], x_mean, t_mean)


def assert_same(one: Moments, other: Moments, tolerance: float) -> None:
    for name in ("hessian", "cross", "x_mean", "t_mean"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=tolerance)


@pytest.mark.parametrize("centred", [True, False])
def test_moments_are_those_of_the_formulas(centred: bool) -> None:
    x, t = random(3, 200, 5) + 1, random(3, 200, 4, seed=1) - 2
    sums = gathered(x, t, centred=centred)
    assert_same(sums.moments(), plain(x, t, centred=centred), 1e-5)


def test_a_centred_hessian_is_the_covariance() -> None:
    x = random(1, 300, 4)
    hessian = gathered(x, x, centred=True).moments().hessian[0]
    np.testing.assert_allclose(hessian, np.cov(x[0], rowvar=False, bias=True), atol=1e-6)


def test_two_positions_worked_by_hand() -> None:
    # x = 1, 3 and t = 0, 4: means 2 and 2; E[x x] = 5, E[t x] = 6.
    x, t = np.array([[[1], [3]]], np.float32), np.array([[[0], [4]]], np.float32)
    for centred, hessian, cross in ((False, 5, 6), (True, 1, 2)):
        moments = gathered(x, t, centred=centred, chunks=1).moments()
        assert (moments.hessian.item(), moments.cross.item()) == (hessian, cross)
        assert (moments.x_mean.item(), moments.t_mean.item()) == (2, 2)


def test_a_large_mean_hides_no_variance() -> None:
    # float32 holds x to 5e-4; squares of x itself would hold the variance to no better than 8.
    x = random(1, 20_000, 4) + np.float32(1e4)
    moments = gathered(x, x, centred=True, chunks=20).moments()
    assert_same(moments, plain(x, x, centred=True), 5e-6)
    assert np.diagonal(moments.hessian[0]) == pytest.approx(np.ones(4), abs=0.03)


def test_a_first_chunk_unlike_the_others_loses_no_precision() -> None:
    x = random(1, 4000, 3) + np.float32(100)
    x[:, :10] = 0
    assert_same(gathered(x, x, centred=True, chunks=400).moments(), plain(x, x, centred=True), 1e-3)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("chunks", [2, 3, 7, 120])
def test_any_division_into_chunks_gives_the_same(chunks: int, centred: bool) -> None:
    x, t = random(2, 120, 4) + 3, random(2, 120, 3, seed=1)
    one = gathered(x, t, centred=centred, chunks=1).moments()
    assert_same(gathered(x, t, centred=centred, chunks=chunks).moments(), one, 1e-5)


@pytest.mark.parametrize("chunks", [2, 3, 7, 120])
def test_whole_numbers_are_summed_exactly(chunks: int) -> None:
    rng = np.random.default_rng(0)
    x, t = (rng.integers(-50, 50, (2, 120, n)).astype(np.float32) for n in (4, 3))
    one, other = (gathered(x, t, centred=False, chunks=n).moments() for n in (1, chunks))
    assert (one.hessian == other.hessian).all()
    assert (one.cross == other.cross).all()


def test_folds_are_alternate_chunks() -> None:
    x, t = random(2, 100, 4), random(2, 100, 3, seed=1)
    folds = gathered(x, t, centred=False, chunks=5).folds()  # 20 positions each
    even = np.arange(100) // 20 % 2 == 0
    assert folds is not None
    assert_same(folds[0], plain(x[:, even], t[:, even], centred=False), 1e-5)
    assert_same(folds[1], plain(x[:, ~even], t[:, ~even], centred=False), 1e-5)


def test_each_fold_has_its_own_means() -> None:
    x = np.repeat(np.array([0, 10], np.float32), 50)[None, :, None]
    folds = gathered(x, x, centred=True, chunks=2).folds()
    assert folds is not None
    assert [fold.x_mean.item() for fold in folds] == [0, 10]
    assert [fold.hessian.item() for fold in folds] == [0, 0]


def test_one_chunk_has_no_folds() -> None:
    assert gathered(random(1, 5, 2), random(1, 5, 2), centred=True, chunks=1).folds() is None


@pytest.mark.parametrize("centred", [True, False])
def test_heldout_chunks_are_a_fold_of_their_own_and_only_judge(centred: bool) -> None:
    x, t, other = random(2, 60, 4) + 2, random(2, 60, 3, seed=1), random(2, 60, 3, seed=2)
    sums, places = MomentSums(centred, heldout=True), (slice(0, 20), slice(20, 35), slice(35, 60))
    centred_chunks = [sums.add(x[:, at], t[:, at], heldout=at.start == 0) for at in places]
    assert sums.count == 40
    found = sums.with_targets(
        (sums_of(sums, chunk, other[:, at]), at.start == 0, 0)
        for chunk, at in zip(centred_chunks, places, strict=True)
    )
    for each, targets in ((sums, t), (found, other)):
        fitted = plain(x[:, 20:], targets[:, 20:], centred=centred)
        assert_same(each.moments(), fitted, 1e-5)
        seen, unseen = each.folds() or (None, None)
        assert seen is not None
        assert unseen is not None
        assert_same(seen, fitted, 1e-5)
        assert_same(unseen, plain(x[:, :20], targets[:, :20], centred=centred), 1e-5)


def test_without_heldout_chunks_there_is_nothing_to_judge_with() -> None:
    sums = MomentSums(centred=True, heldout=True)
    for _ in range(2):
        sums.add(random(1, 5, 2), random(1, 5, 2))
    assert sums.folds() is None


@pytest.mark.parametrize("centred", [True, False])
def test_the_columns_minus_the_mean_of_the_first_chunk_come_back(centred: bool) -> None:
    sums, x = MomentSums(centred), random(2, 20, 3) + 5
    origin = x[:, :8].mean(axis=1) if centred else np.zeros((2, 3))
    for part in (slice(0, 8), slice(8, 20)):
        found = sums.add(x[:, part], x[:, part])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, x[:, part] - origin[:, None], atol=1e-6)
    np.testing.assert_allclose(sums.origin(), origin, atol=1e-6)


def test_adding_leaves_a_chunk_as_it_is() -> None:
    x = random(1, 5, 2)
    before = x.copy()
    gathered(x, x, centred=True)
    assert (x == before).all()


@pytest.mark.parametrize("centred", [True, False])
def test_replaced_targets_give_the_moments_of_these_targets(centred: bool) -> None:
    x, t, other = random(2, 120, 4) + 3, random(2, 120, 3, seed=1), random(2, 120, 3, seed=2) + 1
    sums = gathered(x, t, centred=centred, chunks=5)
    found = sums.with_targets(chunks_of(sums, x, other, 5))
    expected = gathered(x, other, centred=centred, chunks=5)
    assert_same(found.moments(), expected.moments(), 1e-5)
    for one, two in zip(found.folds() or (), expected.folds() or (), strict=True):
        assert_same(one, two, 1e-5)


def test_the_same_targets_give_the_same_moments() -> None:
    x, t = random(2, 100, 4), random(2, 100, 3, seed=1)
    sums = gathered(x, t, centred=True, chunks=4)
    again = sums.with_targets(chunks_of(sums, x, t, 4))
    assert_same(again.moments(), sums.moments(), 0)


def test_chunks_may_differ_in_size() -> None:
    x, t = random(2, 60, 4) + 1, random(2, 60, 3, seed=1)
    sums = MomentSums(centred=True)
    for start, end in ((0, 30), (30, 31), (31, 60)):
        sums.add(x[:, start:end], t[:, start:end])
    assert_same(sums.moments(), plain(x, t, centred=True), 1e-5)


@pytest.mark.parametrize(("x", "t"), [(1e30, 1), (np.nan, 1), (1, np.inf), (1e20, 1e30)])
def test_values_whose_products_overflow_are_not_finite(x: float, t: float) -> None:
    columns, targets = random(1, 8, 2), random(1, 8, 2, seed=1)
    assert gathered(columns, targets, centred=False, chunks=2).finite
    columns[0, 5, 0], targets[0, 5, 0] = x, t
    with np.errstate(over="ignore", invalid="ignore"):
        assert not gathered(columns, targets, centred=False, chunks=2).finite


@pytest.mark.parametrize("centred", [True, False])
def test_the_last_moments_are_those_that_would_come_again(centred: bool) -> None:
    given = [MomentSums(centred, heldout=True) for _ in range(2)]
    for sums in given:
        for seed in (0, 1):
            sums.add(random(2, 9, 4, seed=seed) + 1, random(2, 9, 3, seed=seed + 5))
    usual, last = given[0].moments(), given[1].last_moments()
    again = given[1].moments(last.hessian)
    for name in ("hessian", "cross", "x_mean", "t_mean"):
        np.testing.assert_array_equal(getattr(last, name), getattr(usual, name))
        np.testing.assert_array_equal(getattr(again, name), getattr(usual, name))


@pytest.mark.parametrize("centred", [True, False])
def test_the_moments_of_several_uses_are_those_of_all_positions_less_the_means_of_each(
    centred: bool,
) -> None:
    sizes, sums = (40, 25), MomentSums((centred, centred))
    x = [random(2, n, 4, seed=n) + n for n in sizes]
    t = [random(2, n, 3, seed=n + 1) - n for n in sizes]
    for use in (1, 0):
        halves = np.array_split(x[use], 2, axis=1), np.array_split(t[use], 2, axis=1)
        for columns, targets in zip(*halves, strict=True):
            sums.start([columns], [targets], use)
            less = columns - sums.origin(use)[:, None]
            sums.add_from_origin(less, targets, use=use)
    alone = [plain(*both, centred=centred) for both in zip(x, t, strict=True)]
    found = sums.moments()
    for name in ("hessian", "cross"):
        of_all = sum(n * getattr(each, name) for n, each in zip(sizes, alone, strict=True))
        np.testing.assert_allclose(getattr(found, name), of_all / sum(sizes), rtol=1e-3, atol=1e-3)
    for name in ("x_mean", "t_mean"):
        expected = np.stack([getattr(each, name) for each in alone])
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-4)
    folds = sums.folds()
    assert folds is not None
    halves_of_0 = plain(x[0][:, :20], t[0][:, :20], centred=centred)
    np.testing.assert_allclose(folds[0].x_mean[0], halves_of_0.x_mean, atol=1e-4)
