"""Random restarts: codes near those of GPTQ rounding, drawn many times, and the best improved.

Klein's sampler (`gptq`) draws copies of each row. The copy of the lowest cost goes through
coordinate descent and pair exchange, and replaces the codes so far if it then costs less. The
temperature is a share of the mean cost of a column: copies then cost somewhat more than the row
itself, but descend to other minima.
"""

import numpy as np

from onnx_evoq.array_types import Float64Array, Indices
from onnx_evoq.quantize.grid.coordinate_descent import coordinate_descent
from onnx_evoq.quantize.grid.gptq import Sampling, gptq_with_costs
from onnx_evoq.quantize.grid.grid_rows import RowGrid
from onnx_evoq.quantize.grid.hessian import Hessian, cost
from onnx_evoq.quantize.grid.pair_exchange import pair_exchange

COPIES = 25
_POLISHED = 1  # copies of each row that are improved
_TEMPERATURE = 0.3  # as a share of the mean cost of a column
_MOST_AT_ONCE = 2**22  # weights of copies, of one group


def random_restarts(
    weights: Float64Array,
    hessian: Hessian,
    grid: RowGrid,
    codes: Float64Array,
    rng: np.random.Generator,
    copies: int = COPIES,
) -> Float64Array:
    """Codes whose cost is not above that of `codes`, (groups, rows, columns).

    Args:
        weights: w, (groups, rows, columns).
        hessian: H.
        grid: the steps and limits of the rows.
        codes: the codes so far, (groups, rows, columns).
        rng: draws the copies.
        copies: number of copies of each row.
    """
    codes, (_, rows, columns) = codes.copy(), weights.shape
    at_once = max(1, _MOST_AT_ONCE // (copies * columns))
    for start in range(0, rows, at_once):
        some = np.arange(start, min(start + at_once, rows))
        problem = weights[:, some], hessian, grid.at(some)
        before = cost(*problem, codes[:, some])
        found = _best_copies(*problem, before, rng, copies)
        better = cost(*problem, found) < before
        codes[:, some] = np.where(better[:, :, None], found, codes[:, some])
    return codes


def _best_copies(
    weights: Float64Array,
    hessian: Hessian,
    grid: RowGrid,
    costs: Float64Array,
    rng: np.random.Generator,
    copies: int,
) -> Float64Array:
    groups, rows, columns = weights.shape
    polished = min(_POLISHED, copies)

    def repeated(times: int) -> tuple[Float64Array, Hessian, RowGrid]:
        index = np.repeat(np.arange(rows), times)  # the copies of a row follow each other
        return weights[:, index], hessian, grid.at(index)

    temperature = np.repeat(_TEMPERATURE / columns * costs, copies, axis=1)
    drawn, drawn_costs = gptq_with_costs(*repeated(copies), Sampling(rng, temperature))
    drawn = drawn.reshape(groups, rows, copies, columns)
    best = np.argsort(drawn_costs.reshape(groups, rows, copies), axis=2)[:, :, :polished]
    chosen = _taken(drawn, best).reshape(groups, rows * polished, columns)
    problem = repeated(polished)
    chosen = pair_exchange(*problem, coordinate_descent(*problem, chosen))
    final = cost(*problem, chosen).reshape(groups, rows, polished)
    return _taken(
        chosen.reshape(groups, rows, polished, columns), final.argmin(axis=2)[:, :, None]
    )[:, :, 0]


def _taken(copies: Float64Array, index: Indices) -> Float64Array:
    """Some copies of each row, (groups, rows, number, columns)."""
    return np.take_along_axis(copies, index[:, :, :, None], axis=2)
