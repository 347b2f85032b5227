import numpy as np
import pytest

from onnx_evoq.batch import make_batches
from onnx_evoq.data import Samples
from onnx_evoq.errors import DataError, MetricError
from onnx_evoq.metrics import Criterion, Metric, find_metric
from onnx_evoq.setup.scoring import ScoringSet
from onnx_evoq.setup.scoring.metric_checks import (
    check_metric,
    labels_are_classes,
    notes_on_accuracy,
)
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, 2))]
X = {"x": np.zeros((6, 2), np.float32)}


def given(labels: list[float] | None, metric: str | Metric = "mse") -> tuple[Samples, ScoringSet]:
    """Six samples, all of class 1 of 3."""
    outputs = np.tile(np.float32([0, 9, 0]), (6, 1))
    array = None if labels is None else np.asarray(labels)
    found = find_metric(metric) if isinstance(metric, str) else metric
    criterion = Criterion(found, [{"y": outputs}], array)
    return Samples(X, array, "data"), ScoringSet(make_batches(X, SPECS, 6), criterion)


def test_whole_numbers_are_classes() -> None:
    samples, scoring = given([0, 1, 2, 0, 1, 2])
    assert labels_are_classes(find_metric("mse"), samples, scoring) == (True, [])
    assert labels_are_classes(find_metric("mse"), *given(None)) == (False, [])


def test_other_numbers_are_none() -> None:
    found, notes = labels_are_classes(find_metric("mse"), *given([0.5] * 6))
    assert not found
    assert "no class numbers" in notes[0]


def test_a_class_too_many_is_an_error() -> None:
    with pytest.raises(DataError, match="3"):
        labels_are_classes(find_metric("mse"), *given([3] * 6))


def test_accuracy_by_chance_is_noted() -> None:
    assert "hardly better than chance" in notes_on_accuracy(given([1, 1, 0, 0, 0, 2])[1])[0]
    assert notes_on_accuracy(given([1] * 6)[1]) == []


def test_a_metric_must_give_a_number() -> None:
    check_metric(find_metric("mse"), given(None)[1])
    broken = Metric("broken", True, "user", lambda outputs, labels: float("nan"))
    with pytest.raises(MetricError, match="'broken' returns NaN"):
        check_metric(broken, given(None, broken)[1])
