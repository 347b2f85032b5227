"""The ranking by sensitivity, against whole models with one weight quantized."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, random, rounded, scoring_set, task_of

from onnx_evoq.engine import rank_by_sensitivity, rank_in_time, samples_in_time
from onnx_evoq.model import fold_batch_norm, load, with_codes
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup import model_value


@pytest.mark.parametrize("metric", ["mse", "cosine"])
def test_each_weight_is_scored_with_it_alone_quantized(metric: str) -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    scoring = scoring_set(model, {"x": random(6, 3, 8, 8)}, 4, metric)
    quantized = rounded(model, 3)
    expected = {
        name: model_value(with_codes(model, {name: weight}), scoring)
        for name, weight in quantized.items()
    }
    shown: list[Any] = []

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        shown.append((label, total))
        yield shown.append

    ranking = rank_by_sensitivity(model, quantized, scoring, progress=progress)
    assert shown == [("sensitivity", 3), 1, 1, 1]
    assert ranking == pytest.approx(expected, rel=1e-5)
    better = np.array(list(ranking.values())) * (-1 if metric == "cosine" else 1)
    assert (np.diff(better) >= 0).all()  # the least sensitive first


def test_weights_that_are_not_measured_in_time_come_last_in_their_order() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    scoring = scoring_set(model, {"x": random(6, 3, 8, 8)}, 4)
    looks = iter([0.0, 0.0, 5.0, 5.0])  # when it starts, and at each weight
    ranking = rank_by_sensitivity(
        model, rounded(model, 3), scoring, Deadline(1, clock=lambda: next(looks))
    )
    assert list(ranking) == ["w1", "w2", "w3"]
    assert [bool(np.isnan(value)) for value in ranking.values()] == [False, True, True]


@pytest.mark.parametrize(
    ("seconds", "deadline", "expected"),
    [
        (1.0, NO_DEADLINE, 12),
        (0.0, Deadline(1, clock=lambda: 0.0), 12),
        (1.0, Deadline(70, clock=lambda: 0.0), 12),
        (1.0, Deadline(56, clock=lambda: 0.0), 8),  # 10 s for each session, 1.5 s for a sample
        (1.0, Deadline(0, clock=lambda: 0.0), 4),  # a batch in any case
    ],
)
def test_the_samples_are_as_many_as_the_time_allows_for_all_weights(
    seconds: float, deadline: Deadline, expected: int
) -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    scoring = scoring_set(model, {"x": random(12, 3, 8, 8)}, 4)
    assert samples_in_time(scoring, 3, seconds, deadline).samples == expected


def test_before_a_search_weights_are_ranked_at_their_own_widths() -> None:
    task = task_of(load(mlp()), random(16, 4), random(8, 4), bits={"first": 2, "second": 8})
    ranking = rank_in_time(task)
    assert list(ranking) == ["second", "first"]
    codes = task.nearest(task.weights, task.bits)
    assert ranking == rank_by_sensitivity(task.model, codes, task.search_set)
