"""A verification as a table."""

from dataclasses import replace

from onnx_evoq import Verification
from onnx_evoq.report import verification_text

FOUND = Verification(
    "net.w4.onnx", "0.1.0", 7, {"format": "qdq", "bits": 4}, 10, True, is_reference=True,
    metric="mse", value=0.0012, recorded=0.0011, agreement=0.975,
)  # fmt: skip


def test_what_was_checked_is_a_table() -> None:
    assert verification_text(FOUND).splitlines() == [
        "checked                 found",
        "graph and values        as written",
        "weights on their grids  10 of 10",
        "float model             as recorded",
        "mse against it          0.0012 (recorded 0.0011)",
        "equal answers           97.5 %",
        "",
        "net.w4.onnx: written by onnx-evoq 0.1.0, seed 7, format qdq, bits 4",
        "All is as recorded.",
    ]


def test_without_a_reference_there_are_fewer_rows() -> None:
    alone = replace(FOUND, is_reference=None, value=None, recorded=None, agreement=None)
    assert len(verification_text(alone).splitlines()) == 6


def test_faults_are_listed() -> None:
    found = replace(
        FOUND, unchanged=False, off_grid=("w1",), is_reference=False, recorded=None,
        faults=("one.", "x" * 30 + " " + "y" * 60),
    )  # fmt: skip
    lines = verification_text(found).splitlines()
    assert "graph and values        CHANGED" in lines
    assert "weights on their grids  9 of 10" in lines
    assert "float model             ANOTHER" in lines
    assert "mse against it          0.0012" in lines
    assert lines[-4:] == ["2 faults:", "- one.", "- " + "x" * 30, "  " + "y" * 60]
    assert "All is as recorded." not in lines


def test_lines_have_80_columns_at_most() -> None:
    options = {f"option {index}": "value" for index in range(20)}
    long = replace(FOUND, metric="file.py:" + "f" * 60, options=options)
    assert max(map(len, verification_text(long).splitlines())) <= 80
