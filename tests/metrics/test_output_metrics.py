"""Metrics against the float model's outputs, worked by hand."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.metrics.output_metrics import (
    agreement,
    cosine,
    kl,
    largest_difference,
    mse,
    probable_outputs,
    sqnr,
)


def outputs(*rows: list[float]) -> dict[str, NDArray[np.float32]]:
    return {"y": np.array(rows, np.float32)}


def test_mse_is_the_mean_of_squares() -> None:
    assert mse(outputs([1, 2], [3, 4]), outputs([1, 4], [0, 4])).tolist() == [2.0, 4.5]


def test_sqnr_is_in_decibels() -> None:
    # signal 100, noise 1 -> 20 dB; signal 1, noise 1 -> 0 dB
    assert sqnr(outputs([9, 0], [0, 0]), outputs([10, 0], [1, 0])).tolist() == [20.0, 0.0]


@pytest.mark.parametrize(
    ("y", "r", "expected"), [([1, 2], [1, 2], 120), ([0, 0], [0, 0], 120), ([1, 0], [0, 0], -120)]
)
def test_sqnr_stays_finite(y: list[float], r: list[float], expected: float) -> None:
    assert sqnr(outputs(y), outputs(r)).tolist() == [expected]


def test_cosine_is_that_of_the_angle() -> None:
    values = cosine(
        outputs([2, 0], [1, 1], [-3, 0], [0, 0]), outputs([1, 0], [1, 0], [1, 0], [0, 0])
    )
    assert values == pytest.approx([1, math.sqrt(0.5), -1, 1])


def test_kl_of_logits_goes_through_a_softmax() -> None:
    # p = (3/4, 1/4), q = (1/2, 1/2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl(outputs([0, 0]), outputs([math.log(3), 0])) == pytest.approx([expected])


def test_kl_of_probabilities_takes_them_as_they_are() -> None:
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl(outputs([0.5, 0.5]), outputs([0.75, 0.25])) == pytest.approx([expected])


@pytest.mark.parametrize(("p", "q"), [([0.75], [0.5]), ([math.log(3)], [0.0])])
def test_kl_of_one_class_is_that_of_a_coin(p: list[float], q: list[float]) -> None:
    # The second case has logits; -1 in another sample tells that they are none.
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    rest = [0.5] if p[0] < 1 else [-1.0]
    assert kl(outputs(q, rest), outputs(p, rest))[0] == pytest.approx(expected)


def test_kl_is_zero_for_the_same_and_finite_for_the_certain() -> None:
    assert kl(outputs([3, 1]), outputs([3, 1])).tolist() == [0.0]
    assert np.isfinite(kl(outputs([1, 0]), outputs([0, 1]))).all()
    assert np.isfinite(kl(outputs([1e4, 0]), outputs([0, 1e4]))).all()


def test_agreement_compares_the_largest_class() -> None:
    assert agreement(outputs([1, 2], [5, 4]), outputs([0, 9], [4, 5])).tolist() == [1.0, 0.0]


def test_agreement_of_one_score_compares_the_sides_of_the_middle() -> None:
    assert agreement(outputs([0.4], [0.6]), outputs([0.1], [0.2])).tolist() == [1.0, 0.0]
    assert agreement(outputs([-4], [6]), outputs([-1], [-2])).tolist() == [1.0, 0.0]


def test_agreement_of_maps_is_a_share_of_their_positions() -> None:
    r = np.zeros((1, 2, 1, 4), np.float32)  # (n, classes, h, w): class 0 wins everywhere
    y = r.copy()
    y[0, 1, 0, :1] = 1
    assert agreement({"y": y}, {"y": r}).tolist() == [0.75]


def test_several_outputs_count_alike() -> None:
    y = {"a": np.array([[1.0]]), "b": np.array([[1.0, 1.0]])}
    r = {"a": np.array([[3.0]]), "b": np.array([[1.0, 1.0]])}
    assert mse(y, r).tolist() == [2.0]


def test_whole_number_outputs_beside_floats_do_not_count() -> None:
    y = {"a": np.array([[1.0]]), "class": np.array([[7]])}
    r = {"a": np.array([[2.0]]), "class": np.array([[1]])}
    assert mse(y, r).tolist() == [1.0]
    assert mse({"class": y["class"]}, {"class": r["class"]}).tolist() == [36.0]


def test_the_largest_difference_is_relative_to_the_largest_output() -> None:
    assert largest_difference(outputs([1, 2], [3, 4]), outputs([1, 4], [0, -8])) == 12 / 8


@pytest.mark.parametrize("measure", [mse, sqnr, cosine, kl, agreement])
def test_an_output_that_is_no_number_is_never_better_than_one(measure: Any) -> None:
    reference = outputs([1, 2, 3])
    higher = measure in (sqnr, cosine, agreement)
    with np.errstate(invalid="ignore"):
        (broken,) = measure(outputs([np.nan, np.nan, np.nan]), reference)
    (wrong,) = measure(outputs([3, 2, -100]), reference)
    assert np.isnan(broken) or (broken <= wrong if higher else broken >= wrong)


def test_a_difference_to_what_is_no_number_is_none() -> None:
    assert math.isnan(largest_difference(outputs([np.nan, 1]), outputs([1, 1])))


def test_whether_outputs_are_probabilities_is_told_once_for_all_batches() -> None:
    y, r = outputs([0.6]), outputs([0.2])  # both sides of the middle of a probability
    assert agreement(y, r, frozenset({"y"})).tolist() == [0.0]
    assert agreement(y, r, frozenset()).tolist() == [1.0]
    assert probable_outputs([r, outputs([0.9])]) == {"y"}
    assert probable_outputs([r, outputs([-3.0])]) == frozenset()


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 10, 4, 4), 1),
        ((2, 1, 8, 8), 1),
        ((2, 4, 4, 10), 3),
        ((2, 64, 48, 3), 3),
        ((2, 3, 64, 48), 1),
        ((2, 10, 1, 1), 1),
        ((2, 1, 1, 10), 3),
    ],
)
def test_the_classes_of_maps_are_told_from_their_shape(shape: tuple, axis: int) -> None:
    reference = np.zeros(shape)
    index: list = [slice(None)] * 4
    index[axis] = 0
    reference[tuple(index)] = 1  # the first class everywhere
    moved = np.roll(reference, 1, axis=axis)
    same = agreement({"y": reference}, {"y": reference})
    assert same.tolist() == [1.0, 1.0]
    if shape[axis] > 1:
        assert agreement({"y": moved}, {"y": reference}).tolist() == [0.0, 0.0]
