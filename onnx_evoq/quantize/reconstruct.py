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
(`clamp`): steps 1 and 4 are taken a few times, and the whole once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.quantize.fixed_point import Bits, FixedPoint, QuantizedWeight, Scale, fit
from onnx_evoq.quantize.lattice import (
    Factor,
    Limit,
    closest,
    cost,
    descend,
    factor,
    feedback,
    move_costs,
)
from onnx_evoq.quantize.linear import Linear
from onnx_evoq.quantize.moments import Moments, MomentSums
from onnx_evoq.quantize.samples import Samples

Floats = NDArray[np.float64]

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
_SHARES: dict[Scale, tuple[float, ...]] = {
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
    bias: NDArray[np.float32]
    up: NDArray[np.float32]
    down: NDArray[np.float32]
    spread: NDArray[np.float32]
    aim: NDArray[np.float32]


def reconstruct(
    weight: NDArray[np.float32],
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
    metric = damped(moments.metric, max(share, _LEAST) if np.isfinite(share) else _CAREFUL)
    aim = best_float(matrix, moments, share)
    grid = fit(np.asarray(layer.weight(aim, weight.shape), np.float32), bits, axis, scale, dtype)
    factored = factor(metric)
    grid = choose_steps(aim, metric, grid, layer, weight.shape, scale, factored)
    steps = row_steps(grid, layer, weight.shape)
    low, high = row_limits(grid, layer, weight.shape)
    codes = closest(aim, metric, steps, low, high, factored)
    left = _bias(steps * codes, moments)
    up, down = (
        np.asarray(layer.weight(costs, weight.shape), np.float32)
        for costs in move_costs(aim, metric, steps, codes, low, high)
    )
    power = ((aim @ moments.metric) * aim).sum(axis=2)  # (groups, rows)
    return Reconstruction(
        QuantizedWeight(layer.weight(codes, weight.shape).astype(np.int8), grid),
        left.ravel().astype(np.float32),
        up,
        down,
        np.sqrt(np.maximum(power, 0)).ravel().astype(np.float32),
        np.asarray(layer.weight(aim, weight.shape), np.float32),
    )


def reconstruct_behind(
    weight: NDArray[np.float32],
    layer: Linear,
    samples: Samples,
    bits: Bits,
    axis: int | None = None,
    scale: Scale = "pow2",
    dtype: str = "float32",
) -> Reconstruction:
    """The codes of a layer that keep what the activation behind it lets through (`clamp`).

    Args:
        weight, layer, bits, axis, scale, dtype: as for `reconstruct`.
        samples: what was seen of the layer's columns and targets.
    """

    def solved(sums: MomentSums) -> Reconstruction:
        return reconstruct(weight, layer, sums, bits, axis, scale, dtype)

    sums = samples.sums
    if samples.clamp is None:
        return solved(sums)
    matrix = layer.matrix(weight).astype(np.float64)
    share = choose_damping(matrix, sums.folds())
    for _ in range(_ROUNDS):
        moments = sums.moments()
        aim = best_float(matrix, moments, share)
        sums = samples.behind(aim, _bias(aim, moments))
    # Once more, in sight of what rounding does.
    codes, grid = (found := solved(sums)).quantized
    values = row_steps(grid, layer, weight.shape) * layer.matrix(codes)
    bias = found.bias.astype(np.float64).reshape(values.shape[:2])
    return solved(samples.behind(values, bias))


def refit(
    weight: NDArray[np.float32], layer: Linear, moments: Moments
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The best float weight for changed inputs, W*, and the bias that goes with it, (channels,).

    Args:
        weight: the float weight, in its own shape.
        layer: how it becomes a matrix.
        moments: of its columns and targets.
    """
    aim = best_float(layer.matrix(weight).astype(np.float64), moments, _REFIT)
    bias = _bias(aim, moments).ravel()
    return np.asarray(layer.weight(aim, weight.shape), np.float32), bias.astype(np.float32)


def _bias(matrix: Floats, moments: Moments) -> Floats:
    """What the bias has to be, (groups, rows); zero where the means count, for want of one."""
    if not moments.centred:
        return np.zeros_like(moments.t_mean)
    return moments.t_mean - (matrix @ moments.x_mean[:, :, None])[:, :, 0]


def damped(metric: Floats, share: float) -> Floats:
    """``H + share * mean(diag H) * I`` for each group; I where H is zero."""
    columns = metric.shape[1]
    mean = np.trace(metric, axis1=1, axis2=2) / columns  # (groups,)
    least = max(float(mean.max(initial=0.0)), 1e-30) * 1e-6
    lift = np.where(mean > least, share * mean, 1.0)
    lifted, place = metric.copy(), np.arange(columns)
    lifted[:, place, place] += lift[:, None]
    return lifted


def best_float(matrix: Floats, moments: Moments, share: float) -> Floats:
    """W*, the best float weight for the inputs, (groups, rows, columns); W for no share."""
    if not np.isfinite(share):
        return matrix
    missed = moments.cross - matrix @ moments.metric
    solved = np.linalg.solve(damped(moments.metric, share), missed.transpose(0, 2, 1))
    return np.asarray(matrix + solved.transpose(0, 2, 1))


def choose_damping(matrix: Floats, folds: tuple[Moments, Moments] | None) -> float:
    """A share of the damping whose W* fits unseen data best; infinite if W itself does.

    Args:
        matrix: W.
        folds: moments of two halves of the data; None if there is too little to divide.
    """
    if folds is None:
        return float("inf")
    shares: Sequence[float] = DAMPINGS
    trials = [folds, folds[::-1]]
    if matrix.shape[2] > _LARGE:
        shares, trials = (_USUAL,), [folds]
    losses = {float("inf"): sum(_misfit(matrix, unseen) for _, unseen in trials)}
    for share in shares:
        losses[share] = sum(
            _misfit(best_float(matrix, seen, share), unseen) for seen, unseen in trials
        )
    best, own = min(losses, key=lambda share: losses[share]), losses[float("inf")]
    if own - losses[best] <= _TIE * abs(own):
        return float("inf")
    return max(_FAINTEST, best * _FULLER) if len(shares) > 1 else best


def _misfit(matrix: Floats, moments: Moments) -> float:
    """``E|W x - t|^2`` less ``E|t|^2``."""
    return float(((matrix @ moments.metric - 2 * moments.cross) * matrix).sum())


def choose_steps(
    aim: Floats,
    metric: Floats,
    grid: FixedPoint,
    layer: Linear,
    shape: tuple[int, ...],
    scale: Scale,
    factored: Factor | None = None,
    descending: bool = True,
) -> FixedPoint:
    """The grid with the step of the lowest cost, for the whole tensor or for each channel.

    Args:
        aim: W*.
        metric: H + d I.
        grid: covers the range of W*.
        layer: how the weight becomes a matrix.
        shape: of the weight.
        scale: which steps there are.
        factored: ``factor(metric)``, if it is known already.
        descending: whether steps compete after coordinate descent, unless the matrix is large.
    """
    factored = factored or factor(metric)
    channel = _channels(grid, layer, shape)  # (groups, rows): the place in grid.step
    rows = slice(None)
    if grid.axis is None and aim.shape[1] > _ROWS_TRIED:
        rows = slice(None, None, -(-aim.shape[1] // _ROWS_TRIED))
    largest = np.asarray(grid.step, np.float64).reshape(-1)  # (channels,)
    tried = [np.maximum(largest * share, _LEAST_STEP) for share in _SHARES[scale]]
    low, high = row_limits(grid, layer, shape)
    aim, channel = aim[:, rows], channel[:, rows]
    costs = []  # for each step tried: (channels,)
    # All steps of a tensor at a time, one below the other; of channels there may be too many rows.
    for some in [tried] if grid.axis is None else [[step] for step in tried]:
        stacked = np.tile(aim, (1, len(some), 1))
        steps = np.concatenate([step[channel] for step in some], axis=1)[:, :, None]
        codes = feedback(stacked, metric, steps, low, high, factored)
        if descending and aim.shape[2] <= _LARGE:
            codes = descend(stacked, metric, steps, codes, low, high)
        each = cost(stacked, metric, steps, codes).reshape(len(aim), len(some), -1)
        costs += [
            np.bincount(channel.ravel(), each[:, k].ravel(), len(largest)) for k in range(len(some))
        ]
    best = np.argmin(costs, axis=0)
    step = np.choose(best, tried).astype(np.float32).reshape(np.shape(grid.step))
    return FixedPoint(grid.bits, step, grid.axis)


def row_steps(grid: FixedPoint, layer: Linear, shape: tuple[int, ...]) -> Floats:
    """The step of each row of the matrix, (groups, rows, 1)."""
    step = np.asarray(grid.step, np.float64).reshape(-1)
    return np.asarray(step[_channels(grid, layer, shape)][:, :, None])


def row_limits(grid: FixedPoint, layer: Linear, shape: tuple[int, ...]) -> tuple[Limit, Limit]:
    """The smallest and the largest code; of each row, (groups, rows, 1), if widths differ."""
    channel = _channels(grid, layer, shape)[:, :, None]

    def by_row(limit: int | NDArray[np.int16]) -> Limit:
        return limit if isinstance(limit, int) else limit[channel].astype(np.float64)

    return by_row(grid.low), by_row(grid.high)


def _channels(grid: FixedPoint, layer: Linear, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """The channel of each row along the grid's axis, (groups, rows); 0 where it has none."""
    if grid.axis is None:
        return np.zeros(layer.matrix(np.empty(shape, np.float32)).shape[:2], np.intp)
    along = np.arange(shape[grid.axis]).reshape(
        [-1 if axis == grid.axis else 1 for axis in range(len(shape))]
    )
    return np.asarray(layer.matrix(np.broadcast_to(along, shape))[:, :, 0], np.intp)
