"""The log of a run: a file with one JSON object a line, which is complete up to the last event.

    {"time": "2026-01-31T12:00:00.000Z", "seconds": 1.5, "event": "stage", "stage": "evolving", ...}

The events are `start` (version, command and options), `stage` (a stage begins), `step` (where it
is), `note` (a sentence that a user should read), `error` (the run failed, or was interrupted before
there was a result) and `end` (the scores, and why the run ended).
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Unpack

from onnx_evoq.errors import OutputError
from onnx_evoq.progress import Place, Progress, Step
from onnx_evoq.run.stage import Stage

_STEP_EVERY = 1.0  # seconds between two steps of a stage that are logged


class RunLog:
    """Appends what happens in a run to a file; the first event opens it.

    A file that cannot be opened is an error. If a later line cannot be written, the run goes on
    without its log, and `failure` says so.

    Example:
        >>> log = RunLog("run.jsonl")
        >>> log.start("optimize", {"bits": 6})  # doctest: +SKIP
        >>> optimize(..., progress=log.watching(bars))  # doctest: +SKIP
        >>> log.end("complete", scores={"evolved": 0.01})  # doctest: +SKIP

    Args:
        path: the file; None to log nothing.
        clock: gives the time in seconds.

    Attributes:
        failure: why the log ends early, as a sentence; None if it does not.
    """

    def __init__(
        self, path: str | Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._clock, self._began = path, clock, clock()
        self._file: IO[bytes] | None = None
        self.failure: str | None = None

    @property
    def started(self) -> bool:
        """Whether there was an event."""
        return self._file is not None

    def start(self, command: str, options: Mapping[str, Any]) -> None:
        """Log which command begins, with its options; those that are None are left out.

        Raises:
            OutputError: the file cannot be opened.
        """
        given = {name: value for name, value in options.items() if value is not None}
        self.write("start", version=version("onnx-evoq"), command=command, options=given)

    def note(self, text: str) -> None:
        """Log a sentence that a user should read."""
        self.write("note", note=text)

    def error(self, text: str) -> None:
        """Log why the run gives no result."""
        self.write("error", error=text)

    def end(self, reason: str, **facts: Any) -> None:
        """Log why the run ended, "complete", "time" or "interrupt", and what it found."""
        self.write("end", reason=reason, **facts)

    def write(self, event: str, **facts: Any) -> None:
        """Append an event.

        Args:
            event: its name.
            facts: what belongs to it: values for JSON, or whatever has a text.

        Raises:
            OutputError: it is the first, and the file cannot be opened.
        """
        if self._path is None or self.failure is not None:
            return
        if self._file is None:
            self._file = _opened(self._path)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        seconds = round(self._clock() - self._began, 3)
        values = {"time": now, "seconds": seconds, "event": event, **_finite(facts)}
        line = json.dumps(values, allow_nan=False, default=str) + "\n"
        try:
            self._file.write(line.encode())  # without a buffer, in one piece
        except OSError as cause:
            self.failure = f"{self._path}: the log ends early ({cause.strerror})."

    @contextmanager
    def _stage(self, progress: Progress, label: str, total: float) -> Iterator[Step]:
        """Open a stage of a progress, and log its steps, about one in a second, and the last."""
        stage, logged = Stage(label, total, self._clock), True
        next_step = self._clock() + _STEP_EVERY
        self.write("stage", stage=label, total=total)
        with progress(label, total) as shown:

            def step(amount: float, **place: Unpack[Place]) -> None:
                nonlocal logged, next_step
                stage.step(amount, **place)
                logged, now = False, self._clock()
                if now >= next_step:
                    logged, next_step = True, now + _STEP_EVERY
                    self._write_step(stage)
                shown(amount, **place)

            try:
                yield step
            finally:
                if not logged:
                    self._write_step(stage)

    def _write_step(self, stage: Stage) -> None:
        self.write(
            "step", stage=stage.label, layer=stage.layer, done=round(stage.done, 6),
            total=stage.total, best=stage.best, evaluations=stage.evaluations,
            left=None if stage.left is None else round(stage.left, 3),
        )  # fmt: skip

    def watching(self, progress: Progress) -> Progress:
        """A progress that logs stages and steps, and passes them on to another."""
        if self._path is None:
            return progress
        return lambda label, total: self._stage(progress, label, total)

    def close(self) -> None:
        """Close the file; nothing more is logged."""
        if self._file is not None:
            self._file.close()
        self._path = None


def _opened(path: str | Path) -> IO[bytes]:
    """A file to append to, without a buffer.

    Raises:
        OutputError: it cannot be opened.
    """
    try:
        return Path(path).open("ab", buffering=0)
    except OSError as cause:
        raise OutputError(
            f"{path}: cannot be written ({cause.strerror}): name another file for the log."
        ) from cause


def _finite(value: Any) -> Any:
    """A value for JSON, in which what is no finite number is null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
