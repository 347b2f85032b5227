"""Which workers have which samples of a model."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from onnx_evoq.batch import Batch
from onnx_evoq.executors import Executor, Memory, Task

HOMES = 2  # for each worker


class Shards:
    """Divides batches among workers, by *shards* of batches that follow each other.

    The tasks for a shard have one home: they are done by one worker, as far as it has time. Shards
    are given to the homes in turn, since what needs few samples takes the first ones. So shards
    that follow each other are with different workers.

    Args:
        batches: the samples.
        executor: knows the workers.
        size: batches of a shard.

    Attributes:
        executor: as above.
        batches: the samples, as the executor holds them.
    """

    def __init__(self, batches: Sequence[Batch], executor: Executor, size: int) -> None:
        self.executor = executor
        self.batches = [executor.hold(batch) for batch in batches]
        self._size = size

    def home(self, index: int) -> str:
        """The home of the tasks for a batch: the name of the first batch that is there.

        Workers that join change it, so that they have something to do.
        """
        homes = HOMES * self.executor.workers
        return self.batches[index // self._size % homes * self._size].key

    def spans(self, first: int, end: int, most: int | None = None) -> Iterator[range]:
        """Ranges of batches from `first` up to `end`, each within a shard.

        Args:
            first: the index of the first batch.
            end: one more than the index of the last batch.
            most: batches of a range; None for those of a shard.
        """
        while first < end:
            last = min(end, first - first % self._size + self._size)
            last = last if most is None else min(last, first + most)
            yield range(first, last)
            first = last

    def map(
        self,
        function: Callable[[Memory, Any], Sequence[Any]],
        argument: Callable[[Sequence[range]], Any],
        batches: range,
        at_once: int | None = None,
    ) -> Iterator[Any]:
        """What workers answer for each shard, in the order of the shards.

        Args:
            function: answers with a value for each of some shards.
            argument: makes its argument, from the indices of the batches of each shard.
            batches: their indices.
            at_once: shards that are asked for at a time, at most; None for all.
        """
        shards = list(self.spans(batches.start, batches.stop))
        step = at_once or max(1, len(shards))
        for start in range(0, len(shards), step):
            window = shards[start : start + step]
            of_home: defaultdict[str, list[range]] = defaultdict(list)
            for shard in window:
                of_home[self.home(shard.start)].append(shard)
            tasks = (Task(argument(some), home) for home, some in of_home.items())
            found: dict[range, Any] = {}
            for some, answers in zip(
                of_home.values(), self.executor.map(function, tasks), strict=True
            ):
                found |= zip(some, answers, strict=True)
            yield from (found.pop(shard) for shard in window)
