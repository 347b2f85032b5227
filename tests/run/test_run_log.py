"""The log of a run: lines of JSON that are complete up to the last event."""

import errno
import json
import math
import os
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from onnx_evoq.errors import OutputError
from onnx_evoq.progress import silent
from onnx_evoq.run import RunLog


class Clock:
    """A clock that a test moves."""

    now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_run_is_logged_from_its_start_to_its_end(file: Path) -> None:
    clock = Clock()
    log = RunLog(file, clock)
    log.start("optimize", {"bits": 6, "data": None, "keep": ("fc*",), "model": Path("net.onnx")})
    clock.now += 1.5
    log.note("few samples.")
    log.end("time", scores={"evolved": {"search": 0.5, "heldout": math.nan}})
    log.close()
    start, note, end = lines_of(file)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", start.pop("time"))
    assert start == {
        "seconds": 0.0, "event": "start", "version": version("onnx-evoq"), "command": "optimize",
        "options": {"bits": 6, "keep": ["fc*"], "model": "net.onnx"},
    }  # fmt: skip
    assert (note["seconds"], note["event"], note["note"]) == (1.5, "note", "few samples.")
    assert (end["event"], end["reason"]) == ("end", "time")
    assert end["scores"] == {"evolved": {"search": 0.5, "heldout": None}}


def test_each_line_is_in_the_file_at_once(file: Path) -> None:
    log = RunLog(file)
    log.start("optimize", {})
    assert len(lines_of(file)) == 1
    log.error("no memory.")
    assert lines_of(file)[1]["error"] == "no memory."
    log.close()


def test_a_stage_has_about_a_step_a_second_and_its_last_one(file: Path) -> None:
    clock = Clock()
    log = RunLog(file, clock)
    with log.watching(silent)("evolving", 4) as step:
        for index in range(8):
            clock.now += 0.4
            step(0.5, layer=f"conv{index}", best=1.0 - index / 8, evaluations=index, left=60.0)
    stage, *steps = lines_of(file)
    assert (stage["event"], stage["stage"], stage["total"]) == ("stage", "evolving", 4)
    assert [step["done"] for step in steps] == [1.5, 3.0, 4.0]
    assert [step["seconds"] for step in steps] == [1.2, 2.4, 3.2]
    last = {key: steps[-1][key] for key in ("stage", "layer", "best", "evaluations", "left")}
    assert last == {
        "stage": "evolving", "layer": "conv7", "best": 0.125, "evaluations": 7, "left": 60.0
    }  # fmt: skip
    log.close()


def test_the_last_step_is_logged_once_and_also_when_the_stage_fails(file: Path) -> None:
    clock = Clock()
    log = RunLog(file, clock)
    with log.watching(silent)("evolving", 4) as step:
        clock.now += 2
        step(1)
    with suppress(KeyboardInterrupt), log.watching(silent)("scoring", 4) as step:
        step(1)
        raise KeyboardInterrupt
    with log.watching(silent)("empty", 4):
        pass
    assert [(line["event"], line["stage"]) for line in lines_of(file)] == [
        ("stage", "evolving"), ("step", "evolving"), ("stage", "scoring"), ("step", "scoring"),
        ("stage", "empty"),
    ]  # fmt: skip
    log.close()


def test_steps_are_passed_on(file: Path) -> None:
    seen = list[Any]()

    class Shown:
        def __enter__(self) -> Any:
            return lambda amount, **where: seen.append((amount, where))

        def __exit__(self, *_: object) -> None:
            seen.append("closed")

    log = RunLog(file)
    with log.watching(lambda label, total: Shown())("evolving", 4) as step:
        step(1, layer="fc", best=0.5, evaluations=3, left=2.0)
    where = {"layer": "fc", "best": 0.5, "evaluations": 3, "left": 2.0}
    assert seen == [(1, where), "closed"]
    log.close()


def test_an_existing_file_is_appended_to(file: Path) -> None:
    file.write_text('{"event": "end"}\n')
    log = RunLog(file)
    log.start("search", {})
    log.close()
    assert [line["event"] for line in lines_of(file)] == ["end", "start"]


def test_the_first_event_opens_the_file(file: Path) -> None:
    log = RunLog(file)
    assert (log.started, file.exists()) == (False, False)
    log.start("search", {})
    assert (log.started, file.exists()) == (True, True)
    log.close()


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"missing.run\.jsonl: cannot be written \(No such file"):
        RunLog(tmp_path / "missing" / "run.jsonl").start("optimize", {})


def test_without_a_path_nothing_is_logged() -> None:
    log = RunLog(None)
    log.start("optimize", {})
    log.end("complete")
    assert not log.started
    assert log.watching(silent) is silent
    log.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_ends_the_log_and_not_the_run() -> None:
    log = RunLog("/dev/full")
    log.start("optimize", {})
    assert log.failure == f"/dev/full: the log ends early ({os.strerror(errno.ENOSPC)})."
    log.end("complete")
    log.close()


def test_nothing_is_logged_after_the_end(file: Path) -> None:
    log = RunLog(file)
    log.start("optimize", {})
    log.close()
    log.note("too late.")
    assert len(lines_of(file)) == 1
