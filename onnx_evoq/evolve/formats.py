"""Evolve the grids of weights and activations by the error at the end of the network.

Steps and scales follow in closed form from what the error of each layer and each activation is said
to count (`reconstruct.channel_scaling`), and codes from these (`reconstruct_layers`). What errors
count is only estimated there: it depends on all of the network behind a layer, and on what weights
behind it make up for. These few numbers are coupled, and no gradient tells what they do to the end
of the network: a search is at home here. Scales of single channels, drawn at random, only ever made
a ResNet-20, a ResNet-8 and a keyword spotter worse.

A genome is made of whole numbers (`Formats`). Each candidate is a whole reconstruction, and what is
scored is what is kept.

1. The start is the closed form itself: all genes are 0.
2. A child takes each gene from one of two parents. Then some importances move by normally
   distributed steps, sometimes those of all activations together, and a scale by one step.
3. Candidates are ranked by the sum of their errors on the search set and on the held-out set. On
   the first alone those would win that fit their samples best: their rank correlated with that on
   test data by .6 to .9, and that of both together by .75 to .95.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from onnx_evoq.array_types import Codes, Float64Array
from onnx_evoq.parallel import in_order
from onnx_evoq.progress import Progress
from onnx_evoq.record import NO_STEPS, Steps, set_state, state_of
from onnx_evoq.run import Deadline, Stopped, until_interrupted
from onnx_evoq.search import Neuroevolution

_PER_OCTAVE = 2  # of an importance
_SHARES = 4  # parts that the share of explained power comes in
POPULATION = 4
_GENERATIONS = 16
_PATIENCE = 5  # generations without a better candidate after which the search ends
_MATES = 0.5  # probability that a child has two parents
_MOVES = 0.25  # probability that an importance moves
_DEVIATION = 0.7  # of an importance, in octaves
_TOGETHER = 0.25  # probability that all activations move together
_SHARE_MOVES = 0.5  # probability that the share moves
_SCALE_MOVES = 0.25  # probability that the scale of an activation moves
_MOST = 8 * _PER_OCTAVE  # of an importance
_MOST_MOVES = 4  # of a scale
GENERATION = "(generation)"  # a step that is no candidate

CandidateT = TypeVar("CandidateT")


@dataclass(frozen=True)
class GenomeShape:
    """What a genome has genes for.

    Attributes:
        activation: (rounded,), whether each thing that is rounded is an activation, not a layer.
        scales: the number of scales of activations.
    """

    activation: tuple[bool, ...]
    scales: int

    @property
    def size(self) -> int:
        """The number of genes."""
        return len(self.activation) + 1 + self.scales


@dataclass(frozen=True, eq=False)
class Formats:
    """What the grids of a model follow from.

    Attributes:
        importances: (rounded,), what the error of each counts, besides the estimate.
        share: of the power of a layer's columns that others explain; it counts, too.
        moves: (scales,), by how many steps each scale of an activation is moved.
        seed: of what the reconstruction draws.
        name: of the genome, among the steps that are kept.
    """

    importances: Float64Array
    share: float
    moves: Codes
    seed: tuple[int, ...]
    name: str


def formats_of(genome: Codes, shape: GenomeShape) -> Formats:
    """What a genome says.

    Example:
        >>> formats_of(np.array([2, -2, 1, 0], np.int8), GenomeShape((False, True), 1)).importances
        array([2. , 0.5])
    """
    count = len(shape.activation)
    return Formats(
        2.0 ** (genome[:count] / _PER_OCTAVE),
        float(genome[count]) / _SHARES,
        genome[count + 1 :],
        tuple(int(gene) + 128 for gene in genome),
        genome.tobytes().hex(),
    )


@dataclass(frozen=True, eq=False)
class Scored(Generic[CandidateT]):
    """A candidate with its errors, lower is better.

    Attributes:
        candidate: what was built.
        search: the error on the search set.
        heldout: the error on the held-out set.

    Example:
        >>> Scored("a", 1.0, 3.0).error, Scored("b", 1.0, float("nan")).error
        (4.0, inf)
    """

    candidate: CandidateT
    search: float
    heldout: float

    @property
    def error(self) -> float:
        """The sum of both errors; infinite if one is NaN."""
        total = self.search + self.heldout
        return float("inf") if np.isnan(total) else total


@dataclass(frozen=True, eq=False)
class EvolvedFormats(Generic[CandidateT]):
    """What a search for formats found.

    Attributes:
        front: the best candidates, best first; the start is one of them if few are better.
        built: the number of candidates that were built.
        stopped: why the search ended early; None if it did not.
    """

    front: Sequence[Scored[CandidateT]]
    built: int
    stopped: Stopped | None


def evolve_formats(
    start: Scored[CandidateT],
    shape: GenomeShape,
    build: Callable[[Formats], CandidateT],
    score: Callable[[CandidateT], Scored[CandidateT]],
    rng: np.random.Generator,
    deadline: Deadline,
    seconds: float,
    workers: int,
    generations: int,
    progress: Progress,
    value_of: Callable[[float], float],
    end: Callable[[], None],
    steps: Steps = NO_STEPS,
) -> EvolvedFormats[CandidateT]:
    """Search for grids with less error at the end of the network.

    Args:
        start: the candidate of the genome of zeros.
        shape: what a genome has genes for.
        build: makes a candidate; from several threads at a time.
        score: scores it.
        rng: draws the children.
        deadline: when to stop; no generation begins that would not end in time.
        seconds: that the first generation takes.
        workers: candidates that are built at a time, at most; it does not change the result.
        generations: that the search has, at most; more than 16 it never has.
        progress: shows how many generations are done.
        value_of: the metric that has an error.
        end: makes each `build` that is running end soon, on Ctrl-C.
        steps: where generations are kept. What candidates keep of their own in parts of it, of the
            names of their `Formats`, is kept as long as they may be the best.
    """
    kept, generations = {bytes(shape.size): start}, min(generations, _GENERATIONS)

    def child_of(parent: Codes) -> Codes:
        return _child(parent, search.parents[rng.integers(POPULATION)], shape, rng)

    search = Neuroevolution(np.zeros(shape.size, np.int8), POPULATION, child_of)
    search.tell(search.ask(), np.array([start.error]))
    done, without_gain, count, stopped = 0, 0, 0, None
    last = steps.load(GENERATION)
    if last is not None:  # candidates are built again of what they kept
        search.set_state(last.arrays)
        set_state(rng, last.facts["random"])
        done, without_gain, count = last.facts["counts"]
        again = {each.tobytes(): each for each in search.parents if each.any()}
        work = in_order(lambda g: build(formats_of(g, shape)), again.values(), workers, end)
        errors = dict(zip(map(bytes, last.arrays["kept"]), last.arrays["errors"], strict=True))
        with closing(work) as built:
            for name, candidate in zip(again, built, strict=True):
                kept[name] = Scored(candidate, *errors[name].tolist())
        kept = {genome.tobytes(): kept[genome.tobytes()] for genome in search.parents}
    with progress("evolving formats", generations) as step, until_interrupted() as interruption:
        if done:
            step(done)
        for _ in range(done, generations):
            if without_gain == _PATIENCE:
                break
            if deadline.left < seconds:
                stopped = Stopped.TIME
                break
            began, before = time.monotonic(), search.best_fitness
            candidates = search.ask()
            genomes = {genome.tobytes(): genome for genome in candidates}
            new = [genome for name, genome in genomes.items() if name not in kept]
            work = in_order(lambda genome: build(formats_of(genome, shape)), new, workers, end)
            with closing(work) as built:  # an exception of `score` ends what is being built, too
                for genome, candidate in zip(new, built, strict=True):
                    kept[genome.tobytes()] = score(candidate)
                    count += 1
            search.tell(candidates, np.array([kept[each.tobytes()].error for each in candidates]))
            dropped = kept.keys() - {genome.tobytes() for genome in search.parents}
            kept = {genome.tobytes(): kept[genome.tobytes()] for genome in search.parents}
            without_gain = 0 if search.best_fitness < before else without_gain + 1
            done += 1
            if not deadline.passed:  # else candidates of the last generation were cut short
                errors_of = np.array([[each.search, each.heldout] for each in kept.values()])
                genomes_of = np.frombuffer(b"".join(kept), np.uint8).reshape(len(kept), -1)
                steps.save(
                    GENERATION, {**search.state, "kept": genomes_of, "errors": errors_of},
                    counts=[done, without_gain, count], random=state_of(rng),
                )  # fmt: skip
                for name in dropped:
                    steps.forget(name.hex())
            seconds = max(seconds / 2, time.monotonic() - began)
            best = value_of(search.best_fitness / 2)  # the mean of both sets
            step(1, best=best, evaluations=count)
    names = dict.fromkeys(genome.tobytes() for genome in search.parents)
    return EvolvedFormats([kept[name] for name in names], count, interruption.reason or stopped)


def _child(parent: Codes, mate: Codes, shape: GenomeShape, rng: np.random.Generator) -> Codes:
    """A genome of the genes of two, and of moves; it is neither of them."""
    child, count = parent.astype(np.int64), len(shape.activation)
    if rng.random() < _MATES:
        child = np.where(rng.random(len(child)) < 0.5, child, mate)
    moved = rng.random(count) < _MOVES
    moved[rng.integers(count)] = True
    steps = np.rint(rng.normal(0, _DEVIATION * _PER_OCTAVE, count))
    child[:count] += np.where(moved, steps, 0).astype(np.int64)
    if rng.random() < _TOGETHER:
        together = int(np.rint(rng.normal(0, _DEVIATION * _PER_OCTAVE)))
        child[:count] += together * np.array(shape.activation)
    child[:count] = child[:count].clip(-_MOST, _MOST)
    if rng.random() < _SHARE_MOVES:
        child[count] = np.clip(child[count] + rng.choice((-2, -1, 1, 2)), 0, _SHARES)
    if shape.scales and rng.random() < _SCALE_MOVES:
        place = count + 1 + rng.integers(shape.scales)
        child[place] = np.clip(child[place] + rng.choice((-1, 1)), -_MOST_MOVES, _MOST_MOVES)
    if (child == parent).all() or (child == mate).all():
        return _child(parent, mate, shape, rng)
    return child.astype(np.int8)
