"""Builds a Pareto point: the model under a policy, with its size and its errors.

Channels are split, and all layers are reconstructed in turn, from fewer samples than `optimize`
takes and without regard to activation functions. Each layer then compensates the errors of those
before it: the errors of uniform widths are 2 to 5 times smaller than with layers that are quantized
each by itself on a ResNet-8, and up to 14 times on the models of digits (mse on the search set).
Where activations are quantized, too, layers see them as they will be.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_evoq.activations import quantize_activations
from onnx_evoq.mixed_precision.search_space import Genome, Policy, Space, expanded
from onnx_evoq.model import (
    describe,
    note_widths,
    packed_bytes,
    size_in_bytes,
    to_model,
    weights_named,
    with_codes,
)
from onnx_evoq.pipeline import emit, metadata_of
from onnx_evoq.progress import silent
from onnx_evoq.quantize import Effort
from onnx_evoq.reconstruct import reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Drop, Granularity, Score, ScoringSet, Task, model_value, run_on

_POINT_SAMPLES = 512  # that layers are reconstructed on
_POINT_EFFORT = Effort(positions=32_768, activation_rounds=0)  # many points are built
_RUN_SHARE = 0.3  # of a point's time, in which the samples are run
_GRACE = 2.0  # seconds after the deadline, for points that are built in any case
_MORE_TIME = 2.0  # that a point gets when it is built again
_LEARNT = 0.5  # share of the time beyond what was allowed, which the next point makes up for


@dataclass(frozen=True)
class ParetoPoint:
    """A policy with the size and the errors of the model that is built under it.

    Attributes:
        policy: the widths, granularities and split channels.
        packed_bytes: the bytes of the model, with codes at their own widths.
        file_bytes: the bytes of the emitted file.
        search: the metric on the search set.
        heldout: the metric on the held-out set.
        drop: percent of the float model's quality that is lost on the held-out set.
        nmse: squared error of the outputs on the search set, as a share of their power.
        cut: a sentence about what was left out to save time; empty if nothing was.
    """

    policy: Policy
    packed_bytes: int
    file_bytes: int
    search: float
    heldout: float
    drop: float
    nmse: float
    cut: str = ""

    def bytes(self, in_file: bool) -> int:
        """The bytes of the file, or the packed ones."""
        return self.file_bytes if in_file else self.packed_bytes

    def to_dict(self) -> dict[str, Any]:
        """The point as a dictionary for JSON."""
        return {
            **self.policy.to_dict(),
            "packed_bytes": self.packed_bytes,
            "file_bytes": self.file_bytes,
            "search": self.search,
            "heldout": self.heldout,
            "drop": self.drop,
            "nmse": self.nmse,
        }


def build_point(
    task: Task, policy: Policy, seed: int, drop: Drop, scored: ScoringSet | None = None
) -> ParetoPoint:
    """Reconstruct the model under a policy, and measure it.

    Args:
        task: the model, its weights, its samples, and the time for the reconstruction; its widths
            play no part.
        policy: the widths, granularities and split channels.
        seed: of the positions that are drawn, the same for all policies.
        drop: measures what a model loses.
        scored: the samples of the search set that the point is measured on; None for all.
    """
    samples = _POINT_SAMPLES
    if task.seconds > 0:  # both the float model and the quantized one are run
        affordable = _RUN_SHARE * task.deadline.left / (2 * task.seconds)
        samples = max(1, int(min(samples, affordable)))
    model = expanded(task.model, policy.expansion)
    weights = weights_named(model, {weight.name for weight in task.weights})
    subset = replace(
        task, model=model, weights=weights, bits=policy.bits,
        granularity=_granularities(task, policy), progress=silent,
        search_set=task.search_set.first(samples),
    )  # fmt: skip
    activations = None
    if task.activation_bits is not None:
        activations = quantize_activations(subset, task.activation_bits, task.activation_scale)
        subset = replace(subset, model=to_model(activations.network))
    reconstructed = reconstruct_layers(
        subset, np.random.default_rng(seed), _POINT_EFFORT, details=False, activations=activations
    )
    quantized = subset.with_behind(reconstructed.model, reconstructed.quantized)
    scoring = scored or task.search_set
    resources = task.resources
    batch = task.few or scoring.batches[0]
    file, _ = emit(
        reconstructed.model, quantized, "qdq", batch, resources, activations, target=task.target
    )
    # Any scores do: the metadata are as long with all of them.
    score = Score(0.0, 0.0, {"search": 0.0, "heldout": 0.0} if task.has_classes else None)
    scores = {"nearest": score, "evolved": score}
    describe(
        file, metadata_of(quantized, task.seed, scoring.criterion.metric.name, scores, task.own)
    )
    if task.own is not None:
        task.own.restored(file)
    note_widths(file, quantized)
    # One run of the search set for both errors.
    result = with_codes(reconstructed.model, quantized)
    outputs = list(run_on(result, scoring, resources))
    return ParetoPoint(
        policy,
        packed_bytes(reconstructed.model, quantized),
        size_in_bytes(file),
        scoring.criterion.value(outputs),
        model_value(result, task.heldout_set, resources),
        drop(result),
        scoring.scored_by_relative_error().criterion.value(outputs),
        reconstructed.cut,
    )


def _granularities(task: Task, policy: Policy) -> dict[str, Granularity]:
    """The granularity of each weight, those included that nothing scores."""
    usual = task.granularity
    behind = {name: usual if isinstance(usual, str) else usual[name] for name in task.behind}
    return {**behind, **policy.granularities(usual)}


class PointBuilder:
    """Builds the points of genomes, each once, and keeps them.

    Args:
        task: the model, its weights, its samples and the deadline.
        space: what genomes stand for.
        drop: measures what a model loses.
        seed: of the positions that are drawn, the same for all points.
        scored: the samples of the search set that points are measured on; None for all.

    Attributes:
        points: the points in the order in which they were built, by the bytes of their genomes.
        mean: seconds that a point took on average; 0 before the first one.
        skipped: how many points were not built for lack of time.
    """

    def __init__(
        self,
        task: Task,
        space: Space,
        drop: Drop,
        seed: int,
        scored: ScoringSet | None = None,
    ) -> None:
        self.points: dict[bytes, ParetoPoint] = {}
        self.mean, self.skipped, self._begun = 0.0, 0, 0
        self._task, self._space, self._drop, self._seed = task, space, drop, seed
        self._scored = scored
        runs = (scored or task.search_set).samples + 2 * task.heldout_set.samples
        self._measuring = runs * task.seconds  # seconds of a point beside its reconstruction

    def build(
        self,
        genomes: Iterable[Genome],
        *,
        seconds: float = math.inf,
        reserve: float = 0.0,
        always: bool = False,
    ) -> None:
        """Build the points that are not built yet, while time is left.

        Args:
            genomes: the genomes.
            seconds: that a point may take.
            reserve: seconds that are left to others.
            always: whether to build them even when no time is left: the first of all points in any
                case, the others if that takes a few seconds at most.
        """
        missing = {g.tobytes(): g for g in genomes if g.tobytes() not in self.points}
        deadline = self._task.deadline
        if always:
            deadline = Deadline(deadline.left + _GRACE)
        with self._task.progress("building", len(missing)) as step:
            for key, genome in missing.items():
                if deadline.left - reserve <= self.mean and not (always and not self.points):
                    self.skipped += 1
                    continue
                policy = self._space.policy(self._space.decode(genome))
                began = time.monotonic()
                self.points[key] = self._point(policy, seconds)
                spent = time.monotonic() - began
                self.mean += (spent - self.mean) / len(self.points)
                step(1)

    def refine(self, points: Sequence[ParetoPoint]) -> None:
        """Build points of short reconstructions again, each in an equal share of the time left.

        Of both, the one of less error on the search set is kept.

        Args:
            points: the points that are worth it, the smallest first. If they are too many for the
                time, some of all sizes are taken.
        """
        fitness = (self._scored or self._task.search_set).criterion.metric.fitness
        hasty = [key for key, point in self.points.items() if point.cut and point in points]
        if not hasty:
            return
        hasty.sort(key=lambda key: points.index(self.points[key]))
        most = int(min(self._task.deadline.left / (_MORE_TIME * self.mean), len(hasty)))
        hasty = hasty[:: -(-len(hasty) // most)] if most else []
        with self._task.progress("refining", len(hasty)) as step:
            for index, key in enumerate(hasty):
                old, left = self.points[key], self._task.deadline.left
                again = self._point(old.policy, left / (len(hasty) - index))
                if fitness(again.search) < fitness(old.search):
                    self.points[key] = again
                step(1)

    def _point(self, policy: Policy, seconds: float) -> ParetoPoint:
        """Build a point in so many seconds, or in what is left."""
        allowed, began = min(seconds, self._task.deadline.left), time.monotonic()
        own = Deadline(max(0.0, allowed - self._measuring))
        self._begun += 1
        task = replace(self._task, deadline=own).part("points", str(self._begun))
        point = build_point(task, policy, self._seed, self._drop, self._scored)
        self._measuring += _LEARNT * max(0.0, time.monotonic() - began - allowed)
        return point

    def built(self, genomes: Iterable[Genome]) -> list[ParetoPoint]:
        """The points of those genomes that are built, in the order of the genomes."""
        return [self.points[g.tobytes()] for g in genomes if g.tobytes() in self.points]
