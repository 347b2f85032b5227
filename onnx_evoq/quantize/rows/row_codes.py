"""The codes of a layer's rows, in parts that are worked on side by side.

Rows do not depend on each other, but for the Hessian of their group. A part has so many rows and
groups wherever it is worked on, since the shape of a matrix product changes its last bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Float64Array
from onnx_evoq.executors import Executor, Memory, Reference, Task
from onnx_evoq.quantize.grid import (
    MANY_COLUMNS,
    FactoredHessian,
    Hessian,
    RowGrid,
    closest_codes,
    gptq_rounding,
    random_restarts,
)
from onnx_evoq.quantize.rows.sent_hessian import RoundedHessian, SentHessian

_ROWS_AT_ONCE = 128  # rows of a part
_PRODUCTS_AT_ONCE = 5e8  # rows * columns^2 of a part that has several groups
_SECONDS_OF_TASK = 0.25  # that the parts of a task should take
_TASKS_OF_WORKER = 4  # or more, so that all workers end at about the same time
_SECONDS_PER_PRODUCT = 3e-11  # on one core
_ROUNDING, _DESCENT, _RESTART = 2, 12, 5  # products for each of rows * columns^2
_DESCENT_WITH_PAIRS = 40  # likewise, where pairs are exchanged
_SECONDS_PER_ENTRY = 8e-8  # of H, for sending it to workers
_SECONDS_PER_TASK = 0.02  # for sending one


@dataclass(frozen=True, eq=False)
class _Problem:
    """What all parts of some groups share.

    Attributes:
        hessian: H + d I.
        descends: whether codes are improved after GPTQ rounding.
        restarts: of the search for better codes.
    """

    hessian: Hessian | SentHessian
    descends: bool
    restarts: int


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows.

    Attributes:
        best_weight: their W*, (groups, rows, columns).
        grid: theirs.
        rng: draws restarts; None for none.
    """

    best_weight: Reference[Float64Array]
    grid: RowGrid
    rng: np.random.Generator | None


@dataclass(frozen=True, eq=False)
class _Parts:
    """The parts of a task."""

    problem: Reference[_Problem]
    parts: list[_Part]


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
    blocks, starts = _blocks(hessian, best_weight.shape), range(0, count, _ROWS_AT_ONCE)
    parts = len(blocks) * len(starts)
    draws = iter([None] * parts if rng is None else rng.spawn(parts))
    if parts > 1:  # what the parts share is computed before they begin
        hessian.times(best_weight[:, :1])
        _ = hessian.diagonal, hessian.factor
    seconds = _seconds(best_weight.shape, descends, 0 if rng is None else restarts)
    at_once = _parts_of_task(executor, parts, seconds)
    sent = _pays(executor, parts, at_once, seconds, groups * columns**2)
    if not sent:
        executor, at_once = executor.near, 1

    def part(block: slice, start: int) -> _Part:
        rows = slice(start, min(start + _ROWS_AT_ONCE, count))
        own = np.ascontiguousarray(best_weight[block, rows])
        return _Part(executor.hold(own), _grid_of(grid, block, rows), next(draws))

    def tasks() -> Iterator[Task[_Parts]]:
        for block in blocks:
            own: Hessian | SentHessian = hessian
            if isinstance(hessian, FactoredHessian) and (sent or len(blocks) > 1):
                own = RoundedHessian.of(hessian, block)
                own = SentHessian.of(own) if sent else own
            problem = executor.hold(_Problem(own, descends, restarts))
            home = block.start if len(blocks) > 1 else None
            for first in range(0, len(starts), at_once):
                some = [part(block, start) for start in starts[first : first + at_once]]
                yield Task(_Parts(problem, some), home)

    found = (codes for some in executor.map(_codes_of, tasks()) for codes in some)
    codes = np.empty(best_weight.shape)
    for block in blocks:
        for start in starts:
            codes[block, start : start + _ROWS_AT_ONCE] = next(found)
    return codes


def _blocks(hessian: Hessian, shape: tuple[int, ...]) -> list[slice]:
    """The groups of the parts; of many positions, they are few where a group is much work."""
    groups, count, columns = shape
    each = min(count, _ROWS_AT_ONCE) * columns**2
    at_once = max(1, int(_PRODUCTS_AT_ONCE / each))
    if not isinstance(hessian, FactoredHessian):
        at_once = groups
    return [slice(start, min(start + at_once, groups)) for start in range(0, groups, at_once)]


def _grid_of(grid: RowGrid, block: slice, rows: slice) -> RowGrid:
    """The grid of some rows of some groups."""
    low, high = (
        limit if isinstance(limit, int) else limit[block, rows] for limit in (grid.low, grid.high)
    )
    return RowGrid(grid.steps[block, rows], low, high)


def _seconds(shape: tuple[int, ...], descends: bool, restarts: int) -> float:
    """About how many seconds the codes take on one core."""
    groups, count, columns = shape
    products = _ROUNDING
    if descends:
        products = _DESCENT_WITH_PAIRS if columns <= MANY_COLUMNS else _DESCENT
        products += _RESTART * restarts
    return _SECONDS_PER_PRODUCT * products * groups * count * columns**2


def _parts_of_task(executor: Executor, parts: int, seconds: float) -> int:
    """How many parts make a task, of `parts` that take so many seconds."""
    enough = int(_SECONDS_OF_TASK * parts / seconds)
    return max(1, min(enough, parts // (_TASKS_OF_WORKER * executor.workers)))


def _pays(executor: Executor, parts: int, at_once: int, seconds: float, entries: int) -> bool:
    """Whether workers find the codes earlier than this process.

    Args:
        executor: works on the parts.
        parts: there are.
        at_once: parts of a task.
        seconds: all parts take on one core.
        entries: of H.
    """
    tasks = -(-parts // at_once)
    here, there = (seconds / min(parts, each.workers) for each in (executor.near, executor))
    return there + _SECONDS_PER_ENTRY * entries + _SECONDS_PER_TASK * tasks < here


def _codes_of(memory: Memory, some: _Parts) -> list[NDArray[np.int16]]:
    """The codes of some parts, (groups, rows, columns) each."""
    problem = memory.value(some.problem)
    hessian = problem.hessian
    if isinstance(hessian, SentHessian):
        hessian = memory.made("hessian of rows", some.problem.key, hessian.hessian)
    found = []
    for part in some.parts:
        best_weight = memory.value(part.best_weight)
        rows = np.arange(best_weight.shape[1])
        whole = best_weight[:, rows], hessian, part.grid.at(rows)
        codes = closest_codes(*whole) if problem.descends else gptq_rounding(*whole)
        if problem.descends and part.rng is not None:
            codes = random_restarts(*whole, codes, part.rng, problem.restarts)
        found.append(codes.astype(np.int16))
    return found
