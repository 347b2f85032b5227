"""The values of a tensor: its own, or those in a data file, which are mapped and not read."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from onnx_evoq.model.tensors import array_of, is_external


def external(tensor: TensorProto, file: Path, offset: int = 0) -> TensorProto:
    """The tensor with its values in a data file, behind `offset` bytes."""
    file.write_bytes(bytes(offset) + tensor.raw_data)
    moved = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    moved.data_location = TensorProto.EXTERNAL
    place = {"location": str(file), "offset": str(offset), "length": str(len(tensor.raw_data))}
    for key, value in place.items():
        moved.external_data.add(key=key, value=value)
    return moved


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array is a view of a file."""
    base = array
    while isinstance(base.base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    return isinstance(base, np.memmap)


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "float64", "int64", "bool", "complex64", ml_dtypes.bfloat16]
)
@pytest.mark.parametrize("offset", [0, 64, 4097])
def test_external_values_are_those_of_the_tensor(tmp_path: Path, dtype: str, offset: int) -> None:
    tensor = numpy_helper.from_array(np.arange(6).reshape(2, 3).astype(dtype), "w")
    moved = external(tensor, tmp_path / "w.data", offset)
    found = array_of(moved)
    assert [is_external(each) for each in (tensor, moved)] == [False, True]
    assert (found.dtype, found.flags.aligned) == (dtype, True)
    assert found.tolist() == array_of(tensor).tolist()
    assert is_mapped(found) == (found.itemsize == 1 or not offset % 2)


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int2", "uint2"])
def test_packed_values_are_unpacked(tmp_path: Path, dtype: str) -> None:
    tensor = numpy_helper.from_array(np.array([1, 0, 1], getattr(ml_dtypes, dtype)), "codes")
    assert array_of(external(tensor, tmp_path / "w.data")).tolist() == [1, 0, 1]


def test_a_tensor_without_values_maps_nothing(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.zeros((3, 0), np.float32), "w")
    assert array_of(external(tensor, tmp_path / "w.data")).shape == (3, 0)


def test_external_values_cannot_be_written(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
    with pytest.raises(ValueError, match="read-only"):
        array_of(external(tensor, tmp_path / "w.data"))[0] = 2
