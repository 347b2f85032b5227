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

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.best_weight import damped
from onnx_evoq.quantize.closed_form.moments import Moments
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid import (
    FixedPoint,
    Linear,
    Scale,
    cholesky_factor,
    coordinate_descent,
    cost,
    fit,
    gptq_rounding,
    row_limits,
    row_steps,
)

ROUNDING_DAMPING = 0.03


@dataclass(frozen=True, eq=False)
class LayerAtWidth:
    """A layer at one width.

    Attributes:
        values: the weight, in its shape, float32.
        bias: (channels,), what the bias becomes, if the layer has one.
        costs: (channels,), the error of each output.
    """

    values: Float32Array
    bias: Float32Array
    costs: Float64Array


def quantize_at_widths(
    weight: Float32Array,
    layer: Linear,
    moments: Moments,
    widths: Sequence[int],
    axis: int | None = None,
    scale: Scale = "pow2",
    split: Sequence[int] = (),
) -> dict[int, LayerAtWidth]:
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
    best_weight = matrix[:, :, columns] * share  # (groups, rows, columns and copies)
    hessian = damped(moments.hessian[:, columns[:, None], columns[None]], ROUNDING_DAMPING)
    factored = cholesky_factor(hessian)
    variants = {}
    for bits in widths:
        grid = choose_steps(
            best_weight, hessian, _grid(best_weight, layer, weight.shape, bits, axis, scale),
            layer, weight.shape,
            scale, factored, descending=False,
        )  # fmt: skip
        steps = row_steps(grid, layer, weight.shape)
        low, high = row_limits(grid, layer, weight.shape)
        codes = gptq_rounding(best_weight, hessian, steps, low, high, factored)
        codes = coordinate_descent(best_weight, hessian, steps, codes, low, high)
        both = steps * codes
        together = both[:, :, : matrix.shape[2]].copy()
        together[:, :, list(split)] += both[:, :, matrix.shape[2] :]
        left = np.zeros_like(moments.t_mean)
        if moments.centred:
            left = moments.t_mean - (together @ moments.x_mean[:, :, None])[:, :, 0]
        variants[bits] = LayerAtWidth(
            np.asarray(layer.weight(together, weight.shape), np.float32),
            left.ravel().astype(np.float32),
            cost(best_weight, hessian, steps, codes).ravel(),
        )
    return variants


def _grid(
    best_weight: Float64Array,
    layer: Linear,
    shape: tuple[int, ...],
    bits: int,
    axis: int | None,
    scale: Scale,
) -> FixedPoint:
    """The grid that covers the range of a matrix, for a weight of that shape."""
    ranges = np.abs(best_weight).max(axis=2, keepdims=True)  # (groups, rows, 1)
    spread = np.broadcast_to(ranges, layer.matrix(np.empty(shape, np.bool_)).shape)
    largest = np.asarray(layer.weight(np.ascontiguousarray(spread), shape), np.float32)
    return fit(largest, bits, axis, scale)
