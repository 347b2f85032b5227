"""Keep tensors of many batches within a bound of memory; what is beyond it lies in a file."""

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.errors import StorageError

_ALIGNED = 64  # bytes: kernels may read whole cache lines


class _Location(NamedTuple):
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
        self._end = 0  # of what was written to it
        self._parts: list[dict[str, Array | _Location]] = []

    def append(self, tensors: Arrays) -> None:
        """Add the tensors of a batch.

        Raises:
            StorageError: there is no room for a temporary file, or for more in it.
        """
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
            name: self._read(part) if isinstance(part, _Location) else part
            for name, part in self._parts[index].items()
        }

    def __iter__(self) -> Iterator[Arrays]:
        return (self[index] for index in range(len(self)))

    @property
    def spilled(self) -> int:
        """How many batches lie in the file, in part at least."""
        return sum(any(isinstance(t, _Location) for t in part.values()) for part in self._parts)

    def _write(self, tensor: Array) -> _Location:
        offset = self._end + -self._end % _ALIGNED
        rest = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
        end = offset + rest.size
        try:
            if self._file is None:  # without a buffer, so that closing it writes nothing
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # lives on
                weakref.finalize(self, self._file.close)
            self._file.seek(offset)
            while rest.size:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest.data) :]
        except OSError as cause:
            raise StorageError(
                f"no room for temporary files in {_folder()}, which must hold {end / 1e6:.3g} MB "
                f"by now ({cause.strerror or cause}): set TMPDIR to a folder with more room, or "
                "allow more memory (--memory)."
            ) from cause
        self._end = end
        return _Location(offset, tensor.dtype, tensor.shape)

    def _read(self, location: _Location) -> Array:
        assert self._file is not None
        try:
            return np.memmap(self._file, location.dtype, "r", location.offset, location.shape)
        except OSError as cause:
            raise StorageError(
                f"a temporary file in {_folder()} cannot be read ({cause.strerror or cause}): "
                "allow more memory (--memory), or use fewer samples (--samples)."
            ) from cause


def _folder() -> str:
    """Where temporary files go."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # there is no such folder at all
        return os.environ.get("TMPDIR", "any folder")


def _fits_a_file(tensor: Array) -> bool:
    return tensor.size > 0 and tensor.ndim > 0 and not tensor.dtype.hasobject
