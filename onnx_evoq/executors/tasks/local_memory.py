"""The memory of a worker: values that it was sent, and what it made of them."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any, TypeVar

from onnx_evoq.executors.tasks.executor import Reference

ValueT = TypeVar("ValueT")


class Missing(Exception):  # noqa: N818  # not an error: the value is sent then
    """A value that a task asks for is not in the memory.

    Attributes:
        key: of its reference.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class LocalMemory:
    """Keeps values by their keys up to a limit, and what tasks make, a few of each kind.

    Example:
        >>> memory = LocalMemory()
        >>> memory.keep("k", [1, 2], size=16)
        >>> memory.value(Reference("k"))
        [1, 2]

    Attributes:
        lock: to be held while a task runs that others must not disturb.

    Args:
        limit: bytes of values, at most; one value is kept in any case.
        neighbours: how many workers share the machine.
    """

    def __init__(self, limit: int = 2**30, neighbours: int = 1) -> None:
        self.lock = RLock()
        self.limit, self.neighbours = limit, neighbours
        self._held: OrderedDict[str, tuple[Any, int]] = OrderedDict()  # with sizes, oldest first
        self._size = 0
        self._made: dict[str, OrderedDict[Hashable, Any]] = {}

    def keep(self, key: str, value: object, size: int) -> None:
        """Keep a value, and drop those that were not asked for longest, if they are too many."""
        if key in self._held:
            self._held.move_to_end(key)
            return
        self._held[key] = value, size
        self._size += size
        while self._size > self.limit and len(self._held) > 1:
            _, (_, dropped) = self._held.popitem(last=False)
            self._size -= dropped

    def forget(self) -> None:
        """Keep nothing more of what came and was made so far."""
        self._held, self._size, self._made = OrderedDict(), 0, {}

    def has(self, key: str) -> bool:
        """Whether a value is kept."""
        return key in self._held

    def value(self, reference: Reference[ValueT]) -> ValueT:
        """The value that a reference stands for.

        Raises:
            Missing: it is not here.
        """
        if reference.here:
            return reference.here[0]
        held = self._held  # another thread may put a new one in its place (`forget`)
        if reference.key not in held:
            raise Missing(reference.key)
        held.move_to_end(reference.key)
        value: ValueT = held[reference.key][0]
        return value

    def made(self, kind: str, key: Hashable, make: Callable[[], ValueT], most: int = 1) -> ValueT:
        """What `make` returns, or returned earlier for this key, as `Memory.made` says."""
        with self.lock:
            known = self._made.setdefault(kind, OrderedDict())
            if key not in known:
                while len(known) >= most:  # before there is one more, as it may be large
                    known.popitem(last=False)
                made = make()
                known[key] = made
            known.move_to_end(key)
            value: ValueT = known[key]
            return value

    def share(self, memory: int) -> int:
        """The part of a machine's free memory that is for this worker."""
        return memory // self.neighbours
