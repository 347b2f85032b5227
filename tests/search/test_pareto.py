"""Dominance, fronts, crowding and hypervolume: by hand, by their definitions, and beside pymoo."""

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onnx_evoq.search.pareto import crowding_distance, dominates, hypervolume, non_dominated_sort

# Few values, so that many objectives and whole points are equal.
POINTS = arrays.arrays(
    float,
    st.tuples(st.integers(0, 12), st.integers(1, 3)),
    elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan, np.inf]),
)


def drawn(seed: int) -> np.ndarray:
    """(points, objectives); for even seeds, of few values, so that many of them are equal."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 60), rng.integers(2, 4)
    return rng.random(shape) if seed % 2 else rng.integers(0, 8, shape).astype(float)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 1], [2, 2], True),
        ([1, 2], [2, 2], True),
        ([2, 2], [2, 2], False),
        ([1, 3], [2, 2], False),
        ([2, 2], [1, 1], False),
        ([9, 9], [np.nan, 0], True),
        ([9, 9], [0, np.inf], True),
        ([-np.inf, 0], [9, 9], False),
        ([np.nan, 0], [9, 9], False),
        ([np.nan, 0], [np.inf, 9], False),
    ],
)
def test_a_point_dominates_if_nowhere_worse_and_somewhere_better(
    one: list[float], other: list[float], expected: bool
) -> None:
    assert dominates(one, other) == expected


def test_each_front_is_the_first_without_those_before_it() -> None:
    points = [[5, 5], [1, 4], [2, 2], [2, 5], [4, 1], [3, 3], [1, 4], [4, 4]]
    fronts = [front.tolist() for front in non_dominated_sort(points)]
    assert fronts == [[1, 2, 4, 6], [3, 5], [7], [0]]


def test_points_that_are_not_finite_are_the_last_front() -> None:
    points = [[0, np.nan], [5, 5], [np.inf, 0], [1, 1], [-np.inf, 0]]
    assert [front.tolist() for front in non_dominated_sort(points)] == [[3], [1], [0, 2, 4]]


def test_no_points_have_no_fronts() -> None:
    assert non_dominated_sort(np.empty((0, 2))) == []


@settings(max_examples=60)
@given(POINTS)
def test_fronts_follow_their_definition(points: np.ndarray) -> None:
    fronts = non_dominated_sort(points)
    assert sorted(np.concatenate([*fronts, []]).tolist()) == list(range(len(points)))
    for front in fronts:
        assert not dominates(points[front][:, None], points[front]).any()
    for front, behind in pairwise(fronts):
        assert dominates(points[front][:, None], points[behind]).any(axis=0).all()


def test_crowding_is_the_distance_between_the_neighbours() -> None:
    # In f_0 the ends are 0 and 10, in f_1 8 and 0: 6 / 10 + 6 / 8, and 8 / 10 + 4 / 8.
    front = [[10, 0], [2, 4], [0, 8], [6, 2]]
    assert crowding_distance(front).tolist() == pytest.approx([np.inf, 1.35, np.inf, 1.3])


def test_crowding_keeps_the_order_of_equal_points() -> None:
    # f_0: 0 1 1 2; f_1, with the equal ones in the same order: 0 1 1 2 of points 3 1 2 0.
    front = [[0, 2], [1, 1], [1, 1], [2, 0]]
    assert crowding_distance(front).tolist() == [np.inf, 1.0, 1.0, np.inf]


def test_an_objective_that_does_not_vary_adds_no_distance() -> None:
    front = [[0, 7, 4], [1, 7, 3], [4, 7, 0]]
    assert crowding_distance(front).tolist() == [np.inf, 2.0, np.inf]
    assert crowding_distance([[1, 1]] * 4).tolist() == [0.0] * 4


@pytest.mark.parametrize("front", [[[1, 2]], [[1, 2], [2, 1]], [[3, 3], [3, 3]]])
def test_one_or_two_points_are_infinitely_far(front: list[list[int]]) -> None:
    assert np.isinf(crowding_distance(front)).all()


def test_points_that_are_not_finite_have_no_distance_and_are_no_neighbours() -> None:
    front = [[0, 4], [np.nan, 3], [1, 3], [np.inf, 0], [4, 0]]
    assert crowding_distance(front).tolist() == [np.inf, 0.0, 2.0, 0.0, np.inf]


def test_the_hypervolume_is_the_area_of_a_staircase() -> None:
    # (1, 5) to (2, 3): 1 * 1; (2, 3) to (5, 1): 3 * 3; (5, 1) to the reference: 1 * 5.
    assert hypervolume([[5, 1], [2, 3], [1, 5]], [6, 6]) == 15.0


def test_points_that_others_dominate_or_that_repeat_add_no_area() -> None:
    assert hypervolume([[5, 1], [2, 3], [3, 3], [2, 4], [2, 3], [1, 5]], [6, 6]) == 15.0


def test_points_outside_the_reference_or_not_finite_add_no_area() -> None:
    points = [[2, 3], [6, 0], [0, 6], [7, 7], [np.nan, 1], [1, np.inf], [-np.inf, 1]]
    assert hypervolume(points, [6, 6]) == 12.0
    assert hypervolume(np.empty((0, 2)), [6, 6]) == 0.0


def test_the_hypervolume_is_of_two_objectives() -> None:
    for points, reference in (([[1, 2, 3]], [4, 4]), ([1, 2], [4, 4]), ([[1, 2]], [4, 4, 4])):
        with pytest.raises(ValueError, match=r"area is of two objectives, not of points of shape"):
            hypervolume(points, reference)


@settings(max_examples=60)
@given(
    arrays.arrays(np.int64, st.tuples(st.integers(0, 8), st.just(2)), elements=st.integers(0, 9))
)
def test_the_hypervolume_of_integers_counts_the_squares_they_dominate(points: np.ndarray) -> None:
    corner = np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1)  # (8, 8, 2)
    dominated = (points[:, None, None] <= corner).all(axis=-1).any(axis=0)
    assert hypervolume(points, [8, 8]) == np.count_nonzero(dominated)


@pytest.fixture(scope="session")
def pymoo() -> Any:
    """pymoo's non-dominated sort, and its crowding distance, which is the mean over objectives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
        from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
    return NonDominatedSorting().do, get_crowding_function("cd").do


@pytest.mark.filterwarnings("ignore")  # pymoo's own
def test_fronts_and_crowding_are_those_of_pymoo(pymoo: Any) -> None:
    sort, crowding = pymoo
    for seed in range(20):
        points = drawn(seed)
        fronts = non_dominated_sort(points)
        assert [front.tolist() for front in fronts] == [front.tolist() for front in sort(points)]
        for front in fronts:  # both keep the order of equal points
            expected = crowding(points[front]) * points.shape[1]
            assert crowding_distance(points[front]) == pytest.approx(expected)
