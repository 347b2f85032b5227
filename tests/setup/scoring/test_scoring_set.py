"""Samples with their expected answers."""

import numpy as np
import pytest
from graphs import mlp, random, rounded, scoring_set

from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.model import load, with_codes
from onnx_evoq.setup import model_value
from onnx_evoq.setup.scoring import ScoringSet

MODEL = load(mlp())
X = random(20, 4, seed=3)
SCORING = scoring_set(MODEL, {"x": X}, 8)


def test_samples_are_counted_without_what_fills_a_batch() -> None:
    assert [batch.count for batch in SCORING.batches] == [8, 8, 4]
    assert SCORING.samples == 20


@pytest.mark.parametrize(
    ("wanted", "samples"), [(1, 8), (8, 8), (9, 16), (16, 16), (17, 20), (20, 20), (999, 20)]
)
def test_the_first_are_whole_batches(wanted: int, samples: int) -> None:
    assert SCORING.first(wanted).samples == samples


def test_the_first_are_scored_as_they_are_among_all() -> None:
    changed = with_codes(MODEL, rounded(MODEL, 3))
    alone = scoring_set(MODEL, {"x": X[:16]}, 8)
    assert model_value(changed, SCORING.first(10)) == model_value(changed, alone)


def test_the_first_keep_their_labels() -> None:
    labels = np.arange(20) % 3
    criterion = Criterion(find_metric("top1"), SCORING.criterion.reference, labels)
    part = ScoringSet(SCORING.batches, criterion).first(10)
    np.testing.assert_array_equal(part.criterion.labels, labels[:16])


def test_the_first_keep_the_reference_of_their_batches() -> None:
    part = SCORING.first(10)
    assert len(part.batches) == 2
    assert part.criterion.reference == SCORING.criterion.reference[:2]


def test_the_first_need_no_reference() -> None:
    criterion = Criterion(find_metric("top1"), None, np.arange(20) % 3)
    assert ScoringSet(SCORING.batches, criterion).first(10).criterion.reference is None


def test_another_metric_scores_the_same_samples() -> None:
    changed = with_codes(MODEL, rounded(MODEL, 3))
    kinds = [model_value(changed, SCORING.scored_by(find_metric(n))) for n in ("mse", "agreement")]
    assert kinds[0] > 0
    assert 0 <= kinds[1] <= 1
    assert SCORING.criterion.metric.name == "mse"


def test_the_relative_error_is_that_of_the_criterion() -> None:
    assert SCORING.scored_by_relative_error().criterion.metric.name == "nmse"
    unlike = [{"y": random(16, 2) * [100, 1]}]
    scoring = ScoringSet([], Criterion(find_metric("kl"), unlike, None))
    assert scoring.scored_by_relative_error().criterion.metric.name == "channel_nmse"
