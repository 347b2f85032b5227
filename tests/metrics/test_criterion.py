"""Values of a metric over several batches."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from graphs import random

from onnx_evoq.errors import MetricError
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.metrics.output_layout import OutputLayout

OUTPUTS = [{"y": np.array([[1.0, 0.0], [0.0, 1.0]])}, {"y": np.array([[0.0, 2.0]])}]
ZEROS = [{"y": np.zeros((2, 2))}, {"y": np.zeros((1, 2))}]


def test_each_sample_has_the_same_weight_in_whatever_batch() -> None:
    criterion = Criterion(find_metric("mse"), ZEROS, None)
    assert criterion.value(iter(OUTPUTS)) == pytest.approx((0.5 + 0.5 + 2.0) / 3)


def test_labels_are_split_by_batch() -> None:
    assert Criterion(find_metric("top1"), None, np.array([0, 0, 1])).value(OUTPUTS) == 2 / 3


def test_later_batches_have_their_own_reference_outputs() -> None:
    reference = [{"y": np.full((2, 2), 9.0)}, {"y": np.array([[0.0, 0.0]])}]
    criterion = Criterion(find_metric("mse"), reference, None)
    assert criterion.per_sample(OUTPUTS[1:], first=1).tolist() == [2.0]
    assert criterion.per_sample(OUTPUTS[:1], first=0).tolist() == [72.5, 72.5]


def test_later_batches_have_their_own_labels() -> None:
    criterion = Criterion(find_metric("top1"), ZEROS, np.array([1, 1, 0]))
    assert criterion.per_sample(OUTPUTS[1:], first=1).tolist() == [0.0]
    assert criterion.per_sample(OUTPUTS).tolist() == [0.0, 1.0, 0.0]


def test_outputs_are_probabilities_only_if_the_reference_of_all_batches_is() -> None:
    outputs = [{"y": np.array([[0.6]])}, {"y": np.array([[-2.0]])}]
    logits = [{"y": np.array([[0.2]])}, {"y": np.array([[-3.0]])}]
    probabilities = [{"y": np.array([[0.2]])}, {"y": np.array([[0.3]])}]
    metric = find_metric("agreement")
    assert Criterion(metric, logits, None).per_sample(outputs).tolist() == [1.0, 1.0]
    assert Criterion(metric, probabilities, None).per_sample(outputs).tolist() == [0.0, 1.0]


def test_without_a_reference_the_outputs_of_all_batches_are_looked_at() -> None:
    outputs = [{"y": np.array([[0.4]])}, {"y": np.array([[-3.0]])}]
    criterion = Criterion(find_metric("top1"), None, np.array([1, 0]))
    assert criterion.per_sample(iter(outputs)).tolist() == [1.0, 1.0]
    assert criterion.per_sample(iter(outputs[:1])).tolist() == [0.0]


def test_a_user_function_gets_all_outputs_and_labels_at_once() -> None:
    seen = []

    def spy(outputs: dict, labels: np.ndarray) -> float:
        seen.append((outputs["y"].shape, labels.tolist()))
        return 0.25

    spy.higher_is_better = True  # type: ignore[attr-defined]
    criterion = Criterion(find_metric(spy), None, np.array([5, 6, 7]))
    assert criterion.value(iter(OUTPUTS)) == 0.25
    assert seen == [((3, 2), [5, 6, 7])]


def test_a_metric_against_labels_needs_labels() -> None:
    with pytest.raises(MetricError, match="'top1' needs labels, and the data have none: add them"):
        Criterion(find_metric("top1"), OUTPUTS, None)


def test_a_metric_against_outputs_needs_a_reference() -> None:
    with pytest.raises(MetricError, match="'kl' compares with a float model: name it"):
        Criterion(find_metric("kl"), None, np.array([1]))


UNLIKE = [{"y": random(40, 3) * np.array([100, 100, 1]), "n": np.arange(40)}]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("channel_nmse", "channel_nmse"), ("kl", "channel_nmse"), ("mse", "nmse"), ("sqnr", "nmse")],
)
def test_the_relative_error_tells_channels_apart_if_the_metric_does(
    metric: str, expected: str
) -> None:
    assert Criterion(find_metric(metric), UNLIKE, None).relative_error.name == expected


def test_the_relative_error_of_channels_that_are_alike_is_nmse() -> None:
    assert Criterion(find_metric("channel_nmse"), OUTPUTS, None).relative_error.name == "nmse"


def test_differences_are_divided_by_the_power_of_channels_or_of_whole_outputs() -> None:
    powers = Criterion(find_metric("kl"), UNLIKE, None).powers
    assert powers.keys() == {"y"}
    np.testing.assert_allclose(powers["y"], UNLIKE[0]["y"].var(axis=0, ddof=1), rtol=1e-6)
    whole = Criterion(find_metric("mse"), UNLIKE, None).powers
    assert whole["y"] == pytest.approx(np.square(UNLIKE[0]["y"]).mean())


def test_given_layouts_are_used() -> None:
    layouts = {"y": OutputLayout(power=np.array([4.0]))}
    criterion = Criterion(find_metric("channel_nmse"), ZEROS, None, layouts)
    assert criterion.value(iter(OUTPUTS)) == pytest.approx((0.5 + 0.5 + 2.0) / 3 / 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mse", 0), ("nmse", 0), ("channel_nmse", 0), ("kl", 0), ("agreement", 1), ("cosine", 1)],
)
def test_a_sample_without_rows_has_no_error(name: str, value: float) -> None:
    parts = [{"y": np.ones((1, rows, 3), np.float32)} for rows in (2, 0)]
    criterion = Criterion(find_metric(name), parts, None)
    assert criterion.per_sample(parts).tolist() == pytest.approx([value, value])
    assert np.isfinite(criterion.powers["y"]).all()


def test_a_users_metric_takes_the_outputs_of_the_model() -> None:
    def rows(outputs: Mapping[str, Any], labels: object) -> float:
        assert list(outputs) == ["y", "z"]
        assert outputs["z"].shape == (2, 1)
        return float(sum(len(each) for each in outputs["y"]))

    rows.higher_is_better = True  # type: ignore[attr-defined]
    points = [{"p": np.ones((1, 3))}, {"p": np.zeros((1, 3))}]
    own = []
    for count in (2, 5):
        box = np.empty(1, object)
        box[0] = np.ones((count, 4))
        own.append({"y": box, "z": np.zeros((1, 1))})
    criterion = Criterion(find_metric(rows), points, None, own=own, unlike=frozenset(["y"]))
    assert criterion.wanted == ("p", "y", "z")
    assert criterion.value(criterion.of_float_model) == 7
    assert Criterion(find_metric("mse"), points, None, own=own).wanted is None
