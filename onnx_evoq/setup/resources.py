"""What a run may use of the machine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_evoq.errors import OptionError


@dataclass(frozen=True)
class Resources:
    """What scoring may use.

    Attributes:
        providers: ONNX Runtime's execution providers in order of preference; None for the CPU.
        memory: bytes that may be held in memory of the tensors that all candidates for a weight
            share; the rest goes to a temporary file. None for half of what is free.
        workers: runs at a time, at most, each on one core; None for as many as there are cores.

    Raises:
        OptionError: there are no workers.
    """

    providers: Sequence[str] | None = None
    memory: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers {self.workers} score nothing: choose 1 or more.")


DEFAULT_RESOURCES = Resources()


def on_cpu(resources: Resources) -> bool:
    """Whether the CPU computes."""
    first = (resources.providers or ["cpu"])[0].lower()
    return first.removesuffix("executionprovider") == "cpu"


def workers_of(resources: Resources) -> int:
    """One where it is not the CPU that computes: other devices share their cores themselves."""
    if not on_cpu(resources):
        return 1
    if resources.workers is not None:
        return resources.workers
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that are available, 4 GiB where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 4 * 2**30
