"""How quantized models answer on held-out samples."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from onnx_evoq.api.details.answers import (
    changed_samples,
    measured,
    top1_of,
    top1_with_interval,
)
from onnx_evoq.api.details.intervals import wilson
from onnx_evoq.batch import Batch
from onnx_evoq.metrics import Criterion, Metric, find_metric, output_layouts
from onnx_evoq.setup import Calibration, ScoringSet

LOGITS = np.array([[5, 0, 0], [0, 4, 0], [0, 0, 6], [2, 0, 0]], np.float32)
MOVED = np.array([[0, 5, 0], [4, 0, 0], [0, 0, 6], [2, 0, 0]], np.float32)  # the first two
LABELS = np.array([0, 0, 2, 1])


def scoring_of(
    reference: Any,
    labels: Any = None,
    metric: Metric | None = None,
    sizes: tuple[int, ...] = (3, 1),
    width: int = 4,
) -> ScoringSet:
    ends = np.cumsum(sizes)
    parts = [{"y": each} for each in np.split(np.asarray(reference), ends[:-1])]
    batches = [Batch({"x": np.ones((n, width), np.float32)}, n, n) for n in sizes]
    layouts = output_layouts(parts, {})
    metric = metric or find_metric("mse")
    return ScoringSet(batches, Criterion(metric, parts, labels, layouts))


def outputs_of(values: Any) -> list[Mapping[str, Any]]:
    return [{"y": np.asarray(values)[:3]}, {"y": np.asarray(values)[3:]}]


def changed(scoring: ScoringSet, outputs: Any, has_classes: bool = False) -> dict[str, Any]:
    calibration = Calibration(scoring.criterion.metric, scoring, scoring, has_classes, ())
    return changed_samples(calibration, scoring, outputs_of(outputs))


def test_the_metric_and_the_relative_error_have_intervals() -> None:
    found = measured(scoring_of(LOGITS), outputs_of(LOGITS + 1), 0)
    assert found["metric"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    relative = found["relative"]
    assert relative["value"] == pytest.approx(np.mean(3 / np.square(LOGITS).sum(axis=1)))
    assert relative["low"] < relative["value"] < relative["high"]


def test_a_share_has_the_interval_of_wilson() -> None:
    scoring = scoring_of(LOGITS, LABELS, find_metric("top1"))
    found = measured(scoring, outputs_of(LOGITS), 0)["metric"]
    assert found["value"] == 0.5
    assert (found["low"], found["high"]) == wilson(0.5, 4)


def test_a_metric_of_the_user_has_no_interval() -> None:
    own = Metric("own", True, "user", lambda outputs, labels: outputs["y"].sum())
    found = measured(scoring_of(LOGITS, metric=own), outputs_of(LOGITS), 0)
    assert found["metric"] == {"value": 17.0, "low": None, "high": None}
    assert found["relative"]["value"] == 0


def test_the_same_seed_gives_the_same_intervals() -> None:
    one, other = (measured(scoring_of(LOGITS), outputs_of(MOVED), 7) for _ in range(2))
    assert one == other


def test_the_points_that_are_lost_are_those_of_the_same_samples() -> None:
    scoring = scoring_of(LOGITS, LABELS)
    before, after = (top1_of(scoring, outputs_of(each)) for each in (LOGITS, MOVED))
    assert before.tolist() == [1, 0, 1, 0]
    assert after.tolist() == [0, 1, 1, 0]
    found = top1_with_interval(after, before)
    assert (found["value"], found["lost"]) == (0.5, 0)
    assert found["lost_within"][0] == -found["lost_within"][1] < 0


def test_changed_answers_come_with_the_most_certain_first() -> None:
    found = changed(scoring_of(LOGITS, LABELS), MOVED, has_classes=True)
    assert (found["kind"], found["changed"], found["of"]) == ("classes", 2, 4)
    assert (found["low"], found["high"]) == wilson(0.5, 4)
    first, second = found["samples"]
    assert (first["sample"], first["label"], first["float"], first["quantized"]) == (0, 0, 0, 1)
    assert (second["sample"], second["float"], second["quantized"]) == (1, 1, 0)
    e = np.exp(5)
    assert first["float_certainty"] == pytest.approx(e / (e + 2))
    assert first["values"] == {"x": "1, 1, 1, 1"}


def test_without_labels_none_are_given() -> None:
    found = changed(scoring_of(LOGITS), MOVED)
    assert [row["label"] for row in found["samples"]] == [None, None]


def test_a_sample_of_a_later_batch_has_its_number() -> None:
    last = LOGITS.copy()
    last[3] = [0, 9, 0]
    (row,) = changed(scoring_of(LOGITS), last)["samples"]
    assert row["sample"] == 3


def test_probabilities_are_certainties_themselves() -> None:
    before = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], np.float32)
    (row,) = changed(scoring_of(before), 1 - before[[0, 1, 2, 3]] * [[0], [1], [1], [1]])[
        "samples"
    ][:1] or [None]
    assert row is not None
    assert row["float_certainty"] == pytest.approx(0.8)


@pytest.mark.parametrize("logits", [True, False])
def test_a_single_score_is_that_of_the_second_class(logits: bool) -> None:
    p = np.array([[0.9], [0.2], [0.6], [0.45]], np.float32)
    q = np.array([[0.9], [0.2], [0.3], [0.45]], np.float32)
    if logits:
        p, q = (np.log(each / (1 - each)) for each in (p, q))
    (row,) = changed(scoring_of(p), q)["samples"]
    assert (row["sample"], row["float"], row["quantized"]) == (2, 1, 0)
    assert row["float_certainty"] == pytest.approx(0.6)
    assert row["quantized_certainty"] == pytest.approx(0.7)


def test_outputs_that_are_classes_are_certain() -> None:
    classes = np.array([[1], [2], [0], [0]])
    (row,) = changed(scoring_of(classes), np.array([[1], [2], [0], [3]]))["samples"]
    assert (row["float"], row["quantized"], row["float_certainty"]) == (0, 3, 1)


def test_of_other_outputs_the_largest_errors_are_shown() -> None:
    scoring = scoring_of(LOGITS, width=3)  # as wide as the input: a reconstruction
    found = changed(scoring, LOGITS + np.array([[0], [2], [0.5], [0]]))
    assert (found["kind"], found["changed"], found["of"]) == ("values", None, 4)
    assert [row["sample"] for row in found["samples"]][:2] == [1, 2]
    assert found["samples"][0]["error"] == pytest.approx(0.75)


def test_a_sample_without_a_number_comes_first() -> None:
    broken = LOGITS.copy()
    broken[2] = np.nan
    found = changed(scoring_of(LOGITS, width=3), broken)
    assert found["samples"][0]["sample"] == 2


def test_some_of_many_samples_are_shown() -> None:
    many = np.tile(LOGITS[:1], (60, 1))
    scoring = scoring_of(many, sizes=(60,))
    calibration = Calibration(scoring.criterion.metric, scoring, scoring, False, ())
    found = changed_samples(calibration, scoring, [{"y": -many}])
    assert found["changed"] == 60
    assert len(found["samples"]) == 24
