"""Reconstruction: codes of a layer that keep its output, in closed form.

For columns x from the model as quantized so far and targets t from the float model, with
H = E[x x^T] and C = E[t x^T]:

1. The best float weight for these inputs is W* = W + (C - W H)(H + d I)^-1. The damping d, a share
   of the mean of H's diagonal, is a tenth of the one whose W* from half of the data fits the other
   half best.
2. The grid is that of W*, or one with a smaller step: clipping a few large weights is cheaper than
   rounding all of them coarsely. For each step the lowest cost decides (see `lattice`).
3. The codes are the grid point closest to W* in the metric H + d I, its d a hundredth or more.
4. The bias absorbs what is left of the mean: b = E[t] - step * Q E[x].

Where an activation behind the layer hides some errors, t changes with what the layer gives
(`activation`): steps 1 and 4 are taken a few times, and the whole once more.
"""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array
from onnx_evoq.quantize.closed_form.best_weight import best_float, bias_of, choose_damping, damped
from onnx_evoq.quantize.closed_form.layer_samples import LayerSamples
from onnx_evoq.quantize.closed_form.moments import MomentSums
from onnx_evoq.quantize.closed_form.step_choice import choose_steps
from onnx_evoq.quantize.grid import (
    Bits,
    Linear,
    QuantizedWeight,
    Scale,
    cholesky_factor,
    closest_codes,
    fit,
    row_limits,
    row_steps,
    single_move_costs,
)

DAMPINGS = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
# What half of the data needs is more than what all of it does. And what fits badly at each position
# counts less than what it does to all of a sample: a tenth was better than the whole on a ResNet-8,
# a ResNet-20 and a SqueezeNet (by 2, 9 and 11 % of the output error).
_FULLER = 0.1
_FAINTEST = 3e-5  # damping of W*: H is known to about 5e-6 of its diagonal's mean
_LEAST = 0.01  # damping of the metric: rounding needs more than W* does
_CAREFUL = 0.3  # damping of the metric where W itself fits unseen data best
_USUAL = 0.03
_TIE = 1e-6  # share of a loss
_REFIT = 1e-3  # damping where there is no time to choose it
# Columns above which time counts: the damping is the usual one or none, judged on one half of the
# data, and steps are compared by their feedback alone.
_LARGE = 1200
# Steps that are tried, as shares of the one that covers the range.
_STEP_FRACTIONS: dict[Scale, tuple[float, ...]] = {
    "pow2": (1.0, 0.5, 0.25, 0.125),
    "float": (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.28),
}
# With more rounds, errors on the samples fell further, those on others did not.
_ROUNDS = 3
_ROWS_TRIED = 64  # rows of a large layer that choose the step of a tensor
_LEAST_STEP = 2.0**-126


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A layer on its grid.

    Attributes:
        quantized: codes and grid.
        bias: (channels,), what the bias becomes if the layer has one.
        up: what moving a code by +1 adds to the error of the layer's output, in the weight's
            shape; infinite where the code is the largest.
        down: the same for -1.
        spread: (channels,) deviation of the output; without a bias, its root mean square.
        aim: W*, in the weight's shape.
    """

    quantized: QuantizedWeight
    bias: Float32Array
    up: Float32Array
    down: Float32Array
    spread: Float32Array
    best_weight: Float32Array


def reconstruct(
    weight: Float32Array,
    layer: Linear,
    sums: MomentSums,
    bits: Bits,
    axis: int | None = None,
    scale: Scale = "pow2",
    dtype: str = "float32",
) -> Reconstruction:
    """The codes of one layer.

    Args:
        weight: the float weight, in its own shape.
        layer: how it becomes a matrix.
        sums: what was seen of its columns and targets.
        bits: width of the codes, one for all or one per channel.
        axis: the channel axis for a step per channel, None for one step.
        scale: steps that are powers of two, or any.
        dtype: what stores the weight.
    """
    moments = sums.moments()
    matrix = layer.matrix(weight).astype(np.float64)  # (groups, rows, columns)
    share = choose_damping(matrix, sums.folds())
    hessian = damped(moments.hessian, max(share, _LEAST) if np.isfinite(share) else _CAREFUL)
    best_weight = best_float(matrix, moments, share)
    grid = fit(
        np.asarray(layer.weight(best_weight, weight.shape), np.float32), bits, axis, scale, dtype
    )
    factored = cholesky_factor(hessian)
    grid = choose_steps(best_weight, hessian, grid, layer, weight.shape, scale, factored)
    steps = row_steps(grid, layer, weight.shape)
    low, high = row_limits(grid, layer, weight.shape)
    codes = closest_codes(best_weight, hessian, steps, low, high, factored)
    left = bias_of(steps * codes, moments)
    up, down = (
        np.asarray(layer.weight(costs, weight.shape), np.float32)
        for costs in single_move_costs(best_weight, hessian, steps, codes, low, high)
    )
    power = ((best_weight @ moments.hessian) * best_weight).sum(axis=2)  # (groups, rows)
    return Reconstruction(
        QuantizedWeight(layer.weight(codes, weight.shape).astype(np.int8), grid),
        left.ravel().astype(np.float32),
        up,
        down,
        np.sqrt(np.maximum(power, 0)).ravel().astype(np.float32),
        np.asarray(layer.weight(best_weight, weight.shape), np.float32),
    )


def reconstruct_with_activation(
    weight: Float32Array,
    layer: Linear,
    samples: LayerSamples,
    bits: Bits,
    axis: int | None = None,
    scale: Scale = "pow2",
    dtype: str = "float32",
) -> Reconstruction:
    """The codes of a layer that keep what the activation behind it lets through (`activation`).

    Args:
        weight, layer, bits, axis, scale, dtype: as for `reconstruct`.
        samples: what was seen of the layer's columns and targets.
    """

    def solved(sums: MomentSums) -> Reconstruction:
        return reconstruct(weight, layer, sums, bits, axis, scale, dtype)

    sums = samples.sums
    if samples.activation is None:
        return solved(sums)
    matrix = layer.matrix(weight).astype(np.float64)
    share = choose_damping(matrix, sums.folds())
    for _ in range(_ROUNDS):
        moments = sums.moments()
        best_weight = best_float(matrix, moments, share)
        sums = samples.moments_behind_activation(best_weight, bias_of(best_weight, moments))
    # Once more, in sight of what rounding does.
    codes, grid = (found := solved(sums)).quantized
    values = row_steps(grid, layer, weight.shape) * layer.matrix(codes)
    bias = found.bias.astype(np.float64).reshape(values.shape[:2])
    return solved(samples.moments_behind_activation(values, bias))
