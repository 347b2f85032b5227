"""The best float weight against least squares, and the choice of its damping."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import random
from layer_problems import DENSE, correlated, moments_with, sums_of
from numpy.typing import NDArray

from onnx_evoq.quantize import LayerSamples, SampleChunk, refit
from onnx_evoq.quantize.closed_form import best_weight as module
from onnx_evoq.quantize.closed_form.best_weight import (
    DAMPINGS,
    added_damping,
    best_of_dampings,
    choose_damping,
    damping_of_all,
    solve_best_weight,
    solved,
)
from onnx_evoq.quantize.closed_form.moment_equations import MomentEquations
from onnx_evoq.quantize.moments.bias_correction import corrected_bias
from onnx_evoq.quantize.moments.moments import Moments

WHITE = moments_with(np.eye(6)[None], rows=3)
ONE = moments_with(np.ones((1, 1, 1)))
ZERO = np.zeros((1, 1, 1))


def test_without_damping_the_best_weight_is_that_of_least_squares() -> None:
    x, t, weight = correlated(300, 6), random(300, 3, seed=9), random(1, 3, 6, seed=10)
    expected = np.linalg.lstsq(x.astype(np.float64), t.astype(np.float64))[0].T
    found = solve_best_weight(weight.astype(np.float64), sums_of(x, t).moments(), 0.0)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_with_centred_moments_it_is_that_of_least_squares_with_a_constant() -> None:
    x, t = correlated(300, 5) + 3, random(300, 2, seed=9) - 1
    with_one = np.concatenate([x, np.ones((300, 1))], axis=1).astype(np.float64)
    expected = np.linalg.lstsq(with_one, t.astype(np.float64))[0].T
    moments = sums_of(x, t, centred=True).moments()
    found = solve_best_weight(np.zeros((1, 2, 5)), moments, 0.0)
    np.testing.assert_allclose(found[0], expected[:, :5], atol=1e-4)
    np.testing.assert_allclose(corrected_bias(found, moments)[0], expected[:, 5], atol=1e-3)


def test_a_damped_best_weight_worked_by_hand() -> None:
    # H = 2, C = 6, W = 1, d = 1 * 2: W + (6 - 2) / (2 + 2)
    one = np.ones((1, 1, 1))
    moments = Moments(2 * one, 6 * one, np.zeros((1, 1)), np.zeros((1, 1)))
    assert solve_best_weight(one, moments, 1.0).item() == 2


def test_infinite_damping_leaves_the_weight_alone() -> None:
    weight = random(1, 3, 6).astype(np.float64)
    moments = replace(WHITE, cross=np.full((1, 3, 6), 9.0))
    assert (solve_best_weight(weight, moments, float("inf")) == weight).all()


def test_targets_of_the_weight_itself_leave_it_alone() -> None:
    x, weight = correlated(200, 6), random(3, 6, seed=5)
    moments = sums_of(x, x @ weight.T).moments()
    found = solve_best_weight(weight[None].astype(np.float64), moments, 0.03)
    np.testing.assert_allclose(found[0], weight, atol=1e-4)


def test_a_refitted_layer_is_the_best_weight_with_its_bias() -> None:
    # d = 1e-3: W* = 1 + (6 - 2) / 2.002; b = 10 - 3 W*
    one = np.ones((1, 1, 1))
    moments = Moments(2 * one, 6 * one, np.full((1, 1), 3.0), np.full((1, 1), 10.0))
    weight, bias = refit(np.ones((1, 1), np.float32), DENSE, moments)
    assert (weight.dtype, weight.shape, bias.dtype, bias.shape) == (
        np.float32, (1, 1), np.float32, (1,)
    )  # fmt: skip
    best_weight = 1 + 4 / 2.002
    assert weight.item() == pytest.approx(best_weight, rel=1e-6)
    assert bias.item() == pytest.approx(10 - 3 * best_weight, rel=1e-5)


def test_a_solution_worked_by_hand() -> None:
    # H + d I = [[3, 1], [1, 3]] with d = 0.5 * 2, and its inverse is [[3, -1], [-1, 3]] / 8. The
    # other group has H = 0 and d = 1.
    hessian = np.stack([np.array([[2.0, 1.0], [1.0, 2.0]]), np.zeros((2, 2))])
    residual = np.array([[[8.0, 0.0], [0.0, 16.0]], [[5.0, 6.0], [7.0, 8.0]]])
    found = solved(hessian, 0.5, residual)
    np.testing.assert_allclose(found[0], [[3, -1], [-2, 6]], rtol=1e-12)
    np.testing.assert_allclose(found[1], residual[1], rtol=1e-12)


@pytest.mark.parametrize(("most", "dtype"), [(6, np.float64), (5, np.float32)])
def test_more_columns_are_solved_in_single_precision(most: int, dtype: type) -> None:
    moments = sums_of(correlated(300, 6), random(300, 3, seed=9)).moments()
    found = solved(moments.hessian, 1e-3, moments.cross, most)
    damped = moments.hessian[0] + added_damping(moments.hessian, 1e-3) * np.eye(6)
    expected = moments.cross[0] @ np.linalg.inv(damped)
    assert found.dtype == dtype
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(found[0], expected, rtol=tolerance, atol=tolerance)
    assert (np.abs(found[0] - expected).max() > 1e-9) == (dtype == np.float32)


@pytest.mark.parametrize(("columns", "dtype"), [(2048, np.float64), (2049, np.float32)])
def test_up_to_2048_columns_are_solved_in_double_precision(columns: int, dtype: type) -> None:
    found = solved(2 * np.eye(columns)[None], 1.0, np.full((1, 1, columns), 8.0))
    assert found.dtype == dtype
    assert (found == 2).all()  # 8 / (2 + 2)


def test_damping_is_a_share_of_the_mean_diagonal_of_each_group() -> None:
    hessian = np.stack([np.diag([1.0, 3.0]), np.diag([10.0, 30.0])]) + 0.5
    assert added_damping(hessian, 0.5).tolist() == [1.25, 10.25]


@pytest.mark.parametrize(("diagonal", "added"), [(0.0, 1.0), (1e-7, 1.0), (2e-6, 1e-6)])
def test_a_group_without_input_gets_the_identity(diagonal: float, added: float) -> None:
    hessian = np.stack([np.eye(2), diagonal * np.eye(2)])
    np.testing.assert_allclose(added_damping(hessian, 0.5), [0.5, added])


def test_a_layer_without_input_gets_the_identity() -> None:
    assert (added_damping(np.zeros((2, 3, 3)), 0.5) == 1).all()
    assert added_damping(np.full((1, 1, 1), 1e-37), 0.5).item() == 1


def test_few_noisy_targets_ask_for_the_weight_itself() -> None:
    x, weight = random(24, 20), random(3, 20, seed=1)
    t = x @ weight.T + 3 * random(24, 3, seed=2)
    assert choose_damping(weight[None].astype(np.float64), sums_of(x, t).folds()) == np.inf


def test_inputs_that_were_distorted_linearly_ask_for_the_smallest_damping() -> None:
    before, weight = correlated(400, 6), random(3, 6, seed=3)
    distorted = before @ (np.eye(6) + random(6, 6, seed=4) / 5).astype(np.float32)
    folds = sums_of(distorted, before @ weight.T).folds()
    assert choose_damping(weight[None].astype(np.float64), folds) == 3e-5


@pytest.mark.parametrize("noise", [0.03, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_choice_is_that_of_plain_least_squares_with_all_dampings(
    seed: int, noise: float
) -> None:
    x, weight = correlated(60, 12, seed=seed), random(3, 12, seed=seed + 5)
    t = x @ (weight + random(3, 12, seed=seed + 9)).T + noise * random(60, 3, seed=seed + 6)
    chunks = [
        (a.astype(np.float64), b) for a, b in zip(np.split(x, 4), np.split(t, 4), strict=True)
    ]
    halves = [[np.concatenate(part) for part in zip(*chunks[k::2], strict=True)] for k in (0, 1)]
    (x1, t1), (x2, t2) = halves
    hessian, errors = x1.T @ x1 / len(x1), {np.inf: np.square(x2 @ weight.T - t2).sum()}
    for damping in DAMPINGS:
        inverse = np.linalg.inv(hessian + damping * np.trace(hessian) / 12 * np.eye(12))
        best = weight + (t1 - x1 @ weight.T).T @ x1 / len(x1) @ inverse
        errors[damping] = np.square(x2 @ best.T - t2).sum()
    expected = min(errors, key=lambda damping: errors[damping])
    found = choose_damping(weight[None].astype(np.float64), sums_of(x, t).folds())
    assert found == damping_of_all(expected)


def asking_for(damping: float) -> tuple[Moments, Moments]:
    """Two halves; for W = 0 that damping is best.

    The first half has H = 1 and C = 1, so w = 1 / (1 + d). The other half, a million times as
    large, is fitted best by w = 1 / (1 + damping).
    """
    large = np.full((1, 1, 1), 1e6)
    cross = large / (1 + damping)
    return replace(ONE, cross=ONE.hessian), replace(ONE, hessian=large, cross=cross)


@pytest.mark.parametrize(
    ("damping", "expected"),
    [(1e-4, 3e-5), (1e-3, 1e-4), (0.01, 1e-3), (0.1, 0.01), (1.0, 0.1), (10.0, 10.0)],
)
def test_every_damping_is_found(damping: float, expected: float) -> None:
    assert damping in DAMPINGS
    assert choose_damping(ZERO, asking_for(damping)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("best", "expected"),
    [(1e-4, 3e-5), (3e-4, 3e-5), (1e-3, 1e-4), (1.0, 0.1), (3.0, 0.9), (10.0, 10.0), (30.0, 30.0)],
)
def test_a_tenth_of_small_dampings_is_chosen_and_all_of_large_ones(
    best: float, expected: float
) -> None:
    assert damping_of_all(best) == pytest.approx(expected)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The dampings that are tried, in their order."""
    dampings, original = list[float](), module.solved

    def recorded(hessian: NDArray[np.float64], damping: float, *rest: int) -> object:
        dampings.append(damping)
        return original(hessian, damping, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "solved", recorded)
    return dampings


