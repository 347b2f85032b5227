"""The search over what errors of layers and activations count."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from onnx_evoq.evolve import Formats, GenomeShape, Scored, evolve_formats, relative_error
from onnx_evoq.evolve.formats import _child, formats_of
from onnx_evoq.progress import silent
from onnx_evoq.run import Deadline

SHAPE = GenomeShape((False, True, False, True), 2)
WANTED = np.array([2.0, -1.0, 0.5, 1.5])  # octaves
Build = Callable[[Formats], Scored[Formats]]


def scored(formats: Formats) -> Scored[Formats]:
    """The distance from what is wanted, which the held-out set sees a little otherwise."""
    distance = np.abs(np.log2(formats.importances) - WANTED).sum()
    rest = abs(formats.share - 0.5) + np.abs(formats.moves).sum()
    return Scored(formats, float(1 + distance + rest), float(1 + 1.1 * distance + rest))


START = scored(formats_of(np.zeros(SHAPE.size, np.int8), SHAPE))


def searched(
    build: Build = scored, seed: int = 0, deadline: float | None = None, **options: int
) -> list[Scored[Formats]]:
    settings = {"seconds": 0.0, "workers": 1, "generations": 40, **options}
    rng, until = np.random.default_rng(seed), Deadline(deadline)
    front, interrupted = evolve_formats(
        START, SHAPE, build, rng, until, progress=silent, **settings
    )  # type: ignore[arg-type]
    assert not interrupted
    return front


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
    front = searched()
    errors = [relative_error(each, START) for each in front]
    assert errors == sorted(errors)
    assert len(errors) == 4
    assert errors[0] < 1.2 < relative_error(START, START)


def test_the_start_stays_if_nothing_is_better() -> None:
    front = searched(lambda formats: Scored(formats, 9.0, 9.0))
    assert front[0] is START


def test_both_errors_count() -> None:
    def overfitted(formats: Formats) -> Scored[Formats]:
        return Scored(formats, 0.9 * START.search, 1.2 * START.heldout)

    assert searched(overfitted)[0] is START


def test_an_error_of_nan_is_the_worst() -> None:
    assert searched(lambda formats: Scored(formats, float("nan"), 0.0))[0] is START


def test_an_error_of_zero_divides_nothing() -> None:
    zero = Scored("a", 0.0, 0.0)
    assert relative_error(Scored("b", 1.0, 2.0), zero) == 3.0


@pytest.mark.parametrize("workers", [2, 5])
def test_neither_workers_nor_runs_change_the_result(workers: int) -> None:
    seen: set[int] = set()

    def build(formats: Formats) -> Scored[Formats]:
        seen.add(threading.get_ident())
        return scored(formats)

    many, one = searched(build, workers=workers), searched()
    assert len(seen) > 1
    assert [each.candidate.seed for each in many] == [each.candidate.seed for each in one]
    assert [each.candidate.seed for each in searched(seed=1)] != [e.candidate.seed for e in one]


def test_no_genome_is_built_twice_in_a_row() -> None:
    built: list[tuple[int, ...]] = []

    def build(formats: Formats) -> Scored[Formats]:
        built.append(formats.seed)
        return scored(formats)

    searched(build)
    assert START.candidate.seed not in built


@pytest.mark.parametrize(
    ("deadline", "options"), [(0.0, {"seconds": 1.0}), (None, {"generations": 0})]
)
def test_without_time_or_generations_nothing_is_built(
    deadline: float | None, options: dict[str, int]
) -> None:
    def build(formats: Formats) -> Scored[Formats]:
        raise AssertionError

    assert searched(build, deadline=deadline, **options) == [START]


def test_what_was_found_before_an_interruption_stays() -> None:
    built = 0

    def build(formats: Formats) -> Scored[Formats]:
        nonlocal built
        built += 1
        if built == 10:
            raise KeyboardInterrupt
        return scored(formats)

    rng = np.random.default_rng(0)
    front, interrupted = evolve_formats(
        START, SHAPE, build, rng, Deadline(None), 0.0, 1, 40, silent
    )
    assert interrupted
    two = searched(generations=2)
    assert [each.candidate.seed for each in front] == [each.candidate.seed for each in two]


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
