"""The benchmarks start: what they import is there."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent.parent / "tools").glob("bench_*.py"))


@pytest.mark.parametrize("tool", BENCHMARKS, ids=lambda tool: tool.stem)
def test_a_benchmark_says_how_it_is_used(tool: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(tool), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
