"""Values over several batches."""

import numpy as np
import pytest

from onnx_evoq.batch import Batch
from onnx_evoq.errors import MetricError
from onnx_evoq.metrics import Target, find_metric

BATCHES = [Batch({}, 2, 2), Batch({}, 2, 1)]
OUTPUTS = [{"y": np.array([[1.0, 0.0], [0.0, 1.0]])}, {"y": np.array([[0.0, 2.0]])}]


def test_every_sample_counts_alike_whatever_its_batch() -> None:
    reference = [{"y": np.zeros((2, 2))}, {"y": np.zeros((1, 2))}]
    target = Target(find_metric("mse"), reference, None)
    assert target.value(iter(OUTPUTS)) == pytest.approx((0.5 + 0.5 + 2.0) / 3)


def test_labels_are_told_apart_by_batch() -> None:
    assert Target(find_metric("top1"), None, np.array([0, 0, 1])).value(OUTPUTS) == 2 / 3


def test_a_user_gets_all_outputs_and_labels_at_once() -> None:
    seen = []

    def spy(outputs: dict, labels: np.ndarray) -> float:
        seen.append((outputs["y"].shape, labels.tolist()))
        return 0.25

    spy.higher_is_better = True  # type: ignore[attr-defined]
    target = Target(find_metric(spy), None, np.array([5, 6, 7]))
    assert target.value(iter(OUTPUTS)) == 0.25
    assert seen == [((3, 2), [5, 6, 7])]


def test_a_metric_of_labels_needs_labels() -> None:
    with pytest.raises(MetricError, match="'top1' needs labels, and the data have none: add them"):
        Target(find_metric("top1"), OUTPUTS, None)


def test_a_metric_of_outputs_needs_a_reference() -> None:
    with pytest.raises(MetricError, match="'kl' compares with a float model: name it"):
        Target(find_metric("kl"), None, np.array([1]))
