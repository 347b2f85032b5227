"""Data files that are written: the bytes of tensors, each at a place that can be mapped."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from external_models import moved
from onnx import TensorProto, helper, numpy_helper

from onnx_evoq.model.tensors import DataFile, raw_blocks


def test_large_tensors_start_at_a_page_and_small_ones_at_a_line(tmp_path: Path) -> None:
    path, large = tmp_path / "w.data", np.arange(2**15, dtype=np.int16)
    with path.open("wb", buffering=0) as file:
        data = DataFile(file, str(path))
        offsets = [data.append(part.nbytes, [part]) for part in (np.ones(3), large, np.ones(2))]
    assert offsets == [0, 4096, 4096 + 2**16]
    assert (data.path, data.end) == (str(path), 4096 + 2**16 + 16)
    content = path.read_bytes()
    assert np.frombuffer(content, np.float64, 3).tolist() == [1, 1, 1]
    assert np.frombuffer(content, np.int16, 2**15, 4096).tolist() == large.tolist()
    assert content[24:4096] == bytes(4072)


def test_parts_follow_each_other_even_if_the_disk_takes_a_few_bytes_at_a_time() -> None:
    class Slow:
        content = b""

        def seek(self, offset: int) -> None:
            assert offset == len(self.content)

        def write(self, data: memoryview) -> int:
            self.content += bytes(data[:3])
            return min(3, len(data))

    file = Slow()
    parts = np.arange(6, dtype=np.int16).reshape(3, 2).T  # not one after the other in memory
    DataFile(file, "").append(12, [parts[:1], parts[1:]])  # type: ignore[arg-type]
    assert file.content == parts.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "bool", ml_dtypes.int4, ml_dtypes.bfloat16])
def test_the_bytes_of_a_tensor_are_the_same_wherever_they_are(tmp_path: Path, dtype: str) -> None:
    tensor = numpy_helper.from_array(np.array([1, 0, 1], dtype), "w")
    kind, numbers = tensor.data_type, [1, 0, 1]
    for each in (
        tensor,
        moved(tensor, tmp_path / "w"),
        helper.make_tensor("w", kind, [3], numbers),
    ):
        assert b"".join(bytes(block) for block in raw_blocks(each)) == tensor.raw_data


def test_a_tensor_without_values_has_no_bytes() -> None:
    empty = TensorProto(data_type=TensorProto.FLOAT, dims=[0])
    assert b"".join(bytes(block) for block in raw_blocks(empty)) == b""
