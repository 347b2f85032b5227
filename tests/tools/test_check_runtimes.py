"""Files run in runtimes as the table says, and what a runtime cannot do takes nothing down."""

import json
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from check_runtimes import columns_that_fit, compared, heading, letter_of, main, shown, wrong
from check_runtimes_kinds import Emitted
from check_runtimes_processes import LONGEST, outcomes, reason
from check_runtimes_runs import RUNTIMES, installed, with_samples
from graphs import model_of, node
from odd_runtimes import echo

VALUES = np.array([[1, 3, 2], [4, 0, 0]], np.float32)
FEED = {"x": VALUES}
FILE = Emitted("net", "W8A8", 13, b"", FEED, {"y": VALUES})


def test_a_crash_costs_one_file() -> None:
    contents = (b"", b"crash", b"no", b"signal", b"")
    found = list(outcomes(echo, [(content, FEED) for content in contents]))
    assert found[1:4] == [
        "crashes with exit code 3: no room left", "Unsupported data type INT2",
        "crashes with SIGABRT",
    ]  # fmt: skip
    for outputs in (found[0], found[4]):
        np.testing.assert_array_equal(outputs, [VALUES])


def test_a_file_that_takes_too_long_is_given_up() -> None:
    assert list(outcomes(echo, [(b"hang", FEED)], seconds=1)) == ["takes more than 1 s"]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Exception from a.cpp:1:\nUnsupported data type INT2\n", "Unsupported data type INT2"),
        (
            "Fails\n\nCaused by:\n    0: Shapes\n    1: No 3 of 4\n\nStack backtrace:\n a",
            "No 3 of 4",
        ),
        ("Error code: 1\nDiagnostics:\n<stdin>:1:2: error: no such operator", "no such operator"),
        ("\n", ""),
        ("a" * 999, "a" * (LONGEST - 3) + " .."),
        ("a" * LONGEST, "a" * LONGEST),
    ],
)
def test_a_reason_is_the_line_that_says_what_is_wrong(message: str, told: str) -> None:
    assert reason(message) == told


def test_outputs_are_compared_with_what_was_scored() -> None:
    other = np.array([[1, 3, 2], [0, 1, 0]], np.float32)
    assert compared(FILE, [other]) == {"difference": 1.0, "same": 0.5, "reason": None}
    assert compared(FILE, [VALUES]) == {"difference": 0.0, "same": 1.0, "reason": None}
    assert compared(FILE, "no room")["reason"] == "no room"
    assert compared(FILE, [VALUES[:1]])["reason"] == "gives outputs of the shapes [(1, 3)]"


def test_the_table_shows_differences_and_reasons() -> None:
    found: list[dict[str, Any]] = [
        {"runtime": "one", "difference": 0.0123, "same": 0.5, "reason": None},
        {"runtime": "two", "difference": None, "same": None, "reason": "no room"},
        {"runtime": "three", "difference": 0.0, "same": 1.0, "reason": None},
    ]
    rows = [{"kind": "W8A8", **row} for row in found]
    assert shown("net", [FILE], rows, ["one", "two", "three"]).splitlines() == [
        "net",
        "",
        "kind  opset       one  two  three",
        "W8A8     13  1e-02 50    a  0 100",
        "",
        "a  no room",
    ]


def test_other_answers_and_files_that_are_not_read_are_wrong() -> None:
    about = {"model": "net", "kind": "W4 INT8", "version": "1.0"}
    found = [
        {**about, "runtime": "one", "same": 0.95, "reason": None},
        {**about, "runtime": "two", "same": 0.94, "reason": None},
        {**about, "runtime": "three", "same": None, "reason": "no room"},
    ]
    assert list(wrong(found)) == [
        "net, W4 INT8, two 1.0: 94 % of the answers are the same",
        "net, W4 INT8, three 1.0: no room",
    ]


def test_a_check_runs_what_should_be_right_and_fails_if_it_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = []

    def emitted(case: object, kind: str) -> Emitted:
        kinds.append(kind)
        return FILE

    monkeypatch.setattr("check_runtimes.emitted", emitted)
    monkeypatch.setattr("check_runtimes.outcomes", lambda run, contents: [[-VALUES]] * 3)
    words = ["--check", "--only", "onnxruntime", "openvino", "--models", "digits_resnet", "--json"]
    monkeypatch.setattr(sys, "argv", ["check_runtimes.py", *words])
    with pytest.raises(SystemExit, match=r"onnxruntime .*: 0 % of the answers are the same"):
        main()
    assert kinds == ["W4 INT8", "W4 float", "W4A8 portable"]
    monkeypatch.setattr(sys, "argv", ["check_runtimes.py", "--check", "--only", "mnn"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_columns_stand_in_tables_that_fit() -> None:
    widths = {"a": 5, "b": 4, "c": 9}
    assert list(columns_that_fit(widths, 13)) == [["a", "b"], ["c"]]
    assert list(columns_that_fit(widths, 12)) == [["a"], ["b"], ["c"]]
    assert list(columns_that_fit(widths, 24)) == [["a", "b", "c"]]


def test_letters_go_on_after_z() -> None:
    assert [letter_of(index) for index in (0, 25, 26, 52)] == ["a", "z", "aa", "ba"]


def test_runtimes_that_are_not_installed_are_named() -> None:
    assert installed("onnxruntime") is not None
    assert installed("onnxruntime", "no-such-package") is None
    lines = heading({"one": "1.0", "two": None, "three": "3.0"}).splitlines()
    assert lines[-2:] == ["runtimes: one 1.0, three 3.0", "not installed: two"]


def test_a_model_with_a_free_batch_is_given_the_samples_of_a_feed() -> None:
    free = model_of([node("Relu", ["x"], ["y"])], {"x": ("n", 3)}, {"y": ("n", 3)}, {})
    free.graph.value_info.append(onnx.helper.make_tensor_value_info("z", 1, ("n", 3)))
    fixed = with_samples(free.SerializeToString(), FEED)
    for value in (fixed.graph.input[0], fixed.graph.output[0]):
        assert [size.dim_value for size in value.type.tensor_type.shape.dim] == [2, 3]
    assert len(fixed.graph.value_info) == 0


@pytest.mark.parametrize("key", ["ort-node", "ort-web"])
def test_javascript_gives_what_python_gives(key: str) -> None:
    if RUNTIMES[key].version() is None:
        pytest.skip("not installed by npm")
    doubled = model_of([node("Add", ["x", "x"], ["y"])], {"x": (2, 3)}, {"y": (2, 3)}, {})
    np.testing.assert_array_equal(
        RUNTIMES[key].run(doubled.SerializeToString(), FEED), [2 * VALUES]
    )


def test_onnxruntime_and_the_reference_read_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--only", "onnxruntime", "reference", "--kinds", "W4 INT4", "W8A8", "--json"]
    monkeypatch.setattr(sys, "argv", ["check_runtimes.py", "--models", "digits_resnet", *words])
    monkeypatch.setattr("check_runtimes_kinds.TESTED", 2)
    monkeypatch.setattr("check_runtimes_kinds.CALIBRATION", 32)
    main()
    rows = {
        (row["runtime"], row["kind"]): row
        for row in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert len(rows) == 4
    for runtime in ("onnxruntime", "reference"):
        row = rows[runtime, "W4 INT4"]
        assert row["difference"] < 1e-5
        assert (row["opset"], row["same"], row["reason"]) == (21, 1.0, None)
    assert rows["onnxruntime", "W8A8"]["difference"] == 0


def test_real_models_need_their_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check_runtimes.py", "--models", "resnet20"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "resnet20 needs --shared DIR" in capsys.readouterr().err
