"""The values of a tensor: its own, or those in a data file, which are mapped and not read."""

import mmap
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from external_models import moved
from onnx import TensorProto, helper, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.tensors import array_of, is_external, read


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array is a view of a file."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "float64", "int64", "bool", "complex64", ml_dtypes.bfloat16]
)
@pytest.mark.parametrize("offset", [0, 64, 4097])
def test_external_values_are_those_of_the_tensor(tmp_path: Path, dtype: str, offset: int) -> None:
    tensor = numpy_helper.from_array(np.arange(6).reshape(2, 3).astype(dtype), "w")
    external = moved(tensor, tmp_path / "w.data", offset)
    found = array_of(external)
    assert [is_external(each) for each in (tensor, external)] == [False, True]
    assert (found.dtype, found.flags.aligned) == (dtype, True)
    assert found.tolist() == array_of(tensor).tolist()
    assert is_mapped(found) == (found.itemsize == 1 or not offset % 2)


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int2", "uint2"])
def test_packed_values_are_unpacked(tmp_path: Path, dtype: str) -> None:
    tensor = numpy_helper.from_array(np.array([1, 0, 1], getattr(ml_dtypes, dtype)), "codes")
    assert array_of(moved(tensor, tmp_path / "w.data")).tolist() == [1, 0, 1]


def test_a_tensor_without_values_maps_nothing(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.zeros((3, 0), np.float32), "w")
    assert array_of(moved(tensor, tmp_path / "w.data")).shape == (3, 0)


def test_external_values_cannot_be_written(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
    with pytest.raises(ValueError, match="read-only"):
        array_of(moved(tensor, tmp_path / "w.data"))[0] = 2


def test_values_are_embedded_in_their_tensor(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.arange(4.0), "w")
    external = moved(tensor, tmp_path / "w.data", 3)
    read(external)
    assert external == tensor


def test_strings_need_not_be_text() -> None:
    tensor = helper.make_tensor("s", TensorProto.STRING, [2, 1], [b"text", b"\xff"])
    assert array_of(tensor).tolist() == [["text"], ["\udcff"]]


def test_a_file_that_changed_is_not_read(tmp_path: Path) -> None:
    external = moved(numpy_helper.from_array(np.arange(4.0), "w"), tmp_path / "w.data")
    (tmp_path / "w.data").write_bytes(bytes(99))
    with pytest.raises(ModelError, match=r"w\.data: changed while the model was in use: start"):
        array_of(external)
    (tmp_path / "w.data").unlink()
    with pytest.raises(ModelError, match=r"w\.data: cannot be read any more: No such file"):
        read(external)


def test_a_lack_of_addresses_is_a_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    external = moved(numpy_helper.from_array(np.arange(4.0), "w"), tmp_path / "w.data")
    monkeypatch.setattr(np, "memmap", fail)
    with pytest.raises(MemoryError, match=r"mapping .*w\.data"):
        array_of(external)
