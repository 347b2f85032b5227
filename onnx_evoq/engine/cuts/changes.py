"""Values of weights as what differs from others that both sides have.

Candidates of a search differ from its start, or from each other, in few weights. So positions and
values of these are sent. Where they would take more room than all values, all are sent; and where
that is so for a candidate, those that follow are compared with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array
from onnx_evoq.executors import Executor, Memory, Reference
from onnx_evoq.score import Values

_FEW = 8  # a base is replaced if more than one in so many values differs from it


@dataclass(frozen=True, eq=False)
class Change:
    """The values of one weight.

    Attributes:
        base: the values that they differ from.
        positions: (changed,) where they do so.
        values: (changed,) the values there.
    """

    base: Reference[Array]
    positions: NDArray[np.unsignedinteger]
    values: Array

    def applied(self, memory: Memory) -> Array:
        """All values of the weight."""
        whole = memory.value(self.base).copy()
        whole.reshape(-1)[self.positions] = self.values
        return whole


class Bases:
    """Knows what workers have of some weights, and says what differs from it.

    Args:
        executor: holds the values.
        values: of the weights, by name.
        dtypes: the types in which the weights are sent, by name.
    """

    def __init__(self, executor: Executor, values: Values, dtypes: Mapping[str, str]) -> None:
        self._executor = executor
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self._bases: dict[str, tuple[Array, Reference[Array]]] = {}
        for name in dtypes:
            self._set(name, self._own(name, values))

    def changes(self, values: Values) -> dict[str, Change]:
        """What differs in a candidate, by the names of the weights.

        Args:
            values: of the weights.
        """
        return {name: self._change(name, self._own(name, values)) for name in self._dtypes}

    def _own(self, name: str, values: Values) -> Array:
        return np.ascontiguousarray(values[name], self._dtypes[name])

    def _set(self, name: str, values: Array) -> None:
        own = values.copy()  # a search may write into its arrays
        self._bases[name] = own, self._executor.hold(own)

    def _change(self, name: str, values: Array) -> Change:
        base, reference = self._bases[name]
        if base.shape == values.shape:
            bits = np.dtype(f"u{base.dtype.itemsize}")
            differs = values.reshape(-1).view(bits) != base.reshape(-1).view(bits)
            positions = np.flatnonzero(differs).astype(_kind(values))
            if len(positions) <= values.size // _FEW:
                return Change(reference, positions, values.reshape(-1)[positions])
        self._set(name, values)
        _, reference = self._bases[name]
        return Change(reference, np.empty(0, _kind(values)), values.reshape(-1)[:0])


def _kind(values: Array) -> type[np.unsignedinteger]:
    """The type of positions among some values."""
    return np.uint32 if values.size < 2**32 else np.uint64
