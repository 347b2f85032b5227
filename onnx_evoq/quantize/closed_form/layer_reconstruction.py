"""Reconstruction: codes of a layer that keep its output, in closed form.

The columns x come from the model as quantized so far, and the targets t from the float model. With
H = E[x x^T] and C = E[t x^T]:

1. The best float weight for these inputs is W* = W + (C - W H)(H + d I)^-1 (`best_weight`). The
   damping d, a share of the mean of H's diagonal, is a tenth of the one whose W* from half of the
   data fits the other half best.
2. The grid covers the range of W* or has a smaller step, whichever costs less (`step_choice`).
3. The codes are the grid point closest to W* for the Hessian H + d I, with a damping of at least a
   hundredth (`closest_point`).
4. The bias takes up the remaining error of the mean: b = E[t] - step * Q E[x].

If the activation behind the layer hides some errors, t depends on the layer's own output
(`activation`). Then the best weight and its bias are found a few times, each time for the targets
that follow from the last ones. The whole reconstruction runs for the last targets, and once more
for the targets that follow from its codes.
"""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array
from onnx_evoq.quantize.closed_form.best_weight import (
    choose_damping,
    damped_hessian,
    solve_best_weight,
)
from onnx_evoq.quantize.closed_form.bias_correction import corrected_bias
from onnx_evoq.quantize.closed_form.columns_and_targets import LayerSamples
from onnx_evoq.quantize.closed_form.moments import MomentSums
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid import (
    FactoredHessian,
    GridSpec,
    Linear,
    QuantizedWeight,
    closest_codes,
    row_grid,
    single_move_costs,
)

_MIN_HESSIAN_DAMPING = 0.01  # rounding needs more than W* does
_HESSIAN_DAMPING_IF_W_FITS = 0.3  # where W itself fits unseen data best
# With more rounds the error on the samples fell further, and the error on others did not.
_ACTIVATION_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class LayerReconstruction:
    """A layer on its grid.

    Attributes:
        quantized: codes and grid.
        bias: (channels,), the bias for these codes, if the layer has one.
        up: how much the error of the layer's output changes if a code moves by +1, in the weight's
            shape; infinite where the code is the largest.
        down: the same for a move by -1; infinite where the code is the smallest.
        spread: (channels,), the standard deviation of the output; its root mean square for a layer
            without a bias.
        best_weight: W*, in the weight's shape.
    """

    quantized: QuantizedWeight
    bias: Float32Array
    up: Float32Array
    down: Float32Array
    spread: Float32Array
    best_weight: Float32Array


def reconstruct(
    weight: Float32Array, layer: Linear, sums: MomentSums, spec: GridSpec
) -> LayerReconstruction:
    """The codes of one layer that keep its output.

    Args:
        weight: the float weight, in its own shape.
        layer: how the weight becomes a matrix.
        sums: second moments of the layer's columns and targets.
        spec: the weight's bits, axis, scale and type.
    """
    moments = sums.moments()
    matrix = layer.matrix(weight).astype(np.float64)  # (groups, rows, columns)
    damping = choose_damping(matrix, sums.folds())
    best_weight = solve_best_weight(matrix, moments, damping)
    w_fits = not np.isfinite(damping)
    hessian_damping = _HESSIAN_DAMPING_IF_W_FITS if w_fits else max(damping, _MIN_HESSIAN_DAMPING)
    hessian = FactoredHessian(damped_hessian(moments.hessian, hessian_damping))
    grid = choose_steps(best_weight, hessian, layer, weight.shape, spec, descending=True)
    rows = row_grid(grid, layer, weight.shape)
    codes = closest_codes(best_weight, hessian, rows)
    up, down = (
        np.asarray(layer.weight(costs, weight.shape), np.float32)
        for costs in single_move_costs(best_weight, hessian, rows, codes)
    )
    power = ((best_weight @ moments.hessian) * best_weight).sum(axis=2)  # (groups, rows)
    return LayerReconstruction(
        QuantizedWeight(layer.weight(codes, weight.shape).astype(np.int8), grid),
        corrected_bias(rows.steps * codes, moments).ravel().astype(np.float32),
        up,
        down,
        np.sqrt(np.maximum(power, 0)).ravel().astype(np.float32),
        np.asarray(layer.weight(best_weight, weight.shape), np.float32),
    )


def reconstruct_with_activation(
    weight: Float32Array, layer: Linear, samples: LayerSamples, spec: GridSpec
) -> LayerReconstruction:
    """The codes of one layer that keep the output of the activation behind it (`activation`).

    Args:
        weight: the float weight, in its own shape.
        layer: how the weight becomes a matrix.
        samples: the layer's columns and targets, and the activation behind it.
        spec: the weight's bits, axis, scale and type.
    """
    sums = samples.sums
    if samples.activation is None:
        return reconstruct(weight, layer, sums, spec)
    matrix = layer.matrix(weight).astype(np.float64)
    damping = choose_damping(matrix, sums.folds())
    for _ in range(_ACTIVATION_ROUNDS):
        moments = sums.moments()
        best_weight = solve_best_weight(matrix, moments, damping)
        sums = samples.moments_behind_activation(best_weight, corrected_bias(best_weight, moments))
    first = reconstruct(weight, layer, sums, spec)
    codes, grid = first.quantized
    values = row_grid(grid, layer, weight.shape).steps * layer.matrix(codes)
    bias = first.bias.astype(np.float64).reshape(values.shape[:2])
    sums = samples.moments_behind_activation(values, bias)
    return reconstruct(weight, layer, sums, spec)
