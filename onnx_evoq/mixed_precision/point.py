"""Build what a policy stands for, and measure it: channels split, all layers reconstructed in turn.

A layer then makes up for what those before it lost, as it will where the policy is used: errors of
uniform widths are 2 to 5 times smaller than those of layers that were quantized each by itself on a
ResNet-8, and up to 14 times on the models of digits (mse on the search set).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_evoq.metrics import find_metric
from onnx_evoq.model import packed_bytes, serialize, weights_named
from onnx_evoq.pipeline import emit, metadata_of
from onnx_evoq.progress import silent
from onnx_evoq.reconstruct import reconstruct_layers
from onnx_evoq.setup import Drop, Policy, Score, Task, expanded, model_value, run_model

_POINT_SAMPLES = 512  # that layers are reconstructed on
_POINT_POSITIONS = 32_768  # that moments are gathered from, in a third of the usual number
_DIGITS = -1.2345678901234567e-300  # no number is longer
_LONGEST = Score(_DIGITS, _DIGITS, {"search": _DIGITS, "heldout": _DIGITS})


@dataclass(frozen=True)
class ParetoPoint:
    """A policy, and what it costs.

    Attributes:
        policy: widths and expansions.
        packed_bytes: of the model, its codes at their own widths.
        file_bytes: of the emitted file, with metadata whose numbers have all digits: at most some
            hundred bytes more than the file will have.
        search: the metric on the samples that selected.
        heldout: on those that accepted.
        drop: percent of the float model's quality that is lost on the latter.
        nmse: error of the outputs on the former, as a share of their power.
    """

    policy: Policy
    packed_bytes: int
    file_bytes: int
    search: float
    heldout: float
    drop: float
    nmse: float

    def bytes(self, in_file: bool) -> int:
        """Those of the file, or the packed ones."""
        return self.file_bytes if in_file else self.packed_bytes

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
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
    """Reconstruct the model under a policy, without looking at activations, and measure it.

    Args:
        task: what there is to do; its widths play no part.
        policy: widths and expansions.
        seed: of the positions that are drawn, the same for all policies.
        drop: measures what is lost.
    """
    model = expanded(task.model, policy.expansion)
    weights = weights_named(model, {weight.name for weight in task.weights})
    granularity = policy.granularities(task.granularity)
    trial = replace(
        task, model=model, weights=weights, bits=policy.bits, granularity=granularity,
        progress=silent,
    )  # fmt: skip
    fewer = replace(trial, search_set=task.search_set.first(_POINT_SAMPLES))
    found = reconstruct_layers(
        fewer, np.random.default_rng(seed), with_activations=False, positions=_POINT_POSITIONS
    )
    result, scoring, resources = found.emitted, task.search_set, task.resources
    metadata = metadata_of(found.quantized, seed, scoring.target.metric.name, _LONGEST, _LONGEST)
    emitted, _ = emit(found.model, found.quantized, "qdq", metadata, scoring.batches[0], resources)
    # One run of the search set for both errors.
    outputs = list(run_model(result, scoring.batches, resources))
    return ParetoPoint(
        policy,
        packed_bytes(found.model, found.quantized),
        len(serialize(emitted)),
        scoring.target.value(outputs),
        model_value(result, task.heldout_set, resources),
        drop(result),
        scoring.scored_by(find_metric("nmse")).target.value(outputs),
    )
