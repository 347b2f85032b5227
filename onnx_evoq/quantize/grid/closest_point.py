"""The grid point closest to real weights, where distance is the error of the layer's output.

For rows w of a weight matrix and H = E[x x^T], the error of the output is the quadratic form

    cost(q) = (step * q - w)^T H (step * q - w)

whose minimum over integers is a closest-vector problem. Three steps, each from where the last one
ended, none of which raises the cost:

1. `gptq_rounding`: columns are decided one after another, and each makes up for what those before
   it lost (Babai's nearest plane, 1986; as a quantizer: GPTQ, arXiv 2210.17323). With H = R^T R and
   R upper triangular, column j is rounded from w_j + sum_{k > j} R_jk / R_jj * (w_k - step * q_k).
2. `coordinate_descent`: column j moves by -G_j / (step * H_jj), rounded, with
   G = (step * q - w) H kept up to date, until no column moves.
3. `pair_exchange`: the best single or pair of moves by +-1 in each row, until none lowers the cost.
   The pair (j, k) changes it by c_j + c_k + 2 step^2 s_j s_k H_jk, with
   c_j = 2 step s_j G_j + step^2 H_jj for a move by s_j.

Matrices come in groups (a convolution's groups), each with an H of its own: weights (groups, rows,
columns), H (groups, columns, columns), steps (groups, rows, 1). The smallest and the largest code
are numbers, or differ from row to row as steps do. Sums run in float64.
"""

from typing import NamedTuple

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices

Limit = int | Float64Array  # of codes: one for all of them, or (groups, rows, 1)

_BLOCK = 64  # columns that are updated one by one before a matrix product updates the others
_AHEAD = 1024  # codes that are looked at together for the next move
_SWEEPS = 8
_SHORTLIST = 128  # moves of a row that are tried in pairs
# So bounded, a matrix ends at a cost 1.3 % higher (1,152 columns, 4 bits) 6 to 11 times as fast.
_MANY_COLUMNS = 1200  # columns
_SWEEPS_IF_LARGE = 2
_SHORTLIST_IF_LARGE = 32
_AT_ONCE = 2**22  # pairs that are looked at together
_LEAST = 1e-9  # share of a row's cost that a move must gain


class CholeskyFactor(NamedTuple):
    """What `gptq_rounding` needs of H: dear to find, and the same whatever the steps.

    Attributes:
        order: (groups, columns), columns by ascending H_jj.
        upper: R_jk / R_jj for H = R^T R in that order, (groups, columns, columns).
    """

    order: Indices
    upper: Float64Array


def cholesky_factor(hessian: Float64Array) -> CholeskyFactor:
    """H, (groups, columns, columns), sorted and factored."""
    order = np.argsort(np.diagonal(hessian, axis1=1, axis2=2), axis=1, kind="stable")
    group = np.arange(len(hessian))[:, None, None]
    lower = np.linalg.cholesky(hessian[group, order[:, :, None], order[:, None, :]])
    upper = np.asarray(lower, np.float64).transpose(0, 2, 1)
    upper /= np.diagonal(upper, axis1=1, axis2=2)[:, :, None].copy()
    return CholeskyFactor(order, upper)


def closest_codes(
    weights: Float64Array,
    hessian: Float64Array,
    steps: Float64Array,
    low: Limit,
    high: Limit,
    factored: CholeskyFactor | None = None,
) -> Float64Array:
    """Codes near the minimum of the cost, (groups, rows, columns); whole numbers.

    Args:
        weights: (groups, rows, columns).
        metric: H, (groups, columns, columns), positive definite.
        steps: (groups, rows, 1).
        low: smallest code, of all or of each row (groups, rows, 1).
        high: largest code, likewise.
        factored: ``factor(metric)``, if it is known already.

    Example:
        >>> w, h = np.array([[[0.7, 0.6]]]), np.array([[[1.0, 0.9], [0.9, 1.0]]])
        >>> closest_codes(w, h, np.ones((1, 1, 1)), -8, 7)  # nearest rounding: 1, 1
        array([[[1., 0.]]])
    """
    codes = gptq_rounding(weights, hessian, steps, low, high, factored)
    codes = coordinate_descent(weights, hessian, steps, codes, low, high)
    codes = pair_exchange(weights, hessian, steps, codes, low, high)
    # About one row in two hundred ends above nearest rounding: it starts from there instead.
    rounded = np.rint(weights / steps).clip(low, high)
    worse = cost(weights, hessian, steps, rounded) < cost(weights, hessian, steps, codes)
    if not worse.any():
        return codes
    codes = np.where(worse[:, :, None], rounded, codes)
    codes = coordinate_descent(weights, hessian, steps, codes, low, high)
    return pair_exchange(weights, hessian, steps, codes, low, high)


