"""A layer's columns and targets, kept so that other targets may be put in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.quantize.closed_form.activation import Clamp
from onnx_evoq.quantize.closed_form.moments import MomentSums

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Chunk:
    """A few positions.

    Attributes:
        columns: x, (groups, positions, columns).
        targets: t, (groups, positions, rows).
        shift: what the output is added to before it is clamped, likewise; None for nothing.
    """

    columns: Floats
    targets: Floats
    shift: Floats | None = None


class Samples:
    """What was seen of a layer.

    Attributes:
        sums: its moments.

    Args:
        centred: whether the means are taken off.
        clamp: what reads the layer's output; None for what lets all of it through.
    """

    def __init__(self, centred: bool, clamp: Clamp | None = None) -> None:
        self.sums = MomentSums(centred)
        self.clamp = clamp
        self._chunks: list[Chunk] = []

    def add(self, chunk: Chunk) -> None:
        """Add a few positions."""
        self.sums.add(chunk.columns, chunk.targets)
        if self.clamp is not None:
            self._chunks.append(chunk)

    def behind(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> MomentSums:
        """The moments with the targets that a layer has in sight of what its errors do (`clamp`).

        Args:
            weight: of the layer, (groups, rows, columns).
            bias: (groups, rows).
        """
        clamp = self.clamp
        if clamp is None:
            return self.sums
        turned = np.ascontiguousarray(weight.transpose(0, 2, 1), np.float32)
        added = np.asarray(bias, np.float32)[:, None]  # (groups, 1, rows)
        return self.sums.with_targets(
            (c.columns, clamp.targets(c.targets, c.columns @ turned + added, c.shift))
            for c in self._chunks
        )
