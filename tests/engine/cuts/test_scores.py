"""Scores of candidates by workers: those of this process, to the bit."""

from itertools import count
from typing import Any

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, random, scoring_set

from onnx_evoq.engine import Evaluators, Sketch
from onnx_evoq.engine.cuts import WorkersPool
from onnx_evoq.executors import TaskSize
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.score import Evaluator
from onnx_evoq.setup import Resources, ScoringSet

MODEL, _ = fold_batch_norm(load(conv_net()))
SET = scoring_set(MODEL, {"x": random(26, 3, 8, 8)}, 4)  # seven batches
CANDIDATES = [0.3 * random(6, 5, seed=seed) for seed in range(9)]


def evaluator(cluster: str | None = FAR, scoring: ScoringSet = SET) -> Evaluator:
    (found,) = Evaluators([scoring], Resources(workers=1, cluster=cluster)).at(MODEL, "w3")
    return found


def losses(by: Evaluator, first: int = 0, end: int = 7, **options: Any) -> list[Any]:
    return by.losses(CANDIDATES, lambda values: {"w3": values}, first, end, **options)


@pytest.fixture(params=[None, 1, 3, 100], ids=lambda units: f"{units} runs")
def units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many runs to a task."""
    if request.param is not None:
        monkeypatch.setattr(
            TaskSize, "units", lambda self, of, workers: max(1, min(of, request.param))
        )


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize(("first", "end"), [(0, 7), (0, 2), (3, 6)])
def test_losses_are_those_of_this_process(far: FarWorkers, first: int, end: int) -> None:
    found, expected = losses(evaluator(), first, end), losses(evaluator(None), first, end)
    assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]
    assert {memory.has(key) for memory in far.memories for key in far.sent} == {True, False}


@pytest.mark.usefixtures("far")
def test_values_and_evaluations_are_those_of_this_process() -> None:
    one, other = evaluator(), evaluator(None)
    assert [one.value({"w3": each}) for each in CANDIDATES] == [
        other.value({"w3": each}) for each in CANDIDATES
    ]
    assert one.evaluations == other.evaluations == 9
    assert one.counts == other.counts


@pytest.mark.usefixtures("far")
def test_what_is_read_of_the_outputs_is_that_of_this_process() -> None:
    sketch = Sketch(SET, np.random.default_rng(0))
    one, other = evaluator(), evaluator(None)
    candidates = [{"w3": each} for each in CANDIDATES]
    found, expected = (list(each.answers(candidates, sketch)) for each in (one, other))
    assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]
    assert one.evaluations == other.evaluations == 9


def test_candidates_are_given_at_once_for_all_workers(far: FarWorkers) -> None:
    pool = evaluator()._pool
    assert isinstance(pool, WorkersPool)
    assert pool.at_once == 8


@pytest.mark.usefixtures("units")
@pytest.mark.parametrize(("calls", "done"), [(0, 0), (7, 0), (8, 1), (22, 2)])
def test_a_stop_leaves_candidates_without_all_runs_out(
    far: FarWorkers, calls: int, done: int
) -> None:
    asked = count()  # once for each candidate, and before each of its seven runs
    found = losses(evaluator(), stop=lambda: next(asked) >= calls)
    expected = losses(evaluator(None))
    assert [each is not None for each in found] == [k < done for k in range(9)]
    for one, other in zip(found[:done], expected, strict=False):
        assert one.tobytes() == other.tobytes()


def test_only_what_differs_in_a_candidate_is_sent(far: FarWorkers) -> None:
    by = evaluator()
    by.value({"w3": CANDIDATES[0]})
    sent = dict(far.sent)
    for place in range(5):
        changed = CANDIDATES[0].copy()
        changed.flat[place] += 1
        by.value({"w3": changed})
    new = {key for key in far.sent if key not in sent}
    assert len(new) == 0
    (change,) = {id(c): c for asked in far.asked[-1:] for c in asked.candidates}.values()
    assert change["w3"].positions.tolist() == [4]
