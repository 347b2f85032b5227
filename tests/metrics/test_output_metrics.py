"""Metrics against the float model's outputs, worked by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_evoq.metrics.output_layout import Layouts, OutputLayout, output_layouts
from onnx_evoq.metrics.output_metrics import (
    agreement,
    channel_nmse,
    cosine,
    kl,
    largest_difference,
    log_probabilities,
    mse,
    nmse,
    sqnr,
)

LOGITS: Layouts = dict.fromkeys("yab", OutputLayout())
PROBABILITIES: Layouts = {"y": OutputLayout(probabilities=True)}
DIVERGENCE = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # of (1/2, 1/2) from (3/4, 1/4)


def outputs(*rows: list[float]) -> dict[str, NDArray[np.float32]]:
    return {"y": np.array(rows, np.float32)}


def test_mse_is_the_mean_of_squares() -> None:
    assert mse(outputs([1, 2], [3, 4]), outputs([1, 4], [0, 4]), LOGITS).tolist() == [2.0, 4.5]


def test_the_axes_of_an_output_are_flattened() -> None:
    y, r = np.arange(8.0).reshape(2, 2, 2), np.zeros((2, 2, 2))
    assert mse({"y": y}, {"y": r}, LOGITS).tolist() == [14 / 4, (16 + 25 + 36 + 49) / 4]


def test_sqnr_is_in_decibels() -> None:
    # signal 100, noise 1 -> 20 dB; signal 1, noise 1 -> 0 dB
    values = sqnr(outputs([9, 0], [0, 0]), outputs([10, 0], [1, 0]), LOGITS)
    assert values.tolist() == [20.0, 0.0]


@pytest.mark.parametrize(
    ("y", "r", "expected"), [([1, 2], [1, 2], 120), ([0, 0], [0, 0], 120), ([1, 0], [0, 0], -120)]
)
def test_sqnr_is_clipped_to_120_decibels(y: list[float], r: list[float], expected: float) -> None:
    assert sqnr(outputs(y), outputs(r), LOGITS).tolist() == [pytest.approx(expected)]


def test_cosine_is_that_of_the_angle_and_1_for_two_zero_outputs() -> None:
    y = outputs([2, 0], [1, 1], [-3, 0], [0, 0], [0, 0])
    r = outputs([1, 0], [1, 0], [1, 0], [0, 0], [0, 1])
    assert cosine(y, r, LOGITS) == pytest.approx([1, math.sqrt(0.5), -1, 1, 0])


def test_cosine_divides_by_both_lengths() -> None:
    assert cosine(outputs([3, 4]), outputs([0, 2]), LOGITS) == pytest.approx([0.8])


def test_nmse_is_the_squared_error_over_the_squared_reference() -> None:
    values = nmse(outputs([1, 2], [3, 4]), outputs([1, 4], [0, 5]), LOGITS)
    assert values == pytest.approx([4 / 17, (9 + 1) / 25])


def test_nmse_of_a_zero_reference_is_finite() -> None:
    assert nmse(outputs([1, 0]), outputs([0, 0]), LOGITS) == pytest.approx([1e12])


def test_channel_nmse_divides_each_channel_by_its_power() -> None:
    layouts = {"y": OutputLayout(channels=-1, power=np.array([10_000.0, 0.25]))}
    y, r = outputs([300, 0.5], [90, 1]), outputs([200, 1.0], [100, 1])
    # (100^2 / 10000 + .5^2 / .25) / 2 and (10^2 / 10000 + 0) / 2
    assert channel_nmse(y, r, layouts) == pytest.approx([1.0, 0.005])


def test_channel_nmse_of_maps_divides_along_their_axis_of_channels() -> None:
    layouts = {"y": OutputLayout(channels=-2, power=np.array([4.0, 1.0]))}
    y = np.array([[[2.0, 0, 0], [0, 0, 3.0]]])  # (samples, channels, positions)
    assert channel_nmse({"y": y}, {"y": np.zeros((1, 2, 3))}, layouts) == pytest.approx(
        [(4 / 4 + 9 / 1) / 6]
    )


def test_channel_nmse_counts_each_output_alike() -> None:
    layouts = {"a": OutputLayout(power=np.array([100.0])), "b": OutputLayout()}
    y, r = {"a": np.array([[10.0]]), "b": np.array([[1.0, 0, 0]])}, np.zeros((1, 3))
    assert channel_nmse(y, {"a": r[:, :1], "b": r}, layouts) == pytest.approx([(1 + 1 / 3) / 2])


def test_agreement_of_sequences_with_the_samples_in_between_compares_classes() -> None:
    r = np.log([[[[0.7, 0.2, 0.1]], [[0.1, 0.6, 0.3]]]])  # (samples, time, 1, classes)
    y = r[..., [0, 2, 1]]
    assert agreement({"y": y}, {"y": r}, output_layouts([{"y": r}], {})).tolist() == [0.5]


def test_agreement_of_ties_takes_the_lower_class_on_both_sides() -> None:
    tie, lower, higher = [2.0, 2.0, 1.0], [3.0, 2.0, 1.0], [2.0, 3.0, 1.0]
    y, r = outputs(tie, tie, lower, higher), outputs(lower, higher, tie, tie)
    assert agreement(y, r, LOGITS).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_agreement_of_one_sample_with_one_class_follows_the_layout() -> None:
    y, r = outputs([0.6]), outputs([0.3])
    assert agreement(y, r, PROBABILITIES).tolist() == [0.0]
    assert agreement(y, r, LOGITS).tolist() == [1.0]


def test_kl_of_logits_uses_their_softmax() -> None:
    assert kl(outputs([0, 0]), outputs([math.log(3), 0]), LOGITS) == pytest.approx([DIVERGENCE])


def test_kl_of_probabilities_uses_them_unchanged() -> None:
    values = kl(outputs([0.5, 0.5]), outputs([0.75, 0.25]), PROBABILITIES)
    assert values == pytest.approx([DIVERGENCE])


@pytest.mark.parametrize(
    ("p", "q", "layouts"), [(0.75, 0.5, PROBABILITIES), (math.log(3), 0.0, LOGITS)]
)
def test_kl_of_one_class_is_that_of_a_bernoulli_variable(
    p: float, q: float, layouts: Layouts
) -> None:
    assert kl(outputs([q]), outputs([p]), layouts) == pytest.approx([DIVERGENCE])


def test_kl_of_maps_is_the_mean_over_their_positions() -> None:
    layouts = {"y": OutputLayout(classes=-3)}
    r = np.zeros((2, 2, 3, 4), np.float32)  # (n, classes, h, w): 12 positions
    y = r.copy()
    r[1, 0, 0, :3] = math.log(3)  # three positions of the second sample
    assert kl({"y": y}, {"y": r}, layouts) == pytest.approx([0, DIVERGENCE / 4])


def test_kl_is_the_mean_over_several_outputs() -> None:
    y, r = np.zeros((1, 2)), np.array([[math.log(3), 0]])
    assert kl({"a": y, "b": y}, {"a": r, "b": y}, LOGITS) == pytest.approx([DIVERGENCE / 2])


def test_kl_without_an_output_of_floats_is_nan() -> None:
    whole = {"y": np.array([[1], [2]])}
    assert np.isnan(kl(whole, whole, LOGITS)).tolist() == [True, True]


def test_kl_is_zero_for_equal_outputs_and_finite_for_certain_ones() -> None:
    assert kl(outputs([3, 1]), outputs([3, 1]), LOGITS).tolist() == [0.0]
    assert np.isfinite(kl(outputs([1, 0]), outputs([0, 1]), PROBABILITIES)).all()
    assert np.isfinite(kl(outputs([1e4, 0]), outputs([0, 1e4]), LOGITS)).all()


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_the_probability_of_one_certain_class_has_finite_logarithms(certain: float) -> None:
    logs = log_probabilities(np.array([[certain]]), True)
    assert logs.min() == pytest.approx(math.log(1e-12), rel=1e-4)
    assert logs.max() == pytest.approx(0, abs=1e-9)
    assert int(logs.argmax()) == int(certain)


def test_logarithms_of_probabilities_are_theirs() -> None:
    assert log_probabilities(np.array([[0.25, 0.0]]), True) == pytest.approx(
        np.log([[0.25, 1e-12]])
    )


def test_logits_of_positions_have_a_softmax_each() -> None:
    logits = np.log([[[1.0, 3.0], [1.0, 1.0]]])  # (n, positions, classes)
    assert np.exp(log_probabilities(logits, False)) == pytest.approx(
        np.array([[[0.25, 0.75], [0.5, 0.5]]])
    )


def test_one_logit_of_each_position_has_two_classes() -> None:
    logs = log_probabilities(np.full((1, 5, 1), math.log(3)), False)
    assert np.exp(logs) == pytest.approx(np.tile([0.25, 0.75], (1, 5, 1)))


def test_agreement_compares_the_largest_class() -> None:
    values = agreement(outputs([1, 2], [5, 4]), outputs([0, 9], [4, 5]), LOGITS)
    assert values.tolist() == [1.0, 0.0]


def test_nan_agrees_with_nothing_even_where_its_index_is_right() -> None:
    y = outputs([np.nan, 1, 0], [2, 1, np.nan], [2, 1, 0])
    r = outputs([2, 1, 0], [2, 1, 0], [2, 1, 0])
    assert agreement(y, r, LOGITS).tolist() == [0.0, 0.0, 1.0]


def test_agreement_of_one_score_compares_it_with_the_middle() -> None:
    y, r = outputs([0.4], [0.6], [0.6], [0.5]), outputs([0.1], [0.2], [0.7], [0.5])
    assert agreement(y, r, PROBABILITIES).tolist() == [1.0, 0.0, 1.0, 1.0]
    y, r = outputs([-4], [6], [0.4]), outputs([-1], [-2], [0.6])
    assert agreement(y, r, LOGITS).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(("layouts", "middle"), [(PROBABILITIES, 0.5), (LOGITS, 0.0)])
def test_a_score_in_the_middle_is_not_above_it(layouts: Layouts, middle: float) -> None:
    assert agreement(outputs([middle]), outputs([0.0]), layouts).tolist() == [1.0]
    assert agreement(outputs([0.0]), outputs([middle]), layouts).tolist() == [1.0]
    assert agreement(outputs([middle]), outputs([0.9]), layouts).tolist() == [0.0]


def test_agreement_of_maps_is_a_share_of_their_positions() -> None:
    r = np.zeros((1, 2, 1, 4), np.float32)  # (n, classes, h, w): class 0 is the largest everywhere
    y = r.copy()
    y[0, 1, 0, :1] = 1
    assert agreement({"y": y}, {"y": r}, {"y": OutputLayout(classes=-3)}).tolist() == [0.75]


def test_agreement_is_the_mean_over_several_outputs() -> None:
    y, r = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert agreement({"a": y, "b": y}, {"a": r, "b": y}, LOGITS).tolist() == [0.5]


def test_agreement_of_outputs_that_are_not_of_floats_is_equality() -> None:
    y = {"class": np.array([3, 4]), "name": np.array(["cat", "dog"])}
    r = {"class": np.array([3, 5]), "name": np.array(["cat", "dog"])}
    assert agreement(y, r, LOGITS).tolist() == [1.0, 0.5]


def test_an_error_metric_is_the_mean_over_several_outputs() -> None:
    y = {"a": np.array([[1.0]]), "b": np.array([[1.0, 1.0]])}
    r = {"a": np.array([[3.0]]), "b": np.array([[1.0, 1.0]])}
    assert mse(y, r, LOGITS).tolist() == [2.0]


def test_outputs_of_whole_numbers_count_only_without_outputs_of_floats() -> None:
    y = {"a": np.array([[1.0]]), "class": np.array([[7]])}
    r = {"a": np.array([[2.0]]), "class": np.array([[1]])}
    assert mse(y, r, LOGITS).tolist() == [1.0]
    assert mse({"class": y["class"]}, {"class": r["class"]}, LOGITS).tolist() == [36.0]


def test_the_error_of_text_is_nan_for_each_sample() -> None:
    text = {"y": np.array(["a", "b"])}
    assert np.isnan(mse(text, text, LOGITS)).tolist() == [True, True]


@pytest.mark.parametrize("measure", [mse, sqnr, cosine, nmse, channel_nmse, kl, agreement])
def test_an_output_that_is_nan_never_scores_better_than_a_number(
    measure: Callable[..., Any],
) -> None:
    reference = outputs([1, 2, 3])
    higher_is_better = measure in (sqnr, cosine, agreement)
    with np.errstate(invalid="ignore"):
        (broken,) = measure(outputs([np.nan, np.nan, np.nan]), reference, LOGITS)
    (wrong,) = measure(outputs([3, 2, -100]), reference, LOGITS)
    assert np.isnan(broken) or (broken <= wrong if higher_is_better else broken >= wrong)


def test_the_largest_difference_is_relative_to_the_largest_output() -> None:
    assert largest_difference(outputs([1, 2], [3, 4]), outputs([1, 4], [0, -8])) == 12 / 8


def test_the_largest_difference_is_that_of_the_worst_output() -> None:
    y, r = np.array([[2.0]]), np.array([[4.0]])
    assert largest_difference({"a": y, "b": r}, {"a": r, "b": r}) == 0.5
    assert largest_difference({"a": r, "b": y}, {"a": r, "b": r}) == 0.5
    assert largest_difference({"a": r}, {"a": r}) == 0.0


def test_the_largest_difference_from_a_zero_output_is_absolute() -> None:
    assert largest_difference(outputs([0.0, -3.0]), outputs([0.0, 0.0])) == 3.0


def test_the_largest_difference_of_empty_outputs_is_zero() -> None:
    assert largest_difference({"y": np.zeros((2, 0))}, {"y": np.zeros((2, 0))}) == 0.0


def test_the_largest_difference_of_small_outputs_is_relative_too() -> None:
    assert largest_difference(outputs([0.25]), outputs([0.5])) == 0.5


def test_the_largest_difference_of_whole_numbers_is_the_share_that_differs() -> None:
    y, r = {"a": np.array([1, 2, 3, 4])}, {"a": np.array([1, 2, 3, 5])}
    assert largest_difference(y, r) == 0.25
    assert largest_difference({**y, **outputs([1])}, {**r, **outputs([2])}) == 0.5


def test_the_largest_difference_from_nan_is_nan() -> None:
    assert math.isnan(largest_difference(outputs([np.nan, 1]), outputs([1, 1])))


def test_an_output_without_a_class_axis_is_one_score() -> None:
    y, r = {"y": np.array([-1.0, 2.0, 3.0])}, {"y": np.array([-3.0, 1.0, -1.0])}
    assert agreement(y, r, LOGITS).tolist() == [1.0, 1.0, 0.0]
