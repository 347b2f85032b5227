"""A layer's columns and targets, kept so that other targets may be put in."""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.activation import Activation
from onnx_evoq.quantize.closed_form.moments import MomentSums


@dataclass(frozen=True, eq=False)
class SampleChunk:
    """A few positions.

    Attributes:
        columns: x, (groups, positions, columns).
        targets: t, (groups, positions, rows).
        shift: what the output is added to before it is clamped, likewise; None for nothing.
    """

    columns: Float32Array
    targets: Float32Array
    shift: Float32Array | None = None


class LayerSamples:
    """What was seen of a layer.

    Attributes:
        sums: its moments.

    Args:
        centred: whether the means are taken off.
        clamp: what reads the layer's output; None for what lets all of it through.
    """

    def __init__(self, centred: bool, activation: Activation | None = None) -> None:
        self.sums = MomentSums(centred)
        self.activation = activation
        self._chunks: list[SampleChunk] = []

    def add(self, chunk: SampleChunk) -> None:
        """Add a few positions."""
        self.sums.add(chunk.columns, chunk.targets)
        if self.activation is not None:
            self._chunks.append(chunk)

    def moments_behind_activation(self, weight: Float64Array, bias: Float64Array) -> MomentSums:
        """The moments with targets that leave to the activation what it hides (`activation`).

        Args:
            weight: of the layer, (groups, rows, columns).
            bias: (groups, rows).
        """
        activation = self.activation
        if activation is None:
            return self.sums
        turned = np.ascontiguousarray(weight.transpose(0, 2, 1), np.float32)
        added = np.asarray(bias, np.float32)[:, None]  # (groups, 1, rows)
        return self.sums.with_targets(
            (c.columns, activation.targets(c.targets, c.columns @ turned + added, c.shift))
            for c in self._chunks
        )
