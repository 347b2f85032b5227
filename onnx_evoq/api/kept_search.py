"""A search of widths that has ended, as its run keeps it.

Where its time was up, the search would not end at the same points if it were made again: what is
optimized behind it goes on with the same point only if the whole result is kept.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_evoq.mixed_precision import ParetoPoint, policy_from
from onnx_evoq.record import Run
from onnx_evoq.report import Search
from onnx_evoq.run import History, Moment, Stopped

_STEP = "result"
_POINTS = ("front", "uniform", "greedy")
_SIZES = ("packed_bytes", "file_bytes")
_NUMBERS = (*_SIZES, "search", "heldout", "drop", "nmse")  # of a point; not all are finite
_PLAIN = ("source", "metric", "size", "seed", "evaluations", "seconds", "notes", "scored_at")


def keep_search(run: Run, found: Search, time_budget: float | None) -> None:
    """Keep a search that nobody interrupted.

    Args:
        run: what keeps it.
        found: the search.
        time_budget: seconds that it had; None for no limit.
    """
    arrays = {
        name: np.array(
            [[getattr(p, n) for n in _NUMBERS] for p in getattr(found, name)], np.float64
        )
        for name in _POINTS
    }
    kinds = list(found.hypervolume)
    arrays["hypervolume"] = np.array([found.hypervolume[kind] for kind in kinds], np.float64)
    points = {
        name: [[point.policy.to_dict(), point.cut] for point in getattr(found, name)]
        for name in _POINTS
    }
    run.steps.save(
        _STEP, arrays, points=points, kinds=kinds, stopped=found.stopped,
        history=found.history.to_list(), plain={name: getattr(found, name) for name in _PLAIN},
        time_budget=time_budget,
    )  # fmt: skip


def kept_search(run: Run, time_budget: float | None) -> Search | None:
    """A search that is kept; None if there is none, or if it goes on as it has more time now.

    Args:
        run: what keeps it.
        time_budget: seconds for the whole search; None for no limit.
    """
    kept = run.steps.load(_STEP)
    if kept is None:
        return None
    facts, had = kept.facts, kept.facts["time_budget"]
    more = had is not None and (time_budget is None or time_budget > had)
    if facts["stopped"] is not None and more:
        return None

    def points(name: str) -> tuple[ParetoPoint, ...]:
        return tuple(map(_point, facts["points"][name], kept.arrays[name].tolist()))

    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in facts["plain"].items()
    }
    return Search(
        **plain,
        front=points("front"),
        uniform=points("uniform"),
        greedy=points("greedy"),
        hypervolume=dict(zip(facts["kinds"], kept.arrays["hypervolume"].tolist(), strict=True)),
        stopped=None if facts["stopped"] is None else Stopped(facts["stopped"]),
        history=History(tuple(Moment(**moment) for moment in facts["history"])),
    )


def _point(facts: Sequence[Any], row: Sequence[float]) -> ParetoPoint:
    """A point, from its policy with what was cut, and from its numbers."""
    policy, cut = facts
    numbers: dict[str, Any] = dict(zip(_NUMBERS, row, strict=True))
    numbers |= {name: int(numbers[name]) for name in _SIZES}
    return ParetoPoint(policy_from(policy), **numbers, cut=cut)
