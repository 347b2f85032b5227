"""Files are written completely or not at all, and pipes and devices are written into."""

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from onnx_evoq.errors import OutputError
from onnx_evoq.output_file import (
    check_writable,
    is_stdout,
    print_stdout,
    replacing,
    same_file,
    write_all,
    write_file,
    write_stdout,
)

Write = Callable[[Path], None]
BOTH = pytest.mark.parametrize("write", [check_writable, lambda path: write_file(path, b"new")])


def mode_of(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def seen_as(monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    """Let all paths look like a file of this kind."""
    seen = os.stat_result([kind | 0o666, *[0] * 9])
    monkeypatch.setattr(Path, "stat", lambda path, **_: seen)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe and the descriptor of its reader."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    yield tmp_path / "pipe", reader
    os.close(reader)


# A regular file, or none


def test_the_content_is_written_and_no_other_file(tmp_path: Path) -> None:
    write_file(tmp_path / "a.onnx", b"content")
    assert names(tmp_path) == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == b"content"


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"older and longer")
    write_file(tmp_path / "a.onnx", b"new")
    assert (tmp_path / "a.onnx").read_bytes() == b"new"


def test_who_reads_an_older_file_reads_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"older")
    with (tmp_path / "a.onnx").open("rb") as reader:
        write_file(tmp_path / "a.onnx", b"new")
        assert reader.read() == b"older"


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    write_file(tmp_path / ("x" * 255), b"content")
    assert names(tmp_path) == ["x" * 255]


@BOTH
def test_a_missing_folder_is_named(tmp_path: Path, write: Write) -> None:
    with pytest.raises(OutputError, match=r"a\.onnx: cannot be written .*: choose another place"):
        write(tmp_path / "nowhere" / "a.onnx")


@BOTH
def test_a_file_is_no_folder(tmp_path: Path, write: Write) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a\.onnx: cannot be written \(Not a directory\)"):
        write(tmp_path / "file" / "a.onnx")


@BOTH
def test_a_folder_is_no_file(tmp_path: Path, write: Write) -> None:
    with pytest.raises(OutputError, match="is a folder: name a file in it"):
        write(tmp_path)


