"""The hypervolumes of fronts, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from onnx_evoq.mixed_precision import Policy, hypervolumes
from onnx_evoq.mixed_precision.point import ParetoPoint
from onnx_evoq.mixed_precision.search import ParetoFront


def point(size: int, error: float) -> ParetoPoint:
    return ParetoPoint(Policy({}), size, 2 * size, error, error, 0.0, error)


def front_of(
    points: list[ParetoPoint], uniform: list[ParetoPoint], greedy: list[ParetoPoint] | None = None
) -> ParetoFront:
    return ParetoFront(tuple(points), tuple(uniform), tuple(greedy or ()), 0, None)


UNIFORM = [point(1, 100.0), point(10, 10.0), point(100, 1.0)]


def test_hypervolumes_worked_by_hand() -> None:
    # As shares of the logarithms' ranges: (0, 1), (.5, .5) and (1, 0); the front's is (.5, 0).
    found = hypervolumes(front_of([point(10, 1.0)], UNIFORM, [point(10, 31.622777)]), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0.125})


def test_the_size_of_the_file_may_be_the_one_that_counts() -> None:
    small_file = replace(point(10, 1.0), file_bytes=2)
    front = front_of([small_file], [replace(p, file_bytes=2 * p.packed_bytes) for p in UNIFORM])
    assert hypervolumes(front, float)["front"] == pytest.approx(0.5)
    assert hypervolumes(front, float, in_file=True)["front"] == pytest.approx(1.0)


def test_points_that_are_all_alike_dominate_all_of_the_box() -> None:
    found = hypervolumes(front_of([point(10, 10.0)], [point(10, 10.0)]), float)
    assert found == {"front": 1, "uniform": 1, "greedy": 0}


def test_a_better_error_than_any_width_makes_the_box_larger() -> None:
    found = hypervolumes(front_of([point(10, 0.01)], UNIFORM), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.125, "greedy": 0})


def test_a_size_that_all_uniform_points_share_leaves_logarithms_as_they_are() -> None:
    front = front_of([point(12, 1.0)], [point(10, 10.0), point(10, 1.0)])
    assert hypervolumes(front, float)["front"] == pytest.approx(1 - np.log(1.2))


@pytest.mark.parametrize("least", [0.0, -5.0])
def test_errors_are_taken_as_they_are_where_one_has_no_logarithm(least: float) -> None:
    uniform = [point(1, least + 8), point(10, least + 4), point(100, least)]
    found = hypervolumes(front_of([point(10, least)], uniform), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0})


def test_points_without_a_finite_error_dominate_nothing() -> None:
    uniform = [*UNIFORM, point(1, np.nan), point(1000, -np.inf)]
    found = hypervolumes(front_of([point(10, 1.0), point(2, np.inf)], uniform), float)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0})


def test_without_a_finite_error_of_a_uniform_point_all_shares_are_nan() -> None:
    found = hypervolumes(front_of([point(10, 1.0)], [point(1, np.nan)]), float)
    assert np.isnan(list(found.values())).all()


def test_a_metric_of_which_more_is_better_is_turned_into_an_error() -> None:
    uniform = [point(1, 10.0), point(10, 20.0), point(100, 30.0)]
    found = hypervolumes(front_of([point(10, 30.0)], uniform), lambda value: -value)
    assert found == pytest.approx({"front": 0.5, "uniform": 0.25, "greedy": 0})
