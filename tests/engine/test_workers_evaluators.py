"""Evaluators on workers: all kinds of models and metrics, and workers that lose their state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, mlp, model_of, node, random, scoring_set
from onnx import ModelProto
from real_cluster import RealCluster

from onnx_evoq.engine import Evaluators
from onnx_evoq.executors import connected
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import find_weights, fold_batch_norm, load
from onnx_evoq.setup import Resources, ScoringSet

Made = tuple[ModelProto, ScoringSet]


def conv() -> Made:
    model, _ = fold_batch_norm(load(conv_net()))
    return model, scoring_set(model, {"x": random(10, 3, 8, 8)}, 4)


def padded() -> Made:
    model = load(mlp(batch=4))
    return model, scoring_set(model, {"x": random(10, 4)}, 4)


def float16() -> Made:
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    return model, scoring_set(model, {"x": random(10, 3, 8, 8, dtype="float16")}, 4)


def with_a_sequence() -> Made:
    nodes = [
        node("SequenceConstruct", ["x"], ["s"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("SequenceInsert", ["s", "a"], ["t"]),
        node("ConcatFromSequence", ["t"], ["y"], axis=1),
    ]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 7]}, {"w": random(4, 3)}))
    return model, scoring_set(model, {"x": random(6, 4)}, 4)


def with_labels() -> Made:
    model, scoring = conv()
    metric, labels = find_metric("cross_entropy"), np.arange(10) % 5
    return model, replace(
        scoring, criterion=replace(scoring.criterion, metric=metric, labels=labels)
    )


def scores(made: Made, address: str | None) -> list[bytes]:
    """The losses of candidates for each weight, and for all weights together."""
    model, scoring = made
    evaluators = Evaluators([scoring, scoring.first(4)], Resources(workers=1, cluster=address))
    weights, found = find_weights(model)[0], []
    for some in (*([weight] for weight in weights), weights):
        candidates = [
            {w.name: 0.2 * random(*w.shape, seed=seed) for w in some} for seed in range(3)
        ]
        for each in evaluators.at(model, *(weight.name for weight in some)):
            losses = each.losses(candidates, lambda values: values, 0, len(each.counts))
            found += [loss.tobytes() for loss in losses if loss is not None]
    return found


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("make", [conv, padded, float16, with_a_sequence, with_labels])
def test_scores_are_those_of_this_process(make: Callable[[], Made]) -> None:
    assert scores(make(), FAR) == scores(make(), None)


def test_workers_that_lose_all_between_two_weights_give_the_same(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Evaluators.at

    def losing(self: Evaluators, *arguments: Any) -> Any:
        found = original(self, *arguments)
        far.lose(0)
        return found

    expected = scores(conv(), None)
    monkeypatch.setattr(Evaluators, "at", losing)
    assert scores(conv(), FAR) == expected


def test_real_workers_give_the_same_bytes(cluster: RealCluster) -> None:
    with connected(cluster.address, 1):
        assert scores(conv(), cluster.address) == scores(conv(), None)


def test_a_metric_of_the_user_is_computed_here(far: FarWorkers) -> None:
    def largest(outputs: Any, labels: None) -> float:
        return float(outputs["logits"].max())

    largest.higher_is_better = True  # type: ignore[attr-defined]
    model, scoring = conv()
    by_user = scoring.scored_by(find_metric(largest))
    (evaluator,) = Evaluators([by_user], Resources(workers=1, cluster=FAR)).at(model, "w3")
    assert np.isfinite(evaluator.value({"w3": random(6, 5)}))
    assert far.asked == []
