"""The scores of a whole model on both sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import mlp, proto, random, rounded, run

from onnx_evoq.data import Data
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import load, with_codes
from onnx_evoq.setup import Score, prepare_calibration, score_of, score_of_float_model
from onnx_evoq.setup.calibration import Calibration

MODEL = load(mlp())
X = random(40, 4, seed=3)
CLASSES = run(MODEL, {"x": X})["logits"].argmax(axis=1)
CHANGED = with_codes(MODEL, rounded(MODEL, 2))


def calibration(data: object) -> Calibration:
    rng = np.random.default_rng(0)
    return prepare_calibration(MODEL, "m.onnx", Data(data), "mse", 0.25, rng)  # type: ignore[arg-type]


def samples(ready: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """The inputs of the search set and of the held-out set."""
    search, heldout = (
        np.concatenate([batch.feed["x"][: batch.count] for batch in part.batches])
        for part in (ready.search_set, ready.heldout_set)
    )
    return search, heldout


def test_the_metric_is_measured_on_each_set() -> None:
    ready = calibration(X)
    errors = [
        np.square(run(CHANGED, {"x": x})["logits"] - run(MODEL, {"x": x})["logits"]).mean()
        for x in samples(ready)
    ]
    score = score_of(CHANGED, ready)
    assert (score.search, score.heldout) == pytest.approx(errors, rel=1e-4)
    assert errors[0] != pytest.approx(errors[1], rel=0.01)
    assert score.top1 is None


def test_with_classes_top1_is_measured_too() -> None:
    ready = calibration({"x": X, "y": CLASSES})
    shares = [
        (
            run(CHANGED, {"x": x})["logits"].argmax(axis=1)
            == run(MODEL, {"x": x})["logits"].argmax(axis=1)
        ).mean()
        for x in samples(ready)
    ]
    top1 = score_of(CHANGED, ready).top1
    assert top1 == pytest.approx({"search": shares[0], "heldout": shares[1]})
    assert 0 < shares[0] < 1


def test_progress_counts_the_batches_of_both_sets() -> None:
    shown: list[Any] = []

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        shown.append((label, total))
        yield shown.append

    ready = calibration(X)
    score_of(MODEL, ready, progress=progress)
    batches = len(ready.search_set.batches) + len(ready.heldout_set.batches)
    assert shown == [("scoring", batches), *[1] * batches]


@pytest.mark.parametrize("metric", ["mse", "sqnr", "top1", "cross_entropy"])
def test_the_score_of_the_float_model_needs_no_run(metric: str) -> None:
    ready = calibration({"x": X, "y": np.roll(CLASSES, 1)})
    sets = [
        replace(part, criterion=replace(part.criterion, metric=find_metric(metric)))
        for part in (ready.search_set, ready.heldout_set)
    ]
    ready = replace(ready, search_set=sets[0], heldout_set=sets[1])
    assert score_of_float_model(ready) == score_of(MODEL, ready)


def test_without_classes_the_float_model_has_no_top1() -> None:
    ready = calibration(X)
    assert (
        score_of_float_model(ready)
        == score_of(MODEL, ready)
        == Score(0, 0, outputs={"logits": (0.0,)})
    )


def test_a_network_is_scored_as_the_model_that_it_is() -> None:
    ready = calibration({"x": X, "y": CLASSES})
    assert score_of(CHANGED, ready) == score_of(proto(CHANGED), ready)


def test_top1_is_left_out_of_json_without_classes() -> None:
    assert Score(0.5, 0.25).to_dict() == {"search": 0.5, "heldout": 0.25}
    top1 = {"search": 1.0, "heldout": 0.0}
    assert Score(0.5, 0.25, top1).to_dict() == {"search": 0.5, "heldout": 0.25, "top1": top1}


def test_the_errors_of_outputs_are_those_of_the_heldout_set_and_no_part_of_the_scores() -> None:
    ready = calibration(X)
    score = score_of(CHANGED, ready)
    power = ready.heldout_set.criterion.of_reference["logits"].power
    assert score.outputs["logits"] == pytest.approx(score.heldout / power)
    assert "outputs" not in score.to_dict()
