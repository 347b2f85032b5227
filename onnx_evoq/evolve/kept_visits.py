"""Visits to weights, and generations within them, that are kept, so that a search can go on."""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Array
from onnx_evoq.evolve.settings import LayerScores
from onnx_evoq.quantize import QuantizedWeight, arrays_of, weight_of
from onnx_evoq.record import Steps, set_state, state_of
from onnx_evoq.score import Race
from onnx_evoq.search import Neuroevolution

_GENERATIONS = "(generations)"  # a part that is no weight
_SCORES = ("search", "heldout")


@dataclass(frozen=True, eq=False)
class Visit:
    """What a visit to a weight gave.

    Attributes:
        best: the codes that it found; None if it kept those that were there.
        scores: the scores before and after; None if it was not searched.
        evaluations: candidates that were scored.
    """

    best: QuantizedWeight | None
    scores: LayerScores | None
    evaluations: int


@dataclass
class Progress:
    """How far the search of a weight has come.

    Attributes:
        at_start: the fitness of the codes that it began with.
        done: generations.
        without_gain: the last of them that found nothing better.
    """

    at_start: float
    done: int = 0
    without_gain: int = 0


def keep_visit(steps: Steps, name: str, visit: Visit, rng: np.random.Generator) -> None:
    """Keep a visit and the state of the generator behind it, in place of its generations.

    Args:
        steps: of a pass over the weights.
        name: of the weight.
        visit: what was found.
        rng: draws the mutations.
    """
    arrays: dict[str, Array] = {}
    if visit.scores is not None:
        both = visit.scores.before, visit.scores.after
        arrays["scores"] = np.array([[each[kind] for kind in _SCORES] for each in both])
    if visit.best is not None:
        arrays |= arrays_of(visit.best)
    steps.save(name, arrays, evaluations=visit.evaluations, random=state_of(rng))
    steps.part(_GENERATIONS).forget(name)


def kept_visit(steps: Steps, name: str, rng: np.random.Generator) -> Visit | None:
    """A visit that is kept; the generator then has the state behind it. None if it is not there."""
    kept = steps.load(name)
    if kept is None:
        return None
    steps.part(_GENERATIONS).forget(name)  # of a run that was killed before it could
    set_state(rng, kept.facts["random"])
    scores = None
    if "scores" in kept.arrays:
        rows = kept.arrays["scores"].tolist()
        scores = LayerScores(*(dict(zip(_SCORES, row, strict=True)) for row in rows))
    best = weight_of(kept.arrays) if "codes" in kept.arrays else None
    return Visit(best, scores, kept.facts["evaluations"])


def keep_generation(
    steps: Steps,
    name: str,
    search: Neuroevolution,
    race: Race,
    progress: Progress,
    rng: np.random.Generator,
) -> None:
    """Keep the population of a weight, in place of the last one.

    Args:
        steps: of a pass over the weights.
        name: of the weight.
        search: holds the population.
        race: scores it.
        progress: how far the search has come.
        rng: draws the mutations.
    """
    arrays = {**search.state, **race.state, "at start": np.array(progress.at_start)}
    steps.part(_GENERATIONS).save(
        name, arrays, done=progress.done, without_gain=progress.without_gain,
        evaluations=race.evaluations, random=state_of(rng),
    )  # fmt: skip


def kept_generation(
    steps: Steps, name: str, search: Neuroevolution, race: Race, rng: np.random.Generator
) -> Progress | None:
    """How far a search had come, which then goes on from there; None if it has not begun.

    The arguments are those of `keep_generation`.
    """
    kept = steps.part(_GENERATIONS).load(name)
    if kept is None:
        return None
    search.set_state(kept.arrays)
    race.set_state(kept.arrays)
    race.evaluations = kept.facts["evaluations"]
    set_state(rng, kept.facts["random"])
    at_start = float(kept.arrays["at start"])
    return Progress(at_start, kept.facts["done"], kept.facts["without_gain"])
