"""From a float model to codes: the two starts, and the searches from there."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from graphs import (
    conv_net,
    interrupting,
    mlp,
    model_of,
    node,
    proto,
    random,
    rounded,
    table_read_twice,
    task_of,
    types,
)

from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.model import Runnable, find_weights, fold_batch_norm, load, with_codes
from onnx_evoq.model.graph import network
from onnx_evoq.pipeline import emit
from onnx_evoq.pipeline.fine_tuning import (
    FineTuned,
    _notes_on_clips,
    fine_tune,
    from_nearest,
    from_reconstruction,
)
from onnx_evoq.pipeline.strategy import Strategy
from onnx_evoq.progress import silent
from onnx_evoq.quantize import Bits, QuantizedWeight
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value, nearest_of
from onnx_evoq.setup.scoring import ScoringSet

ORDER = ["w3", "w1", "w2"]
QUICK = SearchSettings(population=4, generations=1, mutation_rate=None)
TOGETHER = SearchSettings(population=8, generations=6, mutation_rate=0.05, together=True)

Way = Callable[..., FineTuned]


@cache
def plain_task() -> Task:
    return task()


def task(**options: Any) -> Task:
    model, _ = fold_batch_norm(load(conv_net()))
    inputs = [random(24, 3, 8, 8, seed=seed) for seed in (1, 2)]
    return task_of(model, *inputs, **{"bits": 3, **options})


def searched(
    given: Task,
    way: Way = from_reconstruction,
    settings: SearchSettings | None = QUICK,
    **rest: Any,
) -> FineTuned:
    return way(given, ORDER, settings, np.random.default_rng(0), **rest)


def end(found: FineTuned, scoring: ScoringSet) -> float:
    return model_value(with_codes(found.model, found.evolved.quantized), scoring)


def start(found: FineTuned, scoring: ScoringSet) -> float:
    return model_value(with_codes(found.start_model, found.start), scoring)


def same(one: dict[str, QuantizedWeight], other: dict[str, QuantizedWeight]) -> bool:
    return all(np.array_equal(one[name].codes, other[name].codes) for name in one)


def widths(found: FineTuned) -> dict[str, Bits]:
    return {name: grid.bits for name, (_, grid) in found.evolved.quantized.items()}


# The two ways


def test_from_nearest_no_search_gives_nearest_rounding() -> None:
    given = plain_task()
    found = searched(given, from_nearest, None)
    assert same(dict(found.evolved.quantized), rounded(given.model, 3))
    assert found.model is found.start_model
    assert found.model.model is given.model


def test_from_nearest_the_search_lowers_the_error() -> None:
    given = plain_task()
    found = searched(given, from_nearest)
    assert end(found, given.search_set) < start(found, given.search_set)
    assert same(dict(found.start), rounded(given.model, 3))


def test_from_a_reconstruction_no_search_gives_the_reconstruction() -> None:
    found = searched(plain_task(), settings=None)
    assert found.evolved.quantized == found.start
    assert found.model is found.start_model
    assert (found.evolved.evaluations, found.evolved.stopped) == (0, None)


@pytest.fixture(scope="module")
def refined() -> FineTuned:
    """A search from a reconstruction, layer by layer."""
    return searched(plain_task())


def test_from_a_reconstruction_the_search_lowers_the_error(refined: FineTuned) -> None:
    scoring = plain_task().heldout_set
    assert end(refined, scoring) < start(refined, scoring)
    assert refined.evolved.evaluations > 0


def test_from_nearest_all_weights_evolve_together() -> None:
    given = plain_task()
    found = searched(given, from_nearest, replace(TOGETHER, generations=20))
    assert end(found, given.search_set) < start(found, given.search_set)
    assert end(found, given.heldout_set) <= start(found, given.heldout_set)
    assert list(found.evolved.layers) == ["w1", "w2", "w3"]


def test_the_same_seed_finds_the_same(refined: FineTuned) -> None:
    again = searched(plain_task())
    assert same(dict(again.evolved.quantized), dict(refined.evolved.quantized))
    assert network.same(again.model, refined.model)


@pytest.mark.parametrize(
    ("init", "way"), [("nearest", "from_nearest"), ("reconstruct", "from_reconstruction")]
)
def test_a_strategy_says_where_to_start_and_how_to_search(
    init: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"onnx_evoq.pipeline.fine_tuning.{way}", lambda *given: given)
    strategy = Strategy("coevolution", init=init)
    rng = np.random.default_rng(0)
    expected = (plain_task(), ORDER, strategy.settings, rng)
    assert fine_tune(plain_task(), ORDER, strategy, rng) == expected


def test_from_nearest_weights_evolve_in_the_order_of_sensitivity() -> None:
    found = searched(plain_task(), from_nearest, replace(QUICK, generations=1))
    assert list(found.evolved.layers) == ORDER


# What the start is


def test_nearest_rounding_is_used_where_it_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    given = plain_task()
    monkeypatch.setattr("onnx_evoq.pipeline.placed.reconstruct_layers", spoilt)
    found = searched(given, settings=None)
    assert same(dict(found.start), rounded(given.model, 3))
    assert found.start_model.model is given.model
    (note,) = found.notes
    assert note.startswith("nearest rounding was better than reconstruction on the held-out")


def spoilt(given: Task, *arguments: Any, **options: Any) -> QuantizedModel:
    """A reconstruction whose codes are all zero."""
    found = reconstruct_layers(given, *arguments, **options)
    zeros = {
        name: QuantizedWeight(np.zeros_like(codes), grid)
        for name, (codes, grid) in found.quantized.items()
    }
    return replace(found, quantized=zeros)


def test_nearest_rounding_must_stay_within_the_allowed_drop_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = plain_task()
    plain = with_codes(given.model, rounded(given.model, 3))
    monkeypatch.setattr("onnx_evoq.pipeline.placed.reconstruct_layers", spoilt)
    found = searched(
        replace(given, max_drop_check=lambda model: not network.same(model, plain)), settings=None
    )
    assert not same(dict(found.start), rounded(given.model, 3))
    assert found.notes == ()


def test_weights_without_a_closed_form_are_named() -> None:
    model = load(table_read_twice())
    given = task_of(model, np.arange(40) % 9, np.arange(9))
    found = from_reconstruction(given, [], None, np.random.default_rng(0))
    assert found.notes == (
        "1 of 2 weights have no closed form and start from nearest rounding (table).",
    )


# An allowed drop


def narrow(model: Runnable) -> int:
    """How many weights are on a grid of 3 bits, as their distinct values show."""
    return sum(len(np.unique(weight.values)) <= 8 for weight in find_weights(proto(model))[0])


@pytest.mark.parametrize(
    ("way", "settings", "allowed"),
    [
        (from_nearest, QUICK, 0), (from_nearest, QUICK, 1), (from_nearest, QUICK, 3),
        (from_nearest, None, 2), (from_nearest, TOGETHER, 0), (from_nearest, TOGETHER, 2),
        (from_reconstruction, None, 1), (from_reconstruction, None, 3),
        (from_reconstruction, TOGETHER, 2),
    ],
)  # fmt: skip
def test_weights_stay_at_8_bits_to_keep_within_the_allowed_drop(
    way: Way, settings: SearchSettings | None, allowed: int
) -> None:
    given = replace(plain_task(), max_drop_check=lambda model: narrow(model) <= allowed)
    found = searched(given, way, settings)
    assert found.evolved.left_out == tuple(ORDER[allowed:])
    assert widths(found) == {name: 8 if name in ORDER[allowed:] else 3 for name in ORDER}
    assert found.evolved.within_max_drop


@pytest.mark.parametrize("way", [from_nearest, from_reconstruction])
def test_where_even_8_bits_drop_too_much_nothing_is_searched(way: Way) -> None:
    found = searched(replace(plain_task(), max_drop_check=lambda model: False), way)
    assert not found.evolved.within_max_drop
    assert set(widths(found).values()) == {8}
    assert found.evolved.evaluations == 0


def test_the_search_stays_within_the_allowed_drop() -> None:
    given = plain_task()
    limit = 1.05 * start(searched(given, settings=None), given.heldout_set)
    limited = replace(
        given, max_drop_check=lambda model: model_value(model, given.heldout_set) <= limit
    )
    assert end(searched(limited), given.heldout_set) <= limit


def test_evolving_all_together_may_stay_within_a_drop_that_rounding_exceeds() -> None:
    given = plain_task()
    rounding = start(searched(given, from_nearest, None), given.heldout_set)
    limit = 0.8 * rounding
    limited = replace(
        given, max_drop_check=lambda model: model_value(model, given.heldout_set) <= limit
    )
    found = searched(limited, from_nearest, replace(TOGETHER, generations=20))
    assert found.evolved.within_max_drop
    assert end(found, given.heldout_set) <= limit
    assert 3 in widths(found).values()


# When it ends early


def test_out_of_time_nearest_rounding_stays_and_a_note_says_why() -> None:
    given = task(deadline=Deadline(0))
    found = searched(given)
    assert found.evolved.stopped == "time"
    assert same(dict(found.evolved.quantized), dict(found.start))
    weights = [replace(w, values=found.start_model.values[w.name]) for w in given.weights]
    nearest = nearest_of(weights, given.bits, given.granularity, given.scale)
    assert same(dict(found.start), nearest)
    assert found.notes == ("to save time, of 3 layers 3 are rounded to the nearest codes.",)


@pytest.mark.parametrize(("settings", "seconds"), [(None, 1000.0), (QUICK, 875.0)])
def test_a_reconstruction_before_a_search_leaves_it_an_eighth_of_the_time(
    settings: SearchSettings | None, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StartedError(Exception):
        pass

    def started(given: Task, rng: np.random.Generator, *, deadline: Deadline, **rest: Any) -> None:
        raise StartedError(deadline.left)

    monkeypatch.setattr("onnx_evoq.pipeline.placed.reconstruct_layers", started)
    with pytest.raises(StartedError, match=f"^{seconds}$"):
        searched(task(deadline=Deadline(1000, lambda: 0.0)), settings=settings)


def test_an_interrupt_while_widths_are_chosen_ends_the_search() -> None:
    given, seen = task(), list[Runnable]()

    def max_drop_check(model: Runnable) -> bool:
        seen.append(model)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return len(seen) == 2  # with all of them at 8 bits

    found = searched(replace(given, max_drop_check=max_drop_check))
    assert found.evolved.stopped == "interrupt"
    assert found.evolved.left_out == tuple(ORDER)


def interrupted_once(label: str, step: int) -> Any:
    """Progress that raises KeyboardInterrupt at a step of the first bar with that label."""
    left = [interrupting(step)]

    def progress(name: str, total: float) -> Any:
        return left.pop()(name, total) if name == label and left else silent(name, total)

    return progress


@pytest.mark.parametrize("settings", [None, QUICK])
def test_an_interrupt_of_the_reconstruction_keeps_what_is_done(
    settings: SearchSettings | None,
) -> None:
    whole = searched(plain_task(), settings=None)
    found = searched(task(progress=interrupted_once("reconstructing", 1)), settings=settings)
    assert found.evolved.stopped == "interrupt"
    assert found.evolved.evaluations == 0
    assert same(dict(found.evolved.quantized), dict(found.start))
    first, *others = found.start
    assert np.array_equal(found.start[first].codes, whole.start[first].codes)
    assert found.nearest == dict.fromkeys(others, "for lack of time")


def test_after_an_interrupt_widths_within_the_drop_are_rounded() -> None:
    seen = list[Runnable]()

    def max_drop_check(model: Runnable) -> bool:
        seen.append(model)
        return len(seen) == 2  # with all of them at 8 bits

    stopping = interrupted_once("reconstructing", 1)
    found = searched(task(max_drop_check=max_drop_check, progress=stopping))
    assert (found.evolved.stopped, len(seen)) == ("interrupt", 2)
    assert set(widths(found).values()) == {8}
    assert found.nearest == dict.fromkeys(found.start, "for lack of time")
    heldout, nearest = plain_task().heldout_set, searched(plain_task(), from_nearest, None)
    assert end(found, heldout) < 0.02 * end(nearest, heldout)  # at 3 bits


def test_an_interrupt_while_all_weights_evolve_keeps_the_widths() -> None:
    def impatient(label: str, total: float) -> Any:
        raise KeyboardInterrupt

    given = task(max_drop_check=lambda model: True, progress=impatient)
    found = searched(given, from_nearest, TOGETHER)
    assert found.evolved.stopped == "interrupt"
    assert set(widths(found).values()) == {3}


def test_two_layers_alone_go_through_all_steps() -> None:
    given = task_of(load(mlp()), random(40, 4, seed=1), random(24, 4, seed=2), bits=3)
    found = from_reconstruction(given, ["first", "second"], QUICK, np.random.default_rng(0))
    assert end(found, given.heldout_set) < start(found, given.heldout_set)


# A width per channel

MIXED = {"w1": (2, 3, 4, 5, 6, 3), "w2": 3, "w3": (2, 4, 2, 3, 4)}


@pytest.fixture(scope="module")
def mixed() -> tuple[Task, FineTuned]:
    """A search with widths per channel."""
    given = task(bits=MIXED, granularity="channel")
    return given, searched(given)


def test_a_search_keeps_each_channel_in_its_width(mixed: tuple[Task, FineTuned]) -> None:
    found = mixed[1]
    assert widths(found) == MIXED
    assert not same(dict(found.evolved.quantized), dict(found.start))  # something moved
    for codes, grid in found.evolved.quantized.values():
        low, high = grid.limits_for(codes.ndim)
        assert (low <= codes).all()
        assert (codes <= high).all()


def test_the_emitted_model_with_mixed_widths_has_the_score_of_the_search(
    mixed: tuple[Task, FineTuned],
) -> None:
    given, found = mixed
    batch = given.search_set.batches[0]
    emitted, _ = emit(found.model, found.evolved.quantized, "qdq", batch)
    assert types(emitted)["w1_quantized"] == "INT8"  # 6 bits is the widest
    assert types(emitted)["w3_quantized"] == "INT4"
    assert model_value(emitted, given.heldout_set) == pytest.approx(
        end(found, given.heldout_set), rel=1e-4
    )


@pytest.mark.parametrize(("before", "after", "noted"), [(2, 0, 2), (3, 2, 1), (1, 1, 0), (0, 0, 0)])
def test_a_note_says_how_many_clips_have_limits_by_channel(
    before: int, after: int, noted: int
) -> None:
    def with_clips(count: int) -> Any:
        names = ["x", *(f"t{k}" for k in range(count)), "y"]
        kinds = ["Clip"] * count + ["Relu"]
        nodes = [node(kind, [names[k]], [names[k + 1]]) for k, kind in enumerate(kinds)]
        return load(model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, {}))

    notes = _notes_on_clips(with_clips(before), with_clips(after))
    assert [note.split(" Clip nodes ")[0] for note in notes] == ([str(noted)] if noted else [])
