"""A folder that keeps a run: what it is, how long it has taken, and its steps.

    run.json     what the run is: format, options, versions, hashes, seconds, state
    steps/       what it found (`steps`)
    lock         held while a process works here

A run that goes on must be the same: of the same options, versions, model and data. Only what does
not change the result may differ, and the time that it may take.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import Any

from onnx_evoq.errors import OptionError, StorageError
from onnx_evoq.record.differences import differences
from onnx_evoq.record.files import TEMPORARY, new_folder_of_a_run, no_room_for, replacing_file
from onnx_evoq.record.lock import locked
from onnx_evoq.record.steps import NO_STEPS, FolderSteps, Steps
from onnx_evoq.record.unchanged import checked_text, read_object, unchanged
from onnx_evoq.run import package_of, version_of

FORMAT = 3  # of a run's folder
RUN_FILE = "run.json"
_STEPS = "steps"
_DONE = "done"  # the state of a run that nothing cut short
_BUDGET = "time budget"  # seconds, what a run notes
_WRITTEN_EVERY = 1.0  # seconds
_NAMED = 3  # files that a note names
# Files that may be there before a run: of the lock, and of the command that begins it.
_BEFORE = {"lock", "lock.json", "command.json", "log.jsonl"}


class Run:
    """A run that keeps nothing.

    Attributes:
        steps: where its steps are kept.
        spent: seconds that it took before it went on.
        folder: that keeps it; None if nothing does.
    """

    steps: Steps = NO_STEPS
    spent: float = 0.0
    folder: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a user should read."""
        return ()

    def inner(self, name: str) -> Path | None:
        """The folder of a run that is a part of this one; None if nothing keeps it."""
        return None if self.folder is None else self.folder / name

    def same(self, name: str, value: Any) -> None:
        """Make sure that something is what it was when the run began.

        Args:
            name: of it.
            value: what it is now, as JSON has it; a mapping is compared part by part.

        Raises:
            OptionError: it was something else.
        """

    def recall(self, name: str) -> Any | None:
        """What was noted when the run began; None if nothing was."""
        return None

    def note(self, name: str, value: Any) -> None:
        """Note something for when the run goes on, as JSON has it."""

    def needs_more_than(self, time_budget: float | None) -> None:
        """Refuse a run whose time was up, unless it has more now: it would find less than before.

        Args:
            time_budget: seconds for the whole run; None for no limit.

        Raises:
            OptionError: it has no more time than it had.
        """

    def ended(self, state: str) -> None:
        """Note how the run ended: "done", "time" or "interrupted"."""


NO_RUN = Run()


