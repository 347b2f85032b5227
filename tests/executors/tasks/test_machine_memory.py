"""How much memory is free, and how much this process holds."""

import os
from pathlib import Path

import pytest

from onnx_evoq.executors.tasks.machine_memory import free_memory, used_memory


def test_free_memory_is_what_the_kernel_calls_available(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "MemTotal:  900 kB\nMemFree:  100 kB\nMemAvailable:  300 kB\nBuffers: 7 kB\n"
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: text)
    assert free_memory() == 300 * 1024


def test_without_that_line_it_is_the_free_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: "MemTotal: 900 kB\n")
    sizes = {"SC_AVPHYS_PAGES": 7, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert free_memory() == 7 * 4096


def test_a_system_that_does_not_say_has_4_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, encoding: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert free_memory() == 4 * 1024**3


def test_used_memory_is_that_of_the_pages_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: "900 5 3 1 0 7 0\n")
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096}.__getitem__)
    assert used_memory() == 5 * 4096


def test_a_system_that_does_not_say_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, encoding: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert used_memory() == 0
