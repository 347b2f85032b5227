"""A hash of all that a model's files hold."""

import sys
from hashlib import sha256
from pathlib import Path

import onnx
import pytest
from graphs import mlp

from onnx_evoq.errors import ModelError
from onnx_evoq.model import content_hash, graph_hash


def test_it_is_the_hash_of_the_file(mlp_file: Path) -> None:
    assert content_hash(mlp_file) == sha256(mlp_file.read_bytes()).hexdigest()
    assert content_hash(str(mlp_file)) == content_hash(mlp())


def test_the_data_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    onnx.save_model(mlp(), file, save_as_external_data=True, location="net.data", size_threshold=0)
    before = content_hash(file)
    data = tmp_path / "net.data"
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    assert content_hash(file) != before


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        content_hash(tmp_path / "missing.onnx")


def test_a_model_that_no_file_could_hold_has_the_hash_of_its_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["onnx_evoq.model.files.load"], "_MOST_BYTES", 100)
    assert content_hash(mlp()) == graph_hash(mlp())
    assert content_hash(mlp()) != content_hash(mlp(opset=18))
