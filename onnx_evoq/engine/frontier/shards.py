"""Which workers have which samples, while the layers of a model are reconstructed."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from onnx_evoq.batch import Batch
from onnx_evoq.engine.samples import batches_of_section
from onnx_evoq.executors import Executor, Memory, Task

_HOMES = 2  # for each worker


class Shards:
    """Divides batches among workers, by whole sections (`samples.parts`) in turn.

    The first layers are reconstructed with the first samples only. So sections that follow each
    other are with different workers.

    Args:
        batches: the samples.
        executor: knows the workers.

    Attributes:
        executor: as above.
        batches: the samples, as the executor holds them.
    """

    def __init__(self, batches: Sequence[Batch], executor: Executor) -> None:
        self.executor = executor
        self.batches = [executor.hold(batch) for batch in batches]
        self._size = batches_of_section(len(batches))
        self._homes = _HOMES * executor.workers

    def map(
        self,
        function: Callable[[Memory, Any], Sequence[Any]],
        argument: Callable[[Sequence[range]], Any],
        batches: range,
        at_once: int | None = None,
    ) -> Iterator[Any]:
        """What workers answer for each section, in the order of the sections.

        Args:
            function: answers with a value for each of some sections.
            argument: makes its argument, from the numbers of the batches of each section.
            batches: their numbers.
            at_once: sections that are asked for at a time, at most; None for all.
        """
        sections = list(self._sections(batches))
        step = at_once or max(1, len(sections))
        for start in range(0, len(sections), step):
            window = sections[start : start + step]
            of_home: defaultdict[str, list[range]] = defaultdict(list)
            for section in window:
                of_home[self._home(section)].append(section)
            tasks = (Task(argument(some), home) for home, some in of_home.items())
            found: dict[range, Any] = {}
            for some, answers in zip(
                of_home.values(), self.executor.map(function, tasks), strict=True
            ):
                found |= zip(some, answers, strict=True)
            yield from (found.pop(section) for section in window)

    def _sections(self, batches: range) -> Iterator[range]:
        start = batches.start
        while start < batches.stop:
            end = min(batches.stop, start - start % self._size + self._size)
            yield range(start, end)
            start = end

    def _home(self, section: range) -> str:
        """The home of the tasks for a section: the name of the first section that is there."""
        first = section.start // self._size % self._homes * self._size
        return self.batches[first].key
