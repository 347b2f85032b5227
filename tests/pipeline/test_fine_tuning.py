"""From a float model to codes: the two starts, and what is done beyond them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, random, rounded, table_read_twice, task_of, types

from onnx_evoq.evolve.settings import SearchSettings
from onnx_evoq.model import Model, find_weights, fold_batch_norm, load, with_codes
from onnx_evoq.pipeline import emit
from onnx_evoq.pipeline.fine_tuning import FineTuned, from_nearest, from_reconstruction
from onnx_evoq.quantize import Bits, QuantizedWeight
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed, reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value
from onnx_evoq.setup.scoring_set import ScoringSet

ORDER = ["w3", "w1", "w2"]
QUICK = SearchSettings(population=4, generations=4, mutation_rate=None)
TOGETHER = SearchSettings(population=8, generations=6, mutation_rate=0.05, together=True)

Way = Callable[..., FineTuned]


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
    given = task()
    found = searched(given, from_nearest, None)
    assert same(dict(found.evolved.quantized), rounded(given.model, 3))
    assert found.model is found.start_model is given.model


def test_from_nearest_the_search_lowers_the_error() -> None:
    given = task()
    found = searched(given, from_nearest)
    assert end(found, given.search_set) < start(found, given.search_set)
    assert same(dict(found.start), rounded(given.model, 3))


def test_from_a_reconstruction_no_search_gives_the_reconstruction() -> None:
    found = searched(task(), settings=None)
    assert found.evolved.quantized == found.start
    assert found.model is found.start_model
    assert (found.evolved.evaluations, found.evolved.stopped) == (0, None)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_from_a_reconstruction_the_search_lowers_the_error(granularity: str) -> None:
    given = task(granularity=granularity)
    found = searched(given)
    assert end(found, given.heldout_set) < start(found, given.heldout_set)
    assert found.evolved.evaluations > 0


@pytest.mark.parametrize("way", [from_nearest, from_reconstruction])
def test_all_weights_evolve_together(way: Way) -> None:
    given = task()
    found = searched(given, way, replace(TOGETHER, generations=20))
    assert end(found, given.search_set) < start(found, given.search_set)
    assert end(found, given.heldout_set) <= start(found, given.heldout_set)
    assert list(found.evolved.layers) == ["w1", "w2", "w3"]


@pytest.mark.parametrize("way", [from_nearest, from_reconstruction])
def test_the_same_seed_finds_the_same(way: Way) -> None:
    one, two = (searched(task(), way) for _ in range(2))
    assert same(dict(one.evolved.quantized), dict(two.evolved.quantized))
    assert one.model == two.model


# What the start is


def test_nearest_rounding_is_used_where_it_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    given = task()
    monkeypatch.setattr("onnx_evoq.pipeline.fine_tuning.reconstruct_layers", spoilt)
    found = searched(given, settings=None)
    assert same(dict(found.start), rounded(given.model, 3))
    assert found.start_model == given.model
    (note,) = found.notes
    assert note.startswith("nearest rounding was better than reconstruction on the held-out")


def spoilt(given: Task, rng: np.random.Generator) -> Reconstructed:
    """A reconstruction whose codes are all zero."""
    found = reconstruct_layers(given, rng)
    zeros = {
        name: QuantizedWeight(np.zeros_like(codes), grid)
        for name, (codes, grid) in found.quantized.items()
    }
    return replace(found, quantized=zeros)


def test_nearest_rounding_must_hold_the_guard_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given = task()
    plain = with_codes(given.model, rounded(given.model, 3))
    monkeypatch.setattr("onnx_evoq.pipeline.fine_tuning.reconstruct_layers", spoilt)
    found = searched(replace(given, max_drop_check=lambda model: model != plain), settings=None)
    assert not same(dict(found.start), rounded(given.model, 3))
    assert found.notes == ()


def test_weights_without_a_closed_form_are_named() -> None:
    model = load(table_read_twice())
    given = task_of(model, np.arange(40) % 9, np.arange(9))
    found = from_reconstruction(given, [], None, np.random.default_rng(0))
    assert found.notes == (
        "2 of 2 weights have no closed form and start from nearest rounding (table, w).",
    )


# A guard


def narrow(model: Model) -> int:
    """How many weights are on a grid of 3 bits, told by their distinct values."""
    return sum(len(np.unique(weight.values)) <= 8 for weight in find_weights(model)[0])


@pytest.mark.parametrize("way", [from_nearest, from_reconstruction])
@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
@pytest.mark.parametrize("settings", [QUICK, TOGETHER], ids=["layers", "together"])
def test_what_the_guard_does_not_allow_stays_at_8_bits(
    way: Way, allowed: int, settings: SearchSettings
) -> None:
    given = replace(task(), max_drop_check=lambda model: narrow(model) <= allowed)
    found = searched(given, way, settings)
    assert found.evolved.left_out == tuple(ORDER[allowed:])
    assert widths(found) == {name: 8 if name in ORDER[allowed:] else 3 for name in ORDER}
    assert found.evolved.within_max_drop


@pytest.mark.parametrize("way", [from_nearest, from_reconstruction])
def test_where_8_bits_are_too_few_nothing_is_searched(way: Way) -> None:
    found = searched(replace(task(), max_drop_check=lambda model: False), way)
    assert not found.evolved.within_max_drop
    assert set(widths(found).values()) == {8}
    assert found.evolved.evaluations == 0


def test_the_end_holds_the_guard_where_the_start_does() -> None:
    given = task()
    limit = 1.05 * start(searched(given, settings=None), given.heldout_set)
    guarded = replace(
        given, max_drop_check=lambda model: model_value(model, given.heldout_set) <= limit
    )
    assert end(searched(guarded), given.heldout_set) <= limit


def test_evolving_all_together_may_hold_what_rounding_does_not() -> None:
    given = task()
    rounding = start(searched(given, from_nearest, None), given.heldout_set)
    limit = 0.8 * rounding
    guarded = replace(
        given, max_drop_check=lambda model: model_value(model, given.heldout_set) <= limit
    )
    found = searched(guarded, from_nearest, replace(TOGETHER, generations=20))
    assert found.evolved.within_max_drop
    assert end(found, given.heldout_set) <= limit
    assert 3 in widths(found).values()


# When it ends early


def test_out_of_time_the_reconstruction_stays() -> None:
    found = searched(task(deadline=Deadline(0)))
    assert found.evolved.stopped == "time"
    assert same(dict(found.evolved.quantized), dict(found.start))
    assert not same(dict(found.start), rounded(task().model, 3))


def test_an_interrupt_while_widths_are_chosen_ends_the_search() -> None:
    given, seen = task(), list[Model]()

    def max_drop_check(model: Model) -> bool:
        seen.append(model)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return len(seen) == 2  # with all of them at 8 bits

    found = searched(replace(given, max_drop_check=max_drop_check))
    assert found.evolved.stopped == "interrupt"
    assert found.evolved.left_out == tuple(ORDER)


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


@pytest.mark.parametrize("way", [from_reconstruction, from_nearest])
def test_a_search_keeps_each_channel_in_its_width(way: Way) -> None:
    found = searched(task(bits=MIXED, granularity="channel"), way)
    assert widths(found) == MIXED
    assert not same(dict(found.evolved.quantized), dict(found.start))  # something moved
    for codes, grid in found.evolved.quantized.values():
        low, high = grid.limits_for(codes.ndim)
        assert (low <= codes).all()
        assert (codes <= high).all()


def test_what_a_search_with_mixed_widths_scored_is_what_is_emitted() -> None:
    given = task(bits=MIXED, granularity="channel")
    found = searched(given)
    batch = given.search_set.batches[0]
    emitted, _ = emit(found.model, found.evolved.quantized, "qdq", {}, batch)
    assert types(emitted)["w1_quantized"] == "INT8"  # 6 bits is the widest
    assert types(emitted)["w3_quantized"] == "INT4"
    assert model_value(emitted, given.heldout_set) == pytest.approx(
        end(found, given.heldout_set), rel=1e-4
    )
