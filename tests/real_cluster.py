"""A Dask scheduler and workers as processes of this machine, as a user would start them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

_HERE = ["--host", "127.0.0.1"]
_QUIET = ["--no-dashboard"]
# A process that waits would take 3 % of a core, to profile itself and to see whether it hangs.
_CALM = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}
_SECONDS = 60  # that a process may take to start


class RealCluster:
    """A scheduler, which runs until the end of a `with`, and workers that come and go.

    Args:
        folder: for the file in which the scheduler says its address, and what processes print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "scheduler.json"
        self._workers: list[subprocess.Popen[bytes]] = []
        self._scheduler = self._started("scheduler", "--port", "0")
        self.address = ""

    def __enter__(self) -> "RealCluster":
        end = time.monotonic() + _SECONDS
        while not self.address:
            try:
                self.address = json.loads(self._file.read_text())["address"]
            except (FileNotFoundError, json.JSONDecodeError):
                assert time.monotonic() < end, "the scheduler does not start"
                time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._workers:
            self.kill_worker()
        self.kill_scheduler()

    def start_worker(self) -> None:
        """Start one more worker, with one thread; it joins within a few seconds."""
        self._workers.append(
            self._started("worker", "--nthreads", "1", "--no-nanny", "--memory-limit", "0")
        )

    def kill_worker(self, index: int = -1) -> None:
        """Kill a worker, by default the last one that was started."""
        worker = self._workers.pop(index)
        worker.kill()
        worker.wait()

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        self._scheduler.kill()
        self._scheduler.wait()

    def _started(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", kind, *_HERE, *_QUIET, *options]
        paths = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
        with (self._folder / f"{kind}-{time.monotonic_ns()}.log").open("wb") as log:
            return subprocess.Popen(
                [*command, "--scheduler-file", str(self._file)],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, **_CALM, "PYTHONPATH": os.pathsep.join(paths)},
            )