@pytest.mark.parametrize(
    ("damping", "expected"),
    [
        (100.0, [0.1, 1.0, 10.0, 100.0]),
        (10.0, [0.1, 1.0, 10.0, 100.0]),
        (1.0, [0.1, 1.0, 10.0]),
        (0.1, [0.1, 1.0, 0.01]),
        (0.01, [0.1, 1.0, 0.01, 1e-3]),
        (1e-3, [0.1, 1.0, 0.01, 1e-3, 1e-4]),
        (1e-4, [0.1, 1.0, 0.01, 1e-3, 1e-4]),
    ],
)
def test_dampings_are_tried_as_far_as_the_loss_falls(
    damping: float, expected: list[float], tried: list[float]
) -> None:
    choose_damping(ZERO, asking_for(damping))
    assert tried == expected


def test_a_lower_loss_behind_a_higher_one_is_not_looked_for(tried: list[float]) -> None:
    # H = diag(1.999, 0.001), of mean 1, and C = (3, 0.001) give w = 3 / (1.999 + d) and
    # v = 0.001 / (0.001 + d). The other half's loss is w^2 - 2 w + v^2 - 2 v: -0.44 for d = 10,
    # -1.002 for 1, -0.836 for 0.1, -0.93 for 0.01, but -1.5 for 0.001 and -1.741 for 0.0001.
    seen = moments_with(np.diag([1.999, 0.001])[None])
    unseen = replace(moments_with(np.eye(2)[None]), cross=np.ones((1, 1, 2)))
    seen, zero = replace(seen, cross=np.array([[[3.0, 0.001]]])), np.zeros((1, 1, 2))
    losses = [
        float(((w := solve_best_weight(zero, seen, damping)) ** 2 - 2 * w).sum())
        for damping in DAMPINGS
    ]
    assert losses == pytest.approx([-1.741, -1.5, -0.930, -0.836, -1.002, -0.438, -0.058], abs=1e-3)
    tried.clear()
    assert choose_damping(zero, (seen, unseen)) == pytest.approx(0.1)
    assert tried == [0.1, 1.0, 10.0]


