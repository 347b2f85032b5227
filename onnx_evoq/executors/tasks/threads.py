"""Do tasks in this process: one after the other, or in threads."""

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from onnx_evoq.executors.tasks.executor import Executor, Memory, Reference, Task
from onnx_evoq.executors.tasks.local_memory import LocalMemory
from onnx_evoq.parallel import in_order

ValueT = TypeVar("ValueT")
ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


class Threads:
    """Does tasks in threads of this process; one worker needs no thread.

    Example:
        >>> executor = Threads(2)
        >>> base = executor.hold(10)
        >>> list(executor.map(lambda memory, add: memory.value(base) + add, [Task(1), Task(2)]))
        [11, 12]

    Args:
        workers: tasks at a time.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._memory = LocalMemory()

    @property
    def workers(self) -> int:
        """Tasks at a time."""
        return self._workers

    @property
    def near(self) -> Executor:
        """Itself."""
        return self

    def hold(self, value: ValueT) -> Reference[ValueT]:
        """A reference to a value, which stays where it is."""
        return Reference("", (value,))

    def map(
        self,
        function: Callable[[Memory, ArgumentT], ResultT],
        tasks: Iterable[Task[ArgumentT]],
    ) -> Generator[ResultT]:
        """Do tasks, and yield their results in the order of the tasks.

        Args:
            function: takes a memory and an argument.
            tasks: the arguments.
        """
        arguments = (task.argument for task in tasks)
        return in_order(lambda each: function(self._memory, each), arguments, self._workers)


HERE = Threads(1)
