"""Evolution of reconstructed codes: what is kept, what repeats, and when it stops."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, interrupting, mlp, random, rounded, task_of

from onnx_evoq.evolve import Evolved
from onnx_evoq.evolve.layerwise import SearchSettings
from onnx_evoq.evolve.refinement import refine_layers
from onnx_evoq.metrics import Target, find_metric
from onnx_evoq.model import Model, fold_batch_norm, initializer_values, load, serialize, with_codes
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed, reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session, predict
from onnx_evoq.setup import Task, model_value
from onnx_evoq.setup.scoring_set import ScoringSet

SETTINGS = SearchSettings(population=4, generations=12, mutation_rate=None)
Case = tuple[Task, Reconstructed]


@pytest.fixture
def case() -> Case:
    model, _ = fold_batch_norm(load(conv_net()))
    task = task_of(model, random(24, 3, 8, 8, seed=1), random(16, 3, 8, 8, seed=2), bits=3)
    return task, reconstruct_layers(task, np.random.default_rng(0))


def refined(
    case: Case, seed: int = 0, settings: SearchSettings = SETTINGS, **given: Any
) -> Evolved:
    task, start = case
    by_cost = given.pop("by_cost", True)
    return refine_layers(
        replace(task, **given), start, settings, np.random.default_rng(seed), by_cost
    )


def value(case: Case, codes: dict[str, QuantizedWeight], scoring: ScoringSet) -> float:
    return model_value(with_codes(case[1].model, codes), scoring)


def same(one: dict[str, QuantizedWeight], other: dict[str, QuantizedWeight]) -> bool:
    return all(np.array_equal(one[name].codes, other[name].codes) for name in one)


@pytest.mark.parametrize("by_cost", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_error_falls_on_both_sets(case: Case, seed: int, by_cost: bool) -> None:
    evolved, (task, start) = refined(case, seed, by_cost=by_cost), case
    for scoring in (task.search_set, task.heldout_set):
        assert value(case, evolved.quantized, scoring) < value(case, start.quantized, scoring)
    assert evolved.stopped is None


def test_what_is_worse_on_the_heldout_set_is_dropped(case: Case) -> None:
    # The held-out set wants what the start answers, so that every move is for the worse.
    task, start = case
    session = Session(serialize(with_codes(start.model, start.quantized)))
    answers = list(predict(session, task.heldout_set.batches))
    content = ScoringSet(task.heldout_set.batches, Target(find_metric("mse"), answers, None))
    evolved = refined(case, heldout_set=content)
    assert same(evolved.quantized, start.quantized)
    assert all(scores.before == scores.after for scores in evolved.layers.values())


def test_the_same_seed_gives_the_same_codes(case: Case) -> None:
    one, two, other = (refined(case, seed).quantized for seed in (5, 5, 6))
    assert same(one, two)
    assert not same(one, other)


def test_codes_stay_in_their_range_and_on_their_grid(case: Case) -> None:
    evolved = refined(case)
    for name, (codes, grid) in evolved.quantized.items():
        assert grid is case[1].quantized[name].grid
        assert codes.dtype == np.int8
        assert grid.low <= codes.min() <= codes.max() <= grid.high


def test_layers_report_the_whole_models_scores(case: Case) -> None:
    evolved, (task, start) = refined(case), case
    assert list(evolved.layers) == list(start.quantized)  # the graph's order
    before = evolved.layers["w1"].before["heldout"]
    assert before == pytest.approx(value(case, start.quantized, task.heldout_set), rel=1e-4)
    best = min(scores.after["heldout"] for scores in evolved.layers.values())
    assert best == pytest.approx(value(case, evolved.quantized, task.heldout_set), rel=1e-4)


def test_weights_without_a_closed_form_evolve_too(case: Case) -> None:
    task, start = case
    plain = Reconstructed(task.model, rounded(task.model, 3), {}, tuple(start.quantized))
    assert not same(refined((task, plain)).quantized, plain.quantized)


def test_out_of_time_the_start_stays(case: Case) -> None:
    evolved = refined(case, deadline=Deadline(0))
    assert (evolved.stopped, evolved.evaluations, evolved.layers) == ("time", 0, {})
    assert same(evolved.quantized, case[1].quantized)


def test_a_search_that_time_cuts_short_says_so(case: Case) -> None:
    ticks = iter(range(10**9))
    evolved = refined(case, deadline=Deadline(150, clock=lambda: next(ticks)))
    assert evolved.stopped == "time"
    assert evolved.evaluations > 0


def test_a_layer_that_its_share_of_the_time_cuts_short_says_so(case: Case) -> None:
    seconds = [0.0]
    hurry: list[float] = []  # time stands still behind the first layer

    def clock() -> float:
        seconds[0] += not hurry
        return seconds[0]

    evolved = refined(
        case, deadline=Deadline(60, clock), progress=lambda label, total: nullcontext(hurry.append)
    )
    assert seconds[0] < 60
    assert evolved.stopped == "time"
    assert list(evolved.layers) == ["w1", "w2", "w3"]


def test_no_generations_leave_the_codes_as_they_are(case: Case) -> None:
    evolved = refined(case, settings=replace(SETTINGS, generations=0))
    assert same(evolved.quantized, case[1].quantized)
    assert evolved.evaluations == 3 * 2  # each weight's start, on both sets


def test_a_guard_that_objects_leaves_the_codes_as_they_are(case: Case) -> None:
    evolved = refined(case, max_drop_check=lambda model: False)
    assert same(evolved.quantized, case[1].quantized)
    assert evolved.stopped is None


def test_the_guard_sees_what_would_be_kept(case: Case) -> None:
    seen: list[Model] = []

    def max_drop_check(model: Model) -> bool:
        seen.append(model)
        return True

    evolved = refined(case, max_drop_check=max_drop_check)
    assert seen[-1] == with_codes(case[1].model, evolved.quantized)


def test_an_interrupt_keeps_what_was_found(case: Case) -> None:
    evolved = refined(case, progress=interrupting(1))
    assert evolved.stopped == "interrupt"
    assert list(evolved.layers) == ["w1"]
    assert set(evolved.quantized) == {"w1", "w2", "w3"}


class Passes:
    """Progress that keeps how many layers each pass takes."""

    def __init__(self) -> None:
        self.layers: list[int] = []

    def __call__(self, label: str, total: int) -> Any:
        self.layers.append(total)
        return nullcontext(lambda amount: None)


def test_a_pass_takes_only_what_gained_in_the_one_before(case: Case) -> None:
    passes, first = (
        Passes(),
        initializer_values(with_codes(case[1].model, case[1].quantized), ["w1"])["w1"],
    )

    def max_drop_check(model: Model) -> bool:
        return np.array_equal(initializer_values(model, ["w1"])["w1"], first)

    refined(case, seed=1, progress=passes, max_drop_check=max_drop_check)
    assert passes.layers[0] == 3
    assert passes.layers[1] < 3


def test_there_is_a_most_of_passes(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = Passes()
    monkeypatch.setattr("onnx_evoq.evolve.refinement._PASSES", 1)
    refined(case, progress=passes)
    assert passes.layers == [3]


def test_a_pass_that_gains_next_to_nothing_is_the_last(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = Passes()
    monkeypatch.setattr("onnx_evoq.evolve.refinement._GAIN", 0.99)
    refined(case, progress=passes)
    assert passes.layers == [3]


def test_nothing_to_gain_ends_it_after_one_pass() -> None:
    exact = with_codes(load(mlp()), rounded(load(mlp()), 8))  # on its grid already
    task = task_of(exact, random(24, 4, seed=1), random(16, 4, seed=2), bits=8)
    start = Reconstructed(exact, rounded(exact, 8), {}, ())
    evolved = refined((task, start))
    assert same(evolved.quantized, start.quantized)
    assert {scores.after["search"] for scores in evolved.layers.values()} == {0.0}
