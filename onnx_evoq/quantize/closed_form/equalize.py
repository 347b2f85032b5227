"""Scales between layers, so that a step that must be a power of two is, in effect, any step.

The outputs of a layer may be scaled by s if the layers that read them take 1/s (Nagel et al., 2019,
arXiv 1906.04721, who even out the ranges of channels). Here all channels of a layer are scaled
alike, and what is evened out is what rounding costs. Let c(r) be the cost of a layer's best codes
with a step of 2^-r times the largest one. In a model whose outputs of this layer are scaled by s
and its inputs by s_in, a step of 2^-n costs, measured where the float model's output is,

    c(n + log2 s - log2 s_in)

since scaling a weight by s divides its step by s; n is the best whole number. Where the inputs stem
from several layers, s_in^2 = sum_i h_i s_i^2 / sum_i h_i, with h_i their share of diag H. The costs
of layers are added up by their importance, what a unit of their error does to the model's output,
and the minimum over all scales is sought scale by scale on a grid of eighths of an octave.

Channels scaled each on its own were tried, too: rows gain, but columns that are scaled differently
lose more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float32Array, Float64Array, Indices
from onnx_evoq.quantize.closed_form.best_weight import damped
from onnx_evoq.quantize.closed_form.moments import Moments
from onnx_evoq.quantize.grid import CholeskyFactor, Linear, cholesky_factor, cost, gptq_rounding

PER_OCTAVE = 8
_OCTAVES = 3  # of steps that are tried below the largest
_INDEPENDENT_ABOVE = 1200  # columns above which rounding errors of columns are taken as independent
_SWEEPS = 8
ROUNDING_DAMPING = 0.03
_ROWS = 64  # of a layer that stand for all of them


@dataclass(frozen=True, eq=False)
class Profile:
    """What a layer's rounding costs.

    Attributes:
        costs: (steps,) with steps of 2^(-k / PER_OCTAVE) times the largest one.
        output: which scale its output has, -1 for none.
        inputs: (n,) which scales its inputs have.
        weights: (n,) their share of the rounding error.
        importance: what a unit of error does to the model's output.
    """

    costs: Float64Array
    output: int
    inputs: Indices
    weights: Float64Array
    importance: float


@dataclass(frozen=True, eq=False)
class Rounded:
    """A layer on the best of the grids that its weight alone may have.

    Attributes:
        values: the weight on that grid.
        error: mean square of what that adds to the layer's output, summed over channels.
        costs: as of `Profile`.
        weights: (input channels,) the share of the rounding error.
    """

    values: Float32Array
    error: float
    costs: Float64Array
    weights: Float64Array


def round_alone(weight: Float32Array, layer: Linear, moments: Moments, bits: int) -> Rounded:
    """Round a layer of the float model with ever smaller steps.

    Args:
        weight: the float weight.
        layer: how it becomes a matrix.
        moments: of its columns.
        bits: width of the codes.
    """
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    matrix = layer.matrix(weight).astype(np.float64)  # (groups, rows, columns)
    hessian = damped(moments.hessian, ROUNDING_DAMPING)
    largest = 2.0 ** (np.ceil(np.log2(max(float(np.abs(matrix).max()), 1e-30))) - (bits - 1))
    some = matrix[:, :: -(-matrix.shape[1] // _ROWS)]
    tried = largest * 2.0 ** (-np.arange(_OCTAVES * PER_OCTAVE + 1) / PER_OCTAVE)
    factored = cholesky_factor(hessian)
    costs = np.array([_cost(some, hessian, factored, step, low, high) for step in tried])
    whole = slice(None, None, PER_OCTAVE)  # steps that are powers of two
    steps = np.full((*matrix.shape[:2], 1), tried[whole][costs[whole].argmin()])
    values = steps * gptq_rounding(matrix, hessian, steps, low, high, factored)
    error = values - matrix
    mean = (error * moments.x_mean[:, None]).sum(axis=2)  # it reaches the output: biases stay
    diagonal = np.diagonal(moments.hessian, axis1=1, axis2=2)  # (groups, columns)
    return Rounded(
        np.asarray(layer.weight(values, weight.shape), np.float32),
        float(((error @ moments.hessian) * error).sum() + (moments.centred * mean**2).sum()),
        costs,
        diagonal.reshape(-1, layer.taps).sum(axis=1),
    )


def _cost(
    matrix: Float64Array,
    hessian: Float64Array,
    factored: CholeskyFactor,
    step: float,
    low: int,
    high: int,
) -> float:
    steps = np.full((*matrix.shape[:2], 1), step)
    if matrix.shape[2] <= _INDEPENDENT_ABOVE:
        codes = gptq_rounding(matrix, hessian, steps, low, high, factored)
        return float(cost(matrix, hessian, steps, codes).sum())
    error = step * np.rint(matrix / step).clip(low, high) - matrix
    return float((np.diagonal(hessian, axis1=1, axis2=2)[:, None] * error**2).sum())


def choose_scales(profiles: Sequence[Profile], count: int) -> Float64Array:
    """The scales, (count,), from 1 / sqrt 2 to sqrt 2.

    Args:
        profiles: of the layers.
        count: how many scales there are.

    Example:
        >>> costs = 1 + np.abs(np.arange(25) - 10.0)  # the best step lies 10/8 octaves below
        >>> layer = Profile(costs, 0, np.array([-1]), np.ones(1), 1.0)
        >>> float(np.log2(choose_scales([layer], 1)[0]).round(4))
        0.25
    """
    chosen = np.zeros(count + 1, np.intp)  # eighths of an octave; the last one, at -1, stays 0
    options = np.arange(-PER_OCTAVE // 2, PER_OCTAVE // 2 + 1)
    for _ in range(_SWEEPS):
        before = chosen.copy()
        for scale in range(count):
            totals = np.zeros(len(options))
            for profile in profiles:
                if profile.output == scale or scale in profile.inputs:
                    for index, option in enumerate(options):
                        chosen[scale] = option
                        totals[index] += profile.importance * _lowest(profile, chosen)
            chosen[scale] = before[scale]
            # Where nothing is gained, a scale stays what it is.
            if totals.min() < totals[chosen[scale] - options[0]] * (1 - 1e-9):
                chosen[scale] = options[totals.argmin()]
        if (before == chosen).all():
            break
    return np.asarray(2.0 ** (chosen[:count] / PER_OCTAVE))


def _lowest(profile: Profile, chosen: Indices) -> float:
    """The layer's cost with these scales and the best whole number of octaves."""
    power = (profile.weights * 4.0 ** (chosen[profile.inputs] / PER_OCTAVE)).sum()
    inward = PER_OCTAVE / 2 * np.log2(power / profile.weights.sum())
    indices = chosen[profile.output] - inward + PER_OCTAVE * np.arange(-1, _OCTAVES + 2)
    inside = indices[(indices >= 0) & (indices <= len(profile.costs) - 1)]
    return float(np.interp(inside, np.arange(len(profile.costs)), profile.costs).min())
