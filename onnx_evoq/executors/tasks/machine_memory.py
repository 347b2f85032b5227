"""The memory of this machine, and of this process."""

import os
from pathlib import Path


def used_memory() -> int:
    """Bytes of memory that this process holds; 0 if the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


_GROUPS = (  # of Linux, which bound a container: folder, limit, use, and the name in the list
    ("/sys/fs/cgroup", "memory.max", "memory.current", ""),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory"),
)


def free_memory() -> int:
    """Bytes of memory that are available; 4 GiB if the system does not say.

    In a container, the machine may have more than the container may use.
    """
    return min([_free_of_machine(), *_free_of_groups(Path("/"))])


def _free_of_groups(root: Path) -> list[int]:
    """What the control groups leave that this process is in, from its own to the outermost.

    Args:
        root: of the file system.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
        own = {name: group for _, name, group in (line.split(":", 2) for line in lines)}
    except (OSError, ValueError):  # no Linux
        return []
    free = []
    for folder, limit, use, name in _GROUPS:
        top = root / folder.lstrip("/")
        group = top / own.get(name, "/").lstrip("/")
        for each in (group, *group.parents):
            if each.is_relative_to(top):
                free += _free_of_group(each / limit, each / use, each / "memory.stat")
    return free


def _free_of_group(limit: Path, use: Path, kinds: Path) -> list[int]:
    """What a control group leaves; nothing is said where it has no limit, or is not seen here.

    Files that were read and are kept in memory count as used, but give way.
    """
    try:
        most, used = (int(each.read_text(encoding="ascii")) for each in (limit, use))
        lines = kinds.read_text(encoding="ascii").splitlines() if kinds.exists() else []
        of_files = [int(line.split()[1]) for line in lines if line.startswith("inactive_file ")]
    except (OSError, ValueError):  # "max" is no number
        return []
    return [max(0, most - used + sum(of_files))]


def _free_of_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 4 * 2**30
