"""The values that references stand for, as long as there are references."""

import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from onnx_evoq.executors.tasks import Reference, key_of, parts_of

ValueT = TypeVar("ValueT")


@dataclass(eq=False)
class Held:
    """A value that references stand for.

    Attributes:
        value: the value.
        size: its bytes.
        within: references in it.
        future: Dask's name of the value on its workers; None while it is on none.
        references: how many references there are.
    """

    value: Any
    size: int
    within: Sequence[Reference[Any]]
    future: Any = None
    references: int = 0


class HeldValues:
    """Holds values by their content; those of which no reference is left are forgotten.

    Its methods are called by one thread at a time.
    """

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._references: weakref.WeakValueDictionary[int, Reference[Any]]
        self._references = weakref.WeakValueDictionary()  # by the identity of their value
        self._freed: deque[str] = deque()  # keys of references that are gone

    def __getitem__(self, key: str) -> Held:
        return self._held[key]

    def hold(self, value: ValueT) -> Reference[ValueT]:
        """A reference to a value, the same one for the same object."""
        self.let_go()
        known: Reference[ValueT] | None = self._references.get(id(value))
        if known is not None:
            return known
        parts, within = parts_of(value)
        key, size = key_of(parts), sum(part.nbytes for part in parts)
        held = self._held.setdefault(key, Held(value, size, within))
        held.references += 1
        reference = Reference(key, (value,))
        self._references[id(value)] = reference
        # Garbage may be collected in any thread, which must not wait for a lock.
        weakref.finalize(reference, self._freed.append, key).atexit = False
        return reference

    def closure(self, references: Iterable[Reference[Any]]) -> list[str]:
        """The keys of references, and of those in what they stand for."""
        keys, rest = dict[str, None](), [reference.key for reference in references]
        while rest:
            key = rest.pop()
            if key not in keys:
                keys[key] = None
                rest += [reference.key for reference in self._held[key].within]
        return list(keys)

    def let_go(self) -> None:
        """Forget values that no reference stands for any more."""
        while self._freed:
            key = self._freed.popleft()
            held = self._held[key]
            held.references -= 1
            if not held.references:
                del self._held[key]
