"""Runs that are killed at a step that they keep, and go on."""

from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from onnx_evoq.record.steps import FolderSteps


class Killed(BaseException):
    """Stands for the end of the process, which nothing catches."""


class Kills:
    """Ends what runs as soon as it has kept so many steps; nothing that follows is kept.

    Args:
        monkeypatch: replaces what keeps steps.
        after: steps; None to only count them.

    Attributes:
        count: the steps that were kept.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int | None = None) -> None:
        self.count, self._lock, save = 0, Lock(), FolderSteps.save

        def counted(steps: FolderSteps, *arguments: Any, **facts: Any) -> None:
            with self._lock:
                self.count += 1
                own = self.count
            if after is not None and own > after:
                raise Killed
            save(steps, *arguments, **facts)
            if own == after:
                raise Killed

        monkeypatch.setattr(FolderSteps, "save", counted)


def names_in(folder: Path) -> set[str]:
    """The names of all steps that a folder keeps, parts included."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*.npz")}
