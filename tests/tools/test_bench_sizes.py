"""Made models of the benchmark are whole, and the processes that it starts end with it."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import onnx
import pytest
from bench_sizes import BUSY, HEADER, ended, shown
from bench_sizes_cases import CASES, Case, Place, growth, no_data, photographs, prepared
from size_graph import check, count_weights
from size_models import bert, resnet, yolov8n

from onnx_evoq.report import table

SMALL = {"width": 1 / 16, "size": 32, "classes": 5}
MAKERS: dict[str, Callable[[Path], None]] = {
    "basic": partial(resnet, blocks=(1, 1), bottleneck=False, **SMALL),
    "bottleneck": partial(resnet, blocks=(1, 1), bottleneck=True, **SMALL),
    "bert": partial(bert, width=64, blocks=1, tokens=4, vocabulary=20),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_made_model_is_valid(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path / "made.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "made.onnx"), full_check=True)


def test_a_detector_gives_boxes_and_scores_of_all_places(tmp_path: Path) -> None:
    yolov8n(tmp_path / "made.onnx", size=32)
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "made.onnx"), strict_mode=True)
    shape = model.graph.output[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim[1:]] == [84, 16 + 4 + 1]
    assert count_weights(tmp_path / "made.onnx") == pytest.approx(3.15e6, rel=0.01)


def test_outputs_that_say_nothing_are_found(tmp_path: Path) -> None:
    MAKERS["basic"](tmp_path / "made.onnx")
    same = np.ones((2, 3, 32, 32), np.float32)
    with pytest.raises(ValueError, match="differ by 0 only"):
        check(tmp_path / "made.onnx", {"x": same})


def test_a_model_and_its_data_are_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(file: Path) -> None:
        made.append(file)
        MAKERS["basic"](file)

    case = Case(
        "small", "small.onnx", 2, partial(photographs, "none", 32, ["--divide", "255"]), make
    )
    for _ in range(2):
        ready = prepared(case, Place(None, tmp_path))
    assert ready
    assert made == [ready.model]
    assert ready.options == ["--data", str(tmp_path / "images_2_32.npz"), "--divide", "255"]
    images = np.load(ready.options[1])["x"]
    assert (images.shape, images.dtype) == ((2, 3, 32, 32), np.uint8)


def test_a_model_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert prepared(Case("none", "none.onnx", 2, no_data), Place(tmp_path, tmp_path)) is None


def test_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    names = [case.name for group in growth().values() for case in group]
    assert len(set(names)) == len(names) - 2  # the three tables share one case


def test_a_table_is_no_wider_than_a_terminal() -> None:
    row = {
        "model": max((case.name for case in CASES), key=len), "weights": 109e6, "samples": 256,
        "cpu_seconds": 12345.6, "wall_seconds": 12345.6, "peak_mb": 12345, "mse_nearest": 1.23e-10,
        "mse": 1.23e-10,
    }  # fmt: skip
    assert row["model"] in table(HEADER, [shown(row)])


def test_an_exit_code_is_reported() -> None:
    status, usage = ended(Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"]), None)
    assert status == 3
    assert usage.ru_maxrss > 1000


def test_a_busy_process_ends_with_its_parent() -> None:
    code = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-S', '-c', sys.argv[1], str(os.getpid())])"
    )
    with Popen([sys.executable, "-S", "-c", code, BUSY], stdout=PIPE) as parent:
        assert parent.communicate(timeout=30) == (b"", None)  # the end of what both print
