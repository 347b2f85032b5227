"""Break lines of the package, one at a time, and print those that no test notices.

    python tools/mutate.py [--count 100] [--seed 0] [--only PATH ..] [--workers 2] [--json]

What can be broken is in mutants.py: logic, but no strings, annotations or settings. Lines are drawn
at random from all that can be broken, the same ones for the same seed and tree. Each is broken in a
copy of the project in a temporary folder, never in the project itself, and tested in three stages,
each with the tests that the one before did not run:

    mirrored  the file of tests of the same name: tests/ROOM/test_NAME.py for onnx_evoq/ROOM/NAME.py
    room      the others of that folder of tests, or of the closest above it that has others
    suite     all others

A broken line is caught where a test fails, or takes five times as long as all of the stage took
unbroken, and 20 s at least. What only the suite catches shows that the file's own tests are weak;
--json names these lines. The exit code is 0 if 95 % or more are caught, 1 if fewer, and 2 if the
unbroken project fails its tests. Interrupted, it prints what it has found by then.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from mutant_tests import Name, Outcome, Runner, UnbrokenError
from mutants import Mutant, differs, mutants

PROJECT = Path(__file__).parent.parent
PACKAGE = "onnx_evoq"

ENOUGH = 0.95  # of the mutants caught


def main(arguments: Sequence[str] | None = None, root: Path = PROJECT) -> int:
    """Break, test, and print what survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100, help="lines to break (100)")
    parser.add_argument("--seed", type=int, default=0, help="chooses them (0)")
    parser.add_argument("--only", type=Path, nargs="+", help="files or folders of the package")
    parser.add_argument("--workers", type=int, default=2, help="lines tested at a time (2)")
    parser.add_argument("--json", action="store_true", help="all that was broken, as one object")
    given = parser.parse_args(arguments)
    files = tracked(root)
    chosen = choose(root, breakable(root, files, given.only), given.count, given.seed)
    if not chosen:
        parser.error("nothing there can be broken")
    outcomes: list[Outcome] = []
    with TemporaryDirectory(prefix="mutate-") as scratch:
        try:
            runner = Runner(root, files, Path(scratch), given.workers)
            outcomes.extend(runner.run(chosen))  # one by one: an interruption leaves those before
        except UnbrokenError as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"stopped after {len(outcomes)} of {len(chosen)}", file=sys.stderr)
    outcomes.sort(key=lambda outcome: (outcome.file, outcome.line))
    survivors = [outcome for outcome in outcomes if outcome.caught is None]
    if given.json:
        found = {"summary": summary(outcomes), "mutants": [asdict(each) for each in outcomes]}
        print(json.dumps(found, indent=1))
    else:
        for each in survivors:
            print(f"{each.file}:{each.line}\n  - {each.before}\n  + {each.after}")
        print(summary(outcomes))
    return int(len(survivors) > (1 - ENOUGH) * len(outcomes))


def summary(outcomes: Collection[Outcome]) -> str:
    """How many were caught, and where."""
    at = Counter(outcome.caught for outcome in outcomes)
    return (
        f"{len(outcomes) - at[None]} of {len(outcomes)} caught: {at['mirrored']} by the mirrored "
        f"test, {at['room']} by the room, {at['suite']} by the suite"
    )


def tracked(root: Path) -> list[Name]:
    """The files of the project, those included that git does not know but does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    names = sorted({Name(name) for name in listed.split("\0") if name})
    return [name for name in names if (root / name).is_file()]


def breakable(root: Path, files: Iterable[Name], only: Sequence[Path] | None) -> list[Name]:
    """The package's files, or those of them that are named or below a folder that is."""
    wanted = [path.resolve() for path in only or [root]]
    return [
        name
        for name in files
        if name.parts[0] == PACKAGE
        and name.suffix == ".py"
        and any((root / name).resolve().is_relative_to(path) for path in wanted)
    ]


def choose(root: Path, files: Iterable[Name], count: int, seed: int) -> list[tuple[Name, Mutant]]:
    """So many mutants, one per line at most, drawn from all of the files."""
    sources = {name: (root / name).read_bytes() for name in files}
    drawn = [(name, mutant) for name, source in sources.items() for mutant in mutants(source)]
    random.Random(seed).shuffle(drawn)
    chosen: dict[tuple[Name, int], Mutant] = {}
    for name, mutant in drawn:
        if len(chosen) == count:
            break
        if (name, mutant.line) not in chosen and differs(sources[name], mutant):
            chosen[name, mutant.line] = mutant
    return sorted((name, mutant) for (name, _), mutant in chosen.items())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # prints what is known by then
    sys.exit(main())
