"""The search over what errors of layers and activations count."""

import itertools
import threading
from collections.abc import Callable
from threading import Event
from typing import Any

import numpy as np
import pytest
from graphs import stepping_into

from onnx_evoq.evolve import Formats, GenomeShape, Scored, evolve_formats
from onnx_evoq.evolve.formats import EvolvedFormats, _child, formats_of
from onnx_evoq.progress import silent
from onnx_evoq.run import Deadline, Stopped

SHAPE = GenomeShape((False, True, False, True), 2)
WANTED = np.array([2.0, -1.0, 0.5, 1.5])  # octaves
Score = Callable[[Formats], Scored[Formats]]


def scored(formats: Formats) -> Scored[Formats]:
    """The distance from what is wanted, which the held-out set sees a little otherwise."""
    distance = np.abs(np.log2(formats.importances) - WANTED).sum()
    rest = abs(formats.share - 0.5) + np.abs(formats.moves).sum()
    return Scored(formats, float(1 + distance + rest), float(1 + 1.1 * distance + rest))


START = scored(formats_of(np.zeros(SHAPE.size, np.int8), SHAPE))


def searched(score: Score = scored, seed: int = 0, **options: Any) -> EvolvedFormats[Formats]:
    given = {
        "build": lambda formats: formats, "rng": np.random.default_rng(seed),
        "deadline": Deadline(None), "seconds": 0.0, "workers": 1, "generations": 16,
        "progress": silent, "value_of": lambda error: error, "end": lambda: None, **options,
    }  # fmt: skip
    return evolve_formats(START, SHAPE, score=score, **given)


def seeds(found: EvolvedFormats[Formats]) -> list[tuple[int, ...]]:
    return [each.candidate.seed for each in found.front]


def test_a_genome_says_importances_share_and_moves() -> None:
    found = formats_of(np.array([2, -2, 0, 1, 3, 1, -1], np.int8), SHAPE)
    np.testing.assert_allclose(found.importances, [2, 0.5, 1, 2**0.5])
    assert (found.share, found.moves.tolist()) == (0.75, [1, -1])


def test_different_genomes_draw_differently() -> None:
    genomes = np.zeros((2, SHAPE.size), np.int8)
    genomes[1, 0] = -3
    one, other = (formats_of(genome, SHAPE).seed for genome in genomes)
    assert one != other
    assert min(*one, *other) >= 0  # as generators ask


def test_a_search_comes_near_and_gives_the_best_first() -> None:
    found = searched()
    errors = [each.error for each in found.front]
    assert errors == sorted(errors)
    assert len(errors) == 4
    assert errors[0] < 0.6 * START.error
    assert 56 <= found.built <= 64  # of 16 generations of 4, but for twins
    assert found.stopped is None


def test_without_a_gain_it_ends_after_five_generations_with_the_start() -> None:
    found = searched(lambda formats: Scored(formats, 99.0, 99.0))
    assert found.front[0] is START
    assert 16 < found.built <= 20
    assert found.stopped is None


def test_both_errors_count() -> None:
    def overfitted(formats: Formats) -> Scored[Formats]:
        return Scored(formats, 0.9 * START.search, 1.2 * START.heldout)

    assert searched(overfitted).front[0] is START


def test_an_error_of_nan_is_the_worst() -> None:
    found = searched(lambda formats: Scored(formats, float("nan"), 0.0))
    assert found.front[0] is START
    assert all(np.isinf(each.error) for each in found.front[1:])


@pytest.mark.parametrize("workers", [2, 5])
def test_neither_workers_nor_runs_change_the_result(workers: int) -> None:
    built_by, scored_by = set[int](), set[int]()

    def build(formats: Formats) -> Formats:
        built_by.add(threading.get_ident())
        return formats

    def score(formats: Formats) -> Scored[Formats]:
        scored_by.add(threading.get_ident())
        return scored(formats)

    many = searched(score, workers=workers, build=build)
    assert len(built_by) > 1
    assert scored_by == {threading.get_ident()}  # as the metrics of users may keep state
    assert seeds(many) == seeds(searched())
    assert seeds(searched(seed=1)) != seeds(many)