def cost(
    weights: Float64Array, hessian: Float64Array, steps: Float64Array, codes: Float64Array
) -> Float64Array:
    """The cost of each row, (groups, rows)."""
    error = steps * codes - weights
    return np.asarray(((error @ hessian) * error).sum(axis=2))


def single_move_costs(
    weights: Float64Array,
    hessian: Float64Array,
    steps: Float64Array,
    codes: Float64Array,
    low: Limit,
    high: Limit,
) -> tuple[Float64Array, Float64Array]:
    """What a move by +1 and by -1 adds to a row's cost, (groups, rows, columns) each.

    Infinite where the code would leave its range.
    """
    slope = (steps * codes - weights) @ hessian
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)[:, None, :]
    return _single_moves(codes, slope, steps, diagonal, low, high)


def gptq_rounding(
    weights: Float64Array,
    hessian: Float64Array,
    steps: Float64Array,
    low: Limit,
    high: Limit,
    factored: CholeskyFactor | None = None,
) -> Float64Array:
    """Step 1; the columns with the largest H_jj are decided first."""
    columns = weights.shape[2]
    order, upper = factored or cholesky_factor(hessian)
    wanted = np.take_along_axis(weights, order[:, None, :], 2)
    codes, lost = np.zeros_like(wanted), np.zeros_like(wanted)  # lost = wanted - step * codes
    step, least, most = steps[:, :, 0], _by_row(low), _by_row(high)
    for end in range(columns, 0, -_BLOCK):
        start = max(0, end - _BLOCK)
        moments_behind_activation = lost[:, :, end:] @ upper[:, start:end, end:].transpose(0, 2, 1)
        # The block in a place of its own, rows last: (groups, columns of the block, rows).
        ours = wanted[:, :, start:end].transpose(0, 2, 1).copy()
        target, chosen = ours + moments_behind_activation.transpose(0, 2, 1), np.empty_like(ours)
        for j in range(end - start - 1, -1, -1):
            chosen[:, j] = np.rint(target[:, j] / step).clip(least, most)
            ours[:, j] -= step * chosen[:, j]
            target[:, :j] += ours[:, j, None] * upper[:, start : start + j, start + j, None]
        codes[:, :, start:end] = chosen.transpose(0, 2, 1)
        lost[:, :, start:end] = ours.transpose(0, 2, 1)
    found = np.empty_like(codes)
    np.put_along_axis(found, np.broadcast_to(order[:, None, :], codes.shape), codes, 2)
    return found


