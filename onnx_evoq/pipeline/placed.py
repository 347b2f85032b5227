"""A model whose activations are quantized, and the reconstruction of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from onnx_evoq.activations import Activations, quantize_activations
from onnx_evoq.model import to_model
from onnx_evoq.quantize import Bits
from onnx_evoq.reconstruct import (
    QuantizedModel,
    ReconstructionInterrupted,
    reconstruct_layers,
)
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task


def calibrated(task: Task) -> Activations | None:
    """The activations of a task's model on the grids of least squared error; None for floats."""
    if task.activation_bits is None:
        return None
    return quantize_activations(task, task.activation_bits, task.activation_scale)


def with_simulated(task: Task, activations: Activations | None) -> Task:
    """The task for the model that simulates quantized activations."""
    return task if activations is None else replace(task, model=to_model(activations.network))


@dataclass(frozen=True, eq=False)
class Placed:
    """A model whose activations are quantized.

    Attributes:
        task: the task for the float model, whose channels may be scaled.
        activations: its activations; None if they are floats.
        factors: by which each scale differs from the one that its channels suit, by scale.
    """

    task: Task
    activations: Activations | None
    factors: Mapping[str, float] = field(default_factory=dict)

    @property
    def simulated(self) -> Task:
        """The task for the model that simulates the activations."""
        return with_simulated(self.task, self.activations)

    def part(self, name: str) -> "Placed":
        """The same for a part of the run, whose steps are kept apart from others."""
        return replace(self, task=self.task.part(name))

    def reconstructed(
        self,
        bits: Mapping[str, Bits],
        seed: int | tuple[int, ...],
        deadline: Deadline,
        *,
        details: bool = True,
    ) -> QuantizedModel:
        """Reconstruct the weights in sight of the activations.

        Args:
            bits: the widths of the weights.
            seed: of what is drawn.
            deadline: when it should be done.
            details: as for `reconstruct_layers`.

        Raises:
            ReconstructionInterrupted: on Ctrl-C; it holds what there is.
        """
        return reconstruct_layers(
            replace(self.simulated, bits=bits), np.random.default_rng(seed),
            deadline=deadline, details=details, activations=self.activations,
        )  # fmt: skip

    def reconstructed_or_partial(
        self, bits: Mapping[str, Bits], seed: int, deadline: Deadline, *, details: bool = True
    ) -> tuple[QuantizedModel, bool]:
        """Reconstruct the weights; on Ctrl-C, give what is done, and True.

        The arguments are those of `reconstructed`.

        Raises:
            KeyboardInterrupt: no layer was done.
        """
        try:
            return self.reconstructed(bits, seed, deadline, details=details), False
        except ReconstructionInterrupted as interruption:
            if interruption.partial is None:
                raise
            return interruption.partial, True