def test_the_first_half_is_judged_on_the_second() -> None:
    # H = 1 and W = 0. The second half does not want what the first one asks for.
    pull, push, large = (replace(ONE, cross=np.full((1, 1, 1), c)) for c in (1.0, -1.0, 3.0))
    assert choose_damping(ZERO, (pull, push)) == np.inf
    # w = 1 / (1 + d), and 3 is wanted: the smallest damping is best.
    assert choose_damping(ZERO, (pull, large)) == 3e-5
    # w = 3 / (1 + d), and 1 is wanted: w^2 - 2 w is lowest at d = 2; of all dampings, at 1.
    assert choose_damping(ZERO, (large, pull)) == pytest.approx(0.1)


def test_a_damping_that_heldout_samples_choose_is_taken_as_it_is() -> None:
    pull, push, large = (replace(ONE, cross=np.full((1, 1, 1), c)) for c in (1.0, -1.0, 3.0))
    assert choose_damping(ZERO, (large, pull), heldout=True) == 1.0
    assert choose_damping(ZERO, (pull, large), heldout=True) == 1e-4
    assert choose_damping(ZERO, (pull, push), heldout=True) == np.inf


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_samples_that_judge_choose_as_their_moments_do(noise: float, centred: bool) -> None:
    x, weight = correlated(60, 12) + 0.5, random(3, 12, seed=5)
    t = x @ (weight + random(3, 12, seed=9)).T + noise * random(60, 3, seed=6) + 1
    found = []
    for keeps in (True, False):
        samples = LayerSamples(centred, heldout=True, keeps_judges=keeps)
        samples.add(SampleChunk(x[None, :40], t[None, :40]))
        samples.add(SampleChunk(x[None, 40:], t[None, 40:], heldout=True))
        assert samples.judges == keeps * 20
        equations = MomentEquations.of(weight[None].astype(np.float64), samples)
        found.append(equations.choose_damping())
    assert found[0] == found[1]
    assert found[0] < np.inf


