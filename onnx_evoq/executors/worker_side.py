"""What a process of a cluster does with a task that it gets."""

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass

from onnx_evoq.executors.tasks import (
    LocalMemory,
    Missing,
    Packed,
    free_memory,
    packed,
    parts_of,
    unpacked,
)
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.run import package_of, version_of

_COMPARED = ("onnx-evoq", "numpy", "onnx", "onnxruntime", "distributed")
_HELD = 4  # a worker keeps values in one part in so many of its memory
_MEMORY = LocalMemory(limit=0)


@dataclass(frozen=True, eq=False)
class Order:
    """A task as it is sent.

    Attributes:
        work: the function and its argument.
        versions: of the packages of the sender.
        neighbours: how many workers share the machine.
    """

    work: Packed
    versions: Mapping[str, str]
    neighbours: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What a worker answers; one of the last three is given.

    Attributes:
        seconds: that the task took.
        result: what the function returned.
        raised: what it raised.
        missing: the key of a value that the worker lacks.
        unlike: what other versions the worker has, in words.
    """

    seconds: float = 0.0
    result: Packed | None = None
    raised: Exception | None = None
    missing: str = ""
    unlike: str = ""


def forget() -> None:
    """Forget what this process was sent, and what it made of that.

    If it has tasks of another command now, it is sent what these need again.
    """
    _MEMORY.forget()


def versions() -> dict[str, str]:
    """The versions on which the bytes of a result depend, or the sending of tasks."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, **{name: version_of(package_of(name)) for name in _COMPARED}}


def difference(sender: Mapping[str, str], worker: Mapping[str, str]) -> str:
    """How versions differ, in words; "" if they do not.

    Example:
        >>> difference({"numpy": "2.1", "onnx": "1.22"}, {"numpy": "2.4", "onnx": "1.22"})
        'numpy 2.4 instead of 2.1'
    """
    return ", ".join(
        f"{name} {worker.get(name, '?')} instead of {number}"
        for name, number in sender.items()
        if worker.get(name, "?") != number
    )


@one_blas_thread
def perform(order: Order, sent: Mapping[str, Packed]) -> Answer:
    """Do a task.

    Args:
        order: the task.
        sent: values for the memory, by key.
    """
    if unlike := difference(order.versions, versions()):
        return Answer(unlike=unlike)
    with _MEMORY.lock:  # one task at a time, so that memory is bounded
        _MEMORY.neighbours = order.neighbours
        _MEMORY.limit = _MEMORY.limit or free_memory() // _HELD // order.neighbours
        for key, value in sent.items():
            if not _MEMORY.has(key):
                _MEMORY.keep(key, unpacked(value), value.nbytes)
        began = time.perf_counter()
        try:
            function, argument = unpacked(order.work)
            result = function(_MEMORY, argument)
        except Missing as missing:
            return Answer(missing=missing.key)
        except Exception as raised:  # it is raised again where the task comes from
            return Answer(time.perf_counter() - began, raised=raised)
        seconds = time.perf_counter() - began
        return Answer(seconds, packed(parts_of(result)[0]))
