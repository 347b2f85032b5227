"""Open and close executors by their addresses."""

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from onnx_evoq.errors import ClusterError, OptionError
from onnx_evoq.executors.tasks import Executor, Threads
from onnx_evoq.executors.worker_side import difference, forget, versions
from onnx_evoq.run import ENDING_SIGNALS, keeping_what_was_found

if TYPE_CHECKING:
    from onnx_evoq.executors.dask_cluster import DaskCluster

LOCAL = "local:"  # in front of a number of worker processes of this machine
_TIMEOUT = 10  # seconds for a connection
_EXTRA = "pip install onnx-evoq[cluster]"

_open: dict[str, "DaskCluster"] = {}  # by the address that the user gave


def check_address(address: str) -> None:
    """Raise an OptionError unless an address can be that of a cluster."""
    if address.startswith(LOCAL):
        number = address.removeprefix(LOCAL)
        if not number.isdecimal() or not int(number):
            raise OptionError(f"cluster {address!r} names no number of workers: give local:4, say.")
    elif ":" not in address:
        raise OptionError(
            f"cluster {address!r} is no address: give that of a scheduler, tcp://host:8786, or "
            "local:4 for four worker processes of this machine."
        )


def executor_at(address: str | None, workers: int) -> Executor:
    """Who does tasks.

    Args:
        address: of a cluster that `connected` has opened; None for this process.
        workers: threads of this process.
    """
    return Threads(workers) if address is None else _open[address]


@contextmanager
def connected(address: str | None, workers: int) -> Iterator["DaskCluster | None"]:
    """Connect to a cluster, and leave it in the end; nothing is done if it is connected already.

    Args:
        address: that of a scheduler, or "local:4" for four worker processes; None for no cluster.
        workers: threads of this process, for work that is too small to be sent.

    Raises:
        OptionError: the extra is not installed.
        ClusterError: nobody listens there, there is no worker, or it has other versions.
    """
    if address is None or address in _open:
        yield None if address is None else _open[address]
        return
    try:
        from distributed import Client

        from onnx_evoq.executors.dask_cluster import DaskCluster
    except ImportError as cause:
        raise OptionError(f"cluster {address!r} needs Dask: {_EXTRA}.") from cause
    with ExitStack() as stack:
        stack.enter_context(_silenced("distributed"))  # what it logs is one sentence here
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of versions, which are compared below
            where = _started(address, stack) if address.startswith(LOCAL) else address
            try:
                client = Client(where, timeout=_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
                stack.enter_context(client)
                _check_workers(client, address)
            except (OSError, TimeoutError, ValueError) as cause:
                raise ClusterError(
                    f"no scheduler answers at {address}: start one (dask scheduler), or give the "
                    "address that it prints."
                ) from cause
        cluster = _open[address] = DaskCluster(client, address, workers)
        try:
            yield cluster
            if not address.startswith(LOCAL):
                _let_forget(client)
        finally:
            del _open[address]


def _started(address: str, stack: ExitStack) -> Any:
    """Worker processes of this machine, which end with the stack."""
    from distributed import LocalCluster

    with _signals_for_this_process():
        return stack.enter_context(
            LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=int(address.removeprefix(LOCAL)), threads_per_worker=1,
                host="127.0.0.1", dashboard_address=None, worker_dashboard_address=None,
                memory_limit=0, silence_logs=logging.CRITICAL,
            )
        )  # fmt: skip


def _let_forget(client: Any) -> None:
    """Let the workers forget what they have of this command; they may serve others afterwards."""
    with suppress(OSError, TimeoutError, RuntimeError):  # they are lost, and have nothing
        if client.status == "running":
            client.run(forget, on_error="ignore")


def _check_workers(client: Any, address: str) -> None:
    """Refuse a cluster without workers, or with workers of other versions."""
    # What is divided among the workers in the beginning should be so among all of this machine.
    local = address.startswith(LOCAL)
    try:
        client.wait_for_workers(int(address.removeprefix(LOCAL)) if local else 1, timeout=_TIMEOUT)
    except TimeoutError as cause:
        raise ClusterError(
            f"the cluster at {address} has no worker: start some (dask worker {address})."
        ) from cause
    own = versions()
    for worker, found in client.run(versions, on_error="return").items():
        if isinstance(found, OSError):  # it was lost just now, and another one may join
            continue
        if isinstance(found, BaseException):
            raise ClusterError(
                f"the worker at {worker} has no onnx-evoq ({type(found).__name__}: {found}): "
                "install it in the same version on all machines."
            )
        if unlike := difference(own, found):
            raise ClusterError(
                f"the worker at {worker} has {unlike}: install the same versions on all machines."
            )


@contextmanager
def _signals_for_this_process() -> Iterator[None]:
    """Start processes, to which no signal that asks this one to end is delivered.

    A terminal sends Ctrl-C to all processes of a command, and others send SIGTERM so. It is this
    process that ends the others. They have the signals blocked from their first instruction on, as
    those have that take their places later. A signal that comes meanwhile interrupts when they
    run, since processes that are half started cannot be ended.

    Raises:
        KeyboardInterrupt: a signal came.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    with keeping_what_was_found() as interruption:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        try:
            _start_tracker()
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # that let some through
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if interruption.reason is not None:
        raise KeyboardInterrupt


def _start_tracker() -> None:
    """Start Python's process that removes what others leave, which says so where one is ended."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    """Let a library log nothing, nor those of its modules that have a level of their own."""
    names = [each for each in list(logging.root.manager.loggerDict) if each.startswith(f"{name}.")]
    levels = {logger: logger.level for logger in map(logging.getLogger, [name, *names])}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
