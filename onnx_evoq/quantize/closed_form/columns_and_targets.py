"""A layer's columns and targets, kept so that the targets can be replaced."""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.activation import Activation
from onnx_evoq.quantize.closed_form.moments import MomentSums


@dataclass(frozen=True, eq=False)
class SampleChunk:
    """A layer's columns and targets at some positions.

    Attributes:
        columns: x, (groups, positions, columns).
        targets: t, (groups, positions, rows).
        shift: what the model adds to the output before the activation, (groups, positions, rows);
            None if it adds nothing.
    """

    columns: Float32Array
    targets: Float32Array
    shift: Float32Array | None = None


class LayerSamples:
    """A layer's columns and targets, with their second moments.

    Attributes:
        sums: the moments.
        activation: the activation behind the layer, or None.

    Args:
        centred: whether the means are subtracted, as for a layer with a bias.
        activation: the activation that reads the layer's output; None if there is none.
    """

    def __init__(self, centred: bool, activation: Activation | None = None) -> None:
        self.sums = MomentSums(centred)
        self.activation = activation
        self._chunks: list[SampleChunk] = []

    def add(self, chunk: SampleChunk) -> None:
        """Add a chunk; it is kept only if there is an activation."""
        self.sums.add(chunk.columns, chunk.targets)
        if self.activation is not None:
            self._chunks.append(chunk)

    def moments_behind_activation(self, weight: Float64Array, bias: Float64Array) -> MomentSums:
        """The moments for targets that leave errors to the activation that hides them.

        Args:
            weight: the layer's current weight, (groups, rows, columns).
            bias: the layer's current bias, (groups, rows).
        """
        activation = self.activation
        if activation is None:
            return self.sums
        transposed = np.ascontiguousarray(weight.transpose(0, 2, 1), np.float32)
        added = np.asarray(bias, np.float32)[:, None]  # (groups, 1, rows)
        return self.sums.with_targets(
            (c.columns, activation.targets(c.targets, c.columns @ transposed + added, c.shift))
            for c in self._chunks
        )
