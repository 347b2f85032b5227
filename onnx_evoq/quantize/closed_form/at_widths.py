"""One layer at several widths, each quantized quickly and on its own, for a search among them.

The layer's inputs are those of the float model, so W* is W, and the widths of other layers do not
matter. (`reconstruct`, in contrast, compensates for the errors of the layers before.)

1. The step of each width is the one whose cost after GPTQ rounding is lowest. Codes on that grid
   follow from GPTQ rounding and coordinate descent, for the Hessian H + d I. Coordinate descent for
   each competing step would take more than twice as long, and nearly always choose the same one.
2. The bias takes up the error of the mean: b = E[t] - step * Q E[x].
3. Where an input channel is split, its column w becomes two columns w / 2 that read the same
   channel: H gets a copy of that row and column. The values of both are added in the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array
from onnx_evoq.quantize.closed_form.best_weight import (
    ROUNDING_DAMPING,
    factored,
)
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid import (
    GridSpec,
    Linear,
    coordinate_descent,
    cost,
    gptq_rounding,
    row_grid,
)
from onnx_evoq.quantize.moments import Moments, corrected_bias


@dataclass(frozen=True, eq=False)
class LayerAtWidth:
    """A layer at one width.

    Attributes:
        values: the quantized weight, float32, in the weight's shape.
        bias: (channels,), the bias for these values, if the layer has one.
        costs: (channels,), the error of each output channel.
    """

    values: Float32Array
    bias: Float32Array
    costs: Float64Array


def quantize_at_widths(
    weight: Float32Array,
    layer: Linear,
    moments: Moments,
    specs: Sequence[GridSpec],
    split: Sequence[int] = (),
    *,
    descends: bool = True,
) -> list[LayerAtWidth]:
    """A layer at each of several widths.

    Args:
        weight: the float weight, in its own shape.
        layer: how the weight becomes a matrix.
        moments: second moments of the layer's columns and targets in the float model.
        specs: bits, axis, scale and type for each width.
        split: columns of the matrix that are split in two; only for a layer of one group.
        descends: whether codes are improved after GPTQ rounding.

    Returns:
        The layer for each of `specs`, in the same order.
    """
    matrix = layer.matrix(weight).astype(np.float64)  # (groups, rows, columns)
    count, halves = matrix.shape[2], list(split)
    columns = np.append(np.arange(count), np.asarray(split, np.intp))  # and copies of split ones
    share = np.where(np.isin(columns, split), 0.5, 1.0)
    best_weight = matrix[:, :, columns] * share  # (groups, rows, columns and copies)
    hessian = factored(moments.hessian[:, columns[:, None], columns[None]], ROUNDING_DAMPING)
    variants = []
    for spec in specs:
        grid = choose_steps(best_weight, hessian, layer, weight.shape, spec, descending=False)
        rows = row_grid(grid, layer, weight.shape)
        codes = gptq_rounding(best_weight, hessian, rows)
        if descends:
            codes = coordinate_descent(best_weight, hessian, rows, codes)
        values = rows.steps * codes
        merged = values[:, :, :count].copy()
        merged[:, :, halves] += values[:, :, count:]
        variants.append(
            LayerAtWidth(
                np.asarray(layer.weight(merged, weight.shape), np.float32),
                corrected_bias(merged, moments).ravel().astype(np.float32),
                cost(best_weight, hessian, rows, codes).ravel(),
            )
        )
    return variants
