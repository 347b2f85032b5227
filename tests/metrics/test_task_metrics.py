"""Metrics against labels, worked by hand."""

import math

import numpy as np
import pytest

from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.metrics.task_metrics import check_labels, class_scores, cross_entropy, top1, top5

SCORES = np.array([[0.1, 0.7, 0.2], [3.0, 1.0, 2.0], [1.0, 1.0, 0.0]])


def test_top1_is_the_largest_score() -> None:
    assert top1(SCORES, np.array([1, 1, 0]), False).tolist() == [1, 0, 1]


def test_of_equal_scores_the_lower_class_wins() -> None:
    assert top1(SCORES, np.array([0, 0, 1]), False).tolist() == [0, 1, 0]


def test_top5_is_among_the_five_largest() -> None:
    scores = np.tile(np.arange(10.0), (10, 1))
    assert top5(scores, np.arange(10), False).tolist() == [0] * 5 + [1] * 5


def test_an_output_that_is_not_a_number_is_wrong() -> None:
    scores = np.full((2, 3), np.nan)
    assert top1(scores, np.array([0, 2]), False).tolist() == [0, 0]


def test_one_score_says_yes_above_the_middle() -> None:
    assert top1(np.array([[0.4], [0.6]]), np.array([0, 0]), True).tolist() == [1, 0]
    assert top1(np.array([[-4.0], [6.0]]), np.array([0, 1]), False).tolist() == [1, 1]


def test_cross_entropy_is_minus_log_of_the_probability() -> None:
    logits = np.log(np.array([[3.0, 1.0]]))
    assert cross_entropy(logits, np.array([1]), False) == pytest.approx([math.log(4)])
    assert cross_entropy(np.array([[0.75, 0.25]]), np.array([1]), True) == pytest.approx(
        [math.log(4)]
    )


def test_axes_of_one_are_dropped() -> None:
    assert class_scores({"y": np.zeros((4, 10, 1, 1))}).shape == (4, 10)
    assert class_scores({"y": np.zeros((1, 1))}).shape == (1, 1)


def test_a_map_is_no_row_of_scores() -> None:
    with pytest.raises(MetricError, match=r"output 'y' has shape \(3, 4\) per sample.*your own"):
        class_scores({"y": np.zeros((2, 3, 4))})


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
    assert class_scores({"label": np.array([1, 2]), "p": np.ones((2, 3))}).shape == (2, 3)
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
    with pytest.raises(DataError, match="give one whole number per sample"):
        check_labels(labels, 3)
