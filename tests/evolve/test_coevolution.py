"""Coevolution of all codes of a model: what is kept, what repeats, and when it stops."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, interrupting, mlp, random, rounded, table_read_twice, task_of

from onnx_evoq.errors import OptionError
from onnx_evoq.evolve import Evolved
from onnx_evoq.evolve.coevolution import coevolve
from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.metrics import Target, find_metric
from onnx_evoq.model import Model, fold_batch_norm, load, serialize, with_codes
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed, reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session, predict
from onnx_evoq.setup import Resources, Task, model_value
from onnx_evoq.setup.scoring_set import ScoringSet

SETTINGS = SearchSettings(population=16, generations=25, mutation_rate=0.1, together=True)
SMALLER = replace(SETTINGS, generations=60, mutation_rate=0.02)
Case = tuple[Task, Reconstructed]


def folded() -> Model:
    return fold_batch_norm(load(conv_net()))[0]


def case(init: str = "nearest", **given: Any) -> Case:
    options = {"bits": 3, **given}
    task = task_of(folded(), random(40, 3, 8, 8, seed=1), random(24, 3, 8, 8, seed=2), **options)
    if init == "reconstruct":
        return task, reconstruct_layers(task, np.random.default_rng(0))
    start = rounded(task.model, 3)
    return task, Reconstructed(task.model, start, {}, tuple(start))


def coevolved(
    given: Case, seed: int = 0, settings: SearchSettings = SETTINGS, **changes: Any
) -> Evolved:
    task, start = given
    return coevolve(replace(task, **changes), start, settings, np.random.default_rng(seed))


def value(given: Case, codes: dict[str, QuantizedWeight], scoring: ScoringSet) -> float:
    return model_value(with_codes(given[1].model, codes), scoring)


def same(one: dict[str, QuantizedWeight], other: dict[str, QuantizedWeight]) -> bool:
    return all(np.array_equal(one[name].codes, other[name].codes) for name in one)


@pytest.mark.parametrize("init", ["nearest", "reconstruct"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_error_falls_on_both_sets(init: str, seed: int) -> None:
    given = case(init)
    settings = SMALLER if init == "reconstruct" else SETTINGS
    evolved, (task, start) = coevolved(given, seed, settings), given
    for scoring in (task.search_set, task.heldout_set):
        assert value(given, evolved.quantized, scoring) < value(given, start.quantized, scoring)
    assert evolved.stopped is None
    assert evolved.evaluations > 100


def test_codes_of_several_layers_move() -> None:
    given = case()
    found = coevolved(given).quantized
    moved = [n for n, (codes, _) in found.items() if (codes != given[1].quantized[n].codes).any()]
    assert len(moved) > 1


def test_every_weight_reports_the_whole_models_scores() -> None:
    given = case()
    evolved, (task, start) = coevolved(given), given
    assert list(evolved.layers) == list(start.quantized)
    (scores,) = {id(each): each for each in evolved.layers.values()}.values()
    for part, scoring in (("search", task.search_set), ("heldout", task.heldout_set)):
        before, after = (value(given, q, scoring) for q in (start.quantized, evolved.quantized))
        assert scores.before[part] == pytest.approx(before, rel=1e-4)
        assert scores.after[part] == pytest.approx(after, rel=1e-4)


def test_what_is_worse_on_the_heldout_set_is_dropped() -> None:
    # The held-out set wants what the start answers, so that every move is for the worse.
    given = case()
    task, start = given
    session = Session(serialize(start.emitted))
    answers = list(predict(session, task.heldout_set.batches))
    content = ScoringSet(task.heldout_set.batches, Target(find_metric("mse"), answers, None))
    evolved = coevolved(given, heldout_set=content)
    assert same(evolved.quantized, start.quantized)
    assert all(scores.before == scores.after for scores in evolved.layers.values())


@pytest.mark.parametrize("init", ["nearest", "reconstruct"])
def test_the_same_seed_gives_the_same_codes(init: str) -> None:
    settings = SMALLER if init == "reconstruct" else SETTINGS
    one, two, other = (coevolved(case(init), seed, settings).quantized for seed in (5, 5, 6))
    assert same(one, two)
    assert not same(one, other)


def test_two_workers_find_what_one_finds() -> None:
    one, two = (
        coevolved(case(), resources=Resources(workers=workers)).quantized for workers in (1, 2)
    )
    assert same(one, two)


def test_codes_stay_in_their_range_and_on_their_grid() -> None:
    given = case("reconstruct")
    for name, (codes, grid) in coevolved(given).quantized.items():
        assert grid is given[1].quantized[name].grid
        assert codes.dtype == np.int8
        assert grid.low <= codes.min() <= codes.max() <= grid.high


def test_out_of_time_the_start_stays() -> None:
    given = case()
    evolved = coevolved(given, deadline=Deadline(0))
    assert (evolved.stopped, evolved.evaluations, evolved.layers) == ("time", 0, {})
    assert same(evolved.quantized, given[1].quantized)


@pytest.mark.parametrize("seconds", [5, 60, 400])
def test_a_search_that_time_cuts_short_says_so_and_is_no_worse(seconds: int) -> None:
    ticks, given = iter(range(10**9)), case()
    evolved = coevolved(given, deadline=Deadline(seconds, clock=lambda: next(ticks)))
    assert evolved.stopped == "time"
    before, after = (
        value(given, q, given[0].heldout_set) for q in (given[1].quantized, evolved.quantized)
    )
    assert after <= before


def test_no_generations_leave_the_codes_as_they_are() -> None:
    given = case()
    evolved = coevolved(given, settings=replace(SETTINGS, generations=0))
    assert same(evolved.quantized, given[1].quantized)
    assert evolved.stopped is None


def test_a_guard_that_objects_leaves_the_codes_as_they_are() -> None:
    given = case()
    assert same(coevolved(given, max_drop_check=lambda model: False).quantized, given[1].quantized)


def test_the_guard_sees_what_is_kept() -> None:
    seen: list[Model] = []

    def max_drop_check(model: Model) -> bool:
        seen.append(model)
        return True

    given = case()
    evolved = coevolved(given, max_drop_check=max_drop_check)
    assert seen[-1] == with_codes(given[1].model, evolved.quantized)


def test_an_interrupt_keeps_what_was_found() -> None:
    given = case()
    evolved = coevolved(given, progress=interrupting(20))
    assert evolved.stopped == "interrupt"
    assert not same(evolved.quantized, given[1].quantized)


def test_nothing_to_gain_ends_it() -> None:
    exact = with_codes(load(mlp()), rounded(load(mlp()), 8))  # on its grid already
    task = task_of(exact, random(24, 4, seed=1), random(16, 4, seed=2), bits=8)
    start = Reconstructed(exact, rounded(exact, 8), {}, ())
    evolved = coevolved((task, start), settings=replace(SETTINGS, generations=10**6))
    assert same(evolved.quantized, start.quantized)
    assert evolved.stopped is None


def test_a_heldout_set_that_keeps_getting_worse_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.evolve.coevolution._MOST_REJECTIONS", 1)
    monkeypatch.setattr("onnx_evoq.evolve.coevolution._CHECK_EVERY", 1)
    short = coevolved(case(), max_drop_check=lambda model: False)
    monkeypatch.setattr("onnx_evoq.evolve.coevolution._MOST_REJECTIONS", 99)
    assert short.evaluations < coevolved(case(), max_drop_check=lambda model: False).evaluations


@pytest.mark.parametrize("metric", ["agreement", "kl", "sqnr"])
def test_any_metric_steers(metric: str) -> None:
    given = case(metric=metric)
    evolved = coevolved(given)
    scores = evolved.layers["w1"]
    fitness = find_metric(metric).fitness
    for part in ("search", "heldout"):
        assert fitness(scores.after[part]) <= fitness(scores.before[part])


def test_a_metric_of_ones_own_steers() -> None:
    task, start = case()
    reference = np.concatenate([part["logits"] for part in task.search_set.target.reference or ()])

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
    start = Reconstructed(model, rounded(model, 3), {}, ("table", "w"))
    evolved = coevolved((task, start))
    assert model_value(with_codes(model, evolved.quantized), task.heldout_set) < model_value(
        start.emitted, task.heldout_set
    )


def test_one_candidate_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(OptionError, match="population 1 has nothing to compare: choose 2 or more"):
        replace(SETTINGS, population=1)
