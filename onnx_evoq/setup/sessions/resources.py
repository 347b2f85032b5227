"""The resources of the machine that a run may use."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx_evoq.errors import OptionError
from onnx_evoq.executors import Executor, check_address, executor_at, free_memory, used_memory
from onnx_evoq.setup.options import check_whole


@dataclass(frozen=True)
class Resources:
    """The resources that a run may use.

    Attributes:
        providers: ONNX Runtime's execution providers in order of preference; None for the CPU.
        memory: bytes that the process may hold. Activations that would pass this bound are written
            to a temporary file, and samples take a quarter of it at most. None for half of the free
            memory.
        workers: the most work at the same time, each part on one core; None for one per core.
        custom_ops: libraries that hold operators of the model, for ONNX Runtime.
        cluster: the address of a Dask scheduler, whose workers share the work, or "local:4" for
            four worker processes of this machine; None for threads of this process.

    Raises:
        OptionError: `workers` is below 1, `memory` is below 0, a library is no file, `cluster` is
            no address, or a value is of another type.
    """

    providers: Sequence[str] | None = None
    memory: int | None = None
    workers: int | None = None
    custom_ops: Sequence[str | Path] = ()
    cluster: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.providers, str):
            raise OptionError(
                f"providers {self.providers!r} is one name: give a list of providers."
            )
        for name, value in (("memory", self.memory), ("workers", self.workers)):
            check_whole(**{} if value is None else {name: value})
        if self.memory is not None and self.memory < 0:
            raise OptionError(f"memory {self.memory} is negative: give bytes, 0 or more.")
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers {self.workers} score nothing: choose 1 or more.")
        if isinstance(self.custom_ops, str | Path):
            raise OptionError(
                f"custom_ops {str(self.custom_ops)!r} is one name: give a list of libraries."
            )
        if self.cluster is not None:
            check_address(self.cluster)
        missing = next((name for name in self.custom_ops if not Path(name).is_file()), None)
        if missing is not None:
            raise OptionError(
                f"custom_ops {str(missing)!r} is no file: give a library of operators."
            )


_LEAST_CACHE = 2**24  # bytes of activations that are kept even if the bound is passed

DEFAULT_RESOURCES = Resources()


def on_cpu(resources: Resources) -> bool:
    """Whether the CPU is the first choice of execution provider."""
    first = (resources.providers or ["cpu"])[0].lower()
    return first.removesuffix("executionprovider") == "cpu"


def workers_of(resources: Resources) -> int:
    """How many runs are made at the same time, at most.

    It is 1 on other devices than the CPU: they divide their cores among the parts of one run.
    """
    if not on_cpu(resources):
        return 1
    if resources.workers is not None:
        return resources.workers
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has it
        return os.cpu_count() or 1


def on_a_worker(resources: Resources) -> Resources:
    """What a worker of a cluster may use: one core, and nobody else."""
    return replace(resources, cluster=None, workers=1)


def executor_of(resources: Resources) -> Executor:
    """Who does the work: threads of this process, or the cluster that is connected."""
    return executor_at(resources.cluster, workers_of(resources))


def cache_memory(resources: Resources) -> int:
    """Bytes of activations that may be kept in memory now, so that the process stays in its bound.

    What the process holds already counts; a little is left in any case, and the rest goes to a
    temporary file.
    """
    bound = free_memory() // 2 if resources.memory is None else resources.memory
    held = 0 if resources.memory is None else used_memory()
    return max(_LEAST_CACHE, bound - held)