def coordinate_descent(
    weights: Float64Array,
    hessian: Float64Array,
    steps: Float64Array,
    codes: Float64Array,
    low: Limit,
    high: Limit,
) -> Float64Array:
    """Step 2, all rows at a time, in blocks of columns."""
    codes, columns = codes.copy(), weights.shape[2]
    step, diagonal = steps[:, :, 0], np.diagonal(hessian, axis1=1, axis2=2)
    least, most = _rows_last(low), _rows_last(high)
    slope = (steps * codes - weights) @ hessian  # G, (groups, rows, columns)
    # With few rows, few columns move: those up to the next one that does are looked at together.
    ahead = max(1, _AHEAD // step.size)
    for _ in range(_SWEEPS if columns <= _MANY_COLUMNS else _SWEEPS_IF_LARGE):
        still = True
        for start in range(0, columns, _BLOCK):
            end = min(start + _BLOCK, columns)
            own = hessian[:, start:end, start:end]
            # The block in a place of its own, rows last: (groups, columns of the block, rows).
            inside = slope[:, :, start:end].transpose(0, 2, 1).copy()
            chosen = codes[:, :, start:end].transpose(0, 2, 1).copy()
            moved = np.zeros_like(inside)
            bend, j = step[:, None] * diagonal[:, start:end, None], 0
            while j < end - start:
                next_ones = slice(j, j + ahead)
                ideal = chosen[:, next_ones] - inside[:, next_ones] / bend[:, next_ones]
                moves = np.rint(ideal).clip(least, most) - chosen[:, next_ones]
                moving = np.flatnonzero(moves.any(axis=(0, 2)))
                if not len(moving):
                    j += ahead
                    continue
                first = j + moving[0]
                move = moves[:, moving[0]]
                chosen[:, first] += move
                moved[:, first] = move * step
                inside += moved[:, first, None] * own[:, :, first, None]
                j = first + 1
            if moved.any():
                codes[:, :, start:end] = chosen.transpose(0, 2, 1)
                slope += moved.transpose(0, 2, 1) @ hessian[:, start:end]
                still = False
        if still:
            break
    return codes


def pair_exchange(
    weights: Float64Array,
    hessian: Float64Array,
    steps: Float64Array,
    codes: Float64Array,
    low: Limit,
    high: Limit,
) -> Float64Array:
    """Step 3, a move in each row at a time; pairs are tried among the cheapest single moves."""
    groups, rows, columns = weights.shape
    found = codes.reshape(-1, columns).copy()  # (groups * rows, columns), as all below
    step, least, most = (
        np.broadcast_to(np.asarray(each, np.float64), (groups, rows, 1)).reshape(-1, 1)
        for each in (steps, low, high)
    )
    missed = steps * codes - weights
    error, slope = missed.reshape(found.shape), (missed @ hessian).reshape(found.shape)
    group = np.repeat(np.arange(groups), rows)
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)
    width = min(_SHORTLIST if columns <= _MANY_COLUMNS else _SHORTLIST_IF_LARGE, 2 * columns)
    at_once = max(1, _AT_ONCE // max(width**2, 16 * columns))  # rows; few stay in the cache
    for start in range(0, len(found), at_once):
        active = np.arange(start, min(start + at_once, len(found)))
        for _ in range(4 * columns):
            gain = _LEAST * (error[active] * slope[active]).sum(axis=1)
            column, sign, change = _best_moves(
                found[active], slope[active], step[active], diagonal[group[active]],
                hessian, group[active], least[active], most[active], width,
            )  # fmt: skip
            better = change < -gain
            active, column, sign = active[better], column[better], sign[better]
            if not len(active):
                break
            for k in range(2):
                move = sign[:, k] * step[active, 0]  # 0 for the second of a single move
                found[active, column[:, k]] += sign[:, k]
                error[active, column[:, k]] += move
                slope[active] += move[:, None] * hessian[group[active], column[:, k]]
    return found.reshape(codes.shape)


def _by_row(limit: Limit) -> Limit:
    """A limit of codes, for what is (groups, rows)."""
    return limit if isinstance(limit, int) else limit[:, :, 0]


def _rows_last(limit: Limit) -> Limit:
    """A limit as (groups, 1, rows); one for all of them stays."""
    return limit if isinstance(limit, int) else limit.transpose(0, 2, 1)


def _single_moves(
    codes: Float64Array,
    slope: Float64Array,
    step: Float64Array,
    diagonal: Float64Array,
    low: Limit,
    high: Limit,
) -> tuple[Float64Array, Float64Array]:
    """c_j of a move by +1 and by -1, in the shape of `codes`; infinite where there is no code."""
    linear, bend = 2 * step * slope, step**2 * diagonal
    return (
        np.where(codes < high, bend + linear, np.inf),
        np.where(codes > low, bend - linear, np.inf),
    )


def _best_moves(
    codes: Float64Array,
    slope: Float64Array,
    step: Float64Array,
    diagonal: Float64Array,
    hessian: Float64Array,
    group: Indices,
    low: Float64Array,
    high: Float64Array,
    width: int,
) -> tuple[Indices, Float64Array, Float64Array]:
    """For each row the columns (rows, 2) and signs (rows, 2) of its best move, and its change."""
    count, columns = codes.shape
    moves = _single_moves(codes, slope, step, diagonal, low, high)
    single = np.concatenate(moves, axis=1)  # (rows, 2 * columns)
    index = np.argpartition(single, width - 1, axis=1)[:, :width]
    change = np.take_along_axis(single, index, 1)  # (rows, width)
    column, sign = index % columns, np.where(index < columns, 1.0, -1.0)
    signed = step * sign
    pair = change[:, :, None] + change[:, None, :]  # (rows, width, width)
    pair += (
        2 * signed[:, :, None] * signed[:, None, :]
        * hessian[group[:, None, None], column[:, :, None], column[:, None, :]]
    )  # fmt: skip
    pair[column[:, :, None] == column[:, None, :]] = np.inf
    row = np.arange(count)
    flat = pair.reshape(count, -1)
    best, alone = flat.argmin(axis=1), change.argmin(axis=1)
    paired = flat[row, best] < change[row, alone]
    first = np.where(paired, best // width, alone)
    second = np.where(paired, best % width, alone)
    signs = np.stack([sign[row, first], np.where(paired, sign[row, second], 0.0)], axis=1)
    return (
        np.stack([column[row, first], column[row, second]], axis=1),
        signs,
        np.where(paired, flat[row, best], change[row, alone]),
    )
