"""Grids start in closed form, and evolve with the reconstructions that they lead to."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, task_of
from integer_nets import conv_task

from onnx_evoq.activations import Activations, quantize_activations
from onnx_evoq.errors import ModelError
from onnx_evoq.evolve import Scored
from onnx_evoq.evolve.formats import EvolvedFormats
from onnx_evoq.model import load, quantized_activations
from onnx_evoq.pipeline import Placed, Start, evolved_start
from onnx_evoq.pipeline.placed import calibrated, with_simulated
from onnx_evoq.pipeline.start import (
    _as_simulated,
    equalized,
    placed_start,
    swept_in_time,
)
from onnx_evoq.run import Deadline, Stopped
from onnx_evoq.setup import Resources, Task

START = "onnx_evoq.pipeline.start"
GIVEN = replace(conv_task(3), activation_bits=4)


def no_use(*arguments: Any, **options: Any) -> Any:
    raise AssertionError


def first_of(given: Task) -> tuple[Activations | None, Start]:
    """The calibrated activations and the start in closed form."""
    plain = calibrated(given)
    placed, _ = placed_start(given, plain, 0)
    return plain, Start(placed, placed.reconstructed(given.bits, 0, given.deadline))


@cache
def usual_start() -> tuple[Activations | None, Start]:
    return first_of(GIVEN)


def evolved(
    given: Task, generations: int = 1, started: tuple[Activations | None, Start] | None = None
) -> tuple[Start, Start]:
    """The start in closed form, unless it is given, and what evolved from it."""
    plain, first = started or first_of(given)
    rng = np.random.default_rng(0)
    return first, evolved_start(given, plain, first, 0.0, generations, 0, rng).start


def test_float_activations_have_no_grids() -> None:
    plain, first = first_of(conv_task())
    assert plain is None
    assert first.placed.activations is None
    assert first.placed.simulated is first.placed.task
    assert first.placed.factors == {}


def test_the_scales_start_where_channels_were_scaled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = quantize_activations(GIVEN, 4)
    name, scale = next(iter(plain.first_of_each_scale.items()))
    wanted = {name: 4 * plain.grids[scale].scale}
    monkeypatch.setattr(f"{START}.equalized", lambda *given: (GIVEN, wanted, ()))
    monkeypatch.setattr(f"{START}.swept", lambda task, found, deadline: found)
    placed, _ = placed_start(GIVEN, plain, 0)
    assert placed.activations is not None
    assert placed.activations.grids[scale].scale == wanted[name]
    assert set(placed.factors.values()) == {1.0}
    assert len(quantized_activations(placed.simulated.model)) == len(placed.activations.tensors)


def test_what_the_sweep_moved_is_where_evolution_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = quantize_activations(GIVEN, 4)
    scale = next(iter(plain.grids))

    def halved(task: Task, found: Activations, deadline: Deadline) -> Activations:
        return found.with_grids({scale: found.at_scale(scale, found.grids[scale].scale / 2)})

    monkeypatch.setattr(f"{START}.swept", halved)
    placed, _ = placed_start(GIVEN, plain, 0)
    assert placed.factors[scale] == 0.5
    assert {factor for name, factor in placed.factors.items() if name != scale} == {1.0}


@pytest.mark.parametrize("bits", [None, 4])
def test_a_search_finds_a_better_start(bits: int | None) -> None:
    started = None if bits is None else usual_start()
    first, found = evolved(replace(GIVEN, activation_bits=bits), started=started)
    assert found is not first
    assert _as_simulated(found).error < 0.98 * _as_simulated(first).error
    assert found.placed.task.resources is GIVEN.resources
    assert found.placed.task.progress is GIVEN.progress
    if bits is None:
        assert found.placed.activations is None
    else:
        assert found.placed.activations is not None
        exponents = [np.log2(grid.scale) for grid in found.placed.activations.grids.values()]
        assert all(float(each).is_integer() for each in exponents)


def test_the_same_codes_come_out_whatever_the_cores() -> None:
    codes = []
    for workers in (1, 2):
        given = replace(GIVEN, resources=Resources(workers=workers))
        first, found = evolved(given, started=usual_start())
        assert found is not first
        codes.append(found.model.quantized)
    for name, (one, grid) in codes[0].items():
        np.testing.assert_array_equal(one, codes[1][name].codes)
        assert grid.step == codes[1][name].grid.step


@pytest.mark.parametrize(
    ("first_error", "gain", "kept"), [(1.0, 0.5, True), (1.0, 0.01, False), (-1.0, 0.01, True)]
)
def test_the_last_candidates_are_judged_with_the_start_as_they_are_emitted(
    first_error: float, gain: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted = list[Start]()

    def two(first: Scored[Start], *rest: Any) -> EvolvedFormats[Start]:
        return EvolvedFormats([Scored(replace(first.candidate), 0.0, 0.0), first], 1, None)

    def better_and_better(given: Scored[Start]) -> Scored[Start]:
        emitted.append(given.candidate)
        return Scored(given.candidate, first_error - gain * (len(emitted) > 1), 0.0)

    monkeypatch.setattr(f"{START}.evolve_formats", two)
    monkeypatch.setattr(f"{START}._as_emitted", better_and_better)
    first, found = evolved(GIVEN, started=usual_start())
    assert emitted[0] is first
    assert len(emitted) == 2
    assert (found is not first) is kept


@pytest.mark.parametrize(
    "changes",
    [{"deadline": Deadline(100.0)}, {"memory": 10}],
)
def test_without_time_or_memory_for_others_the_start_stays(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{START}.channel_scaling", no_use)
    plain, first = usual_start()
    given, rng = replace(GIVEN, **changes), np.random.default_rng(0)
    found = evolved_start(given, plain, first, 60.0, 3, 0, rng)
    assert found.start is first
    assert found.stopped is (Stopped.TIME if "deadline" in changes else None)


def test_a_bound_of_memory_allows_one_candidate_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def none_better(first: Scored[Start], *rest: Any) -> EvolvedFormats[Start]:
        asked.append(rest[6])
        return EvolvedFormats([first], 0, None)

    monkeypatch.setattr(f"{START}.evolve_formats", none_better)
    for memory in (None, 2**40):
        resources = Resources(workers=4, memory=memory)
        evolved(replace(GIVEN, resources=resources), started=usual_start())
    assert asked == [2, 1]


def test_an_interruption_keeps_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{START}.channel_scaling", interrupted)
    plain, first = usual_start()
    found = evolved_start(GIVEN, plain, first, 0.0, 3, 0, np.random.default_rng(0))
    assert found.start is first
    assert found.stopped is Stopped.INTERRUPT


def test_a_candidate_that_integers_cannot_hold_is_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, first = usual_start()

    def wild(*arguments: Any) -> None:
        raise ModelError("activation 'a' holds values that are far from all others")

    monkeypatch.setattr("onnx_evoq.pipeline.placed.quantize_activations", wild)
    found = evolved_start(GIVEN, plain, first, 0.0, 1, 0, np.random.default_rng(0))
    assert (found.start, found.built, found.stopped) == (first, 4, None)


def test_a_model_without_channels_to_scale_keeps_its_start() -> None:
    model = load(
        model_of(
            [node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 3]}, {"y": None}, {"w": random(3, 2)}
        )
    )
    first, found = evolved(task_of(model, random(8, 3), random(8, 3, seed=1)))
    assert found is first


def test_each_scale_is_swept_in_a_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    left = []
    monkeypatch.setattr(f"{START}.swept", lambda task, found, until: left.append(until.left))
    plain = quantize_activations(GIVEN, 4)
    swept_in_time(replace(GIVEN, deadline=Deadline(80.0)), plain)
    assert 9 < left[0] <= 10


def test_the_task_stays_as_it_is() -> None:
    found = with_simulated(GIVEN, quantize_activations(GIVEN, 4))
    assert quantized_activations(found.model)
    assert not quantized_activations(GIVEN.model)
    assert Placed(GIVEN, None).simulated is GIVEN


# Channels that are scaled first


@pytest.mark.parametrize(("deadline", "asked"), [(None, 1), (0, 0)])
def test_channels_are_scaled_only_where_there_is_time(
    deadline: float | None, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(
        f"{START}.equalize_channels",
        lambda given, rng, activations: (calls.append(activations), (given, {}))[1],
    )
    given = replace(conv_task(), deadline=Deadline(deadline))
    _, notes = placed_start(given, None, 0)
    assert calls == [None] * asked
    assert len(notes) == 1 - asked


@pytest.mark.parametrize(
    ("weights", "bits", "asked"),
    [(4, 4, 1), (8, 5, 1), (4, 8, 1), (6, 6, 0), (8, 6, 0), (8, 8, 0), (8, 12, 1)],
)
def test_channels_are_scaled_where_activations_have_few_bits_or_more_than_weights(
    weights: int, bits: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def equalize(
        given: Task, rng: np.random.Generator, activations: Activations
    ) -> tuple[Task, dict[str, float]]:
        calls.append({grid.bits for grid in activations.grids.values()})
        return given, {}

    monkeypatch.setattr(f"{START}.equalize_channels", equalize)
    given = replace(conv_task(weights), activation_bits=bits)
    assert equalized(given, 0, calibrated(given)) == (given, {}, ())
    assert len(calls) == asked
    assert all(bits in widths for widths in calls)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_scaled_channels_are_taken_without_a_trial(
    granularity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = replace(conv_task(), granularity=granularity)  # type: ignore[arg-type]
    scaled = replace(given, weights=[replace(w, values=2 * w.values) for w in given.weights])
    monkeypatch.setattr(f"{START}.equalize_channels", lambda given, rng, found: (scaled, {}))
    monkeypatch.setattr("onnx_evoq.pipeline.placed.reconstruct_layers", no_use)
    monkeypatch.setattr(Task, "fitness", no_use)
    assert equalized(given, 0, None)[0] is scaled
