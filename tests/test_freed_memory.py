"""Freed memory goes back to the system."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.freed_memory import give_back

has_trim = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not has_trim, reason="the C library cannot give memory back")
def test_memory_between_blocks_in_use_is_given_back() -> None:
    blocks = [np.ones(2**13) for _ in range(1000)]  # of 64 kB, on the heap
    last = blocks.pop()
    full = resident()
    del blocks
    give_back()
    assert resident() < full - 1000 * 2**15
    assert last.sum() == 2**13


def test_without_a_way_to_give_it_back_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    give_back()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", None)
    give_back()
