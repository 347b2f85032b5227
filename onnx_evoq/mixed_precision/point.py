"""Builds a Pareto point: the model under a policy, with its size and its errors.

Channels are split, and all layers are reconstructed in turn, from fewer samples than `optimize`
takes and without regard to activations. Each layer then compensates the errors of those before it:
the errors of uniform widths are 2 to 5 times smaller than with layers that are quantized each by
itself on a ResNet-8, and up to 14 times on the models of digits (mse on the search set).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision.search_space import Genome, Policy, Space, expanded
from onnx_evoq.model import packed_bytes, serialize, weights_named
from onnx_evoq.pipeline import emit, metadata_of
from onnx_evoq.progress import silent
from onnx_evoq.reconstruct import reconstruct_layers
from onnx_evoq.setup import Drop, Score, Task, model_value, run_model

_POINT_SAMPLES = 512  # that layers are reconstructed on
_POINT_POSITIONS = 32_768  # a third of those of `optimize`: many points are built
_LONGEST_NUMBER = -1.2345678901234567e-300  # no float has more digits
_LONGEST_SCORE = Score(
    _LONGEST_NUMBER, _LONGEST_NUMBER, {"search": _LONGEST_NUMBER, "heldout": _LONGEST_NUMBER}
)


@dataclass(frozen=True)
class ParetoPoint:
    """A policy with the size and the errors of the model that is built under it.

    Attributes:
        policy: the widths, granularities and split channels.
        packed_bytes: the bytes of the model, with codes at their own widths.
        file_bytes: the bytes of the emitted file. Its metadata are counted with the longest
            numbers, so that the file has up to some hundred bytes less.
        search: the metric on the search set.
        heldout: the metric on the held-out set.
        drop: percent of the float model's quality that is lost on the held-out set.
        nmse: squared error of the outputs on the search set, as a share of their power.
    """

    policy: Policy
    packed_bytes: int
    file_bytes: int
    search: float
    heldout: float
    drop: float
    nmse: float

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


def build_point(task: Task, policy: Policy, seed: int, drop: Drop) -> ParetoPoint:
    """Reconstruct the model under a policy, without regard to activations, and measure it.

    Args:
        task: the model, its weights and its samples; its widths play no part.
        policy: the widths, granularities and split channels.
        seed: of the positions that are drawn, the same for all policies.
        drop: measures what a model loses.
    """
    model = expanded(task.model, policy.expansion)
    weights = weights_named(model, {weight.name for weight in task.weights})
    subset = replace(
        task, model=model, weights=weights, bits=policy.bits,
        granularity=policy.granularities(task.granularity), progress=silent,
        search_set=task.search_set.first(_POINT_SAMPLES),
    )  # fmt: skip
    reconstructed = reconstruct_layers(
        subset, np.random.default_rng(seed), with_activations=False, positions=_POINT_POSITIONS
    )
    quantized, scoring = reconstructed.quantized, task.search_set
    resources = task.resources
    metadata = metadata_of(
        quantized, seed, scoring.target.metric.name, _LONGEST_SCORE, _LONGEST_SCORE
    )
    file, _ = emit(reconstructed.model, quantized, "qdq", metadata, scoring.batches[0], resources)
    # One run of the search set for both errors.
    result = reconstructed.as_float
    outputs = list(run_model(result, scoring.batches, resources))
    return ParetoPoint(
        policy,
        packed_bytes(reconstructed.model, quantized),
        len(serialize(file)),
        scoring.target.value(outputs),
        model_value(result, task.heldout_set, resources),
        drop(result),
        scoring.scored_by(find_metric("nmse")).target.value(outputs),
    )


class PointBuilder:
    """Builds the points of genomes, each once, and keeps them.

    Args:
        task: the model, its weights, its samples and the deadline.
        space: what genomes stand for.
        drop: measures what a model loses.
        seed: of the positions that are drawn, the same for all points.

    Attributes:
        points: the points in the order in which they were built, by the bytes of their genomes.
    """

    def __init__(self, task: Task, space: Space, drop: Drop, seed: int) -> None:
        self.points: dict[bytes, ParetoPoint] = {}
        self._task, self._space, self._drop, self._seed = task, space, drop, seed

    def build(self, genomes: Iterable[Genome], *, always: bool = False) -> None:
        """Build the points that are not built yet, while time is left.

        Args:
            genomes: the genomes.
            always: whether to build them even when no time is left.
        """
        missing = {g.tobytes(): g for g in genomes if g.tobytes() not in self.points}
        with self._task.progress("building", len(missing)) as step:
            for key, genome in missing.items():
                if self._task.deadline.passed and not always:
                    break
                policy = self._space.policy(self._space.decode(genome))
                self.points[key] = build_point(self._task, policy, self._seed, self._drop)
                step(1)

    def built(self, genomes: Iterable[Genome]) -> list[ParetoPoint]:
        """The points of those genomes that are built, in the order of the genomes."""
        return [self.points[g.tobytes()] for g in genomes if g.tobytes() in self.points]
