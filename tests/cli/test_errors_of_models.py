"""A model that cannot be used ends a command in one line, and leaves no file behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import invoke, refused
from graphs import mlp, model_of, node
from onnx import ModelProto, external_data_helper, numpy_helper

SMALL = ["--bits", 4, "--strategy", "none", "--init", "nearest", "--samples", 16]
Save = Callable[..., Path]


def external(folder: Path) -> tuple[Path, Path]:
    """A model whose weights lie in a file of their own, and that file."""
    path = folder / "model.onnx"
    onnx.save_model(
        mlp(), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    return path, folder / "weights.bin"


def with_weight(value: float) -> ModelProto:
    """A model with `value` as the first number of its first weight."""
    model = mlp()
    array = numpy_helper.to_array(model.graph.initializer[0]).copy()
    array.flat[0] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "first"))
    return model


@pytest.mark.parametrize("content", [b"no model at all", b"", b"\x00\xff\x12", b"PK\x03\x04zip"])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    line = refused(path)
    assert str(path) in line
    assert "not an ONNX file" in line
    assert "export" in line


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_named(mlp_file: Path, share: float) -> None:
    content = mlp_file.read_bytes()
    mlp_file.write_bytes(content[: int(share * len(content))])
    line = refused(mlp_file)
    assert str(mlp_file) in line


def test_external_data_that_are_missing_are_named(tmp_path: Path) -> None:
    path, data = external(tmp_path)
    data.unlink()
    line = refused(path)
    assert "'weights.bin'" in line
    assert "missing: put it beside the model" in line


def test_external_data_that_are_truncated_are_named(tmp_path: Path) -> None:
    path, data = external(tmp_path)
    data.write_bytes(data.read_bytes()[:-4])
    line = refused(path)
    assert "'weights.bin'" in line
    assert "truncated; copy it again" in line


@pytest.mark.parametrize("index", ["../weights.bin", "absolute"])
def test_external_data_outside_the_folder_are_refused(tmp_path: Path, index: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path, data = external(folder)
    data.rename(tmp_path / "weights.bin")
    location = str(tmp_path / "weights.bin") if index == "absolute" else index
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        entry = next(e for e in tensor.external_data if e.key == "location")
        entry.value = location
    path.write_bytes(model.SerializeToString())
    line = refused(path)
    assert "outside the model's folder: move the file beside the model" in line


def test_external_data_in_the_folder_are_read(tmp_path: Path) -> None:
    path, _ = external(tmp_path)
    assert external_data_helper.uses_external_data(
        onnx.load(path, load_external_data=False).graph.initializer[0]
    )
    assert "emitted" in invoke("optimize", path, *SMALL).stdout


def test_external_data_at_no_place_are_refused(tmp_path: Path) -> None:
    path, _ = external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "offset":
            entry.value = "soon"
    path.write_bytes(model.SerializeToString())
    assert "offset and length must be whole numbers" in refused(path)


def test_a_model_without_weights_is_refused(save: Save) -> None:
    path = save(model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {}))
    line = refused(path)
    assert f"{path}: has no weights to quantize" in line
    assert "it has no initializers" in line


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_refused(save: Save, value: float) -> None:
    assert "first" in refused(save(with_weight(value)))


def test_a_model_that_is_quantized_already_is_refused(mlp_file: Path) -> None:
    quantized = mlp_file.with_name("quantized.onnx")
    invoke("optimize", mlp_file, *SMALL, "-o", quantized)
    line = refused(quantized)
    assert f"{quantized}: already quantized (it holds DequantizeLinear nodes)" in line
    assert "give the float model" in line
    assert line.endswith("or have its weights quantized anew (--requantize).")
    invoke("optimize", quantized, *SMALL, "--requantize", "-o", mlp_file.with_name("again.onnx"))


@pytest.mark.parametrize("opset", [5, 99])
def test_an_operator_set_that_is_not_supported_is_named(save: Save, opset: int) -> None:
    model = mlp()
    model.opset_import[0].version = opset
    line = refused(save(model))
    assert f"operator set {opset} is not supported: export the model with one from 7" in line


def test_a_model_that_onnx_finds_invalid_is_refused(save: Save) -> None:
    model = mlp()
    model.graph.node[0].input[1] = "nowhere"
    assert "not a valid ONNX model" in refused(save(model))


def test_a_model_that_onnx_runtime_cannot_load_is_refused(save: Save) -> None:
    model = mlp()
    model.graph.node[2].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    assert "ONNX Runtime cannot load it" in refused(save(model))
