"""An executor whose workers are in this process, but get only what is sent to them."""

from collections.abc import Callable, Generator, Hashable, Iterable
from typing import Any

from onnx_evoq.executors import HERE, Executor, Reference, Task
from onnx_evoq.executors.tasks.local_memory import LocalMemory, Missing
from onnx_evoq.executors.tasks.packing import Packed, key_of, packed, parts_of, unpacked

FAR = "tcp://far:1"  # the address by which tests name it


class FarWorkers:
    """Does tasks one after the other, each with the memory of one of its workers.

    Attributes:
        memories: of the workers.
        asked: the arguments of all tasks so far.
        homes: by home, the worker that has it, modulo their number; a task without a home is
            done by one after the other.
        sent: how often each value was sent, by key.
    """

    def __init__(self, workers: int = 2) -> None:
        self.memories = [LocalMemory() for _ in range(workers)]
        self.asked: list[Any] = []
        self.homes: dict[Hashable, int] = {}
        self.sent: dict[str, int] = {}
        self._values: dict[str, Packed] = {}

    @property
    def workers(self) -> int:
        return len(self.memories)

    @property
    def near(self) -> Executor:
        return HERE

    def hold(self, value: Any) -> Reference[Any]:
        parts, _ = parts_of(value)
        key = key_of(parts)
        self._values[key] = packed(parts)
        return Reference(key, (value,))

    def lose(self, worker: int) -> None:
        """Let a worker forget all that it has."""
        self.memories[worker] = LocalMemory()

    def map(
        self, function: Callable[[Any, Any], Any], tasks: Iterable[Task[Any]]
    ) -> Generator[Any]:
        for number, task in enumerate(tasks):
            self.asked.append(task.argument)
            worker = number
            if task.home is not None:
                worker = self.homes.setdefault(task.home, len(self.homes))
            memory = self.memories[worker % self.workers]
            work = packed(parts_of((function, task.argument))[0])
            while True:
                try:
                    function_there, argument = unpacked(work)
                    result = packed(parts_of(function_there(memory, argument))[0])
                except Missing as missing:
                    value = self._values[missing.key]
                    self.sent[missing.key] = self.sent.get(missing.key, 0) + 1
                    memory.keep(missing.key, unpacked(value), value.nbytes)
                else:
                    break
            yield unpacked(result)
