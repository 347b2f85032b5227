"""Arrays in files, of which only headers and first rows are read; and files that lie."""

import io
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.data.reading.array_file import StoredArray, stored_arrays
from onnx_evoq.errors import DataError

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=False)
    return path


def only(path: Path) -> StoredArray:
    arrays, names = stored_arrays(path, ["x"])
    assert names == ["x"]
    return arrays["x"]


def header(text: str, version: int = 1) -> bytes:
    """The start of an .npy file with any text as its header."""
    size = struct.pack("<H" if version == 1 else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode("latin-1") + b"\n"


def promising(shape: object, descr: str = "<f4", version: int = 1) -> bytes:
    return header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}", version)


@pytest.mark.parametrize("count", [1, 4, 6, 9])
@pytest.mark.parametrize("array", [ROWS, np.asfortranarray(ROWS), ROWS.astype(">f8"), ROWS[:, 0]])
def test_the_first_rows_are_read(tmp_path: Path, array: np.ndarray, count: int) -> None:
    stored = only(saved(tmp_path / "a.npy", array))
    assert (stored.shape, stored.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(stored.first(count), array[:count], strict=True)
    np.testing.assert_array_equal(stored.all(), array, strict=True)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
def test_members_of_a_zip_are_read_alike(tmp_path: Path, save: object) -> None:
    path = tmp_path / "a.npz"
    save(path, x=ROWS, y=np.array(["ab", "c"]), z=ROWS)  # type: ignore[operator]
    arrays, names = stored_arrays(path, ["x", "y", "w"])
    assert names == ["x", "y", "z"]
    assert list(arrays) == ["x", "y"]
    assert arrays["x"].first(2).tolist() == ROWS[:2].tolist()
    assert arrays["y"].all().tolist() == ["ab", "c"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_may_be_in_folders_and_compressed_in_other_ways(
    tmp_path: Path, method: int
) -> None:
    buffer = io.BytesIO()
    np.save(buffer, ROWS)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("deep/er/x:0.npy", buffer.getvalue())
        archive.writestr("readme.txt", "no array")
        archive.mkdir("empty") if hasattr(archive, "mkdir") else None
    arrays, _ = stored_arrays(tmp_path / "a.npz", ["deep/er/x:0"])
    assert arrays["deep/er/x:0"].first(1).tolist() == [[0, 1]]


def test_an_empty_array_and_a_number_are_read(tmp_path: Path) -> None:
    assert only(saved(tmp_path / "a.npy", np.ones((0, 3)))).all().shape == (0, 3)
    assert float(only(saved(tmp_path / "b.npy", np.float32(3))).all()) == 3


def test_few_rows_of_a_large_file_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(promising((2**21, 1024)))
    os.truncate(path, path.stat().st_size + 2**33)  # 8 GiB, of which the disk holds nothing
    tracemalloc.start()
    try:
        rows = only(path).first(16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows.shape == (16, 1024)
    assert peak < 2**20


def test_few_rows_of_a_large_member_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((20_000, 256), np.float32))  # 20 MB in few bytes
    tracemalloc.start()
    try:
        stored_arrays(path, ["x"])[0]["x"].first(4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    "content",
    [
        promising((7, 2)),
        promising((10**18, 10**18)),
        promising((3,), "<U400000000"),
        promising((10**9,), version=2),
    ],
)
def test_a_header_that_promises_more_than_the_file_holds_is_named(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content + ROWS.tobytes())
    with pytest.raises(DataError, match=r"a\.npy: its header promises .*, and the file holds less"):
        only(path)


def test_a_member_that_holds_less_than_the_zip_says_is_named(tmp_path: Path) -> None:
    path, content = tmp_path / "a.npz", promising((1000, 1000)) + bytes(100)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
    lying = path.read_bytes().replace(
        struct.pack("<I", len(content)) * 2, struct.pack("<I", 2**28) * 2
    )
    path.write_bytes(lying)
    with pytest.raises(DataError, match=r"a\.npz.*"):
        stored_arrays(path, ["x"])[0]["x"].all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"not an array",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x09\x00" + bytes(100),
        header("{"),
        header("[" * 5000),
        header("{'descr': '<f4', 'fortran_order': False}"),
        promising("(2, 'a')"),
        promising((3, -2)),
        promising((3,), "<U0"),
        header("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (3,)}"),
        promising((3,), "nothing"),
        header(
            "{'descr': ["
            + "('a', [" * 300
            + "'<f4'"
            + "])" * 300
            + "], 'fortran_order': False, 'shape': (2,)}"
        ),
        header("x" * 60_000),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy: (is damaged|cannot be read|its header says)"):
        only(path)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([[1], [2, 3]], object))
    with pytest.raises(DataError, match=r"holds pickled objects: save plain arrays .* one \.npz"):
        only(path)


def test_a_locked_member_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=ROWS)
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1  # the flag of encryption
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read: .*(encrypted|password)"):
        stored_arrays(path, ["x"])


def test_a_flag_in_the_place_of_a_size_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(promising((True, 2)) + ROWS[:1].tobytes())
    assert only(path).all().tolist() == [[0, 1]]
