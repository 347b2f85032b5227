"""What a run has found, step by step, so that it can go on after it was killed.

A run draws everything from its seed, so that it takes the same steps again. A step that takes long
is *kept* as soon as it is done: its arrays and a few facts, under a name. A run that goes on asks
for each step first, and does only those that are not there::

    kept = steps.load("conv1")
    if kept is None:
        found = ...
        steps.save("conv1", {"codes": found.codes}, random=state_of(rng))

What is kept must be all that the steps behind it depend on, the state of random generators
included: then a run that went on ends with the same bytes as one that was never interrupted.
"""

import json
import time
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.record.content import hash_of_arrays
from onnx_evoq.record.files import no_room_for, replacing_file

_FACTS = "facts"  # the name of the JSON text among the arrays of a file
_DIGITS = 12  # of the hash of inputs
_LONGEST = 100  # characters of a file's name; a hash stands for the end of a longer one
_DURABLE_EVERY = 1.0  # seconds: what is kept more often may be lost with the power, but not else


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of a step.

    Attributes:
        arrays: its arrays by name.
        facts: all else, as JSON has it.
    """

    arrays: Arrays
    facts: Mapping[str, Any] = field(default_factory=dict)


class Steps(Protocol):
    """The steps of a run, or of a part of it."""

    def part(self, *names: str) -> "Steps":
        """The steps of a part of the run."""

    def of(self, name: str, inputs: Iterable[Array]) -> "Steps":
        """The steps of a part of the run for these inputs, apart from those for other ones.

        Where time is short, what a run does before a part depends on the clock. A run that goes on
        may come to the part with another model, for which the steps that are kept mean nothing.
        """

    def load(self, name: str) -> Kept | None:
        """What is kept of a step; None if it was not done yet."""

    def save(self, name: str, arrays: Arrays | None = None, /, **facts: Any) -> None:
        """Keep a step, in place of what was kept under its name.

        Raises:
            StorageError: there is no room for it; what was kept before is still there.
        """

    def forget(self, name: str) -> None:
        """Keep a step, or a part of the run, no longer."""


class NoSteps:
    """Keeps nothing.

    Example:
        >>> steps = NoSteps()
        >>> steps.save("conv1", {"codes": np.zeros(3)})
        >>> steps.load("conv1") is None
        True
    """

    def part(self, *names: str) -> Steps:
        """The steps of a part of the run."""
        return self

    def of(self, name: str, inputs: Iterable[Array]) -> Steps:
        """The steps of a part of the run."""
        return self

    def load(self, name: str) -> Kept | None:
        """Nothing is kept."""
        return None

    def save(self, name: str, arrays: Arrays | None = None, /, **facts: Any) -> None:
        """Nothing is kept."""

    def forget(self, name: str) -> None:
        """Nothing is kept."""


NO_STEPS = NoSteps()


class FolderSteps:
    """Keeps the steps of a run in a folder: a file for each step, and a folder for each part.

    A file is an .npz archive with the arrays, and with one text `facts`, which is JSON. It is there
    as a whole or not at all. One that the loss of power has damaged counts as missing, so that its
    step is done again.

    Args:
        folder: where the files are; it is made when there is something to keep.
        durable: says when to wait for the disk; all parts of a run share it.
    """

    def __init__(self, folder: Path, durable: "_Durable | None" = None) -> None:
        self._folder, self._durable = folder, durable or _Durable()

    def part(self, *names: str) -> Steps:
        """The steps of a part of the run."""
        return FolderSteps(self._folder.joinpath(*map(file_name, names)), self._durable)

    def of(self, name: str, inputs: Iterable[Array]) -> Steps:
        """The steps of a part of the run for these inputs, apart from those for other ones."""
        return self.part(f"{name} {hash_of_arrays(inputs)[:_DIGITS]}")

    def load(self, name: str) -> Kept | None:
        """What is kept of a step; None if it was not done yet."""
        try:
            with self._path(name).open("rb") as open_file, np.load(open_file) as file:
                arrays = {each: file[each] for each in file.files}
            return Kept(arrays, json.loads(str(arrays.pop(_FACTS))))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError):  # damaged
            return None

    def save(self, name: str, arrays: Arrays | None = None, /, **facts: Any) -> None:
        """Keep a step, in place of what was kept under its name."""
        path, text = self._path(name), np.array(json.dumps(facts, allow_nan=False))
        content: dict[str, Any] = {**(arrays or {}), _FACTS: text}
        with no_room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing_file(path, durable=self._durable.now()) as file:
                np.savez(file, allow_pickle=False, **content)

    def forget(self, name: str) -> None:
        """Keep a step, or a part of the run, no longer."""
        self._path(name).unlink(missing_ok=True)
        rmtree(self._folder / file_name(name), ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{file_name(name)}.npz"


class _Durable:
    """Says when to wait for the disk: at most once a second, as that takes a while."""

    def __init__(self) -> None:
        self._next = 0.0

    def now(self) -> bool:
        """Whether to wait now."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _DURABLE_EVERY
        return True


def file_name(name: str) -> str:
    """The name of a step as that of a file, on every system.

    Example:
        >>> file_name("layer1/conv:0")
        'layer1%2Fconv%3A0'
    """
    safe = quote(name, safe=" +=,()[]").replace(".", "%2E")
    if len(safe) <= _LONGEST:
        return safe
    return safe[: _LONGEST - 17] + "-" + blake2b(name.encode(), digest_size=8).hexdigest()