def test_samples_that_judge_and_are_not_finite_are_noticed() -> None:
    samples = LayerSamples(True, heldout=True, keeps_judges=True)
    samples.add(SampleChunk(*(random(1, 9, 4, seed=k) for k in (0, 1))))
    assert samples.finite
    samples.add(SampleChunk(random(1, 9, 4), np.full((1, 9, 4), np.nan, np.float32), heldout=True))
    assert not samples.finite


@pytest.mark.parametrize(("rows", "apart"), [(64, 1), (65, 2), (128, 2), (129, 3)])
def test_of_many_rows_some_stand_for_all(rows: int, apart: int) -> None:
    # The rows that count ask for the smallest damping, and all others for W itself.
    counts = np.arange(rows) % apart == 0
    one = moments_with(np.ones((1, 1, 1)), rows)
    seen = replace(one, cross=np.ones((1, rows, 1)))
    for others in (-1e3, 1e3):
        cross = np.where(counts, 1.0, others)[None, :, None]
        assert choose_damping(np.zeros((1, rows, 1)), (seen, replace(one, cross=cross))) == 3e-5
    cross = np.where(counts, -1.0, 1e3)[None, :, None]
    assert choose_damping(np.zeros((1, rows, 1)), (seen, replace(one, cross=cross))) == np.inf


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_in_single_precision_the_choice_is_the_same(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes, original = list[np.dtype[np.floating]](), np.linalg.solve

    def recorded(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
        dtypes.append(np.result_type(a, b))
        return original(a, b)

    monkeypatch.setattr(np.linalg, "solve", recorded)
    x, weight = correlated(60, 12), random(3, 12, seed=5)
    t = x @ (weight + random(3, 12, seed=9)).T + noise * random(60, 3, seed=6)
    matrix, folds = weight[None].astype(np.float64), sums_of(x, t).folds()
    found = []
    for most, dtype in ((12, np.float64), (11, np.float32)):
        dtypes.clear()
        monkeypatch.setattr(module, "MOST_COLUMNS_IN_DOUBLE", most)
        found.append(choose_damping(matrix, folds))
        assert set(dtypes) == {np.dtype(dtype)}
    assert found[0] == found[1]


@pytest.mark.parametrize(("change", "kept"), [(1 + 5e-4, True), (1 + 2e-3, False)])
def test_a_tiny_gain_is_not_worth_a_change(change: float, kept: bool) -> None:
    # H = 1, W = 1 and C = c: W gains (c - 1)^2 of a loss of about 1, which is 2.5e-7 or 4e-6.
    one = np.ones((1, 1, 1))
    half = replace(moments_with(one), cross=change * one)
    assert (choose_damping(one, (half, half)) == np.inf) == kept


def test_one_chunk_is_too_little_to_choose_from() -> None:
    x = random(50, 4)
    folds = sums_of(x, x, chunks=1).folds()
    assert choose_damping(np.zeros((1, 4, 4)), folds) == np.inf


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ({}, np.inf),  # all are NaN
        ({0.1: 0.5}, 0.1),
        ({0.1: 0.5, 1.0: 0.25}, 1.0),
        ({0.1: 2.0, 1.0: 2.0}, np.inf),
    ],
)
def test_a_loss_that_is_no_number_is_not_chosen(losses: dict[float, float], best: float) -> None:
    known = {np.inf: 1.0, **losses}
    found = best_of_dampings(lambda asked: [known.get(each, np.nan) for each in asked])
    assert found == best
