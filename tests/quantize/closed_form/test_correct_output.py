"""Codes chosen by what they do to the end of a network that is known to first order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from onnx_evoq.quantize import LinearizedOutput, correct_codes

LOW, HIGH = -2, 1


def known(seed: int, samples: int = 40, rows: int = 2, columns: int = 3) -> LinearizedOutput:
    rng = np.random.default_rng(seed)
    return LinearizedOutput(
        means=rng.standard_normal((samples, 1, columns)),
        within=np.eye(columns)[None],
        jacobian=rng.standard_normal((samples, rows, 4)),
        errors=rng.standard_normal((samples, 4)),
    )


def left(steering: LinearizedOutput, change: np.ndarray, moves: np.ndarray) -> float:
    """Mean square of what is wrong at the end after rows change by (rows, columns)."""
    shift = steering.means[:, 0] @ change.T + moves  # (samples, rows)
    wrong = steering.errors + (steering.jacobian * shift[:, :, None]).sum(axis=1)
    return float(np.square(wrong).sum() / len(wrong))


def steered(
    steering: LinearizedOutput, codes: np.ndarray, share: float = 0.0
) -> tuple[np.ndarray, ...]:
    steps = np.ones((1, codes.shape[1], 1))
    return correct_codes(codes, codes.copy(), steps, steering, LOW, HIGH, share)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_wrong_at_the_end_falls(seed: int) -> None:
    steering, codes = known(seed), np.zeros((1, 2, 3))
    found, moves = steered(steering, codes)
    before = left(steering, np.zeros((2, 3)), np.zeros(2))
    assert left(steering, found[0] - codes[0], moves) < before


@pytest.mark.parametrize("seed", range(5))
def test_a_row_alone_ends_near_the_best_of_all_its_codes(seed: int) -> None:
    steering, codes = known(seed, rows=1), np.zeros((1, 1, 3))
    found, moves = steered(steering, codes)
    best = np.inf
    for q in itertools.product(range(LOW, HIGH + 1), repeat=3):
        change = np.array([q], float)
        ask = np.linspace(-2, 2, 401)  # the bias that goes with it
        best = min(best, *(left(steering, change, np.array([b])) for b in ask))
    assert left(steering, found[0], moves) <= 1.02 * best


def test_the_bias_moves_by_what_is_wrong() -> None:
    samples = 30
    steering = LinearizedOutput(
        means=np.zeros((samples, 1, 1)),
        within=np.ones((1, 1, 1)),
        jacobian=np.full((samples, 1, 1), 2.0),
        errors=np.full((samples, 1), 3.0),
    )
    found, moves = steered(steering, np.zeros((1, 1, 1)), share=1.0)
    assert moves == pytest.approx([-1.5])  # 3 + 2 b = 0
    assert found.tolist() == [[[0.0]]]


def test_codes_stay_in_range() -> None:
    found, _ = steered(known(0), np.full((1, 2, 3), float(HIGH)))
    assert found.min() >= LOW
    assert found.max() <= HIGH


def test_rows_stay_in_ranges_of_their_own() -> None:
    low, high = np.array([[[-1.0], [-4.0]]]), np.array([[[0.0], [3.0]]])
    codes, loud = np.zeros((1, 2, 3)), replace(known(3), errors=20 * known(3).errors)
    found, _ = correct_codes(codes, codes, np.ones((1, 2, 1)), loud, low, high, 0.0)
    assert (low <= found).all()
    assert (found <= high).all()
    assert found[0, 1].min() < -1
    assert found[0, 1].max() > 1


def test_equal_ranges_may_be_told_row_by_row() -> None:
    codes, steps = np.zeros((1, 2, 3)), np.ones((1, 2, 1))
    each = (np.full((1, 2, 1), float(LOW)), np.full((1, 2, 1), float(HIGH)))
    one = correct_codes(codes, codes, steps, known(3), LOW, HIGH, 0.5)
    other = correct_codes(codes, codes, steps, known(3), *each, 0.5)
    assert (one[0] == other[0]).all()
    assert (one[1] == other[1]).all()


def test_what_differs_within_samples_holds_codes_back() -> None:
    codes = np.zeros((1, 2, 3))
    loud = replace(known(1), errors=5 * known(1).errors)
    free, _ = steered(loud, codes)
    held, _ = steered(loud, codes, share=1e6)
    assert np.abs(free).sum() > 0
    assert np.abs(held).sum() == 0


def test_a_channel_without_influence_keeps_its_codes() -> None:
    steering = known(2)
    steering.jacobian[:, 1] = 0
    found, moves = steered(steering, np.zeros((1, 2, 3)))
    assert np.abs(found[0, 1]).sum() == 0
    assert moves[1] == 0


def test_groups_read_their_own_columns() -> None:
    rng = np.random.default_rng(3)
    one, two = known(4, rows=1), known(5, rows=1)
    both = LinearizedOutput(
        np.concatenate([one.means, two.means], axis=1),
        np.concatenate([one.within, two.within]),
        np.concatenate([one.jacobian, np.zeros_like(two.jacobian)], axis=1),
        one.errors,
    )
    codes = rng.integers(LOW, HIGH + 1, (2, 1, 3)).astype(float)
    found, moves = steered(both, codes)
    alone, move = steered(one, codes[:1])
    np.testing.assert_array_equal(found[0], alone[0])
    np.testing.assert_array_equal(found[1], codes[1])
    assert moves[0] == pytest.approx(move[0])
