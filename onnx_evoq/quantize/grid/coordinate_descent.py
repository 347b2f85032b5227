"""Coordinate descent: one code at a time moves to where the cost is lowest.

Column j moves by -G_j / (step * H_jj), rounded, with the gradient G = (step * q - w) H, until no
column moves (`hessian` defines the cost).
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid.grid_rows import Limit, RowGrid
from onnx_evoq.quantize.grid.hessian import MANY_COLUMNS, Hessian

_BLOCK = 64  # columns that are updated one by one before a matrix product updates the others
_LOOK_AHEAD = 1024  # codes that are examined together for the next move
_MAX_SWEEPS = 8
_MAX_SWEEPS_IF_MANY_COLUMNS = 6


def coordinate_descent(
    weights: Float64Array,
    hessian: Hessian,
    grid: RowGrid,
    codes: Float64Array,
    sweeps: int | None = None,
) -> Float64Array:
    """Codes whose cost is not above that of `codes`, (groups, rows, columns).

    All rows are updated at a time, in blocks of columns; a row takes part until a sweep leaves it
    as it is.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H.
        grid: the steps and limits of the rows.
        codes: where the descent starts, (groups, rows, columns).
        sweeps: how often each column may move; None for as often as it pays.
    """
    codes, active = codes.copy(), np.arange(weights.shape[1])
    if sweeps is None:
        few = weights.shape[2] <= MANY_COLUMNS
        sweeps = _MAX_SWEEPS if few else _MAX_SWEEPS_IF_MANY_COLUMNS
    for _ in range(sweeps):
        some = grid.at(active)
        swept = _sweep(weights[:, active], hessian, some, codes[:, active])
        moved = (swept != codes[:, active]).any(axis=(0, 2))
        codes[:, active] = swept
        active = active[moved]
        if not len(active):
            break
    return codes


def _sweep(
    weights: Float64Array, hessian: Hessian, grid: RowGrid, codes: Float64Array
) -> Float64Array:
    """Codes after each column has moved once."""
    columns = weights.shape[2]
    codes = codes.astype(hessian.dtype)
    gradient = hessian.gradient((grid.steps * codes - weights).astype(hessian.dtype, copy=False))
    step = grid.steps[:, :, 0].astype(hessian.dtype, copy=False)  # (groups, rows)
    low, high = _rows_last(grid.low), _rows_last(grid.high)
    diagonal = hessian.diagonal.astype(hessian.dtype, copy=False)
    # With few rows, few columns move: those up to the next one that does are examined together.
    ahead = max(1, _LOOK_AHEAD // step.size)
    for start in range(0, columns, _BLOCK):
        end = min(start + _BLOCK, columns)
        curvature = step[:, None] * diagonal[:, start:end, None]
        # Contiguous copies of the block, rows last: (groups, columns of the block, rows).
        slope = gradient.block(start, end).transpose(0, 2, 1) / curvature
        chosen = codes[:, :, start:end].transpose(0, 2, 1).copy()
        # How a move of column k by one code changes the slope of column j: H_jk / H_jj.
        relative = hessian.block(start, end) / diagonal[:, start:end, None]
        before, j = chosen.copy(), 0
        while j < end - start:
            some = slice(j, j + ahead)
            ideal = np.rint(chosen[:, some] - slope[:, some]).clip(low, high)
            differs = ideal != chosen[:, some]
            moving = np.flatnonzero(differs.any(axis=(0, 2)))
            if not len(moving):
                j += ahead
                continue
            first = j + moving[0]
            move = ideal[:, moving[0]] - chosen[:, first]
            chosen[:, first] = ideal[:, moving[0]]
            j = first + 1
            slope[:, j:] += move[:, None] * relative[:, j:, first, None]
        change = (chosen - before) * step[:, None]
        if change.any():
            codes[:, :, start:end] = chosen.transpose(0, 2, 1)
            gradient.add(change.transpose(0, 2, 1), start, end)
    return codes.astype(np.float64, copy=False)


def _rows_last(limit: Limit) -> Limit:
    """A limit of codes as (groups, 1, rows); one number for all rows stays a number."""
    return limit if isinstance(limit, int) else limit.transpose(0, 2, 1)
