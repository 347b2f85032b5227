"""Coevolution of all codes of a model: what is kept, what repeats, and when it stops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import (
    conv_net,
    interrupting,
    mlp,
    proto,
    random,
    rounded,
    stepping_into,
    table_read_twice,
    task_of,
)

from onnx_evoq.evolve import Evolved
from onnx_evoq.evolve.coevolution import coevolve
from onnx_evoq.evolve.network_codes import CodeFitness
from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.model import Model, as_network, fold_batch_norm, load, with_codes
from onnx_evoq.model.graph import network
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.score import predict
from onnx_evoq.setup import Resources, Task, model_value, open_session
from onnx_evoq.setup.scoring import ScoringSet

SETTINGS = SearchSettings(population=16, generations=25, mutation_rate=0.1, together=True)
SMALLER = replace(SETTINGS, generations=60, mutation_rate=0.02)
Case = tuple[Task, QuantizedModel]


def folded() -> Model:
    return fold_batch_norm(load(conv_net()))[0]


def case(init: str = "nearest", **given: Any) -> Case:
    options = {"bits": 3, **given}
    task = task_of(folded(), random(40, 3, 8, 8, seed=1), random(24, 3, 8, 8, seed=2), **options)
    if init == "reconstruct":
        return task, reconstruct_layers(task, np.random.default_rng(0))
    start = rounded(task.model, 3)
    return task, QuantizedModel(as_network(task.model), start, {}, tuple(start))


@pytest.fixture(scope="module")
def given() -> Case:
    """A task, and nearest rounding."""
    return case()


@pytest.fixture(scope="module")
def evolved(given: Case) -> Evolved:
    """The codes that evolved from nearest rounding."""
    return coevolved(given)


def coevolved(
    given: Case, seed: int = 0, settings: SearchSettings = SETTINGS, **changes: Any
) -> Evolved:
    task, start = given
    return coevolve(replace(task, **changes), start, settings, np.random.default_rng(seed))


def value(given: Case, codes: dict[str, QuantizedWeight], scoring: ScoringSet) -> float:
    return model_value(with_codes(given[1].model, codes), scoring)


def same(one: dict[str, QuantizedWeight], other: dict[str, QuantizedWeight]) -> bool:
    return all(np.array_equal(one[name].codes, other[name].codes) for name in one)


def lowers_the_error(given: Case, evolved: Evolved) -> bool:
    """Whether the error is lower than that of the start on both sets."""
    return all(
        value(given, evolved.quantized, scoring) < value(given, given[1].quantized, scoring)
        for scoring in (given[0].search_set, given[0].heldout_set)
    )


def test_from_nearest_rounding_the_error_falls_on_both_sets(given: Case, evolved: Evolved) -> None:
    assert lowers_the_error(given, evolved)
    assert evolved.stopped is None
    assert evolved.evaluations > 100


def test_from_a_reconstruction_the_error_falls_on_the_same_grids() -> None:
    given = case("reconstruct")
    evolved = coevolved(given, seed=2, settings=SMALLER)
    assert lowers_the_error(given, evolved)
    for name, (codes, grid) in evolved.quantized.items():
        assert grid is given[1].quantized[name].grid
        assert codes.dtype == np.int8
        assert grid.low <= codes.min() <= codes.max() <= grid.high


def test_codes_of_several_layers_move(given: Case, evolved: Evolved) -> None:
    start, end = given[1].quantized, evolved.quantized
    assert sum((end[name].codes != start[name].codes).any() for name in end) > 1


def test_every_weight_reports_the_whole_models_scores(given: Case, evolved: Evolved) -> None:
    task, start = given
    assert list(evolved.layers) == list(start.quantized)
    (scores,) = {id(each): each for each in evolved.layers.values()}.values()
    for part, scoring in (("search", task.search_set), ("heldout", task.heldout_set)):
        before, after = (value(given, q, scoring) for q in (start.quantized, evolved.quantized))
        assert scores.before[part] == pytest.approx(before, rel=1e-4)
        assert scores.after[part] == pytest.approx(after, rel=1e-4)


def test_codes_that_are_worse_on_the_heldout_set_are_not_kept(given: Case) -> None:
    # The held-out set expects the answers of the start, so that every move makes them worse.
    task, start = given
    session = open_session(start.as_float)
    answers = list(predict(session, task.heldout_set.batches))
    content = ScoringSet(task.heldout_set.batches, Criterion(find_metric("mse"), answers, None))
    evolved = coevolved(given, heldout_set=content)
    assert same(evolved.quantized, start.quantized)
    assert all(scores.before == scores.after for scores in evolved.layers.values())


def test_the_seed_alone_decides_on_the_codes(given: Case, evolved: Evolved) -> None:
    two_workers = coevolved(given, resources=Resources(workers=2))
    assert same(evolved.quantized, two_workers.quantized)
    assert not same(evolved.quantized, coevolved(given, seed=1).quantized)


def test_out_of_time_the_start_stays(given: Case) -> None:
    evolved = coevolved(given, deadline=Deadline(0))
    assert (evolved.stopped, evolved.evaluations, evolved.layers) == ("time", 0, {})
    assert same(evolved.quantized, given[1].quantized)


@pytest.mark.parametrize("seconds", [5, 60, 400])
def test_a_search_that_time_cuts_short_says_so_and_is_no_worse(given: Case, seconds: int) -> None:
    ticks = iter(range(10**9))
    evolved = coevolved(given, deadline=Deadline(seconds, clock=lambda: next(ticks)))
    assert evolved.stopped == "time"
    before, after = (
        value(given, q, given[0].heldout_set) for q in (given[1].quantized, evolved.quantized)
    )
    assert after <= before


def test_no_generations_leave_the_codes_as_they_are(given: Case) -> None:
    evolved = coevolved(given, settings=replace(SETTINGS, generations=0))
    assert same(evolved.quantized, given[1].quantized)
    assert evolved.stopped is None
    assert evolved.evaluations == 2  # the start on both sets


def test_the_allowed_drop_is_checked_for_the_codes_that_are_kept(
    given: Case, evolved: Evolved
) -> None:
    seen: list[Model] = []

    def max_drop_check(model: Model) -> bool:
        seen.append(model)
        return True

    assert same(coevolved(given, max_drop_check=max_drop_check).quantized, evolved.quantized)
    assert network.same(as_network(seen[-1]), with_codes(given[1].model, evolved.quantized))


def test_an_interrupt_before_the_start_is_scored_leaves_it(
    given: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(CodeFitness, "of_one", interrupted)
    evolved = coevolved(given)
    assert (evolved.stopped, evolved.layers) == ("interrupt", {})
    assert same(evolved.quantized, given[1].quantized)


def test_each_generation_says_the_best_error_so_far(given: Case) -> None:
    steps: list[Any] = []
    few = replace(SETTINGS, generations=5)
    coevolved(given, settings=few, progress=stepping_into(steps, "best", "evaluations"))
    best, counts = [step[1] for step in steps], [step[2] for step in steps]
    assert (len(steps), best) == (5, sorted(best, reverse=True))
    assert 0 < best[0] <= value(given, given[1].quantized, given[0].search_set)
    assert counts == sorted(set(counts))


def test_an_interrupt_keeps_the_best_codes_so_far(given: Case) -> None:
    evolved = coevolved(given, progress=interrupting(20))
    assert evolved.stopped == "interrupt"
    assert not same(evolved.quantized, given[1].quantized)


def test_nothing_to_gain_ends_the_search() -> None:
    exact = proto(with_codes(load(mlp()), rounded(load(mlp()), 8)))  # on its grid already
    task = task_of(exact, random(24, 4, seed=1), random(16, 4, seed=2), bits=8)
    start = QuantizedModel(as_network(exact), rounded(exact, 8), {}, ())
    evolved = coevolved((task, start), settings=replace(SETTINGS, generations=10**6))
    assert same(evolved.quantized, start.quantized)
    assert evolved.stopped is None


def test_contexts_that_are_not_kept_end_the_search(
    given: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnx_evoq.evolve.coevolution._CHECK_EVERY", 1)
    checks: list[Model] = []

    def never_allowed(model: Model) -> bool:
        checks.append(model)
        return False

    monkeypatch.setattr("onnx_evoq.evolve.coevolution._MOST_REJECTIONS", 3)
    evolved = coevolved(given, max_drop_check=never_allowed)
    assert same(evolved.quantized, given[1].quantized)
    assert len(checks) == 3 + 1  # the last of them when the search has ended


def test_roundings_are_scored_on_one_batch_each(
    given: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    score = CodeFitness.on_parts

    def record(self: CodeFitness, candidates: Any, turn: int, count: int) -> Any:
        calls.append((turn, count))
        return score(self, candidates, turn, count)

    monkeypatch.setattr(CodeFitness, "on_parts", record)
    coevolved(given, settings=replace(SETTINGS, generations=1))
    assert calls == [(0, 1), (1, 1), (2, 1), (3, 1), (0, 1)]  # all layers, each layer, a generation


def test_a_search_that_stalls_scores_more_batches(
    given: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    score = CodeFitness.on_parts

    def record(self: CodeFitness, candidates: Any, turn: int, count: int) -> Any:
        counts.append(count)
        return score(self, candidates, turn, count)

    def never_better(self: CodeFitness, candidates: Any) -> Any:
        return np.full(len(candidates), np.inf)

    monkeypatch.setattr(CodeFitness, "on_parts", record)
    monkeypatch.setattr(CodeFitness, "on_search_set", never_better)
    monkeypatch.setattr("onnx_evoq.evolve.coevolution._STALLED", 2)
    evolved = coevolved(given, settings=replace(SETTINGS, generations=50))
    assert counts[4:] == [1, 1, 2, 2, 4, 4, 8, 8]  # there are five batches
    assert evolved.stopped is None


def test_out_of_time_no_more_candidates_are_drawn(
    given: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def out_of_time(self: CodeFitness, candidates: Any, turn: int, count: int) -> None:
        calls.append(turn)

    monkeypatch.setattr(CodeFitness, "on_parts", out_of_time)
    coevolved(given)
    assert calls == [0, 0]  # roundings, and one generation


@pytest.mark.parametrize("metric", ["agreement", "sqnr"])
def test_any_metric_can_be_searched_by(metric: str) -> None:
    given = case(metric=metric)
    evolved = coevolved(given)
    scores = evolved.layers["w1"]
    fitness = find_metric(metric).fitness
    for part in ("search", "heldout"):
        assert fitness(scores.after[part]) <= fitness(scores.before[part])


def test_a_metric_of_the_user_can_be_searched_by(given: Case) -> None:
    task, start = given
    parts = task.search_set.criterion.reference or ()
    reference = np.concatenate([part["logits"] for part in parts])

    def closeness(outputs: dict[str, Any], labels: None) -> float:
        found = outputs["logits"]
        return -float(np.abs(found - reference[: len(found)]).mean())

    closeness.higher_is_better = True  # type: ignore[attr-defined]
    metric = find_metric(closeness)
    own = (replace(task, search_set=task.search_set.scored_by(metric),
                   heldout_set=task.search_set.scored_by(metric)), start)  # fmt: skip
    scores = coevolved(own).layers["w1"]
    assert scores.after["search"] > scores.before["search"]


def test_weights_without_a_closed_form_evolve_too() -> None:
    model = load(table_read_twice())
    task = task_of(model, np.arange(40) % 9, np.arange(9), bits=3)
    start = QuantizedModel(as_network(model), rounded(model, 3), {}, ("table", "w"))
    evolved = coevolved((task, start))
    assert model_value(with_codes(model, evolved.quantized), task.heldout_set) < model_value(
        start.as_float, task.heldout_set
    )
