"""Values in data files: where they are looked for, what is read at once, and what is refused."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from external_models import moved, restate, saved, table_net
from graphs import mlp
from onnx import ModelProto, TensorProto, numpy_helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model.graph import tensors_in
from onnx_evoq.model.tensors import array_of, is_external
from onnx_evoq.model.tensors.data_files import file_of, settle


def settled(path: Path, few_bytes: int = 0) -> ModelProto:
    model = onnx.load(path, load_external_data=False)
    settle(tensors_in(model.graph), path, few_bytes)
    return model


def first(path: Path, few_bytes: int = 0) -> list[float]:
    """The values of "first" in a file of `mlp`."""
    return array_of(settled(path, few_bytes).graph.initializer[0]).ravel().tolist()


EXPECTED = numpy_helper.to_array(mlp().graph.initializer[0]).ravel().tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model whose values are in w.bin, in a folder of its own."""
    (tmp_path / "inside").mkdir()
    return saved(mlp(), tmp_path / "inside" / "model.onnx", "w.bin")


def test_small_values_are_read_and_large_ones_stay(tmp_path: Path) -> None:
    tensors = settled(saved(table_net(), tmp_path / "m.onnx"), 2**16).graph.initializer
    assert {tensor.name: is_external(tensor) for tensor in tensors} == {"e": True, "w": False}
    expected = {t.name: numpy_helper.to_array(t) for t in table_net().graph.initializer}
    for tensor in tensors:
        np.testing.assert_array_equal(array_of(tensor), expected[tensor.name])


@pytest.mark.parametrize("few_bytes", [0, 2**20])
@pytest.mark.parametrize("removed", [(), ("offset",), ("length",), ("offset", "length")])
def test_offset_and_length_may_be_left_out(
    path: Path, removed: tuple[str, ...], few_bytes: int
) -> None:
    restate(path, dict.fromkeys(removed), "first")  # the first of the file
    assert first(path, few_bytes) == EXPECTED


def test_other_entries_are_ignored(path: Path) -> None:
    restate(path, {"checksum": "0", "basepath": "/nowhere", "version": "of another program"})
    assert first(path) == EXPECTED


@pytest.mark.parametrize("location", ["./w.bin", "a/w.bin", "a//b/./w.bin"])
def test_a_file_may_be_in_a_folder_below(path: Path, location: str) -> None:
    (path.parent / location).parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "w.bin").rename(path.parent / location)
    restate(path, {"location": location})
    assert first(path) == EXPECTED


def test_files_and_folders_may_be_links(path: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "revision"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (path.parent / "w.bin").rename(blobs / "2")
    path.rename(blobs / "1")
    (snapshot / "model.onnx").symlink_to("../../blobs/1")
    (snapshot / "w.bin").symlink_to("../../blobs/2")
    assert first(snapshot / "model.onnx") == EXPECTED
    (tmp_path / "link").symlink_to(snapshot)
    assert first(tmp_path / "link" / "model.onnx") == EXPECTED


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "a/../../w.bin", ".."])
def test_a_name_that_leads_out_of_the_folder_is_refused(path: Path, location: str) -> None:
    restate(path, {"location": location})
    with pytest.raises(ModelError, match="outside the model's folder: move the file beside"):
        settled(path)


@pytest.mark.parametrize("location", [None, "", "a\0b", "\0"])
def test_a_name_that_no_file_has_is_refused(path: Path, location: str | None) -> None:
    restate(path, {"location": location})
    with pytest.raises(ModelError, match=r"tensor 'first' names no data file that can exist"):
        settled(path)


def test_a_name_that_is_too_long_is_refused_and_shortened(path: Path) -> None:
    restate(path, {"location": "w" * 5000})
    with pytest.raises(ModelError, match=r"'w{80}\.\.\.' of tensor 'first' cannot be read: File"):
        settled(path)


