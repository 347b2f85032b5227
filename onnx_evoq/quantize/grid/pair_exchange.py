"""Pair exchange: the best single move or pair of moves by +-1 in each row, again and again.

The pair of moves by s_j and s_k changes the cost that `hessian` defines by

    c_j + c_k + 2 step^2 s_j s_k H_jk,    c_j = 2 step s_j G_j + step^2 H_jj

with the gradient G = (step * q - w) H. The cheapest single moves of a row form its shortlist. Moves
and pairs in it are made until none lowers the cost, which takes no more of H than what lies between
these columns. Then the gradient gives the next shortlist, until a row stays as it is. Of many
columns codes stay as they are: more sweeps of descent gain more in the time that pairs would take.
"""

from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import MANY_COLUMNS, Floats, Hessian, cost_changes

_SHORTLIST, _SHORTLIST_IF_FEW_COLUMNS = 32, 64  # moves of a row that are tried in pairs
_FEW_COLUMNS = 128
_ROUNDS = 8  # shortlists of a row
_PAIRS_AT_ONCE = 2**18  # pairs that are examined together; few rows fit the cache
_MIN_GAIN = 1e-6  # share of a row's cost that a move must gain


@dataclass(eq=False)
class _Shortlist:
    """The moves of some rows that are tried in pairs.

    Attributes:
        column: (rows, moves).
        sign: (rows, moves).
        change: of the row's cost, (rows, moves).
        mixed: 2 step^2 s_j s_k H_jk, (rows, moves, moves).
        pairs: the same, infinite for pairs in one column.
        room: how often each move can be made within the limits, (rows, moves).
    """

    column: Indices
    sign: Floats
    change: Floats
    mixed: Floats
    pairs: Floats
    room: Floats

    def at(self, rows: Indices) -> "_Shortlist":
        """Copies of some rows."""
        return _Shortlist(
            self.column[rows], self.sign[rows], self.change[rows], self.mixed[rows],
            self.pairs[rows], self.room[rows],
        )  # fmt: skip


def pair_exchange(
    weights: Float64Array, hessian: Hessian, grid: RowGrid, codes: Float64Array
) -> Float64Array:
    """Codes whose cost is not above that of `codes`, (groups, rows, columns).

    Args:
        weights: w, (groups, rows, columns).
        hessian: H.
        grid: the steps and limits of the rows.
        codes: where the exchange starts, (groups, rows, columns).
    """
    codes, (groups, rows, columns) = codes.copy(), weights.shape
    if columns > MANY_COLUMNS:
        return codes
    few = columns <= _FEW_COLUMNS
    count = min(_SHORTLIST_IF_FEW_COLUMNS if few else _SHORTLIST, 2 * columns)
    at_once = max(1, _PAIRS_AT_ONCE // max(count**2, columns))
    active = np.ones((groups, rows), np.bool_)
    for _ in range(_ROUNDS):
        some = np.flatnonzero(active.any(axis=0))  # rows that are active in any group
        if not len(some):
            break
        part, own, moved = grid.at(some), codes[:, some], active[:, some]
        error = (part.steps * own - weights[:, some]).astype(hessian.dtype, copy=False)
        gradient = hessian.times(error)
        least = _MIN_GAIN * (error * gradient).sum(axis=2)  # (groups, rows)
        low, high = (np.broadcast_to(each, part.steps.shape) for each in (part.low, part.high))
        group, row = np.nonzero(moved)
        for start in range(0, len(group), at_once):
            at = group[start : start + at_once], row[start : start + at_once]
            few_rows = RowGrid(part.steps[at].astype(hessian.dtype), low[at], high[at])
            moves = _shortlist(own[at], gradient[at], few_rows, hessian, at[0], count)
            after = _exchanged(own[at], moves, least[at], 4 * columns)
            moved[at] = (after != own[at]).any(axis=1)
            own[at] = after
        codes[:, some], active[:, some] = own, moved
    return codes


def _shortlist(
    codes: Floats, gradient: Floats, grid: RowGrid, hessian: Hessian, group: Indices, count: int
) -> _Shortlist:
    """The cheapest single moves of each row.

    Args:
        codes: (rows, columns).
        gradient: (rows, columns).
        grid: steps and limits, (rows, 1).
        hessian: H.
        group: the group of each row, (rows,).
        count: number of moves.
    """
    columns, dtype = codes.shape[1], gradient.dtype
    diagonal = hessian.diagonal.astype(dtype, copy=False)[group]
    both = cost_changes(codes, gradient, diagonal, grid.steps, (grid.low, grid.high))
    single = np.concatenate(both, axis=1, dtype=dtype)  # (rows, 2 * columns)
    index = np.argpartition(single, count - 1, axis=1)[:, :count]
    column, sign = index % columns, np.where(index < columns, 1, -1).astype(dtype)
    signed = grid.steps * sign
    mixed = hessian.between(group, column) * (2 * signed[:, :, None]) * signed[:, None, :]
    pairs = np.where(column[:, :, None] == column[:, None, :], np.inf, mixed)
    here = np.take_along_axis(codes, column, 1)
    room = np.where(sign > 0, grid.high - here, here - grid.low)
    change = np.take_along_axis(single, index, 1)
    return _Shortlist(column, sign, change, mixed, pairs.astype(dtype, copy=False), room)


def _exchanged(codes: Floats, moves: _Shortlist, least: Floats, most: int) -> Floats:
    """Codes after up to `most` moves or pairs in each row that gain at least `least`.

    Args:
        codes: (rows, columns).
        moves: the shortlist.
        least: (rows,).
        most: number of moves or pairs.
    """
    codes, active, width = codes.copy(), np.arange(len(codes)), moves.change.shape[1]
    for _ in range(most):
        row = np.arange(len(active))
        pair = moves.pairs + moves.change[:, :, None]
        pair += moves.change[:, None, :]
        flat = pair.reshape(len(active), -1)
        best_pair, best_single = flat.argmin(axis=1), moves.change.argmin(axis=1)
        paired = flat[row, best_pair] < moves.change[row, best_single]
        change = np.where(paired, flat[row, best_pair], moves.change[row, best_single])
        first, second = np.where(paired, best_pair // width, best_single), best_pair % width
        gains = np.flatnonzero(change < -least[active])
        if not len(gains):
            break
        if len(gains) < len(active):
            active, moves = active[gains], moves.at(gains)
            first, second, paired = first[gains], second[gains], paired[gains]
        _make(codes, moves, active, first)
        if paired.any():
            also = np.flatnonzero(paired)
            _make(codes, moves, active[also], second[also], also)
    return codes


def _make(
    codes: Floats, moves: _Shortlist, active: Indices, chosen: Indices, rows: Indices | None = None
) -> None:
    """Make one move in each row of `active`, which are the `rows` of the shortlist.

    A move changes what the others cost, and moves of the same code the room for each other.
    """
    row = np.arange(len(active)) if rows is None else rows
    column, sign = moves.column[row, chosen], moves.sign[row, chosen]
    codes[active, column] += sign
    moves.change[row] += moves.mixed[row, chosen]
    room = moves.room[row]
    room -= (moves.column[row] == column[:, None]) * moves.sign[row] * sign[:, None]
    moves.room[row] = room
    # A code that may leave its limit again does so in the next shortlist.
    moves.change[row] = np.where(room < 1, np.inf, moves.change[row])