class FolderRun(Run):
    """A run that a folder keeps; `kept_run` opens it.

    Args:
        folder: the folder.
        about: what its file says, if the run goes on.
    """

    def __init__(self, folder: Path, about: dict[str, Any] | None) -> None:
        self.folder = self._folder = folder
        self._about = about or {"format": FORMAT, "id": token_hex(8), "seconds": 0.0}
        self._before = self._about.get("state")
        self._seconds = float(self._about["seconds"])
        # What is done is only made again, which costs nothing of its time.
        self.spent = 0.0 if self._before == _DONE else self._seconds
        self.steps = self._steps = FolderSteps(folder / _STEPS, self._about["id"])
        self._began, self._lock = time.monotonic(), Lock()
        if self._before != _DONE:
            self._about["state"] = "running"
        self.same("versions", versions())
        self._write()

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on steps that were changed."""
        changed = [str(path) for path in self._steps.changed]
        if not changed:
            return ()
        more = "" if len(changed) <= _NAMED else f" and {len(changed) - _NAMED} more"
        return (
            "what the run had kept was changed or damaged since, and was found again: "
            f"{', '.join(changed[:_NAMED])}{more}.",
        )

    def same(self, name: str, value: Any) -> None:
        """Make sure that something is what it was when the run began."""
        value = json.loads(json.dumps(value))
        if name not in self._about:
            self.note(name, value)
            return
        before = self._about[name]
        if before == value:
            return
        raise OptionError(
            f"{self.folder}: is the run of something else ({differences(name, before, value)}): "
            "give what it began with, or name a new folder."
        )

    def recall(self, name: str) -> Any | None:
        """What was noted when the run began; None if nothing was."""
        return self._about.get(name)

    def note(self, name: str, value: Any) -> None:
        """Note something for when the run goes on, as JSON has it."""
        with self._lock:
            self._about[name] = value
        self._write()

    def needs_more_than(self, time_budget: float | None) -> None:
        """Refuse a run whose time was up, unless it has more now."""
        had = self.recall(_BUDGET)
        if self._before == "time" and time_budget is not None and had and time_budget <= had:
            raise OptionError(
                f"{self.folder}: the time of this run is up, and its result was written: give it "
                f"more than {had:g} s (--time-budget), or none."
            )
        self.note(_BUDGET, time_budget)

    def ended(self, state: str) -> None:
        """Note how the run ended."""
        self.note("state", state)

    def write_now_and_then(self, ended: Event) -> None:
        """Write the time that the run has taken once a second, until an event.

        What ends a run need not come after a step.
        """
        while not ended.wait(_WRITTEN_EVERY):
            with suppress(StorageError):  # the next step says so, if there is no room for it either
                self._write()

    def _write(self) -> None:
        path = self._folder / RUN_FILE
        with self._lock, no_room_for(path), replacing_file(path, durable=True) as file:
            now = 0.0 if self._before == _DONE else time.monotonic() - self._began
            self._about["seconds"] = self._seconds + now
            file.write(checked_text(self._about))


@contextmanager
def kept_run(folder: str | Path | None, options: Mapping[str, Any]) -> Iterator[Run]:
    """Begin a run in a folder, or go on with the one that is there.

    Args:
        folder: an empty or a new one, or one with a run of the same options; None to keep nothing.
        options: what the result depends on, besides the model and the data, as JSON has it.

    Raises:
        OptionError: the folder holds something else, or another process works there.
        StorageError: the folder cannot be written.
    """
    if folder is None:
        yield NO_RUN
        return
    folder = Path(folder)
    about_run(folder)  # nothing is written where something else is
    with new_folder_of_a_run(folder):
        (folder / "lock").touch()
    with locked(folder):
        about = about_run(folder)  # as it is now that no other process works there
        for left in folder.rglob(f"{TEMPORARY}*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        run = FolderRun(folder, None if about is None else dict(about))
        ended = Event()
        clock = Thread(target=run.write_now_and_then, args=(ended,), daemon=True)
        clock.start()
        try:
            run.same("options", options)
            yield run
        except OptionError:  # it is refused, and stays as it was
            if about is not None:
                run.ended(about.get("state", "interrupted"))
            raise
        finally:
            ended.set()
            clock.join()


def about_run(folder: Path) -> dict[str, Any] | None:
    """What the file of a run says; None if a folder is empty, or not there.

    Raises:
        OptionError: the folder holds something else, or a run that this version does not know, or
            one whose file was changed.
    """
    path = folder / RUN_FILE
    try:
        there = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
        about = read_object(path) if RUN_FILE in there else None
    except OSError as cause:
        raise OptionError(
            f"{folder}: cannot be read as a run ({cause.strerror}): name another folder."
        ) from cause
    if about is None:
        if there - _BEFORE:
            raise OptionError(
                f"{folder}: holds other files, and no run: name an empty or a new folder."
            )
        return None
    known = about.get("format")
    if isinstance(known, int) and known != FORMAT:
        raise OptionError(
            f"{folder}: is kept in format {known}, and this version reads {FORMAT}: go on with the "
            "version that began it, or name a new folder."
        )
    return unchanged(path, about)


def seconds_given(folder: Path | None) -> float:
    """Seconds that the run of a folder has taken, or that it had if its time was up; 0 for none.

    Raises:
        OptionError: the folder holds something else.
    """
    about = None if folder is None else about_run(folder)
    if about is None:
        return 0.0
    had = about.get(_BUDGET) if about.get("state") == "time" else None
    return max(float(about["seconds"]), had or 0.0)


def versions() -> dict[str, str]:
    """The versions that a result depends on, by package."""
    modules = ("onnx", "onnxruntime", "numpy")
    return {name: version_of(name) for name in ("onnx-evoq", *map(package_of, modules))}
