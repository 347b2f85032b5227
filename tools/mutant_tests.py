"""Run the tests of broken lines, each in a copy of the project, the closest tests first."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from queue import Queue
from threading import Lock
from typing import TypeVar

from mutants import Mutant
from tqdm import tqdm

TESTS = "tests"
LEAST_SECONDS, TIMES = 20.0, 5.0  # before tests count as hanging
LOG_SECONDS = 30.0
MEMORY = 8 * 2**20  # KiB of addresses per process: a broken loop may ask for all there is
PASSED = (0, 5)  # exit codes of pytest: all passed, and none found

Item = TypeVar("Item")
Result = TypeVar("Result")
Name = PurePosixPath  # of a file, from the project's root


class UnbrokenError(Exception):
    """Tests fail where nothing is broken."""


@dataclass(frozen=True)
class Stage:
    """Tests that are run together.

    Attributes:
        name: "mirrored", "room" or "suite".
        tests: the files that are run.
        all: what is run, unbroken, to know how long that takes.
    """

    name: str
    tests: tuple[str, ...]
    all: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant; `caught` names the stage, and is None where it survived."""

    file: str
    line: int
    before: str
    after: str
    caught: str | None
    seconds: float


def stages(file: Name, files: Iterable[Name]) -> list[Stage]:
    """The tests of a file of the package, the closest first; stages without tests are left out."""
    left = [name for name in files if name.parts[0] == TESTS and name.match("test_*.py")]
    mirrored = Name(TESTS, *file.parts[1:-1], f"test_{file.stem}.py")
    folders = [folder for folder in mirrored.parents if len(folder.parts) > 1]
    others = {folder for name in left if name != mirrored for folder in name.parents}
    room = next((folder for folder in folders if folder in others), None)
    found = []
    for stage, path in (("mirrored", mirrored), ("room", room), ("suite", Name(TESTS))):
        tests = [name for name in left if path == name or path in name.parents]
        if tests:
            found.append(Stage(stage, tuple(map(str, tests)), (str(path),)))
        left = [name for name in left if name not in tests]
    return found


class Runner:
    """Copies of the project, in which mutants are tested, and one that stays unbroken."""

    def __init__(self, root: Path, files: Sequence[Name], scratch: Path, workers: int) -> None:
        self._files = files
        self._pool = ThreadPoolExecutor(workers)
        self._clean = copied(root, files, scratch / "unbroken")
        self._copies: Queue[Path] = Queue()
        for worker in range(workers):
            self._copies.put(copied(root, files, scratch / f"worker{worker}"))
        self._mutex = Lock()
        self._locks: dict[tuple[str, ...], Lock] = {}
        self._seconds: dict[tuple[str, ...], float] = {}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, chosen: Sequence[tuple[Name, Mutant]]) -> Iterator[Outcome]:
        """Test each, after the first stage of each without it; outcomes come as they are known.

        Raises:
            UnbrokenError: tests fail where nothing is broken.
        """
        first = {stage.all for name, _ in chosen for stage in stages(name, self._files)[:1]}
        try:
            for _ in self._each("unbroken", self._limit, sorted(first)):
                pass
            yield from self._each("broken", self._tested, chosen)
        except BaseException:
            self._stop()
            raise
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _each(
        self, label: str, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        futures = [self._pool.submit(work, item) for item in items]
        for future in finished(futures, label):
            yield future.result()

    def _tested(self, item: tuple[Name, Mutant]) -> Outcome:
        name, mutant = item
        began = time.monotonic()
        copy = self._copies.get()
        source = (copy / name).read_bytes()
        (copy / name).write_bytes(mutant.applied(source))
        try:
            caught = next(
                (each.name for each in stages(name, self._files) if self._fails(copy, each)), None
            )
        finally:
            (copy / name).write_bytes(source)
            self._copies.put(copy)
        spent = time.monotonic() - began
        return Outcome(str(name), mutant.line, *mutant.lines(source), caught, round(spent, 1))

    def _fails(self, copy: Path, stage: Stage) -> bool:
        return not self._passes(copy, stage.tests, self._limit(stage.all))

    def _limit(self, tests: tuple[str, ...]) -> float:
        """The seconds after which tests count as hanging; they are measured once."""
        with self._mutex:
            lock = self._locks.setdefault(tests, Lock())
        with lock:
            if tests not in self._seconds:
                began = time.monotonic()
                if not self._passes(self._clean, tests, None):
                    raise UnbrokenError(
                        f"{' '.join(tests)} fails with nothing broken: mend it first."
                    )
                self._seconds[tests] = time.monotonic() - began
        return max(LEAST_SECONDS, TIMES * self._seconds[tests])

    def _passes(self, copy: Path, tests: Sequence[str], seconds: float | None) -> bool:
        """Whether tests pass within so many seconds; what they started is stopped with them."""
        pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        bounded = ["sh", "-c", f'ulimit -v {MEMORY} 2>/dev/null; exec "$@"', "sh", *pytest]
        with self._mutex:
            if self._stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                bounded,
                cwd=copy,
                env=environment(copy),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            return process.wait(seconds) in PASSED
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        finally:
            with self._mutex:
                self._running.discard(process)

    def _stop(self) -> None:
        with self._mutex:
            self._stopped = True
            for process in self._running:
                with suppress(ProcessLookupError):  # it has just ended
                    os.killpg(process.pid, signal.SIGKILL)


def copied(root: Path, files: Iterable[Name], copy: Path) -> Path:
    """A copy of the project, with a folder for what its tests write."""
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, copy / name)
    copy.with_suffix(".tmp").mkdir()
    return copy


def environment(copy: Path) -> dict[str, str]:
    """In which the tests of a copy run: its package is imported, and no stale bytecode."""
    return os.environ | {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(copy.with_suffix(".tmp")),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def finished(futures: Collection[Future[Result]], label: str) -> Iterator[Future[Result]]:
    """Each as it is done; on stderr a bar with the time left, or a line from time to time."""
    began = logged = time.monotonic()
    pending = set(futures)
    with tqdm(
        total=len(futures),
        desc=label,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        leave=False,
    ) as bar:
        while pending:
            done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            yield from done
            bar.update(len(done))
            bar.refresh()
            now, ready = time.monotonic(), len(futures) - len(pending)
            if bar.disable and ready and now - logged > LOG_SECONDS:
                logged, left = now, (now - began) / ready * len(pending)
                print(f"{label}: {ready} of {len(futures)}, {left:.0f} s left", file=sys.stderr)
