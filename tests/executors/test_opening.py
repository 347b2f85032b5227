"""Executors by their addresses, and what is said where there is no cluster."""

import builtins
import logging
import os
import signal
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest
from far_workers import FAR, FarWorkers
from real_cluster import RealCluster

from onnx_evoq.errors import ClusterError, OptionError
from onnx_evoq.executors import Memory, Task, check_address, connected, executor_at, opening
from onnx_evoq.executors.tasks.threads import Threads
from onnx_evoq.run import ENDING_SIGNALS


@pytest.mark.parametrize("address", ["local:1", "local:16", "tcp://host:8786", "host:8786"])
def test_addresses_of_schedulers_and_numbers_of_workers_are_fine(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("address", ["local:", "local:0", "local:-1", "local:x", "local: 2"])
def test_local_workers_need_a_number(address: str) -> None:
    with pytest.raises(OptionError, match="names no number of workers: give local:4"):
        check_address(address)


def test_a_name_alone_is_no_address() -> None:
    with pytest.raises(OptionError, match="cluster 'host' is no address: give that of a scheduler"):
        check_address("host")


def test_without_an_address_there_are_threads() -> None:
    with connected(None, 3) as cluster:
        assert cluster is None
    threads = executor_at(None, 3)
    assert isinstance(threads, Threads)
    assert threads.workers == 3


def test_a_cluster_that_is_connected_is_used_again(far: FarWorkers) -> None:
    with connected(FAR, 1) as cluster:
        assert cluster is far  # type: ignore[comparison-overlap]
        assert executor_at(FAR, 1) is far
    assert executor_at(FAR, 1) is far  # whoever connected it leaves it


def test_without_dask_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "distributed":
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    message = r"cluster 'local:2' needs Dask: pip install onnx-evoq\[cluster\]\."
    with pytest.raises(OptionError, match=message), connected("local:2", 1):
        pass


def test_an_address_at_which_nobody_listens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(opening, "_TIMEOUT", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    message = f"no scheduler answers at {address}: start one"
    with pytest.raises(ClusterError, match=message), connected(address, 1):
        pass
    assert address not in opening._open


def test_no_module_of_a_library_logs_while_it_is_silenced() -> None:
    whole, part, other = map(logging.getLogger, ("silent", "silent.part", "silently"))
    part.setLevel(logging.WARNING)
    with opening._silenced("silent"):
        assert not whole.isEnabledFor(logging.CRITICAL)
        assert not part.isEnabledFor(logging.CRITICAL)
        assert other.isEnabledFor(logging.CRITICAL)
    assert (whole.level, part.level) == (logging.NOTSET, logging.WARNING)


def test_a_cluster_without_workers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(opening, "_TIMEOUT", 2)
    with RealCluster(tmp_path) as own:
        message = f"the cluster at {own.address} has no worker: start some"
        with pytest.raises(ClusterError, match=message), connected(own.address, 1):
            pass


class Client:
    """A connection to workers that answer so."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def wait_for_workers(self, count: int, timeout: float) -> None:
        assert (count, timeout) == (1, opening._TIMEOUT)

    def run(self, function: Any, on_error: str) -> dict[str, Any]:
        assert on_error == "return"
        return self.answers


def test_workers_of_other_versions_are_refused() -> None:
    own = opening.versions()
    opening._check_workers(Client(a=own, b=dict(own)), "tcp://c:3")
    message = r"the worker at b has numpy 0\.1 instead of \S+: install the same versions"
    with pytest.raises(ClusterError, match=message):
        opening._check_workers(Client(a=own, b={**own, "numpy": "0.1"}), "tcp://c:3")


def test_workers_without_the_package_are_refused() -> None:
    missing = ModuleNotFoundError("No module named 'onnx_evoq'")
    with pytest.raises(ClusterError, match=r"the worker at a has no onnx-evoq \(ModuleNotFoundErr"):
        opening._check_workers(Client(a=missing), "tcp://c:3")


def test_a_worker_that_is_lost_while_it_is_asked_is_left_out() -> None:
    opening._check_workers(Client(a=OSError("stream is closed"), b=opening.versions()), "tcp://c:3")


def test_a_scheduler_that_is_lost_while_workers_are_asked_is_named(
    cluster: RealCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(client: Any, address: str) -> None:
        raise OSError("stream is closed")

    monkeypatch.setattr(opening, "_check_workers", lose)
    message = f"no scheduler answers at {cluster.address}: start one"
    with pytest.raises(ClusterError, match=message), connected(cluster.address, 1):
        pass


def test_the_scheduler_may_be_named_and_is_left(cluster: RealCluster) -> None:
    logger = logging.getLogger("distributed")
    before = logger.level
    with connected(cluster.address, 2) as found:
        assert found is not None
        assert executor_at(cluster.address, 2) is found
        assert found.near.workers == 2
        assert logger.level > logging.CRITICAL
    assert cluster.address not in opening._open
    assert logger.level == before


def times(memory: Memory, argument: None) -> int:
    """How often this was asked of a worker that keeps count."""
    count = memory.made("count", "of the test", lambda: [0])
    count[0] += 1
    return count[0]


def test_workers_forget_a_command_that_has_ended(cluster: RealCluster) -> None:
    with connected(cluster.address, 1) as found:
        assert found is not None
        assert [*found.map(times, [Task(None, "h")])] == [1]
        assert [*found.map(times, [Task(None, "h")])] == [2]  # of the same worker
    with connected(cluster.address, 1) as found:
        assert found is not None
        both = found.map(times, [Task(None), Task(None)])
        assert [*both] == [1, 1]


def test_warnings_are_shown_while_the_command_works(cluster: RealCluster) -> None:
    with connected(cluster.address, 1), pytest.warns(UserWarning, match="of a metric"):
        warnings.warn("of a metric", UserWarning, stacklevel=1)


def process_of(memory: Memory, argument: None) -> tuple[int, set[int]]:
    """The number of a worker's process, and the signals that are not delivered to it."""
    return os.getpid(), set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_workers_of_this_machine_leave_signals_to_the_process_that_started_them() -> None:
    pytest.importorskip("distributed")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with connected("local:1", 1) as found:
        assert found is not None
        ((number, blocked),) = found.map(process_of, [Task(None)])
        assert number != os.getpid()
        assert blocked >= set(ENDING_SIGNALS)
        for each in ENDING_SIGNALS:
            os.kill(number, each)
        ((still, _),) = found.map(process_of, [Task(None)])
        assert still == number
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_signal_while_workers_start_interrupts_when_they_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    distributed, events = pytest.importorskip("distributed"), list[str]()

    class Starting:
        def __init__(self, **options: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            events.append("started")

        def __enter__(self) -> "Starting":
            return self

        def __exit__(self, *error: object) -> None:
            events.append("ended")

    monkeypatch.setattr(distributed, "LocalCluster", Starting)
    with pytest.raises(KeyboardInterrupt), connected("local:3", 1):
        events.append("used")
    assert events == ["started", "ended"]
