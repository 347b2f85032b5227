"""Metrics, patterns and policies that cannot be used end a command in one line."""

from pathlib import Path

import pytest
from commands import error_of, files, refused


def test_an_unknown_metric_is_refused(mlp_file: Path) -> None:
    line = refused(mlp_file, "--metric", "accuracy")
    assert "unknown metric 'accuracy': choose auto, mse" in line


@pytest.mark.parametrize("metric", ["top1", "top5", "cross_entropy"])
def test_a_metric_that_needs_labels_says_so(mlp_file: Path, metric: str) -> None:
    line = refused(mlp_file, "--metric", metric)
    assert repr(metric) in line
    assert "labels" in line


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("raise ValueError('bad sum')", "failed: ValueError: bad sum"),
        ("return float('nan')", "returns NaN"),
        ("return 'high'", "returned str: return one number"),
        ("return None", "returned NoneType: return one number"),
    ],
)
def test_a_metric_that_fails_is_named(
    mlp_file: Path, tmp_path: Path, body: str, named: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def score(outputs, labels):\n    {body}\n\n\nscore.higher_is_better = True\n")
    line = refused(mlp_file, "--metric", f"{path}:score")
    assert f"{path}:score" in line
    assert named in line


def test_a_metric_must_say_which_way_is_better(mlp_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def score(outputs, labels):\n    return 1.0\n")
    line = refused(mlp_file, "--metric", f"{path}:score")
    assert "set score.higher_is_better = True (or False)" in line


@pytest.mark.parametrize(
    ("function", "named"),
    [
        ("mine.py:other", "no function named 'other'"),
        ("missing.py:score", "no such file"),
        ("broken.py:score", "SyntaxError"),
    ],
)
def test_a_metric_that_cannot_be_imported_is_named(
    mlp_file: Path, tmp_path: Path, function: str, named: str
) -> None:
    (tmp_path / "mine.py").write_text("def score(outputs, labels):\n    return 1.0\n")
    (tmp_path / "broken.py").write_text("def score(:\n")
    line = refused(mlp_file, "--metric", f"{tmp_path}/{function}")
    assert function.partition(":")[0] in line
    assert named in line


def test_a_module_that_exits_is_named(mlp_file: Path, tmp_path: Path) -> None:
    code = tmp_path / "leaving.py"
    code.write_text("raise SystemExit(3)\n")
    assert "SystemExit: 3" in refused(mlp_file, "--metric", f"{code}:score")


@pytest.mark.parametrize(("option", "value"), [("keep", "nothing*"), ("bits-for", "nothing*=8")])
def test_a_pattern_that_matches_nothing_is_refused(mlp_file: Path, option: str, value: str) -> None:
    line = refused(mlp_file, f"--{option}", value)
    assert f"{option} 'nothing*' matches no weight: the weights are first, second" in line


def test_keeping_every_weight_is_refused(mlp_file: Path) -> None:
    assert "leaves no weight to quantize: keep fewer" in refused(mlp_file, "--keep", "*")


def test_an_unknown_provider_is_refused(mlp_file: Path) -> None:
    line = refused(mlp_file, "--providers", "abacus,cpu")
    assert "provider 'abacus' is not available: choose among" in line
    assert "CPUExecutionProvider" in line


def test_a_c_header_has_one_type_of_codes(mlp_file: Path) -> None:
    line = refused(mlp_file, "--format", "c", "--storage", "int4")
    assert "format c stores codes as int8_t: leave the storage out." in line


def test_a_c_header_is_not_for_a_target_that_reads_qonnx_alone(mlp_file: Path) -> None:
    line = refused(mlp_file, "--format", "c", "--target", "qonnx")
    assert "format c and target qonnx contradict each other: leave one of them out." in line


def test_a_model_has_no_name_of_a_header_and_a_header_none_of_a_model(mlp_file: Path) -> None:
    line = refused(mlp_file, "--format", "c", "-o", mlp_file.with_name("net.ONNX"))
    assert "net.ONNX: --format c writes a C header: name a file that ends in .h." in line
    line = refused(mlp_file, "-o", mlp_file.with_name("net.h"))
    assert "net.h: this file would hold an ONNX model: name one that ends in .onnx" in line


def test_an_older_output_stays_whole_when_a_run_fails(mlp_file: Path, tmp_path: Path) -> None:
    older = tmp_path / "out.onnx"
    older.write_bytes(b"older")
    refused(mlp_file, "-o", older, "--metric", "accuracy")
    assert older.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("no json", "cannot be read as JSON"),
        ("{}", "is no policy, which looks like"),
        ('{"bits": {"first": 4}}', "the policy has no bits for 'second'"),
        ('{"bits": {"first": 4, "second": 4, "w": 4}}', "the policy names 'w'"),
        ('{"bits": {"first": 4, "second": [4]}}', "has 1 widths for 'second', which has 3"),
        (
            '{"bits": {"first": 4, "second": 4}, "expansion": {"second": 0.5}}',
            "the channels of 'second' cannot be split: its output is an output of the model",
        ),
    ],
)
@pytest.mark.parametrize("command", ["optimize", "search"])
def test_a_policy_that_does_not_fit_is_refused(
    mlp_file: Path, tmp_path: Path, content: str, text: str, command: str
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(content)
    before = files(tmp_path)
    assert text in error_of(command, mlp_file, "--policy", policy)
    assert files(tmp_path) == before
