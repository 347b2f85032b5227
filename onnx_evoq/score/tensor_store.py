"""Keep tensors of many batches within a bound of memory; what is beyond it lies in a file."""

import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np

from onnx_evoq.array_types import Array, Arrays

_ALIGNED = 64  # bytes: kernels may read whole cache lines


class _Place(NamedTuple):
    """Where a tensor lies in the file."""

    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]


class TensorStore(Sequence[Arrays]):
    """Tensors by batch, in the order in which they were added.

    The first ones are held in memory, up to the bound. The others are written to a temporary file,
    which goes when the store does, and are mapped into memory one batch at a time when they are
    read: slower, but to the bit the same.

    Example:
        >>> store = TensorStore(limit=0)
        >>> store.append({"a": np.arange(3.0)})
        >>> store[0]["a"].tolist()
        [0.0, 1.0, 2.0]

    Args:
        limit: bytes that may be held in memory.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._file: IO[bytes] | None = None
        self._parts: list[dict[str, Array | _Place]] = []

    def append(self, tensors: Arrays) -> None:
        """Add the tensors of a batch."""
        size = sum(tensor.nbytes for tensor in tensors.values())
        held = size <= self._left
        self._left -= size if held else 0
        self._parts.append(
            {
                name: t if held or not _fits_a_file(t) else self._write(t)
                for name, t in tensors.items()
            }
        )

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Arrays:  # type: ignore[override]  # no slices
        return {
            name: self._read(part) if isinstance(part, _Place) else part
            for name, part in self._parts[index].items()
        }

    def __iter__(self) -> Iterator[Arrays]:
        return (self[index] for index in range(len(self)))

    @property
    def spilled(self) -> int:
        """How many batches lie in the file, in part at least."""
        return sum(any(isinstance(t, _Place) for t in part.values()) for part in self._parts)

    def _write(self, tensor: Array) -> _Place:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the store
            weakref.finalize(self, self._file.close)
        end = self._file.seek(0, 2)
        offset = self._file.seek(end + -end % _ALIGNED)
        self._file.write(np.ascontiguousarray(tensor).data)
        self._file.flush()
        return _Place(offset, tensor.dtype, tensor.shape)

    def _read(self, index: _Place) -> Array:
        assert self._file is not None
        return np.memmap(self._file, index.dtype, "r", index.offset, index.shape)


def _fits_a_file(tensor: Array) -> bool:
    return tensor.size > 0 and tensor.ndim > 0 and not tensor.dtype.hasobject
