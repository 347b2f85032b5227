"""The fitness of a whole network by the codes of all its weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import mlp, random, rounded, task_of

from onnx_evoq.array_types import Codes
from onnx_evoq.evolve.network_codes.code_fitness import CodeFitness, parts_of
from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.metrics import find_metric
from onnx_evoq.model import as_network, load, with_codes
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value

MODEL = load(mlp())
START = QuantizedModel(as_network(MODEL), rounded(MODEL, 3), {}, ())
VECTOR = CodeVector(START.quantized)
TASK = task_of(MODEL, random(24, 4, seed=1), random(8, 4, seed=2), bits=3)  # three batches of 8


def moved(count: int) -> Codes:
    """The codes of the start, with the first ones at zero."""
    codes = VECTOR.codes
    codes[:count] = 0
    return codes


def fitness(task: Task = TASK, **changes: Any) -> CodeFitness:
    return CodeFitness(replace(task, **changes), START, float("inf"))


def value(codes: Codes, task: Task = TASK, sets: str = "search_set", batches: Any = None) -> float:
    """The metric of a model with these codes, computed by running all of it."""
    scoring = getattr(task, sets)
    if batches is not None:
        criterion = scoring.criterion
        reference = [criterion.reference[index] for index in batches]
        scoring = replace(
            scoring,
            batches=[scoring.batches[index] for index in batches],
            criterion=replace(criterion, reference=reference),
        )
    return model_value(with_codes(MODEL, VECTOR.quantized(codes)), scoring)


def test_fitness_is_the_error_on_each_set() -> None:
    scorer, codes = fitness(), moved(6)
    assert scorer.of_one(codes) == pytest.approx(value(codes), rel=1e-5)
    assert scorer.on_search_set([codes, moved(3)]) == pytest.approx(
        [value(codes), value(moved(3))], rel=1e-5
    )
    assert scorer.on_heldout_set(codes) == pytest.approx(value(codes, sets="heldout_set"), rel=1e-5)


def test_a_metric_that_is_maximised_has_negative_fitness() -> None:
    task = task_of(MODEL, random(24, 4, seed=1), random(8, 4, seed=2), bits=3, metric="sqnr")
    scorer = CodeFitness(task, START, 0.0)
    assert scorer.metric.name == "sqnr"
    assert scorer.on_heldout_set(moved(6)) == pytest.approx(
        -value(moved(6), task, "heldout_set"), rel=1e-4
    )


def test_there_are_as_many_batches_as_in_the_search_set() -> None:
    assert fitness().parts == 3


@pytest.mark.parametrize(
    ("turn", "count", "batches"),
    [
        (0, 1, [0]), (1, 1, [1]), (2, 1, [2]), (3, 1, [0]),
        (0, 2, [0, 1]), (1, 2, [1, 2]), (2, 2, [1, 2]), (3, 2, [0, 1]),
        (5, 3, [0, 1, 2]), (5, 4, [0, 1, 2]),
    ],
)  # fmt: skip
def test_each_turn_scores_other_batches(turn: int, count: int, batches: list[int]) -> None:
    codes = [moved(6), moved(9)]
    found = fitness().on_parts(codes, turn, count)
    assert found == pytest.approx([value(each, batches=batches) for each in codes], rel=1e-5)


def test_all_candidates_are_counted_on_any_batch() -> None:
    scorer = fitness()
    scorer.on_parts([moved(1), moved(2)], 0, 1)
    assert scorer.evaluations == 2
    scorer.on_parts([moved(1), moved(2)], 1, 1)
    assert scorer.evaluations == 4
    scorer.of_one(moved(3))
    scorer.on_heldout_set(moved(3))
    assert scorer.evaluations == 6


@pytest.mark.parametrize("seconds", [0, 2])
def test_out_of_time_batches_have_no_fitness(seconds: int) -> None:
    ticks = iter(range(10**6))
    scorer = fitness(deadline=Deadline(seconds, clock=lambda: next(ticks)))
    assert scorer.on_parts([moved(k) for k in range(9)], 1, 1) is None
    assert scorer.evaluations < 9


def test_out_of_time_the_start_is_scored_and_others_are_infinite() -> None:
    scorer = fitness(deadline=Deadline(0))
    start = scorer.of_one(moved(0))
    assert start == pytest.approx(value(moved(0)), rel=1e-5)
    assert scorer.on_search_set([moved(0), moved(6)]).tolist() == [start, float("inf")]


def user_metric(outputs: dict[str, Any], labels: None) -> float:
    return float(np.abs(outputs["logits"]).mean())


user_metric.higher_is_better = True  # type: ignore[attr-defined]


def test_a_metric_of_the_user_is_computed_on_the_whole_search_set() -> None:
    own = {
        name: getattr(TASK, name).scored_by(find_metric(user_metric))
        for name in ("search_set", "heldout_set")
    }
    task = replace(TASK, **own)
    scorer = fitness(task)
    expected = [-value(moved(6), task), -value(moved(9), task)]
    assert scorer.on_parts([moved(6), moved(9)], 1, 1) == pytest.approx(expected, rel=1e-5)
    assert scorer.evaluations == 2
    assert fitness(task, deadline=Deadline(0)).on_parts([moved(6)], 0, 1) is None


def test_small_batches_are_scored_together() -> None:
    assert parts_of([1] * 17) == [range(8), range(8, 16), range(16, 17)]
    assert parts_of([32, 32, 5]) == [range(1), range(1, 2), range(2, 3)]