def test_a_folder_and_a_pipe_are_no_data_files(path: Path) -> None:
    (path.parent / "w.bin").unlink()
    for make in (os.mkdir, os.mkfifo):
        make(path.parent / "w.bin")
        with pytest.raises(ModelError, match=r"'w\.bin', which tensor 'first' names, is no regu"):
            settled(path)
        if make is os.mkdir:
            (path.parent / "w.bin").rmdir()


def test_a_missing_file_and_a_link_to_nowhere_are_named(path: Path) -> None:
    (path.parent / "w.bin").unlink()
    for _ in range(2):
        with pytest.raises(ModelError, match=r"'w\.bin' of tensor 'first' is missing: put it"):
            settled(path)
        if not (path.parent / "w.bin").is_symlink():
            (path.parent / "w.bin").symlink_to("nowhere")


def test_a_file_that_leads_to_itself_is_named(path: Path) -> None:
    (path.parent / "w.bin").unlink()
    (path.parent / "w.bin").symlink_to("w.bin")
    with pytest.raises(ModelError, match=r"'w\.bin' of tensor 'first' cannot be read: "):
        settled(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all files")
def test_a_file_that_may_not_be_read_is_named(path: Path) -> None:
    (path.parent / "w.bin").chmod(0)
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        settled(path)


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["first", "-4", "1.5", "1" * 5000, "٣", "0x10", " 4"])
def test_a_place_that_is_no_number_is_refused(path: Path, key: str, value: str) -> None:
    restate(path, {key: value}, "first")
    with pytest.raises(ModelError, match=r"'first' names no place in 'w\.bin' \(offset and len"):
        settled(path)


@pytest.mark.parametrize("length", ["0", "95", "97"])
def test_a_length_that_does_not_fit_is_refused(path: Path, length: str) -> None:
    restate(path, {"length": length}, "first")
    with pytest.raises(ModelError, match=rf"'first' names {length} bytes .* \[4, 6\] .* need 96:"):
        settled(path)


def test_a_file_is_read_up_to_its_last_byte(path: Path) -> None:
    data = path.parent / "w.bin"
    content = data.read_bytes()
    data.write_bytes(content[:96])
    restate(path, {"offset": "0", "length": None}, "first")
    tensor = onnx.load(path, load_external_data=False).graph.initializer[0]
    settle([tensor], path)
    data.write_bytes(content[:95])
    tensor = onnx.load(path, load_external_data=False).graph.initializer[0]
    with pytest.raises(ModelError, match=r"'w\.bin' ends before tensor 'first' does: it is trunc"):
        settle([tensor], path)


def test_tensors_may_share_bytes(path: Path) -> None:
    second = settled(path).graph.initializer[2]
    restate(path, {"offset": "0"}, "second")
    assert array_of(settled(path).graph.initializer[2]).ravel().tolist() == EXPECTED[:18]
    assert second.name == "second"


def test_a_model_in_memory_must_know_the_folder(path: Path, tmp_path: Path) -> None:
    model = onnx.load(path, load_external_data=False)
    with pytest.raises(ModelError, match=r"'first' has its values in a data file, of an unknown"):
        settle(model.graph.initializer, None)
    tensor = moved(numpy_helper.from_array(np.arange(4.0), "w"), tmp_path / "v.bin")
    settle([tensor], None, 0)
    assert array_of(tensor).tolist() == [0, 1, 2, 3]


def test_values_that_do_not_fit_are_refused_wherever_they_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model in memory: tensor '' has the unknown data typ"):
        settle([TensorProto(data_type=-1)], None)
    with pytest.raises(ModelError, match=r"m\.onnx: tensor '' has the unknown data type"):
        settle([TensorProto(data_type=-1)], tmp_path / "m.onnx")


def test_a_data_file_is_named_below_the_folder() -> None:
    tensor = TensorProto()
    tensor.external_data.add(key="location", value="a/w.bin")
    assert file_of(tensor, "m.onnx") == Path("a/w.bin")
