"""Folders of .npz and .npy files, each with the inputs of one run."""

from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.data.reading.feed_folder import array_files, read_feeds
from onnx_evoq.data.reading.limit import Limit
from onnx_evoq.data.reading.raw import Raw
from onnx_evoq.data.source import always
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, None))]


def read(folder: Path, limit: Limit | None = None) -> Raw:
    return read_feeds(array_files(folder), folder, SPECS, limit or Limit(), always)


def shapes(raw: Raw) -> list[tuple[int, ...]]:
    return [group.inputs["x"].shape for group in raw.groups]


def test_each_file_is_a_feed_in_the_order_of_the_names(tmp_path: Path) -> None:
    for name, size in (("b.npz", 5), ("a.npz", 4), ("c.npz", 4)):
        np.savez(tmp_path / name, x=np.full((1, size), size), y=np.array([size]))
    (tmp_path / "notes.txt").write_text("no array")
    raw = read(tmp_path)
    assert shapes(raw) == [(2, 4), (1, 5)]
    assert [group.places.tolist() for group in raw.groups] == [[0, 2], [1]]
    assert raw.labels is not None
    assert raw.labels.tolist() == [4, 5, 4]


def test_an_npy_file_may_lack_the_axis_of_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(7))
    np.save(tmp_path / "b.npy", np.ones((2, 3)))
    assert shapes(read(tmp_path)) == [(1, 7), (2, 3)]


def test_files_behind_the_last_sample_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "b.npy").write_text("no array")
    assert shapes(read(tmp_path, Limit(1))) == [(1, 3)]


def test_a_file_that_lacks_an_input_or_is_too_large_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", z=np.ones((1, 3)))
    with pytest.raises(DataError, match=r"a\.npz: holds 'z', but the model's input is 'x'"):
        read(tmp_path)
    (tmp_path / "a.npz").unlink()
    np.lib.format.open_memmap(tmp_path / "b.npy", "w+", np.int64, (2**24, 2))  # takes no room
    with pytest.raises(DataError, match=r"b\.npy: 2 samples take 536\.9 MB, and memory allows"):
        read(tmp_path, Limit(memory=1000))