def test_no_parent_and_no_twin_is_built_again() -> None:
    built = list[tuple[int, ...]]()

    def build(formats: Formats) -> Formats:
        built.append(formats.seed)
        return formats

    found = searched(build=build, generations=1)
    assert len(set(built)) == len(built) == found.built
    again = searched(lambda formats: Scored(formats, 0.0, 0.0), build=build)
    assert START.candidate.seed not in built
    assert again.built <= 24  # all are as good as the first


@pytest.mark.parametrize(
    ("left", "seconds", "built"), [([10.0], 11.0, 0), ([10.0] * 4 + [1.0], 9.0, 8)]
)
def test_a_generation_that_would_end_too_late_does_not_begin(
    left: list[float], seconds: float, built: int
) -> None:
    # The clock is read before each generation, and before what it found is kept.
    class Clock(Deadline):
        @property
        def left(self) -> float:
            return left.pop(0)

    found = searched(deadline=Clock(None), seconds=seconds)
    assert built - 2 < found.built <= built
    assert found.stopped is Stopped.TIME


def test_without_generations_the_start_stays() -> None:
    found = searched(generations=0)
    assert (found.front, found.built, found.stopped) == ([START], 0, None)


def test_what_was_found_before_an_interruption_stays() -> None:
    built = 0

    def build(formats: Formats) -> Formats:
        nonlocal built
        built += 1
        if built == 10:
            raise KeyboardInterrupt
        return formats

    found = searched(build=build)
    assert found.stopped is Stopped.INTERRUPT
    assert seeds(found) == seeds(searched(generations=2))


def test_on_an_interruption_candidates_that_are_being_built_end_soon() -> None:
    count, begun, ended = itertools.count(), Event(), Event()

    def build(formats: Formats) -> Formats:
        if next(count) == 0:
            begun.wait(10)
            raise KeyboardInterrupt
        begun.set()
        assert ended.wait(10)
        return formats

    found = searched(build=build, workers=2, end=ended.set)
    assert found.stopped is Stopped.INTERRUPT
    assert ended.is_set()


def test_children_differ_from_both_parents_and_stay_within_limits() -> None:
    rng = np.random.default_rng(0)
    parent, mate = np.zeros(SHAPE.size, np.int8), np.full(SHAPE.size, 2, np.int8)
    children = np.array([_child(parent, mate, SHAPE, rng) for _ in range(300)])
    assert (children != parent).any(axis=1).all()
    assert (children != mate).any(axis=1).all()
    assert (np.abs(children[:, :4]) <= 16).all()
    assert set(children[:, 4]) == {0, 1, 2, 3, 4}
    assert set(children[:, 5:].ravel()) <= {-2, -1, 0, 1, 2, 3}


def test_a_genome_without_activations_has_no_moves() -> None:
    shape = GenomeShape((False,), 0)
    child = _child(np.zeros(2, np.int8), np.zeros(2, np.int8), shape, np.random.default_rng(0))
    assert child.shape == (2,)
    assert formats_of(child, shape).moves.size == 0


def test_on_an_interruption_while_one_is_scored_the_others_end_soon() -> None:
    count, ended = itertools.count(), Event()

    def build(formats: Formats) -> Formats:
        assert next(count) < 1 or ended.wait(10)
        return formats

    def interrupted(formats: Formats) -> Scored[Formats]:
        raise KeyboardInterrupt

    found = searched(build=build, score=interrupted, workers=2, end=ended.set)
    assert found.stopped is Stopped.INTERRUPT
    assert ended.is_set()


def test_each_generation_says_the_best_error_so_far() -> None:
    steps: list[Any] = []
    progress = stepping_into(steps, "best", "evaluations")
    found = searched(progress=progress, value_of=lambda error: 100 - error)
    assert len(steps) > 1
    assert steps[0][1] <= steps[-1][1] == 100 - found.front[0].error / 2
    assert steps[-1][2] == found.built