@BOTH
def test_a_file_that_may_not_be_written_is_named(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.onnx").write_bytes(b"older")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(OutputError, match=r"a\.onnx: may not be written: change its mode"):
        write(tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == b"older"


@pytest.mark.parametrize("step", ["touch", "open", "chmod", "replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_after_any_failure_the_older_file_is_complete_and_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    (tmp_path / "a.onnx").write_bytes(b"older")
    monkeypatch.setattr(Path, step, fail)
    with pytest.raises((OutputError, KeyboardInterrupt)) as caught:
        write_file(tmp_path / "a.onnx", b"new")
    monkeypatch.undo()
    assert names(tmp_path) == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == b"older"
    if isinstance(failure, OSError):
        assert str(caught.value) == (
            f"{tmp_path / 'a.onnx'}: cannot be written (No space left): choose another place."
        )


# Several files at once


def write_both(folder: Path) -> None:
    with replacing(folder / "a.data", folder / "a.onnx") as (data, model):
        write_all(data, b"values")
        write_all(model, b"graph")


@pytest.mark.parametrize("there", [True, False])
def test_files_are_replaced_together(tmp_path: Path, there: bool) -> None:
    (tmp_path / "a.onnx").write_bytes(b"older")
    if there:
        (tmp_path / "a.data").write_bytes(b"older values")
    write_both(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.data": b"values",
        "a.onnx": b"graph",
    }


@pytest.mark.parametrize("step", ["touch", "open", "chmod"])
def test_after_a_failure_no_file_of_several_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / "a.onnx").write_bytes(b"older")
    calls, original = [], getattr(Path, step)

    def fail(path: Path, *arguments: Any, **options: Any) -> Any:
        calls.append(path)
        if len(calls) == (1 if step == "chmod" else 2):
            raise OSError(errno.ENOSPC, "No space left")
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, step, fail)
    with pytest.raises(OutputError, match=r"a\.onnx: cannot be written \(No space left\)"):
        write_both(tmp_path)
    assert names(tmp_path) == ["a.onnx"]
    monkeypatch.undo()
    assert (tmp_path / "a.onnx").read_bytes() == b"older"


def test_a_folder_or_a_pipe_in_the_place_of_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.data").mkdir()
    with pytest.raises(OutputError, match=r"a\.data: is a folder: name a file in it"):
        write_both(tmp_path)
    (tmp_path / "a.data").rmdir()
    os.mkfifo(tmp_path / "a.data")
    with pytest.raises(OutputError, match=r"a\.data: is no regular file: name another file"):
        write_both(tmp_path)
    assert names(tmp_path) == ["a.data"]


# Its mode and owner


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_gets_the_mode_of_any_other(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_file(tmp_path / "a.onnx", b"content")
        assert mode_of(tmp_path / "a.onnx") == mode
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_an_older_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a.onnx").touch()
    (tmp_path / "a.onnx").chmod(mode)
    write_file(tmp_path / "a.onnx", b"new")
    assert mode_of(tmp_path / "a.onnx") == mode


def test_the_new_version_of_a_private_file_is_private_before_it_has_content(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.onnx").touch(0o600)
    with replacing(tmp_path / "a.onnx"):
        modes = [mode_of(path) for path in tmp_path.iterdir()]
    assert modes == [0o600, 0o600]


def test_an_older_file_keeps_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    (tmp_path / "a.onnx").touch()
    found = (tmp_path / "a.onnx").stat()
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((user, group)))
    write_file(tmp_path / "a.onnx", b"new")
    assert given == [(-1, found.st_gid), (found.st_uid, -1)]


def test_an_owner_that_may_not_be_set_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    (tmp_path / "a.onnx").touch()
    monkeypatch.setattr(os, "chown", refuse)
    write_file(tmp_path / "a.onnx", b"new")
    assert (tmp_path / "a.onnx").read_bytes() == b"new"


# Links


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_kept_and_its_target_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "folder").mkdir()
    place = tmp_path / "folder" / "a.onnx"
    if there:
        place.write_bytes(b"older")
    (tmp_path / "inner").symlink_to("folder/a.onnx")
    (tmp_path / "outer").symlink_to("inner")
    write_file(tmp_path / "outer", b"new")
    assert (tmp_path / "outer").is_symlink()
    assert (tmp_path / "inner").is_symlink()
    assert not place.is_symlink()
    assert place.read_bytes() == b"new"


def test_a_link_into_a_missing_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere/a.onnx")
    with pytest.raises(OutputError, match=r"link: cannot be written \(No such file or directory\)"):
        check_writable(tmp_path / "link")


@BOTH
def test_links_that_lead_to_each_other_are_named(tmp_path: Path, write: Write) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    with pytest.raises(OutputError, match=r"one: cannot be written \(Too many levels of symbolic"):
        write(tmp_path / "one")


@pytest.mark.parametrize("make", [Path.symlink_to, Path.hardlink_to])
def test_a_link_is_the_same_file(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    (tmp_path / "a.onnx").touch()
    make(tmp_path / "link", tmp_path / "a.onnx")
    assert same_file(tmp_path / "link", tmp_path / "a.onnx")


def test_a_link_and_the_file_to_come_are_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("a.onnx")
    assert same_file(tmp_path / "link", tmp_path / "a.onnx")


def test_files_of_equal_content_are_two(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    (tmp_path / "other").touch()
    assert not same_file(tmp_path / "one", tmp_path / "other")
    assert not same_file(tmp_path / "one", tmp_path / "to come")


# Pipes and devices


def test_content_is_written_into_a_pipe(pipe: tuple[Path, int]) -> None:
    path, reader = pipe
    write_file(path, b"content")
    assert os.read(reader, 100) == b"content"
    assert path.is_fifo()
    assert names(path.parent) == ["pipe"]


def test_content_is_written_into_a_pipe_behind_a_link(pipe: tuple[Path, int]) -> None:
    path, reader = pipe
    path.with_name("link").symlink_to("pipe")
    write_file(path.with_name("link"), b"content")
    assert os.read(reader, 100) == b"content"


def test_the_rest_is_written_again_after_a_pipe_took_a_part_or_nothing() -> None:
    written: list[bytes] = []
    taken: list[int | None] = [2, None, 0, 3]

    class Pipe:
        def write(self, content: memoryview) -> int | None:
            written.append(bytes(content))
            return taken.pop(0)

    write_all(Pipe(), b"abcde")
    assert written == [b"abcde", b"cde", b"cde", b"cde"]


def test_checking_a_pipe_does_not_wait_for_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")  # would wait for ever if it opened it
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_whose_reader_leaves_is_named(tmp_path: Path) -> None:
    def read_a_little() -> None:
        with (tmp_path / "pipe").open("rb", buffering=0) as file:
            file.read(1)

    os.mkfifo(tmp_path / "pipe")
    reader = Thread(target=read_a_little)
    reader.start()
    with pytest.raises(OutputError, match=r"pipe: cannot be written \(Broken pipe\)"):
        write_file(tmp_path / "pipe", bytes(10**6))  # more than a pipe holds
    reader.join()


def test_content_is_written_into_a_character_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "device"
    device.touch()
    same = device.stat().st_ino
    with monkeypatch.context() as patch:
        seen_as(patch, stat.S_IFCHR)
        check_writable(device)
        write_file(device, b"content")
    assert device.stat().st_ino == same
    assert device.read_bytes() == b"content"
    assert names(tmp_path) == ["device"]


@BOTH
def test_a_block_device_is_refused(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_as(monkeypatch, stat.S_IFBLK)
    with pytest.raises(OutputError, match="disk: is a block device: name a file"):
        write(tmp_path / "disk")


@BOTH
def test_a_socket_is_refused(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an address must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OutputError, match="socket: is a socket: name a file"):
            write(tmp_path / "socket")


# Standard output


@contextmanager
def standard_output(monkeypatch: pytest.MonkeyPatch, path: Path) -> Iterator[None]:
    """Let a file be where this process's standard output goes."""
    found = path.stat()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda descriptor: found)
        yield


def test_a_file_or_a_pipe_may_be_standard_output(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[Path, int]
) -> None:
    path, _ = pipe
    path.with_name("file").touch()
    path.with_name("link").symlink_to("file")
    with standard_output(monkeypatch, path):
        assert is_stdout(path)
        assert not is_stdout(path.with_name("file"))
    with standard_output(monkeypatch, path.with_name("file")):
        assert is_stdout(path.with_name("link"))
        assert not is_stdout(path)
        assert not is_stdout(path.with_name("missing"))


def test_a_device_that_is_standard_output_is_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_as(monkeypatch, stat.S_IFCHR)
    with standard_output(monkeypatch, tmp_path):
        assert not is_stdout(tmp_path)


def test_a_file_that_is_standard_output_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "log").write_bytes(b"older")
    with standard_output(monkeypatch, tmp_path / "log"):
        check_writable(tmp_path / "log")
        write_file(tmp_path / "log", b"content")
    assert capfdbinary.readouterr().out == b"content"
    assert (tmp_path / "log").read_bytes() == b"older"  # this process's output is elsewhere


def test_bytes_follow_the_text_that_was_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print("text", end=" ")
    write_stdout(b"\x00\xff")
    assert capfdbinary.readouterr().out == b"text \x00\xff"


def test_a_standard_output_whose_reader_left_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        with pytest.raises(OutputError, match=r"^standard output: cannot be written \(Broken pipe"):
            write_stdout(b"content")
    # Nothing was left to be written when it was closed.


def test_a_closed_standard_output_takes_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OutputError, match="standard output: is closed"):
        write_stdout(b"model")
    print_stdout("a table")  # nobody reads it


def test_text_that_does_not_fit_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            pass

    replaced: list[int] = []
    monkeypatch.setattr("sys.stdout", Full())
    monkeypatch.setattr("os.dup2", lambda new, old: replaced.append(old))
    with pytest.raises(OutputError, match=r"standard output: cannot be written \(No space left"):
        print_stdout("a table")
    assert replaced == [1]
