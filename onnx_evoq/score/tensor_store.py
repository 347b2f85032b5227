"""Keep the tensors of many batches: in memory up to a limit, and in a temporary file beyond it."""

import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.errors import StorageError
from onnx_evoq.temporary_folder import no_room, temporary_folder

_ALIGNMENT = 64  # bytes: kernels may read whole cache lines
_BLOCK = 2**26  # bytes, which the C library gives back to the system at once

Block = NDArray[np.uint8]


class _Location(NamedTuple):
    """The position of a tensor in the file."""

    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]


class TensorStore(Sequence[Arrays]):
    """A sequence of batches of tensors, in the order in which they were added.

    The first batches are copied into a few large blocks of memory, up to the limit. So no small
    pieces of memory are left behind, between which there is little room for others. The other
    batches go to a temporary file, which is deleted with the store. They are mapped into memory one
    batch at a time: that is slower, and gives the same bytes.

    Example:
        >>> store = TensorStore(limit=0)
        >>> store.append({"a": np.arange(3.0)})
        >>> store[0]["a"].tolist()
        [0.0, 1.0, 2.0]

    Attributes:
        blocks: the blocks of memory; a later store may write into them once this one is not needed.

    Args:
        limit: how many bytes may stay in memory.
        blocks: those of an earlier store that is not needed any more.
    """

    def __init__(self, limit: int, blocks: Sequence[Block] = ()) -> None:
        self._limit = self._free = limit  # bytes
        self.blocks: list[Block] = []
        self._unused = list(blocks)
        self._used = 0  # bytes of the last block
        self._file: IO[bytes] | None = None
        self._end = 0  # bytes in the file
        self._batches: list[dict[str, Array | _Location]] = []

    def append(self, tensors: Arrays) -> None:
        """Add the tensors of a batch.

        Raises:
            StorageError: there is no room for a temporary file, or for this batch in it.
        """
        size = sum(tensor.nbytes for tensor in tensors.values())
        in_memory = size <= self._free
        self._free -= size if in_memory else 0
        self._batches.append(
            {
                name: t
                if not _can_be_mapped(t)
                else self._copied(t)
                if in_memory
                else self._write(t)
                for name, t in tensors.items()
            }
        )

    def close(self) -> None:
        """Give back the blocks that were not needed; what is added later gets new ones."""
        self._unused = []

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Arrays:  # type: ignore[override]  # no slices
        return {
            name: self._read(t) if isinstance(t, _Location) else t
            for name, t in self._batches[index].items()
        }

    def __iter__(self) -> Iterator[Arrays]:
        return (self[index] for index in range(len(self)))

    @property
    def spilled(self) -> int:
        """How many batches have tensors in the file."""
        return sum(any(isinstance(t, _Location) for t in b.values()) for b in self._batches)

    def _copied(self, tensor: Array) -> Array:
        """A copy of a tensor in a block."""
        start = self._used + -self._used % _ALIGNMENT
        if not self.blocks or start + tensor.nbytes > self.blocks[-1].size:
            fits = [block for block in self._unused if block.size >= tensor.nbytes]
            if fits:
                self._unused = [block for block in self._unused if block is not fits[0]]
            size = max(min(_BLOCK, self._limit), tensor.nbytes)
            self.blocks.append(fits[0] if fits else np.empty(size, np.uint8))
            start = 0
        self._used = start + tensor.nbytes
        copy = self.blocks[-1][start : self._used].view(tensor.dtype).reshape(tensor.shape)
        copy[...] = tensor
        return copy

    def _write(self, tensor: Array) -> _Location:
        offset = self._end + -self._end % _ALIGNMENT
        rest = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
        end = offset + rest.size
        try:
            if self._file is None:  # without a buffer, so that closing it writes nothing
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # stays open
                weakref.finalize(self, self._file.close)
            self._file.seek(offset)
            while rest.size:  # a nearly full disk may write a part only
                rest = rest[self._file.write(rest.data) :]
        except OSError as cause:
            raise no_room(end, cause) from cause
        self._end = end
        return _Location(offset, tensor.dtype, tensor.shape)

    def _read(self, location: _Location) -> Array:
        assert self._file is not None
        try:
            return np.memmap(self._file, location.dtype, "r", location.offset, location.shape)
        except OSError as cause:
            raise StorageError(
                f"a temporary file in {temporary_folder()} cannot be read "
                f"({cause.strerror or cause}): allow more memory (--memory), or use fewer samples "
                "(--samples)."
            ) from cause


def _can_be_mapped(tensor: Array) -> bool:
    """Whether NumPy can map the tensor from a file: it is no scalar, not empty and not of text."""
    return tensor.size > 0 and tensor.ndim > 0 and not tensor.dtype.hasobject
