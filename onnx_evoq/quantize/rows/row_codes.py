"""The codes of a layer's rows, in parts that are worked on side by side.

Rows do not depend on each other, but for the Hessian that they share. A part has so many rows
wherever it is worked on, since the shape of a matrix product changes its last bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float64Array
from onnx_evoq.executors import Executor, Memory, Reference, Task
from onnx_evoq.quantize.grid import (
    Hessian,
    RowGrid,
    closest_codes,
    gptq_rounding,
    random_restarts,
)

_ROWS_AT_ONCE = 128  # rows of a part
_MOST_PRODUCTS_NEAR = 3e10  # about 13 s on one core: for less, sending H takes nearly as long


@dataclass(frozen=True, eq=False)
class _Problem:
    """What all parts share.

    Attributes:
        best_weight: W*, (groups, rows, columns).
        hessian: H + d I.
        grid: of all rows.
        descends: whether codes are improved after GPTQ rounding.
        restarts: of the search for better codes.
    """

    best_weight: Float64Array
    hessian: Hessian
    grid: RowGrid
    descends: bool
    restarts: int


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows of a problem, and what draws their restarts; None for none."""

    problem: Reference[_Problem]
    start: int
    end: int
    rng: np.random.Generator | None


def codes_of_rows(
    best_weight: Float64Array,
    hessian: Hessian,
    grid: RowGrid,
    executor: Executor,
    *,
    descends: bool,
    restarts: int,
    rng: np.random.Generator | None,
) -> Float64Array:
    """The codes of W*, (groups, rows, columns).

    Args:
        best_weight: W*, (groups, rows, columns).
        hessian: H + d I.
        grid: of all rows.
        executor: works on the parts; it does not change the result.
        descends: whether codes are improved after GPTQ rounding.
        restarts: of the search for better codes.
        rng: draws the restarts; None for none.
    """
    groups, count, columns = best_weight.shape
    starts = range(0, count, _ROWS_AT_ONCE)
    draws = [None] * len(starts) if rng is None else rng.spawn(len(starts))
    if len(starts) > 1:  # what the parts share is computed before they begin
        hessian.times(best_weight[:, :1])
        _ = hessian.factor
    if len(starts) == 1 or groups * count * columns**2 <= _MOST_PRODUCTS_NEAR:
        executor = executor.near
    problem = executor.hold(_Problem(best_weight, hessian, grid, descends, restarts))
    parts = (
        Task(_Part(problem, start, min(start + _ROWS_AT_ONCE, count), own_rng))
        for start, own_rng in zip(starts, draws, strict=True)
    )
    return np.concatenate(list(executor.map(_codes_of, parts)), axis=1).astype(np.float64)


def _codes_of(memory: Memory, part: _Part) -> NDArray[np.int16]:
    """The codes of some rows, (groups, rows, columns)."""
    whole = memory.value(part.problem)
    some = np.arange(part.start, part.end)
    problem = whole.best_weight[:, some], whole.hessian, whole.grid.at(some)
    if not whole.descends:
        return gptq_rounding(*problem).astype(np.int16)
    codes = closest_codes(*problem)
    if part.rng is not None:
        codes = random_restarts(*problem, codes, part.rng, whole.restarts)
    return codes.astype(np.int16)
