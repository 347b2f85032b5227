"""One layer at several widths, for a search among them: quick, and by itself.

The layer's inputs are those of the float model, so that W* is W, and what other layers have does
not matter (cf. `reconstruct`, which makes up for what layers before it lost):

1. For each width the step of the lowest cost by rounding with feedback is chosen, and codes by that
   and coordinate descent, in the metric H + d I (`lattice`). To descend for each step that competes
   would take more than twice as long, and nearly always choose the same.
2. The bias takes up the mean of the error: b = E[t] - step * Q E[x].
3. Where an input channel is split, its column w becomes two columns w / 2 that read the same: H
   gets a copy of its row and its column. What both become together is one column of the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.quantize.closed_form.best_weight import damped
from onnx_evoq.quantize.closed_form.moments import Moments
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid import (
    FixedPoint,
    Linear,
    Scale,
    cost,
    descend,
    factor,
    feedback,
    fit,
    row_limits,
    row_steps,
)

Floats = NDArray[np.float64]

_DAMPING = 0.03


@dataclass(frozen=True, eq=False)
class Rung:
    """A layer at one width.

    Attributes:
        values: the weight, in its shape, float32.
        bias: (channels,), what the bias becomes, if the layer has one.
        costs: (channels,), the error of each output.
    """

    values: NDArray[np.float32]
    bias: NDArray[np.float32]
    costs: Floats


def ladder(
    weight: NDArray[np.float32],
    layer: Linear,
    moments: Moments,
    widths: Sequence[int],
    axis: int | None = None,
    scale: Scale = "pow2",
    split: Sequence[int] = (),
) -> dict[int, Rung]:
    """A layer at each of several widths.

    Args:
        weight: the float weight, in its own shape.
        layer: how it becomes a matrix.
        moments: of its columns and targets, both the float model's.
        widths: of the codes.
        axis: the channel axis for a step per channel, None for one step.
        scale: steps that are powers of two, or any.
        split: columns of the matrix that are two columns of half the size; for one group only.
    """
    matrix = layer.matrix(weight).astype(np.float64)  # (groups, rows, columns)
    columns = np.append(np.arange(matrix.shape[2]), np.asarray(split, np.intp))
    share = np.where(np.isin(columns, split), 0.5, 1.0)
    aim = matrix[:, :, columns] * share  # (groups, rows, columns and copies)
    metric = damped(moments.metric[:, columns[:, None], columns[None]], _DAMPING)
    factored = factor(metric)
    rungs = {}
    for bits in widths:
        grid = choose_steps(
            aim, metric, _grid(aim, layer, weight.shape, bits, axis, scale), layer, weight.shape,
            scale, factored, descending=False,
        )  # fmt: skip
        steps = row_steps(grid, layer, weight.shape)
        low, high = row_limits(grid, layer, weight.shape)
        codes = feedback(aim, metric, steps, low, high, factored)
        codes = descend(aim, metric, steps, codes, low, high)
        both = steps * codes
        together = both[:, :, : matrix.shape[2]].copy()
        together[:, :, list(split)] += both[:, :, matrix.shape[2] :]
        left = np.zeros_like(moments.t_mean)
        if moments.centred:
            left = moments.t_mean - (together @ moments.x_mean[:, :, None])[:, :, 0]
        rungs[bits] = Rung(
            np.asarray(layer.weight(together, weight.shape), np.float32),
            left.ravel().astype(np.float32),
            cost(aim, metric, steps, codes).ravel(),
        )
    return rungs


def _grid(
    aim: Floats,
    layer: Linear,
    shape: tuple[int, ...],
    bits: int,
    axis: int | None,
    scale: Scale,
) -> FixedPoint:
    """The grid that covers the range of a matrix, for a weight of that shape."""
    ranges = np.abs(aim).max(axis=2, keepdims=True)  # (groups, rows, 1)
    spread = np.broadcast_to(ranges, layer.matrix(np.empty(shape, np.bool_)).shape)
    largest = np.asarray(layer.weight(np.ascontiguousarray(spread), shape), np.float32)
    return fit(largest, bits, axis, scale)
