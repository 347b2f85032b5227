"""Samples that cannot be used end a command in one line, and leave no file behind."""

from pathlib import Path

import numpy as np
import pytest
from commands import invoke, refused
from graphs import random

ROUNDING = ["--strategy", "none", "--init", "nearest"]


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"other": random(8, 4)}, "holds 'other', but the model's input is 'x'"),
        ({"x": random(8, 5)}, "has shape (8, 5), but the model takes"),
        ({"x": random(8, 4, 2)}, "has shape (8, 4, 2), but the model takes"),
        ({"x": np.array([["a"] * 4] * 8)}, "holds <U1, and the model takes float32: give numbers"),
        (
            {"x": random(8, 4).astype(complex)},
            "holds complex128, and the model takes float32",
        ),
        ({"x": np.float32(1)}, "is a single number: give an array"),
        ({"x": random(0, 4)}, "holds no samples: give a few hundred"),
        ({"x": random(1, 4)}, "give at least two"),
        ({"x": np.full((8, 4), np.nan)}, "'x' holds NaN or infinity: clean the samples"),
        ({"x": np.full((8, 4), np.inf)}, "'x' holds NaN or infinity: clean the samples"),
        ({"x": random(8, 4), "y": np.arange(7)}, "8 samples but 7 labels in 'y'"),
        ({"x": random(8, 4), "y": np.full(8, 3)}, "number them from 0 to 2"),
        ({"x": random(8, 4), "y": np.full(8, -1)}, "number them from 0 to 2"),
        ({}, "holds no array, but the model's input is 'x'"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    mlp_file: Path, tmp_path: Path, arrays: dict[str, np.ndarray], named: str
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    assert named in refused(mlp_file, "--data", tmp_path / "bad.npz")


@pytest.mark.parametrize("labels", [np.full(8, 0.5), np.array(["cat"] * 8), np.eye(3)[[0] * 8]])
def test_labels_that_are_no_classes_are_refused_by_a_metric_of_labels(
    mlp_file: Path, tmp_path: Path, labels: np.ndarray
) -> None:
    np.savez(tmp_path / "bad.npz", x=random(8, 4), y=labels)
    message = refused(mlp_file, "--data", tmp_path / "bad.npz", "--metric", "top1")
    assert "hold no class numbers: give one whole number per sample" in message


def test_data_that_do_not_fit_are_named(mlp_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", x=random(8, 5))
    assert str(tmp_path / "bad.npz") in refused(mlp_file, "--data", tmp_path / "bad.npz")


def test_pickled_data_are_not_loaded(mlp_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, x=np.array([{"a": 1}, {"b": 2}], dtype=object))
    assert f"{path} (x.npy): holds pickled objects" in refused(mlp_file, "--data", path)


@pytest.mark.parametrize("name", ["bad.npz", "bad.npy"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_data_that_cannot_be_read_are_named(mlp_file: Path, name: str, content: bytes) -> None:
    path = mlp_file.with_name(name)
    path.write_bytes(content)
    assert str(path) in refused(mlp_file, "--data", path)


@pytest.mark.parametrize("name", ["missing.npz", "missing.npy", "missing"])
def test_data_that_are_missing_are_named(mlp_file: Path, name: str) -> None:
    path = mlp_file.with_name(name)
    line = refused(mlp_file, "--data", path)
    assert str(path) in line
    assert "no such file" in line.lower()


def test_data_of_an_unknown_kind_are_refused(mlp_file: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2,3,4\n")
    line = refused(mlp_file, "--data", tmp_path / "data.csv")
    assert "neither .npz, .npy, a folder nor package.module:function" in line


def test_a_function_of_data_that_raises_is_named(mlp_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "feeds.py"
    path.write_text("def feeds():\n    raise RuntimeError('no disk')\n")
    line = refused(mlp_file, "--data", f"{path}:feeds")
    assert f"{path}:feeds" in line
    assert "no disk" in line


@pytest.mark.parametrize(
    "option", [["--divide", "255"], ["--mean", "1"], ["--std", "2"], ["--resize", "8"]]
)
def test_preprocessing_without_data_is_refused(mlp_file: Path, option: list[str]) -> None:
    line = refused(mlp_file, *option)
    assert f"{option[0][2:]} is given, but no data" in line


def test_a_range_of_synthetic_inputs_beside_data_is_refused(mlp_file: Path, mlp_data: Path) -> None:
    line = refused(mlp_file, "--data", mlp_data, "--input-range", "0,1")
    assert "input_range is for synthetic inputs: leave it out" in line


def test_means_that_are_not_one_per_channel_are_refused(conv_file: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=random(8, 3, 8, 8))
    line = refused(conv_file, "--data", tmp_path / "images.npz", "--mean", "1,2")
    assert "'x' has 3 channels but 2 values of mean" in line


@pytest.mark.parametrize("option", ["--divide", "--std"])
def test_a_divisor_of_zero_is_named(mlp_file: Path, mlp_data: Path, option: str) -> None:
    message = refused(mlp_file, "--data", mlp_data, option, "0")
    assert f"{option[2:]} is 0" in message


def test_arrays_are_read_whatever_their_file_is_called(mlp_file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", random(20, 4))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    np.savez(tmp_path / "several.npz", x=random(20, 4))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    for name in ("one.npz", "several.npy"):
        options = ["--bits", 4, *ROUNDING, "--data", tmp_path / name]
        assert "no data" not in invoke("optimize", mlp_file, *options).stderr
