"""The axis of classes, and probabilities."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.metrics.class_axis import class_axis, classes_last, is_probability
from onnx_evoq.signature import OutputHint


def softmax(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Probabilities along an axis."""
    powers = np.exp(random(*shape))
    return powers / powers.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize("shape", [(5, 7, 4), (5, 4, 6, 8), (5, 6, 8, 4), (5, 9, 1, 4), (5, 3, 3)])
@pytest.mark.parametrize("of_logarithms", [False, True])
def test_probabilities_sum_to_one_along_the_classes(
    shape: tuple[int, ...], of_logarithms: bool
) -> None:
    for axis in (k for k in range(1 - len(shape), 0) if shape[k] > 1):
        values = softmax(shape, axis)
        found = class_axis([np.log(values) if of_logarithms else values])
        assert found == (axis, not of_logarithms, True)


def test_all_batches_are_looked_at() -> None:
    values = softmax((4, 3, 2), -1)
    assert class_axis([values, 3 * values]) == (-1, False, False)


@pytest.mark.parametrize("axis", [-1, -2, -3])
def test_the_graph_says_how_many_classes_there_are(axis: int) -> None:
    logits = np.moveaxis(random(2, 6, 7, 5), 3, axis)
    assert class_axis([logits], OutputHint(frozenset([5]))).axis == axis


def test_two_axes_of_that_length_say_nothing() -> None:
    assert class_axis([random(2, 5, 5)], OutputHint(frozenset([5]))).axis == -1


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 10, 4, 4), -3),
        ((2, 1, 8, 8), -3),
        ((2, 4, 4, 4), -3),
        ((2, 4, 4, 10), -1),
        ((2, 64, 48, 3), -1),
        ((2, 48, 64, 3), -1),
        ((2, 3, 64, 48), -3),
        ((2, 3, 48, 64), -3),
        ((2, 10, 1, 1), -3),
        ((2, 1, 1, 10), -1),
        ((2, 25, 1, 10), -1),
        ((2, 8, 4, 8), -3),
        ((2, 4, 6, 4), -3),
        ((2, 3, 4, 4, 4), -4),
        ((2, 9, 4), -1),
        ((2, 9), -1),
        ((2,), -1),
    ],
)
def test_otherwise_the_shape_tells(shape: tuple[int, ...], axis: int) -> None:
    assert class_axis([random(*shape)]) == (axis, False, False)


@pytest.mark.parametrize(("hint", "expected"), [(None, True), (True, True), (False, False)])
def test_a_single_value_is_a_probability_if_graph_or_range_say_so(
    hint: bool | None, expected: bool
) -> None:
    one = [np.array([[0.3]])]
    assert class_axis(one, OutputHint(probabilities=hint)).probabilities is expected
    assert class_axis([*one, np.array([[1.5]])]).probabilities is False
    assert class_axis([*one, np.array([[1.5]])], OutputHint(probabilities=True)).probabilities


def test_classes_are_moved_to_the_last_axis() -> None:
    assert classes_last(np.zeros((2, 5, 3, 4)), -3).shape == (2, 3, 4, 5)
    assert classes_last(np.zeros(2), -1).shape == (2, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.25, 0.75], True),
        ([0.0, 1.0], True),
        ([0.25, 0.7505], True),  # up to rounding
        ([0.25, 0.76], False),
        ([-0.5, 1.5], False),
        ([2.0, -1.0], False),
        ([0.3], True),
        ([0.0], True),
        ([1.0], True),
        ([1.5], False),
        ([-0.1], False),
    ],
)
def test_probabilities_lie_between_0_and_1_and_several_sum_to_1(
    values: list[float], expected: bool
) -> None:
    assert is_probability(np.array([values])) is expected


def test_probabilities_sum_to_1_at_each_position() -> None:
    assert is_probability(np.full((1, 5, 2), 0.5))
    assert not is_probability(np.array([[[0.5, 0.5], [0.2, 0.2]]]))
    assert is_probability(np.full((1, 2, 1), 0.3))
