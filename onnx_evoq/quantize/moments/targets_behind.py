"""Targets of a layer that leave errors to the activation behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx_evoq.array_types import Float32Array
from onnx_evoq.quantize.moments.activation import Activation
from onnx_evoq.quantize.moments.sample_chunk import SampleChunk
from onnx_evoq.quantize.moments.sums_of_chunk import TargetSums, target_sums


@dataclass(frozen=True, eq=False)
class TargetsBehind:
    """Targets that leave errors to the activation that hides them, for a layer's present weight.

    Columns may be given minus an origin; the layer's output at that origin is added then.

    Attributes:
        weight: (groups, columns, rows), as columns are multiplied by it.
        added: (uses, groups, 1, rows), the layer's output where the columns are zero.
        activations: of all uses of the weight.
    """

    weight: Float32Array
    added: Float32Array
    activations: Sequence[Activation | None]

    def targets(self, chunk: SampleChunk, some: slice = slice(None)) -> Float32Array:
        """The targets at some positions of a chunk, (groups, some, rows)."""
        activation = self.activations[chunk.use]
        if activation is None:
            return chunk.targets[:, some]
        outputs = chunk.columns[:, some] @ self.weight
        outputs += self.added[chunk.use]
        shift = None if chunk.shift is None else chunk.shift[:, some]
        return activation.targets(chunk.targets[:, some], outputs, shift)

    def sums(self, chunk: SampleChunk, origin: Float32Array) -> TargetSums:
        """The sums of a chunk with these targets.

        Args:
            chunk: its columns are those minus their origin.
            origin: of the targets, (groups, rows).
        """
        return target_sums(chunk.columns, lambda some: self.targets(chunk, some), origin)
