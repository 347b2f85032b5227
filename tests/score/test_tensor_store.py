"""Tensors in memory up to a limit, and in a file beyond it."""

import errno
import io
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_evoq.errors import StorageError
from onnx_evoq.score import TensorStore

PARTS = [
    {"a": np.arange(6, dtype=np.float32).reshape(2, 3) + k, "b": np.arange(4) * k} for k in range(5)
]


def stored(limit: int) -> TensorStore:
    store = TensorStore(limit)
    for part in PARTS:
        store.append(part)
    return store


@pytest.mark.parametrize(("limit", "spilled"), [(10**6, 0), (0, 5), (56 * 2, 3), (56 * 2 - 1, 4)])
def test_tensors_are_read_as_they_were_added_from_memory_or_the_file(
    limit: int, spilled: int
) -> None:
    store = stored(limit)
    assert store.spilled == spilled
    assert len(store) == 5
    for found, part in zip(store, PARTS, strict=True):
        for name, expected in part.items():
            assert found[name].dtype == expected.dtype
            assert (found[name] == expected).all()


def test_tensors_in_memory_are_copies() -> None:
    store, tensor = TensorStore(100), np.arange(3.0)
    store.append({"t": tensor})
    tensor += 1
    assert store[0]["t"].tolist() == [0, 1, 2]


def test_a_store_writes_into_the_blocks_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_evoq.score.tensor_store._BLOCK", 128)
    first = stored(10**6)  # 24 + 32 bytes each, at multiples of 64: a block for each
    assert [block.size for block in first.blocks] == [128] * 5
    later = TensorStore(10**6, first.blocks)
    for size in (3, 40, 4):  # 24, 320 and 32 bytes
        later.append({"t": np.arange(float(size))})
    # What is too large for the blocks gets one of its own.
    assert [block.size for block in later.blocks] == [128, 320, 128]
    assert later.blocks[0] is first.blocks[0]
    assert later.blocks[2] is first.blocks[1]
    assert [part["t"].tolist() for part in later] == [[*range(n)] for n in (3, 40, 4)]


def test_a_closed_store_holds_no_block_that_it_does_not_need() -> None:
    unneeded = np.empty(10, np.uint8)
    alive = weakref.ref(unneeded)
    store = TensorStore(10**6, [unneeded])
    store.append({"t": np.arange(4.0)})
    del unneeded
    assert alive() is not None
    store.close()
    assert alive() is None


def test_a_tensor_outlives_the_store() -> None:
    tensor = stored(0)[3]["a"]
    assert (tensor == PARTS[3]["a"]).all()


@pytest.mark.parametrize(
    "tensor", [np.float32(3), np.zeros((0, 4)), np.array(["text"], object), np.array([True, False])]
)
def test_tensors_that_cannot_be_mapped_are_kept_too(tensor: np.ndarray) -> None:
    store = TensorStore(0)
    store.append({"t": np.asarray(tensor)})
    assert np.array_equal(store[0]["t"], tensor)


def test_an_array_that_is_not_contiguous_keeps_its_order() -> None:
    store = TensorStore(0)
    store.append({"t": PARTS[0]["a"].T})
    assert (store[0]["t"] == PARTS[0]["a"].T).all()


def test_tensors_in_the_file_are_aligned_to_64_bytes() -> None:
    store = TensorStore(0)
    store.append({"odd": np.array([True, False, True]), "wide": np.arange(4.0)})
    assert store[0]["wide"].flags.aligned
    assert store[0]["wide"].ctypes.data % 64 == 0


class Disk(io.FileIO):
    """A file on a disk that takes at most 100 bytes at a time, and 300 in all."""

    def write(self, content: Any) -> int:
        some = memoryview(content)[: min(100, 300 - self.tell())]
        if not some:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(some)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let temporary files lie on such a disk."""
    monkeypatch.setattr(
        tempfile, "TemporaryFile", lambda buffering: Disk(tmp_path / "spilled", "w+b")
    )


@pytest.mark.usefixtures("small_disk")
def test_a_disk_may_write_a_part_at_a_time() -> None:
    store = TensorStore(0)
    store.append({"t": np.arange(35.0)})
    assert (store[0]["t"] == np.arange(35.0)).all()


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_named_with_the_needed_room_and_the_remedy() -> None:
    store = TensorStore(0)
    store.append({"t": np.arange(8.0)})
    with pytest.raises(StorageError) as caught:
        store.append({"t": np.arange(32.0)})
    assert str(caught.value) == (
        f"no room for temporary files in {tempfile.gettempdir()}, which must hold 0.00032 MB by "
        "now (No space left on device): set TMPDIR to a folder with more room, or allow more "
        "memory (--memory)."
    )


def test_a_missing_folder_of_temporary_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match=r"in .*/nowhere, .* \(No such file or directory\)"):
        stored(0)


def test_a_system_without_a_folder_of_temporary_files_names_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", find_none)
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: find_none())
    with pytest.raises(StorageError, match=r"in /nowhere, .* \(No usable temporary directory"):
        stored(0)


def test_a_file_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    store = stored(0)
    monkeypatch.setattr(np, "memmap", fail)
    with pytest.raises(StorageError, match=r"cannot be read \(Too many open files\)"):
        _ = store[0]


def test_closing_the_file_writes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # the store closes it
    given: list[int] = []
    monkeypatch.setattr(
        tempfile, "TemporaryFile", lambda buffering: given.append(buffering) or file
    )
    store = stored(0)
    del store
    assert given == [0]
    assert file.closed
