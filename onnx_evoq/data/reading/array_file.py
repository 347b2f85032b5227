"""Arrays in .npy and .npz files: only headers are read, and then the first rows of some arrays.

So an array need not fit into memory, and the other members of an .npz file are never opened. What a
header promises is compared with the size of the file, and the data are read in pieces, so that a
header which promises too much costs no memory.
"""

import math
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from onnx_evoq.data.reading.limit import in_words
from onnx_evoq.data.reading.regular_file import check_regular
from onnx_evoq.errors import DataError

_PIECE = 2**24  # bytes that are read at a time
_ENDING, _ZIPPED = ".npy", b"PK"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, of which only the header was read.

    Attributes:
        path: the file.
        member: its name in an .npz file; None for an .npy file.
        shape: its shape.
        dtype: its type.
        by_columns: whether its first axis is the inner one (Fortran order).
    """

    path: Path
    member: str | None
    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool

    @property
    def name(self) -> str:
        """The name in messages."""
        return _name(self.path, self.member)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def whole(self) -> bool:
        """Whether all of it must be read, since its first rows lie apart."""
        return self.by_columns and len(self.shape) > 1

    def first(self, count: int) -> NDArray[Any]:
        """Read the first `count` entries along the first axis.

        Raises:
            DataError: the file is damaged, or holds less than the header promises.
        """
        shape = (min(count, self.shape[0]), *self.shape[1:]) if self.shape else ()
        values = np.empty(math.prod(self.shape if self.whole else shape), self.dtype)
        rest = values.view(np.uint8).data
        with _opened(self.path, self.member) as file:
            _header(file, self.name)
            while rest.nbytes:
                read = file.readinto(rest[:_PIECE])  # type: ignore[attr-defined]
                if not read:
                    raise _too_short(self.name, self.nbytes)
                rest = rest[read:]
        if self.whole:
            return values.reshape(self.shape, order="F")[:count]
        return values.reshape(shape)

    def all(self) -> NDArray[Any]:
        """Read the whole array."""
        return self.first(self.shape[0] if self.shape else 1)


def stored_arrays(path: Path, wanted: Collection[str]) -> tuple[dict[str, StoredArray], list[str]]:
    """Read the headers of an .npz file's arrays, or of an .npy file, whose array is named `x`.

    Args:
        path: the file.
        wanted: the names of the arrays that may be needed; others are not opened.

    Returns:
        Those of the wanted arrays that there are, and the names of all arrays.

    Raises:
        DataError: the file cannot be read, is damaged, or an array holds pickled objects.
    """
    check_regular(path)
    members: dict[str, zipfile.ZipInfo] | None = None
    with _one_sentence(path), path.open("rb") as file:
        if file.read(len(_ZIPPED)) == _ZIPPED:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
            members = {info.filename.removesuffix(_ENDING): info for info in infos}
    if members is None:
        return {"x": _stored(path, None, path.stat().st_size)}, ["x"]
    found = {
        name: _stored(path, members[name].filename, members[name].file_size)
        for name in wanted
        if name in members
    }
    return found, list(members)


def _stored(path: Path, member: str | None, size: int) -> StoredArray:
    """An array whose header is read, and compared with the size of the file or of the member."""
    name = _name(path, member)
    with _opened(path, member) as file:
        shape, by_columns, dtype = _header(file, name)
        held = size - file.tell()
    array = StoredArray(path, member, shape, dtype, by_columns)
    if array.nbytes > held:
        raise _too_short(name, array.nbytes)
    return array


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the shape, the order and the type of an array, up to the start of its data."""
    try:
        shape, by_columns, dtype = _HEADERS[npy.read_magic(file)](file)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error):  # about the file as a whole
        raise
    except Exception as cause:  # of many types, all of them about this header
        raise DataError(
            f"{name}: is damaged, or is no array: save it with numpy.save or numpy.savez."
        ) from cause
    if dtype.hasobject:
        raise DataError(
            f"{name}: holds pickled objects: save plain arrays of numbers or text (samples of "
            "different shapes as one .npz file each, in a folder)."
        )
    if not dtype.itemsize or dtype.subdtype or any(axis < 0 for axis in shape):
        raise DataError(f"{name}: its header says {dtype} {shape}, which no array is.")
    return tuple(map(int, shape)), by_columns, dtype  # True is a whole number, too


def _too_short(name: str, promised: int) -> DataError:
    return DataError(
        f"{name}: its header promises {in_words(promised)}, and the file holds less: write it "
        "again."
    )


def _name(path: Path, member: str | None) -> str:
    return str(path) if member is None else f"{path} ({member})"


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    """An .npy file, or a member of an .npz file, as it is uncompressed."""
    with _one_sentence(path), path.open("rb") as file:
        if member is None:
            yield file
            return
        with zipfile.ZipFile(file) as archive, archive.open(member) as inner:
            yield inner


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file raises into a `DataError`."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as cause:  # zipfile and its codecs raise many types
        why = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise DataError(f"{path}: cannot be read: {why}.") from cause
