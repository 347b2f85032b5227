"""The place that a tensor states in a data file."""

from pathlib import Path

import numpy as np
from external_models import moved
from onnx import TensorProto, numpy_helper

from onnx_evoq.model.tensors.place import clear, is_settled, place_of, stated, version_of

TENSOR = numpy_helper.from_array(np.arange(4.0), "w")


def test_a_place_is_stated_and_found_again(tmp_path: Path) -> None:
    file = tmp_path / "w.data"
    external = moved(TENSOR, file, 8)
    assert place_of(external) == (str(file), 8, 32, version_of(file.stat()))
    assert (external.name, external.dims, external.raw_data) == ("w", [4], b"")
    assert set(stated(external)) == {"location", "offset", "length", "version"}


def test_only_what_was_opened_here_is_settled(tmp_path: Path) -> None:
    external = moved(TENSOR, tmp_path / "w.data")
    assert is_settled(external)
    external.external_data.pop()
    assert not is_settled(external)


def test_each_version_of_a_file_differs(tmp_path: Path) -> None:
    versions = set()
    for name, content in (("a", b"1"), ("a", b"12"), ("b", b"12")):
        (tmp_path / name).write_bytes(content)
        versions.add(version_of((tmp_path / name).stat()))
    assert len(versions) == 3


def test_a_tensor_without_values_keeps_its_shape_and_type(tmp_path: Path) -> None:
    for tensor in (moved(TENSOR, tmp_path / "w.data"), TENSOR):
        left = TensorProto()
        left.CopyFrom(tensor)
        clear(left)
        assert left == TensorProto(name="w", dims=[4], data_type=TensorProto.DOUBLE)
