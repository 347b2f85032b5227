"""Large arrays are gone through block by block, and mapped pages are given back."""

import mmap
import tempfile
from pathlib import Path

import numpy as np
import pytest

from onnx_evoq import array_blocks
from onnx_evoq.array_blocks import (
    blocks,
    converted,
    extremes,
    has_infinity,
    largest_magnitudes,
    release,
    row_blocks,
    rows_of,
)
from onnx_evoq.errors import StorageError


@pytest.mark.parametrize("shape", [(7, 3), (1, 9), (0, 4), (5, 0), (4,)])
@pytest.mark.parametrize("most_bytes", [1, 8, 50, 10**6])
def test_the_blocks_are_all_of_the_array(shape: tuple[int, ...], most_bytes: int) -> None:
    array = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    parts = [array[rows] for rows in row_blocks(array, most_bytes)]
    assert np.concatenate(parts).tolist() == array.tolist()
    row = array.nbytes // max(1, len(array))
    assert all(part.nbytes <= max(most_bytes, row) for part in parts)


def test_an_array_without_axes_is_a_block() -> None:
    ((rows, block),) = blocks(np.array(3.0))
    assert (rows, block.item()) == (..., 3.0)


def test_what_broadcasts_to_an_array_broadcasts_to_its_blocks() -> None:
    array = np.arange(6.0).reshape(3, 2)
    for other in (np.array(2.0), np.array([[1.0], [2], [3]]), np.array([[1.0, 2.0]])):
        parts = [array[rows] * rows_of(other, rows) for rows in row_blocks(array, 16)]
        assert np.concatenate(parts).tolist() == (array * other).tolist()


def resident(path: Path) -> int:
    """KiB of a mapped file that count as memory of this process."""
    found, here = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if "-" in line.split(" ")[0]:
            here = line.endswith(str(path))
        elif here and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not say")
def test_pages_of_a_mapped_file_are_given_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    np.arange(2**18, dtype=np.float32).tofile(path)
    mapped = np.memmap(path, np.uint8, "r", 4).view(np.ndarray).view(np.float32)  # 1 MB
    assert mapped.sum() > 0
    assert resident(path) >= 1000
    release(mapped)
    assert resident(path) <= 8
    assert sum(float(block.sum()) for _, block in blocks(mapped)) > 0
    assert resident(path) <= 8
    assert mapped[-1] == 2**18 - 1  # read again


@pytest.mark.parametrize("value", [0.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 40, -1])
def test_extremes_are_those_of_the_array(
    monkeypatch: pytest.MonkeyPatch, value: float, place: int
) -> None:
    monkeypatch.setattr("onnx_evoq.array_blocks._BLOCK", 64)
    array = np.random.default_rng(1).standard_normal((20, 4)).astype(np.float32)
    array.flat[place] = value
    np.testing.assert_equal(extremes(array), (float(array.min()), float(array.max())))
    assert has_infinity(array) == np.isinf(value)
    array.flat[7] = np.nan
    assert has_infinity(array) == np.isinf(value)


def test_nothing_has_no_extremes() -> None:
    assert np.isnan(extremes(np.zeros((0, 3)))).all()
    assert not has_infinity(np.zeros((0, 3)))


def test_a_very_large_copy_is_in_a_temporary_file(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float16).reshape(3, 4)[:, ::2]
    for in_memory in (24, 23):
        copy = converted(array, np.float32, in_memory)
        assert (copy.dtype, copy.tolist()) == (np.float32, array.tolist())
        assert isinstance(base_of(copy), mmap.mmap) == (in_memory == 23)
    assert converted(copy, np.float32, 0) is copy


def base_of(array: object) -> object:
    while isinstance(array, np.ndarray):
        array = array.base
    return array


def test_a_folder_without_room_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(StorageError, match="no room for temporary files in /nowhere"):
        converted(np.ones(3), np.float32, 0)


def test_what_is_not_mapped_stays() -> None:
    array = np.ones(3)
    for each in (array, array[::2], array[:0]):
        release(each)
    assert array.tolist() == [1, 1, 1]


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_largest_magnitudes_are_those_of_all_blocks(
    axis: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_blocks, "_BLOCK", 32)
    array = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)  # 3 blocks
    other = None if axis is None else 1 - axis
    assert np.array_equal(largest_magnitudes(array, axis), np.abs(array).max(axis=other))
    assert (
        largest_magnitudes(np.zeros((0, 2), np.float32), axis).tolist()
        == ({None: 0.0, 0: [], 1: [0.0, 0.0]}[axis])
    )
