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
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.errors import StorageError
from onnx_evoq.record.content import hash_of_arrays
from onnx_evoq.record.files import no_room_for, replacing_file
from onnx_evoq.record.unchanged import is_as_sealed, seal_archive

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
    as a whole or not at all. One that was changed since, by the loss of power, an edit or a copy
    over it, counts as missing, so that its step is done again.

    Args:
        folder: where the files are; it is made when there is something to keep.
        run: stands for the run, of which no other folder has the steps.

    Attributes:
        changed: the files of all parts that were changed, in the order in which they were loaded.
    """

    def __init__(self, folder: Path, run: str = "") -> None:
        self._root, self._folder, self._run = folder, folder, run
        self._durable, self.changed = _Durable(), dict[Path, None]()

    def part(self, *names: str) -> Steps:
        """The steps of a part of the run."""
        part = copy(self)  # what it notices, and when it waits for the disk, is shared
        part._folder = self._folder.joinpath(*map(file_name, names))
        return part

    def of(self, name: str, inputs: Iterable[Array]) -> Steps:
        """The steps of a part of the run for these inputs, apart from those for other ones."""
        return self.part(f"{name} {hash_of_arrays(inputs)[:_DIGITS]}")

    def load(self, name: str) -> Kept | None:
        """What is kept of a step; None if it was not done yet."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                if not is_as_sealed(file, self._key(path)):
                    self.changed[path] = None
                    return None
                with np.load(file) as archive:
                    arrays = {each: archive[each] for each in archive.files}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as cause:
            raise StorageError(
                f"{path}: cannot be read ({cause.strerror or cause}): remove it, and its step is "
                "done again."
            ) from cause
        return Kept(arrays, json.loads(str(arrays.pop(_FACTS))))

    def save(self, name: str, arrays: Arrays | None = None, /, **facts: Any) -> None:
        """Keep a step, in place of what was kept under its name."""
        path, text = self._path(name), np.array(json.dumps(facts, allow_nan=False))
        content: dict[str, Any] = {**(arrays or {}), _FACTS: text}
        # NumPy before 2.2 would keep `allow_pickle=False` as one more array.
        assert not any(np.asarray(each).dtype.hasobject for each in content.values())
        with no_room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing_file(path, durable=self._durable.now()) as file:
                np.savez(file, **content)
                seal_archive(file, self._key(path))

    def forget(self, name: str) -> None:
        """Keep a step, or a part of the run, no longer."""
        self._path(name).unlink(missing_ok=True)
        rmtree(self._folder / file_name(name), ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{file_name(name)}.npz"

    def _key(self, path: Path) -> str:
        """What stands for a file: the run, and its place there."""
        return f"{self._run} {path.relative_to(self._root).as_posix()}"


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
