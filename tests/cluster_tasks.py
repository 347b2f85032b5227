"""Functions of tasks, which workers of a cluster import."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_evoq.errors import ModelError
from onnx_evoq.executors import Memory, Reference


@dataclass(frozen=True, eq=False)
class Element:
    """Asks for an element of a list that is held."""

    values: Reference[Any]
    index: int
    seconds: float = 0.0


def element(memory: Memory, asked: Element) -> tuple[Any, int]:
    """The element, and the process that gave it."""
    time.sleep(asked.seconds)
    return memory.value(asked.values)[asked.index], os.getpid()


def failing(memory: Memory, index: int) -> int:
    """The index, but an error for the third."""
    if index == 2:
        raise ModelError("the third", "tensor")
    return index


def ending(memory: Memory, index: int) -> None:
    """End the process of the worker, as a lack of memory does."""
    os._exit(1)


def once_more(memory: Memory, file: str) -> bool:
    """End the process of the worker at the first time; the second one finds the file."""
    if Path(file).exists():
        return True
    Path(file).touch()
    os._exit(1)
