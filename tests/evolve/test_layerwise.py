"""Evolution layer by layer: what is kept, what is counted, and when it stops."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, interrupting, mlp, proto, random, rounded, stepping_into, task_of

from onnx_evoq.evolve import Evolved
from onnx_evoq.evolve.layerwise import evolve_layers, evolve_within_max_drop
from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.model import (
    Model,
    Runnable,
    as_network,
    fold_batch_norm,
    initializer_values,
    load,
    with_codes,
)
from onnx_evoq.model.graph import network
from onnx_evoq.progress import stepping
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.score import predict
from onnx_evoq.setup import Task, model_value, open_session
from onnx_evoq.setup.scoring import ScoringSet

ORDER = ["w3", "w1", "w2"]
ONE_PASS = SearchSettings(population=6, generations=5, mutation_rate=0.05)
PASSES = SearchSettings(population=4, generations=12, mutation_rate=None, passes=8, patience=16)
Case = tuple[Task, QuantizedModel]


def draws(seed: int, order: list[str] = ORDER) -> dict[str, np.random.Generator]:
    return dict(zip(order, np.random.default_rng(seed).spawn(len(order)), strict=True))


def nearest(model: Model, bits: int) -> QuantizedModel:
    return QuantizedModel(as_network(model), rounded(model, bits), {}, ())


@pytest.fixture(scope="module")
def task() -> Task:
    model, _ = fold_batch_norm(load(conv_net()))
    return task_of(model, random(12, 3, 8, 8, seed=1), random(12, 3, 8, 8, seed=2), bits=3)


@pytest.fixture(scope="module")
def from_nearest(task: Task) -> Evolved:
    """The codes that one pass found from nearest rounding."""
    return evolved_from_nearest(task)


@pytest.fixture(scope="module")
def case() -> Case:
    """A task, and its reconstruction."""
    model, _ = fold_batch_norm(load(conv_net()))
    task = task_of(model, random(24, 3, 8, 8, seed=11), random(16, 3, 8, 8, seed=12), bits=3)
    return task, reconstruct_layers(task, np.random.default_rng(0))


@pytest.fixture(scope="module")
def after_passes(case: Case) -> Evolved:
    """The codes that several passes found from a reconstruction."""
    return refined(case)


def evolved_from_nearest(
    task: Task, seed: int = 0, settings: SearchSettings = ONE_PASS, **given: Any
) -> Evolved:
    task = replace(task, **given)
    return evolve_layers(task, nearest(task.model, 3), settings, draws(seed))


def refined(case: Case, seed: int = 0, settings: SearchSettings = PASSES, **given: Any) -> Evolved:
    task, start = case
    rng = np.random.default_rng(seed)
    return evolve_layers(
        replace(task, **given), start, settings, dict.fromkeys(start.quantized, rng)
    )


def within_drop(task: Task, settings: SearchSettings | None = ONE_PASS, **given: Any) -> Evolved:
    task = replace(task, **given)
    wide, narrow = rounded(task.model, 8), rounded(task.model, 3)
    return evolve_within_max_drop(task, wide, narrow, settings, draws(0))


def values(model: Model, codes: Mapping[str, QuantizedWeight], task: Task) -> tuple[float, float]:
    made = with_codes(model, codes)
    return model_value(made, task.search_set), model_value(made, task.heldout_set)


def same(one: Mapping[str, QuantizedWeight], other: Mapping[str, QuantizedWeight]) -> bool:
    return all(np.array_equal(one[name].codes, other[name].codes) for name in one)


def content_with(model: Runnable, scoring: ScoringSet) -> ScoringSet:
    """A set that expects the answers of `model`, so that every move makes them worse."""
    answers = list(predict(open_session(model), scoring.batches))
    return ScoringSet(scoring.batches, Criterion(find_metric("mse"), answers, None))


# One pass, from nearest rounding


def test_a_pass_lowers_the_error_on_both_sets(task: Task, from_nearest: Evolved) -> None:
    evolved = from_nearest
    before = values(task.model, rounded(task.model, 3), task)
    after = values(task.model, evolved.quantized, task)
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert evolved.stopped is None


def test_each_layer_reports_the_whole_models_scores(task: Task, from_nearest: Evolved) -> None:
    evolved = from_nearest
    final = values(task.model, evolved.quantized, task)
    last = evolved.layers[ORDER[-1]].after
    assert (last["search"], last["heldout"]) == pytest.approx(final, rel=1e-4)
    for earlier, later in pairwise(ORDER):  # a layer starts where the one before it ended
        expected = evolved.layers[earlier].after
        assert evolved.layers[later].before == pytest.approx(expected, rel=1e-4)


def test_no_layer_is_worse_than_its_start_on_the_heldout_set(task: Task) -> None:
    # One batch to search on: much of what is found there is worse elsewhere.
    evolved = evolved_from_nearest(task, search_set=task.search_set.first(1))
    for name, scores in evolved.layers.items():
        assert scores.after["heldout"] <= scores.before["heldout"], name


def test_codes_that_are_worse_on_the_heldout_set_are_not_kept(task: Task) -> None:
    start = rounded(task.model, 3)
    content = content_with(with_codes(task.model, start), task.heldout_set)
    evolved = evolved_from_nearest(task, heldout_set=content)
    assert same(evolved.quantized, start)
    assert all(scores.before == scores.after for scores in evolved.layers.values())


def test_every_candidate_is_counted(from_nearest: Evolved) -> None:
    # per layer the start, 5 generations of 6, and start and best on the held-out set
    assert from_nearest.evaluations == 3 * (1 + 5 * 6 + 2)


def test_a_deadline_passes_between_candidates(task: Task) -> None:
    ticks = iter(range(1000))
    # One tick at each look: when it starts, when it takes a share of the time, at each candidate
    evolved = evolved_from_nearest(task, deadline=Deadline(20, clock=lambda: next(ticks)))
    assert evolved.stopped == "time"
    assert 3 < evolved.evaluations < 20
    assert set(evolved.quantized) == set(ORDER)


def test_evaluations_of_an_interrupted_layer_count(task: Task) -> None:
    evolved = evolved_from_nearest(task, progress=interrupting(10))  # 7 steps a layer
    assert evolved.stopped == "interrupt"
    assert list(evolved.layers) == ["w3"]
    assert set(evolved.quantized) == set(ORDER)
    assert evolved.evaluations > 1 + 5 * 6 + 2


def test_progress_adds_up_to_the_number_of_layers(task: Task) -> None:
    total: list[float] = []
    evolved_from_nearest(task, progress=stepping_into(total))
    assert sum(total) == pytest.approx(3)
    assert list(stepping([1, 2], total.append)) == [1, 2]


def test_without_gain_the_search_of_a_weight_ends_after_its_patience(task: Task) -> None:
    exact = proto(with_codes(task.model, rounded(task.model, 8)))  # on its grid: nothing is better
    settings = replace(ONE_PASS, generations=50, patience=2)
    content = replace(task, model=exact, search_set=content_with(exact, task.search_set))
    start = QuantizedModel(as_network(exact), rounded(exact, 8), {}, ())
    evolved = evolve_layers(content, start, settings, draws(0))
    assert evolved.evaluations == 3 * (1 + 2 * 6 + 1)


# Passes, from a reconstruction


def test_each_step_says_where_the_search_is(case: Case) -> None:
    steps: list[Any] = []
    once = replace(PASSES, passes=1)
    evolved = refined(case, settings=once, progress=stepping_into(steps, "layer", "best"))
    assert list(dict.fromkeys(layer for _, layer, _ in steps)) == ["w1", "w2", "w3"]
    last = {layer: best for _, layer, best in steps}
    best = {name: scores.after["search"] for name, scores in evolved.layers.items()}
    assert all(last[name] <= best[name] for name in best)
    assert last["w1"] == best["w1"]


def test_steps_count_the_evaluations_of_all_layers(case: Case) -> None:
    steps: list[Any] = []
    once = replace(PASSES, passes=1)
    evolved = refined(case, settings=once, progress=stepping_into(steps, "evaluations"))
    counts = [count for _, count in steps]
    assert counts == sorted(counts)
    assert counts[0] > 0
    assert counts[-1] <= evolved.evaluations < counts[-1] + 5  # those on the held-out set follow


def test_passes_lower_the_error_on_both_sets(case: Case, after_passes: Evolved) -> None:
    evolved, (task, start) = after_passes, case
    before, after = (
        values(start.model, codes, task) for codes in (start.quantized, evolved.quantized)
    )
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert evolved.stopped is None


def test_the_seed_decides_on_the_codes(case: Case, after_passes: Evolved) -> None:
    assert same(refined(case).quantized, after_passes.quantized)
    assert not same(refined(case, seed=1).quantized, after_passes.quantized)


def test_codes_stay_in_their_range_and_on_their_grid(case: Case, after_passes: Evolved) -> None:
    for name, (codes, grid) in after_passes.quantized.items():
        assert grid is case[1].quantized[name].grid
        assert codes.dtype == np.int8
        assert grid.low <= codes.min() <= codes.max() <= grid.high


def test_passes_report_the_whole_models_scores(case: Case, after_passes: Evolved) -> None:
    evolved, (task, start) = after_passes, case
    assert list(evolved.layers) == list(start.quantized)  # the graph's order
    (_, before), (_, after) = (
        values(start.model, codes, task) for codes in (start.quantized, evolved.quantized)
    )
    assert evolved.layers["w1"].before["heldout"] == pytest.approx(before, rel=1e-4)
    best = min(scores.after["heldout"] for scores in evolved.layers.values())
    assert best == pytest.approx(after, rel=1e-4)


def test_weights_without_a_closed_form_evolve_too(case: Case) -> None:
    task, start = case
    plain = QuantizedModel(
        as_network(task.model), rounded(task.model, 3), {}, tuple(start.quantized)
    )
    one_pass = replace(PASSES, passes=1)
    assert not same(refined((task, plain), settings=one_pass).quantized, plain.quantized)


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
        seconds[0] += sum(hurry) < 1
        return seconds[0]

    evolved = refined(case, deadline=Deadline(60, clock), progress=stepping_into(hurry))
    assert seconds[0] < 60
    assert evolved.stopped == "time"
    assert list(evolved.layers) == ["w1", "w2", "w3"]


def test_no_generations_leave_the_codes_as_they_are(case: Case) -> None:
    evolved = refined(case, settings=replace(PASSES, generations=0))
    assert same(evolved.quantized, case[1].quantized)
    assert evolved.evaluations == 3 * 2  # each weight's start, on both sets


def test_a_drop_that_is_not_allowed_leaves_the_codes_as_they_are(case: Case) -> None:
    evolved = refined(case, max_drop_check=lambda model: False)
    assert same(evolved.quantized, case[1].quantized)
    assert evolved.stopped is None


def test_the_allowed_drop_is_checked_for_the_codes_that_are_kept(case: Case) -> None:
    seen: list[Runnable] = []

    def max_drop_check(model: Runnable) -> bool:
        seen.append(model)
        return True

    evolved = refined(case, settings=replace(PASSES, passes=1), max_drop_check=max_drop_check)
    kept = with_codes(case[1].model, evolved.quantized)
    assert network.same(as_network(seen[-1]), kept)


def test_an_interrupt_keeps_the_codes_so_far(case: Case) -> None:
    evolved = refined(case, progress=interrupting(15))  # 14 steps a layer
    assert evolved.stopped == "interrupt"
    assert list(evolved.layers) == ["w1"]
    assert set(evolved.quantized) == {"w1", "w2", "w3"}


class Passes:
    """Progress that keeps how many layers each pass takes."""

    def __init__(self) -> None:
        self.layers: list[int] = []

    def __call__(self, label: str, total: int) -> Any:
        self.layers.append(total)
        return nullcontext(lambda amount, **where: None)


def test_a_pass_visits_only_the_weights_that_changed_in_the_pass_before(case: Case) -> None:
    passes, first = (
        Passes(),
        initializer_values(with_codes(case[1].model, case[1].quantized), ["w1"])["w1"],
    )

    def max_drop_check(model: Runnable) -> bool:
        return np.array_equal(initializer_values(model, ["w1"])["w1"], first)

    refined(case, seed=3, progress=passes, max_drop_check=max_drop_check)
    assert passes.layers[0] == 3
    assert passes.layers[1] < 3


def test_there_are_no_more_passes_than_allowed(case: Case) -> None:
    passes = Passes()
    refined(case, settings=replace(PASSES, passes=1), progress=passes)
    assert passes.layers == [3]


def test_a_pass_that_gains_next_to_nothing_is_the_last(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = Passes()
    monkeypatch.setattr("onnx_evoq.evolve.layerwise._LEAST_GAIN", 0.99)
    refined(case, progress=passes)
    assert passes.layers == [3]


def test_nothing_to_gain_ends_it_after_one_pass() -> None:
    exact = proto(with_codes(load(mlp()), rounded(load(mlp()), 8)))  # on its grid already
    task = task_of(exact, random(24, 4, seed=1), random(16, 4, seed=2), bits=8)
    start = QuantizedModel(as_network(exact), rounded(exact, 8), {}, ())
    evolved = refined((task, start))
    assert same(evolved.quantized, start.quantized)
    assert {scores.after["search"] for scores in evolved.layers.values()} == {0.0}


# Weights that stay wide, as many as the allowed drop asks for


def widths(evolved: Evolved) -> dict[str, Any]:
    return {name: grid.bits for name, (_, grid) in evolved.quantized.items()}


def narrow_weights(model: Model) -> list[str]:
    """The weights on a grid of 3 bits, as their distinct values show."""
    found = initializer_values(model, ORDER)
    return [name for name in ORDER if len(np.unique(found[name])) <= 8]


def test_a_weight_that_drops_too_much_stays_wide_and_the_others_go_on(task: Task) -> None:
    seen = []

    def allowed(model: Model) -> bool:
        seen.append(narrow_weights(model))
        return "w1" not in seen[-1]

    evolved = within_drop(task, max_drop_check=allowed)
    assert seen == [[], ["w3"], ["w3", "w1"], ["w3", "w2"]]
    assert widths(evolved) == {"w3": 3, "w1": 8, "w2": 3}
    assert evolved.left_out == ("w1",)
    assert list(evolved.layers) == ["w3", "w2"]
    assert evolved.within_max_drop


def test_without_time_the_first_weight_that_drops_too_much_ends_it(task: Task) -> None:
    seen = []

    def allowed(model: Model) -> bool:
        seen.append(narrow_weights(model))
        return len(seen[-1]) < 2

    evolved = within_drop(task, max_drop_check=allowed, deadline=Deadline(0))
    assert seen == [[], ["w3"], ["w3", "w1"]]
    assert evolved.left_out == ("w1", "w2")


def test_a_drop_that_even_8_bits_exceed_ends_the_search_at_once(task: Task) -> None:
    evolved = within_drop(task, max_drop_check=lambda model: False)
    assert not evolved.within_max_drop
    assert set(widths(evolved).values()) == {8}
    assert evolved.left_out == tuple(ORDER)
    assert evolved.evaluations == 0


def test_weights_are_narrowed_without_a_search(task: Task) -> None:
    evolved = within_drop(task, None, max_drop_check=lambda model: True)
    assert same(evolved.quantized, rounded(task.model, 3))
    assert evolved.evaluations == 0


def test_out_of_time_weights_are_narrowed_without_a_search(task: Task) -> None:
    evolved = within_drop(task, deadline=Deadline(0), max_drop_check=lambda model: True)
    assert evolved.stopped == "time"
    assert evolved.left_out == ()
    assert same(evolved.quantized, rounded(task.model, 3))


def test_an_interrupt_while_the_drop_is_measured_narrows_no_weight(task: Task) -> None:
    def impatient(model: Model) -> bool:
        if narrow_weights(model):
            raise KeyboardInterrupt
        return True

    evolved = within_drop(task, max_drop_check=impatient)
    assert evolved.stopped == "interrupt"
    assert evolved.layers == {}
    assert evolved.left_out == tuple(ORDER)
    assert evolved.evaluations == 1 + 5 * 6 + 2


def test_a_weight_whose_new_codes_drop_too_much_reports_its_old_scores(case: Case) -> None:
    evolved = refined(case, max_drop_check=lambda model: False, settings=replace(PASSES, passes=1))
    assert all(scores.before == scores.after for scores in evolved.layers.values())


def test_passes_have_numbers_and_a_single_pass_has_none(case: Case) -> None:
    labels: list[str] = []

    def progress(label: str, total: float) -> Any:
        labels.append(label)
        return nullcontext(lambda amount, **where: None)

    refined(case, settings=replace(PASSES, passes=1, generations=0), progress=progress)
    assert labels == ["evolving"]
    labels.clear()
    refined(case, settings=replace(PASSES, passes=2), progress=progress)
    assert labels == ["evolving 1", "evolving 2"]


def test_a_metric_that_is_maximised_has_passes_too() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    inputs = random(24, 3, 8, 8, seed=1), random(16, 3, 8, 8, seed=2)
    task = task_of(model, *inputs, bits=3, metric="sqnr")  # its fitness is negative
    passes = Passes()
    refined((task, nearest(model, 3)), settings=replace(PASSES, passes=2), progress=passes)
    assert len(passes.layers) == 2


def test_a_narrowed_weight_has_the_scores_of_its_search(task: Task) -> None:
    evolved = within_drop(task, max_drop_check=lambda model: True)
    assert list(evolved.layers) == ORDER
    assert all(s.after["search"] < s.before["search"] for s in evolved.layers.values())
    assert evolved.left_out == ()
    assert evolved.stopped is None
