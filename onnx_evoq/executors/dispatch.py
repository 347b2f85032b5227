"""Decide which worker does which task next.

A worker keeps what the tasks of one home share, such as the activations of some samples. So

1. a worker first gets tasks whose home is with it;
2. then tasks without a home, or whose home is with no worker; the home is with it from then on;
3. if it has nothing to do at all, a task of another worker's home, the last one that waits. The
   home is then with both, as the worker has to make what the tasks share.

Each worker has few tasks at a time: one that it does, and one that it can begin at once.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

AT_ONCE = 2  # tasks that a worker has


class Choice(NamedTuple):
    """The next task, and who does it."""

    task: int
    worker: str


class Dispatch:
    """Knows which workers there are, what they do, and which homes they have.

    Example:
        >>> dispatch = Dispatch()
        >>> dispatch.present(["a", "b"])
        >>> dispatch.choose({0: "x", 1: "x", 2: "y"})
        Choice(task=0, worker='a')
    """

    def __init__(self) -> None:
        self._homes: dict[str, set[Hashable]] = {}  # of each worker that is there
        self._busy: Counter[str] = Counter()

    @property
    def workers(self) -> list[str]:
        """Those that are there."""
        return list(self._homes)

    def present(self, workers: Iterable[str]) -> None:
        """Take in which workers are there; one that was lost has no homes when it comes back."""
        self._homes = {worker: self._homes.get(worker, set()) for worker in workers}

    def began(self, choice: Choice, home: Hashable) -> None:
        """Take in that a task was given to a worker."""
        self._busy[choice.worker] += 1
        if home is not None and choice.worker in self._homes:
            self._homes[choice.worker].add(home)

    def ended(self, worker: str) -> None:
        """Take in that a task which was given to a worker needs it no more."""
        self._busy[worker] -= 1

    def choose(self, waiting: Mapping[int, Hashable]) -> Choice | None:
        """The next task and its worker; None if none waits, or no worker is free.

        Args:
            waiting: the homes of the tasks that wait, by their number, in their order.
        """
        if not waiting:
            return None
        free = [worker for worker in self._homes if self._busy[worker] < AT_ONCE]
        for worker in sorted(free, key=lambda each: self._busy[each]):
            task = self._for(worker, waiting)
            if task is not None:
                return Choice(task, worker)
        return None

    def _for(self, worker: str, waiting: Mapping[int, Hashable]) -> int | None:
        own = self._homes[worker]
        for task, home in waiting.items():
            if home in own:
                return task
        taken = set().union(*self._homes.values())
        for task, home in waiting.items():
            if home is None or home not in taken:
                return task
        return list(waiting)[-1] if not self._busy[worker] else None
