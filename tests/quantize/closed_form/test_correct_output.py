"""Output correction against brute force over the codes of small layers."""

from dataclasses import replace

import numpy as np
import pytest
from layer_problems import Floats, all_codes

from onnx_evoq.quantize import LinearizedOutput, correct_codes
from onnx_evoq.quantize.grid.grid_rows import RowGrid

LOW, HIGH = -2, 1


def linearized(
    seed: int, *, groups: int = 1, rows: int = 2, columns: int = 3, samples: int = 30
) -> LinearizedOutput:
    """A layer whose columns have means of about 1, so that weights and biases act together."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((groups, columns, columns))
    return LinearizedOutput(
        means=rng.standard_normal((samples, groups, columns)) + 1,
        within=factor @ factor.transpose(0, 2, 1) / columns,
        jacobian=rng.standard_normal((samples, groups * rows, 2)) + 0.5,
        errors=rng.standard_normal((samples, 2)) + 1,
    )


def unit_steps(groups: int, rows: int, step: float = 1.0) -> RowGrid:
    return RowGrid(np.full((groups, rows, 1), step), LOW, HIGH)


def objective(
    output: LinearizedOutput,
    before: Floats,
    after: Floats,
    best_weight: Floats,
    bias_changes: Floats,
    share: float,
) -> float:
    """The sum that the module states, term by term; weights are (groups, rows, columns)."""
    samples, (groups, rows, _) = len(output.means), before.shape
    total = 0.0
    for s in range(samples):
        error = output.errors[s].copy()
        for group, row in np.ndindex(groups, rows):
            o = group * rows + row
            shift = (after - before)[group, row] @ output.means[s, group] + bias_changes[o]
            error += output.jacobian[s, o] * shift
        total += (error @ error) / samples
    for group, row in np.ndindex(groups, rows):
        size = np.square(output.jacobian[:, group * rows + row]).sum() / samples
        difference = (after - best_weight)[group, row]
        total += share * size * (difference @ output.within[group] @ difference)
    return float(total)


def best_bias(output: LinearizedOutput, change: Floats, group: int, channel: int) -> float:
    """The bias change of the lowest error, by least squares in one unknown."""
    jacobian = output.jacobian[:, channel]
    errors = output.errors + jacobian * (output.means[:, group] @ change)[:, None]
    return float(-(jacobian * errors).sum() / np.square(jacobian).sum())


def by_brute_force(
    codes: Floats, best_weight: Floats, step: float, output: LinearizedOutput, share: float
) -> tuple[Floats, Floats]:
    """Row by row, the most influential first, the codes of the lowest objective."""
    (groups, rows, columns), before = codes.shape, step * codes
    codes, biases = codes.copy(), np.zeros(groups * rows)
    for channel in np.argsort(-np.square(output.jacobian).sum(axis=(0, 2))):
        group, row = divmod(int(channel), rows)
        lowest = np.inf
        now = replace(output, errors=_errors(output, before, step * codes, biases))
        for candidate in all_codes(columns, LOW, HIGH):
            tried, tried_biases = codes.copy(), biases.copy()
            tried[group, row] = candidate
            change = step * candidate - before[group, row]
            tried_biases[channel] = best_bias(now, change, group, int(channel))
            value = objective(output, before, step * tried, best_weight, tried_biases, share)
            if value < lowest:
                lowest, best = value, (tried, tried_biases)
        codes, biases = best
    return codes, biases


def _errors(output: LinearizedOutput, before: Floats, after: Floats, biases: Floats) -> Floats:
    rows = before.shape[1]
    errors = output.errors.copy()
    for group, row in np.ndindex(before.shape[:2]):
        o = group * rows + row
        shift = output.means[:, group] @ (after - before)[group, row] + biases[o]
        errors += output.jacobian[:, o] * shift[:, None]
    return errors


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_row_gets_the_codes_and_the_bias_of_the_lowest_objective(seed: int, share: float) -> None:
    output, rng = linearized(seed, rows=1), np.random.default_rng(seed)
    codes = rng.integers(LOW, HIGH + 1, (1, 1, 3)).astype(float)
    best_weight = codes + rng.uniform(-0.5, 0.5, codes.shape)
    found, biases = correct_codes(codes, best_weight, unit_steps(1, 1), output, share)
    expected, expected_biases = by_brute_force(codes, best_weight, 1.0, output, share)
    assert found.tolist() == expected.tolist()
    assert biases == pytest.approx(expected_biases)


@pytest.mark.parametrize(("groups", "rows", "step"), [(1, 3, 0.5), (2, 2, 0.25)])
def test_rows_follow_each_other_by_their_influence(groups: int, rows: int, step: float) -> None:
    output = linearized(7, groups=groups, rows=rows, columns=2, samples=8)
    output = replace(output, jacobian=output.jacobian * np.arange(1, groups * rows + 1)[:, None])
    rng = np.random.default_rng(1)
    codes = rng.integers(LOW, HIGH + 1, (groups, rows, 2)).astype(float)
    best_weight = step * (codes + rng.uniform(-0.5, 0.5, codes.shape))
    found, biases = correct_codes(codes, best_weight, unit_steps(groups, rows, step), output, 0.5)
    expected, expected_biases = by_brute_force(codes, best_weight, step, output, 0.5)
    assert found.tolist() == expected.tolist()
    assert biases == pytest.approx(expected_biases)
    assert (found != codes).any()


def test_the_bias_moves_by_the_error() -> None:
    samples = 30
    output = LinearizedOutput(
        means=np.zeros((samples, 1, 1)),
        within=np.ones((1, 1, 1)),
        jacobian=np.full((samples, 1, 1), 2.0),
        errors=np.full((samples, 1), 3.0),
    )
    codes = np.zeros((1, 1, 1))
    found, biases = correct_codes(codes, codes, unit_steps(1, 1), output, 1.0)
    assert biases == pytest.approx([-1.5])  # 3 + 2 b = 0
    assert found.tolist() == [[[0.0]]]


def test_one_sample_is_left_to_the_bias() -> None:
    # With one sample a bias alone removes all of the error that a row can: codes stay.
    output, codes = linearized(5, rows=1, samples=1), np.zeros((1, 1, 3))
    output = replace(output, errors=np.full((1, 2), 30.0))
    found, biases = correct_codes(codes, codes, unit_steps(1, 1), output, 0.0)
    assert found.tolist() == codes.tolist()
    assert biases[0] == pytest.approx(best_bias(output, np.zeros(3), 0, 0))


def test_damping_holds_back_columns_that_hardly_matter() -> None:
    # H = diag(1/2, 2e-4), d = 1e-3 * 0.5 / 2, and the gradient in the second column is 0.01: it
    # moves by -0.01 / (2e-4 + 2.5e-4) = -22.2, and without damping by -50.
    output = LinearizedOutput(
        means=np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.02], [0.0, -0.02]])[:, None],
        within=np.zeros((1, 2, 2)),
        jacobian=np.ones((4, 1, 1)),
        errors=np.array([[0.0], [0.0], [1.0], [-1.0]]),
    )
    codes, grid = np.zeros((1, 1, 2)), RowGrid(np.ones((1, 1, 1)), -99, 99)
    found, _ = correct_codes(codes, codes, grid, output, 0.0)
    assert found.tolist() == [[[0, -22]]]


def test_damping_is_at_least_a_millionth_of_the_diagonal_without_the_bias() -> None:
    # The bias leaves 4e-6 of H = 1.004, so d = 1.004e-6. The gradient is -2e-4: the weight moves by
    # 2e-4 / 5.004e-6 = 39.97, and without damping by 50.
    output = LinearizedOutput(
        means=np.array([1.0, 1.004])[:, None, None],
        within=np.zeros((1, 1, 1)),
        jacobian=np.ones((2, 1, 1)),
        errors=np.array([[0.1], [-0.1]]),
    )
    codes, grid = np.zeros((1, 1, 1)), RowGrid(np.ones((1, 1, 1)), -99, 99)
    found, _ = correct_codes(codes, codes, grid, output, 0.0)
    assert found.tolist() == [[[40]]]


@pytest.mark.parametrize("seed", range(3))
def test_the_error_of_the_outputs_falls(seed: int) -> None:
    output, codes = linearized(seed), np.zeros((1, 2, 3))
    found, biases = correct_codes(codes, codes, unit_steps(1, 2), output, 0.0)
    before = objective(output, codes, codes, codes, np.zeros(2), 0.0)
    assert objective(output, codes, found, codes, biases, 0.0) < before


def test_the_codes_that_are_given_stay_as_they_are() -> None:
    output, codes = replace(linearized(1), errors=5 * linearized(1).errors), np.zeros((1, 2, 3))
    errors = output.errors.copy()
    found, _ = correct_codes(codes, codes, unit_steps(1, 2), output, 0.0)
    assert found.any()
    assert not codes.any()
    assert (output.errors == errors).all()


def test_rows_stay_in_their_own_ranges() -> None:
    low, high = np.array([[[-1.0], [-4.0]]]), np.array([[[0.0], [3.0]]])
    codes, large = np.zeros((1, 2, 3)), replace(linearized(4), errors=99 * linearized(4).errors)
    found, _ = correct_codes(codes, codes, RowGrid(np.ones((1, 2, 1)), low, high), large, 0.0)
    assert (low <= found).all()
    assert (found <= high).all()
    assert found[0, 1].min() < -1
    assert found[0, 1].max() > 1


def test_limits_may_be_numbers_or_one_per_row() -> None:
    codes, steps = np.zeros((1, 2, 3)), np.ones((1, 2, 1))
    by_row = RowGrid(steps, np.full((1, 2, 1), float(LOW)), np.full((1, 2, 1), float(HIGH)))
    one = correct_codes(codes, codes, unit_steps(1, 2), linearized(3), 0.5)
    other = correct_codes(codes, codes, by_row, linearized(3), 0.5)
    assert (one[0] == other[0]).all()
    assert (one[1] == other[1]).all()


def test_changes_within_samples_hold_codes_back() -> None:
    codes, output = np.zeros((1, 2, 3)), replace(linearized(1), errors=5 * linearized(1).errors)
    free, _ = correct_codes(codes, codes, unit_steps(1, 2), output, 0.0)
    held, _ = correct_codes(codes, codes, unit_steps(1, 2), output, 1e6)
    assert free.any()
    assert not held.any()


def test_a_channel_without_influence_keeps_its_codes() -> None:
    output, codes = linearized(2), np.ones((1, 2, 3))
    output.jacobian[:, 1] = 0
    found, biases = correct_codes(codes, 0 * codes, unit_steps(1, 2), output, 0.5)
    assert (found[0, 1] == 1).all()
    assert (found[0, 0] != 1).any()
    assert biases[1] == 0


def test_when_time_is_up_the_rows_of_least_influence_keep_their_codes() -> None:
    output, codes, asked = linearized(3), np.zeros((1, 2, 3)), [False, True]
    whole, _ = correct_codes(codes, codes, unit_steps(1, 2), output, 0.0)
    found, biases = correct_codes(codes, codes, unit_steps(1, 2), output, 0.0, lambda: asked.pop(0))
    first, second = np.argsort(-np.square(output.jacobian).sum(axis=(0, 2)))
    np.testing.assert_array_equal(found[0, first], whole[0, first])
    np.testing.assert_array_equal(found[0, second], codes[0, second])
    assert biases[first] != 0
    assert biases[second] == 0
