"""Coordinate descent: one code at a time moves to where the cost is lowest.

Column j moves by -G_j / (step * H_jj), rounded, where the gradient G = (step * q - w) H is kept up
to date, until no column moves (`hessian` defines the cost).
"""

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.quantize.grid.grid_rows import Limit, RowGrid
from onnx_evoq.quantize.grid.hessian import MANY_COLUMNS, FactoredHessian

_BLOCK = 64  # columns that are updated one by one before a matrix product updates the others
_LOOK_AHEAD = 1024  # codes that are examined together for the next move
_MAX_SWEEPS = 8
_MAX_SWEEPS_IF_MANY_COLUMNS = 2


def coordinate_descent(
    weights: Float64Array, hessian: FactoredHessian, grid: RowGrid, codes: Float64Array
) -> Float64Array:
    """Codes whose cost is not above that of `codes`, (groups, rows, columns).

    All rows are updated at a time, in blocks of columns.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H.
        grid: the steps and limits of the rows.
        codes: where the descent starts, (groups, rows, columns).
    """
    codes, columns = codes.copy(), weights.shape[2]
    step, low, high = grid.steps[:, :, 0], _rows_last(grid.low), _rows_last(grid.high)
    gradient = (grid.steps * codes - weights) @ hessian.matrix  # G, (groups, rows, columns)
    # With few rows, few columns move: those up to the next one that does are examined together.
    ahead = max(1, _LOOK_AHEAD // step.size)
    for _ in range(_MAX_SWEEPS if columns <= MANY_COLUMNS else _MAX_SWEEPS_IF_MANY_COLUMNS):
        changed = False
        for start in range(0, columns, _BLOCK):
            end = min(start + _BLOCK, columns)
            block_hessian = hessian.matrix[:, start:end, start:end]
            # Contiguous copies of the block, rows last: (groups, columns of the block, rows).
            slope = gradient[:, :, start:end].transpose(0, 2, 1).copy()
            chosen = codes[:, :, start:end].transpose(0, 2, 1).copy()
            change = np.zeros_like(slope)  # of the weights
            curvature = step[:, None] * hessian.diagonal[:, start:end, None]
            j = 0
            while j < end - start:
                some = slice(j, j + ahead)
                ideal = chosen[:, some] - slope[:, some] / curvature[:, some]
                moves = np.rint(ideal).clip(low, high) - chosen[:, some]
                moving = np.flatnonzero(moves.any(axis=(0, 2)))
                if not len(moving):
                    j += ahead
                    continue
                first = j + moving[0]
                move = moves[:, moving[0]]
                chosen[:, first] += move
                change[:, first] = move * step
                slope += change[:, first, None] * block_hessian[:, :, first, None]
                j = first + 1
            if change.any():
                codes[:, :, start:end] = chosen.transpose(0, 2, 1)
                gradient += change.transpose(0, 2, 1) @ hessian.matrix[:, start:end]
                changed = True
        if not changed:
            break
    return codes


def _rows_last(limit: Limit) -> Limit:
    """A limit of codes as (groups, 1, rows); one number for all rows stays a number."""
    return limit if isinstance(limit, int) else limit.transpose(0, 2, 1)
