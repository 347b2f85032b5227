"""Pair exchange: the best single move or pair of moves by +-1 in each row, again and again.

It ends when no move lowers the cost that `hessian` defines. The pair of moves by s_j and s_k
changes the cost by

    c_j + c_k + 2 step^2 s_j s_k H_jk,    c_j = 2 step s_j G_j + step^2 H_jj

with the gradient G = (step * q - w) H.
"""

from typing import NamedTuple

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import MANY_COLUMNS, FactoredHessian, cost_changes

_SHORTLIST = 128  # moves of a row that are tried in pairs
_SHORTLIST_IF_MANY_COLUMNS = 32
_PAIRS_AT_ONCE = 2**22  # pairs that are examined together
_MIN_GAIN = 1e-9  # share of a row's cost that a move must gain


class _Rows(NamedTuple):
    """Rows of all groups, one below the other.

    Attributes:
        codes: (rows, columns).
        error: step * q - w, (rows, columns).
        gradient: G, (rows, columns).
        step: (rows, 1).
        low: the smallest code, (rows, 1).
        high: the largest code, (rows, 1).
        group: (rows,).
    """

    codes: Float64Array
    error: Float64Array
    gradient: Float64Array
    step: Float64Array
    low: Float64Array
    high: Float64Array
    group: Indices

    def at(self, active: Indices) -> "_Rows":
        """Copies of some rows."""
        return _Rows(
            self.codes[active], self.error[active], self.gradient[active], self.step[active],
            self.low[active], self.high[active], self.group[active],
        )  # fmt: skip


class _Moves(NamedTuple):
    """A single move or a pair of moves for each row.

    Attributes:
        column: (rows, 2).
        sign: (rows, 2); the second one is 0 for a single move.
        change: of the row's cost, (rows,).
    """

    column: Indices
    sign: Float64Array
    change: Float64Array


def pair_exchange(
    weights: Float64Array, hessian: FactoredHessian, grid: RowGrid, codes: Float64Array
) -> Float64Array:
    """Codes whose cost is not above that of `codes`, (groups, rows, columns).

    Pairs are tried among the cheapest single moves of a row.

    Args:
        weights: w, (groups, rows, columns).
        hessian: H.
        grid: the steps and limits of the rows.
        codes: where the exchange starts, (groups, rows, columns).
    """
    rows, columns = _rows_of(weights, hessian, grid, codes), weights.shape[2]
    shortlist = _SHORTLIST if columns <= MANY_COLUMNS else _SHORTLIST_IF_MANY_COLUMNS
    shortlist = min(shortlist, 2 * columns)
    at_once = max(1, _PAIRS_AT_ONCE // max(shortlist**2, 16 * columns))  # few rows fit the cache
    for start in range(0, len(rows.codes), at_once):
        active = np.arange(start, min(start + at_once, len(rows.codes)))
        for _ in range(4 * columns):
            moves = _best_moves(rows.at(active), hessian, shortlist)
            cost = (rows.error[active] * rows.gradient[active]).sum(axis=1)
            gains = moves.change < -_MIN_GAIN * cost
            active, moves = active[gains], _Moves(*(each[gains] for each in moves))
            if not len(active):
                break
            for k in range(2):
                column, sign = moves.column[:, k], moves.sign[:, k]
                change = sign * rows.step[active, 0]
                rows.codes[active, column] += sign
                rows.error[active, column] += change
                rows.gradient[active] += (
                    change[:, None] * hessian.matrix[rows.group[active], column]
                )
    return rows.codes.reshape(codes.shape)


def _rows_of(
    weights: Float64Array, hessian: FactoredHessian, grid: RowGrid, codes: Float64Array
) -> _Rows:
    groups, rows, columns = weights.shape
    error = grid.steps * codes - weights
    step, low, high = (
        np.broadcast_to(np.asarray(each, np.float64), (groups, rows, 1)).reshape(-1, 1)
        for each in (grid.steps, grid.low, grid.high)
    )
    return _Rows(
        codes.reshape(-1, columns).copy(), error.reshape(-1, columns),
        (error @ hessian.matrix).reshape(-1, columns), step, low, high,
        np.repeat(np.arange(groups), rows),
    )  # fmt: skip


def _best_moves(rows: _Rows, hessian: FactoredHessian, shortlist: int) -> _Moves:
    """The best single move or pair of moves of each row."""
    count, columns = rows.codes.shape
    limits = (rows.low, rows.high)
    diagonal = hessian.diagonal[rows.group]
    single = np.concatenate(
        cost_changes(rows.codes, rows.gradient, diagonal, rows.step, limits), axis=1
    )  # (rows, 2 * columns)
    index = np.argpartition(single, shortlist - 1, axis=1)[:, :shortlist]
    change = np.take_along_axis(single, index, 1)  # (rows, shortlist)
    column, sign = index % columns, np.where(index < columns, 1.0, -1.0)
    signed = rows.step * sign
    pair = change[:, :, None] + change[:, None, :]  # (rows, shortlist, shortlist)
    pair += (
        2 * signed[:, :, None] * signed[:, None, :]
        * hessian.matrix[rows.group[:, None, None], column[:, :, None], column[:, None, :]]
    )  # fmt: skip
    pair[column[:, :, None] == column[:, None, :]] = np.inf
    row = np.arange(count)
    flat = pair.reshape(count, -1)
    best_pair, best_single = flat.argmin(axis=1), change.argmin(axis=1)
    paired = flat[row, best_pair] < change[row, best_single]
    first = np.where(paired, best_pair // shortlist, best_single)
    second = np.where(paired, best_pair % shortlist, best_single)
    return _Moves(
        np.stack([column[row, first], column[row, second]], axis=1),
        np.stack([sign[row, first], np.where(paired, sign[row, second], 0.0)], axis=1),
        np.where(paired, flat[row, best_pair], change[row, best_single]),
    )
