"""Models with data files, from the command line: read, run, and written with data files."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import invoke, refused
from external_models import ids, restate, saved, table_net

from onnx_evoq.model import serialize

SMALL = ["--bits", 4, "--strategy", "none", "--init", "nearest", "--samples", 16]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "ids.npz", ids=ids(16))
    return tmp_path / "ids.npz"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return saved(table_net(), tmp_path / "net.onnx")


def test_a_data_file_is_written_where_the_model_has_one(path: Path, data: Path) -> None:
    shown = json.loads(invoke("optimize", path, *SMALL, "--data", data, "--json").stdout)
    emitted, values = path.with_name("net.w4.onnx"), path.with_name("net.w4.onnx.data")
    assert shown["bytes_after"] == emitted.stat().st_size + values.stat().st_size
    weights = path.with_name("weights.bin")
    assert shown["bytes_before"] == path.stat().st_size + weights.stat().st_size
    onnx.checker.check_model(str(emitted))
    scored = invoke("evaluate", emitted, "--data", data, "--reference", path, "--json").stdout
    (path.parent / "one").mkdir()
    one = path.parent / "one" / "net.onnx"
    one.write_bytes(serialize(table_net()))
    same = json.loads(invoke("optimize", one, *SMALL, "--data", data, "--json").stdout)
    assert same["scores"] == shown["scores"]
    of_one = one.with_name("net.w4.onnx")
    again = invoke("evaluate", of_one, "--data", data, "--reference", one, "--json").stdout
    assert json.loads(again)["value"] == json.loads(scored)["value"]
    text = invoke("optimize", path, *SMALL, "--data", data, "-q").stdout
    assert text.rstrip().endswith(f"{emitted} (and {values.name})")


def test_standard_output_gets_one_file(path: Path, data: Path) -> None:
    written = invoke("optimize", path, *SMALL, "--data", data, "-o", "-").stdout_bytes
    model = onnx.ModelProto.FromString(written)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert sorted(p.name for p in path.parent.iterdir()) == ["ids.npz", "net.onnx", "weights.bin"]


def test_a_data_file_replaces_no_input(tmp_path: Path) -> None:
    path = saved(table_net(), tmp_path / "net.onnx", "out.onnx.data")
    line = refused(path, "-o", tmp_path / "out.onnx")
    assert "out.onnx.data: holds the model's data: name another file" in line
    np.savez(tmp_path / "ids.npz", ids=ids(16))
    (tmp_path / "ids.npz").rename(tmp_path / "n.onnx.data")
    (tmp_path / "labels.csv").symlink_to("n.onnx.data")
    line = refused(path, "-o", tmp_path / "n.onnx", "--labels", tmp_path / "n.onnx.data")
    assert "n.onnx.data: is what --labels reads" in line


def test_a_folder_in_the_place_of_the_data_file_is_named(path: Path) -> None:
    path.with_name("net.w4.onnx.data").mkdir()
    assert "net.w4.onnx.data: is a folder" in refused(path)


def test_a_cache_of_links_is_read(tmp_path: Path, data: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshots" / "1").mkdir(parents=True)
    saved(table_net(), tmp_path / "blobs" / "a", "b")
    restate(tmp_path / "blobs" / "a", {"location": "model.onnx_data"})
    for name, blob in (("model.onnx", "a"), ("model.onnx_data", "b")):
        (tmp_path / "snapshots" / "1" / name).symlink_to(f"../../blobs/{blob}")
    path = tmp_path / "snapshots" / "1" / "model.onnx"
    assert "emitted" in invoke("optimize", path, *SMALL, "--data", data).stdout
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == ["model.onnx", "model.onnx_data", "model.w4.onnx", "model.w4.onnx.data"]
    assert sorted(each.name for each in (tmp_path / "blobs").iterdir()) == ["a", "b"]
    assert "Gather" in invoke("inspect", path).stdout


def test_a_pipe_in_the_place_of_the_data_file_does_not_hang(path: Path) -> None:
    (path.parent / "weights.bin").unlink()
    os.mkfifo(path.parent / "weights.bin")
    assert "'weights.bin', which tensor 'e' names, is no regular file" in refused(path)


@pytest.mark.parametrize("location", ["a\0b", "w" * 5000, "../secret"])
def test_names_of_data_files_are_checked_before_the_output(path: Path, location: str) -> None:
    restate(path, {"location": location})
    assert "tensor 'e'" in refused(path)
