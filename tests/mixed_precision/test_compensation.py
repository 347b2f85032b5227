"""The share of each layer's error that the layers behind it do not compensate."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from onnx_evoq.mixed_precision.compensation import fill_gaps, uncompensated_shares
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.point import build_point
from onnx_evoq.mixed_precision.search_space import WIDTHS
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task

Tabulated = Callable[..., tuple[Task, LayerTable]]

FOUR_BITS = WIDTHS.index(4)


@pytest.fixture(scope="module")
def conv(tabulated: Tabulated) -> tuple[Task, LayerTable, np.ndarray]:
    """A net of convolutions, its table, and the shares of its layers."""
    task, table = tabulated("conv")
    return task, table, uncompensated_shares(task, table)


@pytest.mark.parametrize("name", ["mlp", "recurrent"])
def test_each_part_has_a_share_at_each_width(name: str, tabulated: Tabulated) -> None:
    task, table = tabulated(name)
    shares = uncompensated_shares(task, table)
    assert shares.shape == (len(table.space.parts), len(WIDTHS))
    assert (shares > 0).all()
    assert np.isfinite(shares).all()


def test_the_parts_of_a_weight_have_its_share(tabulated: Tabulated) -> None:
    task, table = tabulated("fire", per_channel=True, granularities=("channel",))
    shares = uncompensated_shares(task, table)
    assert len(shares) == len(table.space.parts)
    for own in table.space.indices.values():
        assert (shares[own] == shares[own[0]]).all()
    last = table.space.indices["last"][0]
    assert shares[last, FOUR_BITS] != shares[0, FOUR_BITS]


def test_the_last_layer_is_not_compensated_and_the_first_one_is(
    conv: tuple[Task, LayerTable, np.ndarray],
) -> None:
    _, _, shares = conv
    assert shares[-1, FOUR_BITS] == pytest.approx(1, rel=1e-3)
    assert shares[0, FOUR_BITS] < 0.9


def test_compensated_sensitivities_add_up_to_the_error_of_the_built_model(
    conv: tuple[Task, LayerTable, np.ndarray],
) -> None:
    task, table, shares = conv
    compensated = table.compensated(shares)
    misses = []
    for bits in (3, 4, 5):
        choice = table.space.decode(table.space.uniform(bits))
        built = build_point(task, table.space.policy(choice), 0, lambda _: 0.0).nmse
        misses.append(
            [abs(np.log(each.predicted_error(choice) / built)) for each in (table, compensated)]
        )
    plain, corrected = np.array(misses).T
    assert corrected.mean() < plain.mean()
    assert corrected.max() < 0.4


def test_shares_differ_at_the_measured_widths_and_not_above(
    conv: tuple[Task, LayerTable, np.ndarray],
) -> None:
    _, _, shares = conv
    assert (shares[:, FOUR_BITS:] == shares[:, [FOUR_BITS]]).all()
    assert len(set(shares[0, : FOUR_BITS + 1])) == 3


def test_the_same_task_has_the_same_shares(
    conv: tuple[Task, LayerTable, np.ndarray],
) -> None:
    task, table, shares = conv
    np.testing.assert_array_equal(uncompensated_shares(task, table), shares)


def test_a_layer_without_sensitivity_has_a_share_of_1(
    conv: tuple[Task, LayerTable, np.ndarray],
) -> None:
    task, table, shares = conv
    insensitive = replace(table, sensitivity=table.sensitivity * [[[0.0]], [[1.0]], [[1.0]]])
    corrected = uncompensated_shares(task, insensitive)
    assert (corrected[0] == 1).all()
    np.testing.assert_array_equal(corrected[1:], shares[1:])


def test_without_time_nothing_is_compensated(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    shares = uncompensated_shares(replace(task, deadline=Deadline(0.0)), table)
    assert (shares == 1).all()


def test_compensation_may_take_a_third_of_the_time_left(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    now = [0.0]
    measured = []

    class Slow:
        """Each measurement takes 4 seconds of 30."""

        def __call__(self, label: str, total: float) -> "Slow":
            measured.append((label, total))
            return self

        def __enter__(self) -> Callable[[float], None]:
            return self.step

        def __exit__(self, *_: object) -> None:
            pass

        def step(self, amount: float) -> None:
            now[0] += 4 * amount

    deadline = Deadline(30.0, lambda: now[0])
    shares = uncompensated_shares(replace(task, deadline=deadline, progress=Slow()), table)
    full = uncompensated_shares(task, table)
    assert measured == [("compensation", 6)]
    assert now[0] == 24  # all six steps were shown
    assert (shares[:, FOUR_BITS] == full[:, FOUR_BITS]).all()  # after 0 and 4 seconds
    assert shares[1, FOUR_BITS - 1] == full[1, FOUR_BITS - 1]  # after 8 seconds
    assert (shares[:, 1] == full[1, 1]).all()  # the last layer stands for the first one
    assert (shares[:, 0] == shares[:, 1]).all()  # nothing was measured at 2 bits


def test_a_layer_that_was_not_measured_has_the_share_of_the_nearest_one() -> None:
    shares = np.full((5, len(WIDTHS)), np.nan)
    shares[2:4, FOUR_BITS] = [0.5, 0.25]
    filled = fill_gaps(shares)
    assert filled.tolist() == [[0.5] * 7] * 3 + [[0.25] * 7] * 2
    assert np.isnan(shares[0, FOUR_BITS])  # what was given is left as it was


def test_a_width_that_was_not_measured_has_the_shares_of_the_next_one() -> None:
    shares = np.full((2, len(WIDTHS)), np.nan)
    shares[:, 2] = [0.5, 0.75]
    shares[1, 1] = 0.25
    assert fill_gaps(shares)[:, :4].tolist() == [[0.25, 0.25, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75]]
