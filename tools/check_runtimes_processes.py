"""Run files in a runtime, in a process of its own, so that a crash costs one file only."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]  # the package's own, whose import would take long in each process
Feed = Mapping[str, Array]
Outputs = Sequence[Array]
Run = Callable[[bytes, Feed], Outputs]

SECONDS = 120.0  # that one file may take
LONGEST = 150  # characters of a reason
_PLACES = ("Exception from", "Error code", "Diagnostics")  # lines that say where, not what


def outcomes(
    run: Run, files: Sequence[tuple[bytes, Feed]], seconds: float = SECONDS
) -> Iterator[Outputs | str]:
    """The outputs of each file, or the reason why there are none.

    After a crash, or a file that takes too long, a new process goes on with the next file.

    Args:
        run: gives the outputs of a file, in a process that imports it by its name.
        files: contents of files, and feeds.
        seconds: that one file may take.
    """
    left, context = list(files), get_context("spawn")
    while left:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=serve, args=(run, left, log, sender), daemon=True)
            process.start()
            sender.close()  # so that the end of the process ends the pipe
            try:
                while left and (found := received(receiver, seconds)) is not None:
                    left.pop(0)
                    yield found
                if left:
                    left.pop(0)
                    process.join(timeout=1)  # for one that has ended already
                    yield failure(process.exitcode, log, seconds)
            finally:
                process.kill()
                process.join()


def serve(run: Run, files: Sequence[tuple[bytes, Feed]], log: Path, sender: Connection) -> None:
    """Run files one after the other, and send what comes of each.

    Args:
        run: gives the outputs of a file.
        files: contents of files, and feeds.
        log: takes what the runtime writes, in whatever language.
        sender: takes the outputs of each file, or a reason.
    """
    with log.open("wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    for content, feed in files:
        sender.send(outcome(run, content, feed))


def outcome(run: Run, content: bytes, feed: Feed) -> Outputs | str:
    """The outputs of a file, or the reason why there are none."""
    try:
        return [np.asarray(values) for values in run(content, feed)]
    except Exception as cause:  # each runtime has kinds of its own
        return reason(str(cause)) or type(cause).__name__


def received(receiver: Connection, seconds: float) -> Outputs | str | None:
    """What a process sends next; None if it ends, or takes too long."""
    try:
        return receiver.recv() if receiver.poll(seconds) else None
    except EOFError:
        return None


def failure(code: int | None, log: Path, seconds: float) -> str:
    """The reason of a process that did not send what it should have.

    Args:
        code: its exit code; None if it goes on.
        log: what it wrote, whose last line may say why it ended.
        seconds: that it had.
    """
    if code is None:
        return f"takes more than {seconds:.0f} s"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    last = next((f": {line}" for line in reversed(lines) if line), "")
    return cut(f"crashes with {how}{last}")


def reason(message: str) -> str:
    """What a runtime's message says, in one line: not where it was said, or in what order."""
    told = message.partition("Stack backtrace:")[0]
    lines = [line.strip() for line in told.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_PLACES)]
    errors = [line.partition(" error: ")[2] for line in lines if " error: " in line]
    if errors:
        return cut(errors[0])
    if "Caused by:" in lines:
        return cut(lines[-1].lstrip("0123456789: "))
    return cut(lines[0]) if lines else ""


def cut(text: str) -> str:
    """A text, or the beginning of one that is too long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]} .."
