"""How much memory is free, and how much this process holds."""

import os
from pathlib import Path

import pytest

from onnx_evoq.executors.tasks.machine_memory import _free_of_groups, free_memory, used_memory


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


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    ("own", "files", "free"),
    [
        ("0::/", {"memory_dot_max": "900\n", "memory_dot_current": "200\n"}, [700]),  # in a pod
        (
            "0::/",
            {
                "memory_dot_max": "900",
                "memory_dot_current": "800",
                "memory_dot_stat": "anon 100\ninactive_file 600\nactive_file 100\n",
            },
            [700],
        ),
        ("0::/", {"memory_dot_max": "max\n", "memory_dot_current": "200\n"}, []),
        ("0::/", {"memory_dot_max": "100\n", "memory_dot_current": "200\n"}, [0]),
        ("0::/a/b", {"a__memory_dot_max": "50", "a__memory_dot_current": "20"}, [30]),
        ("0::/not/seen", {"memory_dot_max": "9", "memory_dot_current": "2"}, [7]),
    ],
)
def test_a_container_leaves_what_its_groups_leave(
    tmp_path: Path, own: str, files: dict[str, str], free: list[int]
) -> None:
    write(tmp_path, proc__self__cgroup=own + "\n")
    write(tmp_path / "sys/fs/cgroup", **files)
    assert _free_of_groups(tmp_path) == free


def test_groups_of_the_first_kind_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("3:cpu,cpuacct:/x\n4:memory:/docker/c\n")
    group = tmp_path / "sys/fs/cgroup/memory/docker/c"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("4096\n")
    (group / "memory.usage_in_bytes").write_text("1000\n")
    assert _free_of_groups(tmp_path) == [3096]


def test_the_least_of_machine_and_groups_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "onnx_evoq.executors.tasks.machine_memory"
    monkeypatch.setattr(f"{module}._free_of_machine", lambda: 500)
    monkeypatch.setattr(f"{module}._free_of_groups", lambda root: [700, 300])
    assert free_memory() == 300
