"""The losses of a layer with several weights, on samples that only judge.

The judges may be anywhere: all that is asked of a chunk of them is one number for each weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.moments.sample_chunk import SampleChunk
from onnx_evoq.quantize.moments.targets_behind import TargetsBehind


@dataclass(frozen=True, eq=False)
class HeldoutLosses:
    """Sums of squared errors, each weight with the bias that keeps the mean of the fitted samples.

    With the means m_x of the columns and m_t of the targets that the weights were fitted to, the
    error of a weight W is (t - m_t) - W (x - m_x).

    Attributes:
        weights: (groups, columns, rows) each, as columns are multiplied by them; of some rows.
        rows: which rows of the targets these are.
        x_mean: m_x, (uses, groups, columns); zero at uses without a bias.
        t_mean: m_t of these rows, (uses, groups, rows); likewise.
        behind: gives the targets; None for the layer's own.

    Example:
        >>> one, half = np.ones((1, 1, 1), np.float32), np.full((1, 1, 1), 0.5, np.float32)
        >>> zero = np.zeros((1, 1, 1), np.float32)
        >>> losses = HeldoutLosses([one, half], slice(None), zero, zero)
        >>> x = np.array([[[1.0], [3.0]]], np.float32)  # (groups, positions, columns)
        >>> losses.of(SampleChunk(x, x)).tolist()
        [0.0, 2.5]
    """

    weights: Sequence[Float32Array]
    rows: slice
    x_mean: Float32Array
    t_mean: Float32Array
    behind: TargetsBehind | None = None

    def of(self, chunk: SampleChunk) -> Float64Array:
        """The loss of each weight on a chunk of judges, (weights,)."""
        targets = chunk.targets if self.behind is None else self.behind.targets(chunk)
        t = targets[:, :, self.rows] - self.t_mean[chunk.use][:, None]
        x = chunk.columns - self.x_mean[chunk.use][:, None]
        return np.array(
            [np.square(t - x @ weight, dtype=np.float64).sum() for weight in self.weights]
        )
