"""Metrics against labels, worked by hand."""

import math

import numpy as np
import pytest

from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.metrics.task_metrics import (
    check_labels,
    class_numbers,
    class_scores,
    cross_entropy,
    scores_name,
    top1,
    top5,
)

SCORES = np.array([[0.1, 0.7, 0.2], [3.0, 1.0, 2.0], [1.0, 1.0, 0.0]])


def test_top1_is_the_largest_score() -> None:
    assert top1(SCORES, np.array([1, 1, 0]), False).tolist() == [1, 0, 1]


def test_of_equal_scores_the_lower_class_wins() -> None:
    assert top1(SCORES, np.array([0, 0, 1]), False).tolist() == [0, 1, 0]


def test_top5_is_among_the_five_largest() -> None:
    scores = np.tile(np.arange(10.0), (10, 1))
    assert top5(scores, np.arange(10), False).tolist() == [0] * 5 + [1] * 5


def test_scores_with_a_nan_are_wrong() -> None:
    scores = np.array([[np.nan] * 3, [np.nan, 1, 2], [0, 1, 2]])
    assert top1(scores, np.array([0, 2, 2]), False).tolist() == [0, 0, 1]
    assert top5(scores, np.array([0, 2, 2]), False).tolist() == [0, 0, 1]


@pytest.mark.parametrize(("are_probabilities", "middle"), [(True, 0.5), (False, 0.0)])
def test_one_score_stands_for_class_1_above_the_middle(
    are_probabilities: bool, middle: float
) -> None:
    scores = np.array([[middle - 0.1], [middle], [middle + 0.1]])
    assert top1(scores, np.array([0, 0, 0]), are_probabilities).tolist() == [1, 1, 0]
    assert top1(scores, np.array([1, 1, 1]), are_probabilities).tolist() == [0, 0, 1]


def test_one_score_has_both_classes_among_the_first_five() -> None:
    scores = np.array([[0.9], [0.1], [np.nan]])
    assert top5(scores, np.array([0, 1, 1]), True).tolist() == [1, 1, 0]
    assert top5(np.array([[1.0, 0.0]]), np.array([1]), False).tolist() == [1]


def test_one_sample_with_one_score_is_right_or_wrong() -> None:
    assert top1(np.array([[0.3]]), np.array([1]), False).tolist() == [1]
    assert top1(np.array([[0.3]]), np.array([1]), True).tolist() == [0]


def test_cross_entropy_of_one_score_is_that_of_two_classes() -> None:
    probability, logit = np.array([[0.75], [0.75]]), np.full((2, 1), math.log(3))
    expected = [math.log(4), math.log(4 / 3)]  # of class 0 and of class 1
    assert cross_entropy(probability, np.array([0, 1]), True) == pytest.approx(expected)
    assert cross_entropy(logit, np.array([0, 1]), False) == pytest.approx(expected)


def test_cross_entropy_of_nan_is_nan() -> None:
    scores = np.array([[np.nan, 1.0], [np.nan, np.nan]])
    assert np.isnan(cross_entropy(scores, np.array([1, 0]), False)).all()
    assert np.isnan(cross_entropy(np.array([[np.nan]]), np.array([1]), True)).all()


def test_cross_entropy_is_minus_log_of_the_probability() -> None:
    logits = np.log(np.array([[3.0, 1.0]]))
    assert cross_entropy(logits, np.array([1]), False) == pytest.approx([math.log(4)])
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5]])
    values = cross_entropy(probabilities, np.array([1, 0]), True)
    assert values == pytest.approx([math.log(4), math.log(2)])


def test_axes_of_one_are_dropped() -> None:
    assert class_scores({"y": np.zeros((4, 10, 1, 1))}).shape == (4, 10)
    assert class_scores({"y": np.zeros((4, 1, 10))}).shape == (4, 10)
    assert class_scores({"y": np.zeros((1, 1))}).shape == (1, 1)
    assert class_scores({"y": np.zeros(3)}).shape == (3, 1)


def test_a_map_is_no_row_of_scores() -> None:
    with pytest.raises(MetricError, match=r"output 'y' has shape \(3, 4\) per sample.*your own"):
        class_scores({"y": np.zeros((2, 3, 4))})


def test_labels_of_one_score_are_0_or_1() -> None:
    assert check_labels(np.array([0, 1]), 1).tolist() == [0, 1]
    with pytest.raises(DataError, match="labels range from 0 to 2, but the model has 2 classes"):
        check_labels(np.array([0, 2]), 1)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_labels_out_of_range_name_the_range(labels: list[float]) -> None:
    with pytest.raises(DataError, match="3 classes: number them from 0 to 2"):
        check_labels(np.array(labels), 3)


@pytest.mark.parametrize(
    ("labels", "whole"), [([0.0, 2.0], [0, 2]), ([[1], [2]], [1, 2]), ([True, False], [1, 0])]
)
def test_whole_floats_columns_and_flags_are_labels(labels: list, whole: list[int]) -> None:
    assert check_labels(np.array(labels), 3).tolist() == whole


def test_scores_are_in_the_first_output_of_floats() -> None:
    outputs = {"label": np.array([1, 2]), "p": np.ones((2, 3)), "q": np.ones((2, 4))}
    assert scores_name(outputs) == "p"
    assert class_scores(outputs).shape == (2, 3)
    with pytest.raises(MetricError, match=r"no output holds class scores \(label\)"):
        class_scores({"label": np.array([1, 2])})


@pytest.mark.parametrize(
    "labels",
    [
        np.array([[1, 0], [0, 1]]),
        np.array(["cat", "dog"]),
        np.array([0.5, 1]),
        np.array([np.nan, 1]),
    ],
)
def test_labels_are_one_number_per_sample(labels: np.ndarray) -> None:
    assert class_numbers(labels) is None
    with pytest.raises(DataError, match="give one whole number per sample"):
        check_labels(labels, 3)
