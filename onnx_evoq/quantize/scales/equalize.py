"""Cross-layer equalization with one scale per layer, so that a power of two acts like any step.

The outputs of a layer may be scaled by s if the layers that read them are scaled by 1/s (Nagel et
al., 2019, arXiv 1906.04721, who equalize the ranges of channels). Here all channels of a layer have
one scale, and the scales minimise the rounding error. Let c(r) be the cost of a layer's codes with
a step of 2^-r times the largest one. In a model whose outputs of this layer are scaled by s and
whose inputs are scaled by s_in, a step of 2^-n times the largest one costs, measured at the float
model's output,

    c(n + log2 s - log2 s_in)

since scaling a weight by s divides its step by s. The best whole number n is taken. If the inputs
come from several layers, s_in^2 = sum_i h_i s_i^2 / sum_i h_i, with h_i their share of diag H. The
costs of all layers are added up, each with its importance: how much one unit of its error adds to
the error of the model's output. The minimum over all scales is sought scale by scale, on a grid of
eighths of an octave.

One scale for each channel was tried, too: rows gain, but columns with different scales lose more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array, Indices
from onnx_evoq.quantize.closed_form import ROUNDING_DAMPING, factored
from onnx_evoq.quantize.grid import (
    MANY_COLUMNS,
    FactoredHessian,
    Linear,
    RowGrid,
    cost,
    gptq_rounding,
)
from onnx_evoq.quantize.moments import Moments

PER_OCTAVE = 8
_OCTAVES = 3  # of steps that are tried below the largest
_MAX_PASSES = 8  # over all scales
_ROWS_FOR_COSTS = 64  # about so many rows of a layer stand for all of them
_MIN_SHARE_GAINED = 1e-9  # of the costs, for a scale to change


@dataclass(frozen=True, eq=False)
class Profile:
    """What the rounding of a layer costs, and which scales it depends on.

    Attributes:
        costs: (steps,), with steps of 2^(-k / PER_OCTAVE) times the largest one.
        output: index of the output's scale, -1 for none.
        inputs: (n,) indices of the inputs' scales, -1 for none.
        input_shares: (n,) shares of the inputs in the rounding error, in any unit.
        importance: how much one unit of error adds to the error of the model's output.
    """

    costs: Float64Array
    output: int
    inputs: Indices
    input_shares: Float64Array
    importance: float


@dataclass(frozen=True, eq=False)
class Rounded:
    """A layer on the best of its grids with a step that is a power of two.

    Attributes:
        values: the weight on that grid, in its own shape.
        error: mean square error of the layer's output on that grid, summed over channels.
        costs: as in `Profile`.
        input_shares: (input channels,) shares in the rounding error, in any unit.
    """

    values: Float32Array
    error: float
    costs: Float64Array
    input_shares: Float64Array


def round_alone(weight: Float32Array, layer: Linear, moments: Moments, bits: int) -> Rounded:
    """Round a layer of the float model with smaller and smaller steps.

    Args:
        weight: the float weight, in its own shape.
        layer: how the weight becomes a matrix.
        moments: second moments of the layer's columns.
        bits: width of the codes.
    """
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    matrix = layer.matrix(weight).astype(np.float64)  # (groups, rows, columns)
    hessian = factored(moments.hessian, ROUNDING_DAMPING)
    largest = 2.0 ** (np.ceil(np.log2(max(float(np.abs(matrix).max()), 1e-30))) - (bits - 1))
    steps = largest * 2.0 ** (-np.arange(_OCTAVES * PER_OCTAVE + 1) / PER_OCTAVE)

    def one_step(rows: Float64Array, step: float) -> RowGrid:
        return RowGrid(np.full((*rows.shape[:2], 1), step), low, high)

    some = matrix[:, :: -(-matrix.shape[1] // _ROWS_FOR_COSTS)]
    costs = np.array([_rounding_cost(some, hessian, one_step(some, step)) for step in steps])
    pow2 = slice(None, None, PER_OCTAVE)  # steps that are powers of two
    grid = one_step(matrix, steps[pow2][costs[pow2].argmin()])
    values = grid.steps * gptq_rounding(matrix, hessian, grid)
    error = values - matrix
    # The mean of the error counts, since the bias stays as it is.
    mean = (error * moments.x_mean[:, None]).sum(axis=2)  # (groups, rows)
    diagonal = np.diagonal(moments.hessian, axis1=1, axis2=2)  # (groups, columns)
    return Rounded(
        np.asarray(layer.weight(values, weight.shape), np.float32),
        float(((error @ moments.hessian) * error).sum() + (moments.centred * mean**2).sum()),
        costs,
        diagonal.reshape(-1, layer.taps).sum(axis=1),
    )


def _rounding_cost(matrix: Float64Array, hessian: FactoredHessian, grid: RowGrid) -> float:
    """The cost of all rows; with many columns, as if the errors of columns were independent."""
    if matrix.shape[2] <= MANY_COLUMNS:
        return float(cost(matrix, hessian, grid, gptq_rounding(matrix, hessian, grid)).sum())
    error = grid.steps * grid.nearest(matrix) - matrix
    return float((hessian.diagonal[:, None] * error**2).sum())


def choose_scales(profiles: Sequence[Profile], count: int) -> Float64Array:
    """The scales of the layers, (count,), from 1 / sqrt 2 to sqrt 2.

    Args:
        profiles: of the layers.
        count: number of scales.

    Example:
        >>> costs = 1 + np.abs(np.arange(25) - 10.0)  # the best step lies 10/8 octaves below
        >>> layer = Profile(costs, 0, np.array([-1]), np.ones(1), 1.0)
        >>> float(np.log2(choose_scales([layer], 1)[0]).round(4))
        0.25
    """
    chosen = np.zeros(count + 1, np.intp)  # eighths of an octave; the last one, at -1, stays 0
    options = np.arange(-PER_OCTAVE // 2, PER_OCTAVE // 2 + 1)
    for _ in range(_MAX_PASSES):
        before = chosen.copy()
        for scale in range(count):
            totals = np.zeros(len(options))
            for profile in profiles:
                if profile.output == scale or scale in profile.inputs:
                    for index, option in enumerate(options):
                        chosen[scale] = option
                        totals[index] += profile.importance * _lowest_cost(profile, chosen)
            chosen[scale] = before[scale]
            # A scale without a gain stays as it is.
            if totals.min() < totals[chosen[scale] - options[0]] * (1 - _MIN_SHARE_GAINED):
                chosen[scale] = options[totals.argmin()]
        if (before == chosen).all():
            break
    return np.asarray(2.0 ** (chosen[:count] / PER_OCTAVE))


def _lowest_cost(profile: Profile, chosen: Indices) -> float:
    """The layer's cost with these scales and the best whole number of octaves."""
    shares = profile.input_shares
    power = (shares * 4.0 ** (chosen[profile.inputs] / PER_OCTAVE)).sum()
    input_scale = PER_OCTAVE / 2 * np.log2(power / shares.sum())
    indices = chosen[profile.output] - input_scale + PER_OCTAVE * np.arange(-1, _OCTAVES + 2)
    inside = indices[(indices >= 0) & (indices <= len(profile.costs) - 1)]
    return float(np.interp(inside, np.arange(len(profile.costs)), profile.costs).min())
