"""What an executor is: it does tasks, in threads of this process or on other machines.

A task is a function of a module and an argument of plain data. What many tasks share, such as a
model or samples, is *held*: `Executor.hold` gives a reference to it, which stands in the argument,
and the function asks its memory for the value. Where the function runs elsewhere, the value is sent
there once.

A task may be done twice, or again elsewhere, if a worker is lost. So its result depends on nothing
but its argument; what it keeps in its memory only saves time.
"""

from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)
ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, eq=False)
class Reference(Generic[ValueT]):
    """Stands for a value in the argument of a task.

    Attributes:
        key: equal for equal values, where it is sent; else "".
        here: the value, in the process that holds it; empty elsewhere.
    """

    key: str
    here: tuple[ValueT, ...] = ()


class Memory(Protocol):
    """What a worker has at hand while it does a task."""

    def value(self, reference: Reference[ValueT]) -> ValueT:
        """The value that a reference stands for; it must not be changed."""
        ...

    def made(self, kind: str, key: Hashable, make: Callable[[], ValueT], most: int = 1) -> ValueT:
        """What `make` returns, or returned earlier for this key.

        Args:
            kind: names what is made.
            key: of what is made.
            make: makes it.
            most: of one kind that are kept; those that were not asked for longest are dropped.
        """
        ...

    def share(self, memory: int) -> int:
        """The part of a machine's free memory that is for this worker."""
        ...


@dataclass(frozen=True, eq=False)
class Task(Generic[ArgumentT]):
    """An argument for the function of `Executor.map`.

    Attributes:
        argument: plain data and references.
        home: tasks of one home are done by one worker, as far as it has time: it keeps what they
            share. None for a task that any worker does.
    """

    argument: ArgumentT
    home: Hashable = None


class Executor(Protocol):
    """Does tasks; their results do not depend on where that is."""

    @property
    def workers(self) -> int:
        """How many tasks are done at a time now; it may change."""
        ...

    @property
    def near(self) -> "Executor":
        """An executor in this process: itself, or one for work that is too small to be sent."""
        ...

    def hold(self, value: ValueT) -> Reference[ValueT]:
        """A reference to a value, for arguments of tasks; the value must not change.

        Args:
            value: plain data, and references, too.
        """
        ...

    def map(
        self,
        function: Callable[[Memory, ArgumentT], ResultT],
        tasks: Iterable[Task[ArgumentT]],
    ) -> Generator[ResultT]:
        """Do tasks, and yield their results in the order of the tasks.

        Tasks are taken, and results kept, only a few ahead of what is asked for.

        Args:
            function: of a module.
            tasks: its arguments.

        Raises:
            Exception: what the function raised, at the place of its result.
            ClusterError: the cluster is lost.
        """
        ...
