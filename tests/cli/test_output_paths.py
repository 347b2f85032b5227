"""The outputs of a command: where they go, what is refused, and what is printed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import onnx
import pytest
from commands import error_of, invoke, refused
from graphs import mlp

from onnx_evoq.cli.output_paths import (
    check_ending,
    check_outputs,
    printable,
    show,
    target_of,
    write,
)
from onnx_evoq.errors import OptionError, OutputError


@pytest.fixture
def context() -> Iterator[click.Context]:
    """The context of a command without options."""
    with click.Context(click.Command("test")) as context:
        yield context


def check(model: Path, *outputs: Path, as_json: bool = False, **options: object) -> bool:
    return check_outputs(outputs, model, options, as_json)


# Where a model goes


def test_a_model_is_written_beside_the_float_model() -> None:
    assert target_of(Path("a/net.v2.onnx"), None, "w6") == Path("a/net.v2.w6.onnx")
    assert target_of(Path("a/net.onnx"), None, "w6", "h") == Path("a/net.w6.h")


def test_a_name_says_what_is_written() -> None:
    for output, header in (("net.onnx", False), ("net.h", True), ("-", True), ("net", True)):
        check_ending(Path(output), header)
    check_ending(None, header=True)
    with pytest.raises(OptionError, match=r"net.onnx: --format c writes a C header: name a file"):
        check_ending(Path("net.onnx"), header=True)
    with pytest.raises(OptionError, match=r"net.H: this file would hold an ONNX model: name one"):
        check_ending(Path("net.H"), header=False)


def test_a_model_is_written_where_the_user_says() -> None:
    assert target_of(Path("net.onnx"), Path("b/other"), "w6") == Path("b/other")


# What is refused


@pytest.mark.usefixtures("context")
def test_files_that_can_be_written_are_fine(mlp_file: Path) -> None:
    folder = mlp_file.parent
    assert check(mlp_file, folder / "one", folder / "two") is False
    assert check(mlp_file) is False


@pytest.mark.usefixtures("context")
def test_a_dash_is_standard_output(mlp_file: Path) -> None:
    assert check(mlp_file, mlp_file.with_name("one"), Path("-")) is True


@pytest.mark.usefixtures("context")
def test_standard_output_cannot_hold_json_too(mlp_file: Path) -> None:
    with pytest.raises(OptionError, match="--json writes to standard output, too: name a file"):
        check(mlp_file, Path("-"), as_json=True)
    assert check(mlp_file, mlp_file.with_name("out"), as_json=True) is False


@pytest.mark.usefixtures("context")
def test_the_model_itself_is_no_output(mlp_file: Path) -> None:
    with pytest.raises(OutputError, match=r"model\.onnx: is the model itself: name another file"):
        check(mlp_file, mlp_file)


@pytest.mark.usefixtures("context")
def test_the_external_data_of_the_model_are_no_output(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(mlp(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(OutputError, match=r"w\.bin: holds the model's data: name another file"):
        check(path, tmp_path / "w.bin")


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("option", "file", "given"),
    [
        ("data", "data.npz", "data.npz"),
        ("data", "feeds.py", "feeds.py:feeds"),
        ("labels", "labels.csv", "labels.csv"),
        ("policy", "policy.json", "policy.json"),
        ("metric", "mine.py", "mine.py:score"),
    ],
)
def test_a_file_that_is_read_is_no_output(
    mlp_file: Path, option: str, file: str, given: str
) -> None:
    folder = mlp_file.parent
    (folder / file).touch()
    with pytest.raises(OutputError, match=f"{file}: is what --{option} reads: name another file"):
        check(mlp_file, folder / file, **{option: folder / given})


def test_the_file_of_options_is_no_output(mlp_file: Path) -> None:
    config = mlp_file.with_name("evoq.toml")
    config.touch()
    line = refused(mlp_file, "--config", config, "-o", config)
    assert f"{config}: is what --config reads: name another file" in line


@pytest.mark.usefixtures("context")
def test_a_metric_by_its_name_is_no_file(mlp_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mlp_file.parent)
    assert check(mlp_file, Path("mse"), metric="mse") is False


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("one", "other"), [("out", "out"), ("out", "link"), ("-", "-"), ("pipe", "pipe")]
)
def test_two_outputs_are_two_files(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch, one: str, other: str
) -> None:
    monkeypatch.chdir(mlp_file.parent)
    Path("link").symlink_to("out")
    os.mkfifo("pipe")
    with pytest.raises(OutputError, match=f"{other}: another output goes there, too"):
        check(mlp_file, Path(one), Path(other))


@pytest.mark.parametrize("output", ["missing/out.onnx", "folder", "x" * 300])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, output: str
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"not looked at yet")
    (tmp_path / "folder").mkdir()
    assert f"Error: {tmp_path / output}: " in refused(model, "-o", tmp_path / output)


@pytest.mark.parametrize("option", ["--picture", "--save-policy", "--output"])
def test_search_checks_each_of_its_outputs(mlp_file: Path, option: str) -> None:
    place = mlp_file.parent / "missing" / "file"
    assert str(place) in error_of("search", mlp_file, "--budget", "1MB", option, place)


# What is written


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "out", b"content")
    assert (tmp_path / "out").read_bytes() == b"content"


def test_a_dash_is_written_to_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write(Path("-"), b"content")
    assert capfdbinary.readouterr().out == b"content"
    assert not Path("-").exists()


def test_a_pipe_is_an_output(mlp_file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    options = ["--bits", 4, "--strategy", "none", "-o", tmp_path / "pipe"]
    table = invoke("optimize", mlp_file, *options).stdout
    onnx.checker.check_model(onnx.load_from_string(os.read(reader, 2**16)))
    os.close(reader)
    assert "pipe" in table


# What is printed


def test_notes_go_to_stderr_and_the_text_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show("a table", {"a": 1}, ("mind this.",), quiet=False, as_json=False)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("a table\n", "Note: mind this.\n")


def test_json_is_one_line_instead_of_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    show("a table", {"a": [1, None]}, (), quiet=False, as_json=True)
    assert capsys.readouterr().out == '{"a": [1, null]}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        show("", {"a": float("nan")}, (), quiet=False, as_json=True)


def test_quiet_leaves_the_notes_out(capsys: pytest.CaptureFixture[str]) -> None:
    show("a table", {}, ("mind this.",), quiet=True, as_json=False)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("a table\n", "")


def test_the_text_goes_to_stderr_where_a_model_goes_to_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show("a table", {}, (), quiet=False, as_json=False, to_stderr=True)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "a table\n")


def test_notes_are_wrapped_at_80_columns_and_paths_stay_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = "/a-folder/with-hyphens/" + "x" * 90
    show("", {}, (f"{'word ' * 30}{path} end.",), quiet=False, as_json=False)
    lines = capsys.readouterr().err.splitlines()
    assert path in lines
    assert max(len(line) for line in lines if line != path) in range(70, 81)


def test_json_is_what_a_program_reads(mlp_file: Path) -> None:
    assert json.loads(invoke("inspect", mlp_file, "--json").stdout)["model"] == str(mlp_file)


def test_characters_that_steer_a_terminal_are_written_out() -> None:
    assert printable("a\x1b[31mb\x00c\nä€") == "a\\x1b[31mb\\x00c\nä€"
