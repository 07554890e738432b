"""How much more a folder can take. A folder in memory can take no more than the host, or our container, has free.

A file in memory that is larger than what is free does not fail: the system kills somebody for it. So it is asked before.
"""

from __future__ import annotations

import os
from pathlib import Path

MEMORY_ROOT = Path("/dev/shm")  # noqa: S108  # what is made below it is closed to others
MEMORY_KEPT_BYTES = 256 * 1024 * 1024  # what a folder in memory leaves for everything else
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def free_bytes(folder: Path) -> int:
    """Return how many bytes can be written to a folder, about."""
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    if not folder.is_relative_to(MEMORY_ROOT):
        return free
    return max(0, min(free, free_memory_bytes() - MEMORY_KEPT_BYTES))


def free_memory_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Return how much memory can be had without pushing anything out: on this host, and in our container."""
    known = [_available(meminfo), _container(cgroup)]
    return min((nbytes for nbytes in known if nbytes is not None), default=1 << 62)


def _available(meminfo: Path) -> int | None:
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _container(cgroup: Path) -> int | None:
    """Return what a container's limit leaves: its page cache that lies idle counts as free."""
    try:
        limit, used = int((cgroup / "memory.max").read_text()), int((cgroup / "memory.current").read_text())
        fields = dict(line.split(None, 1) for line in (cgroup / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(fields.get("inactive_file", "0")))
    except (OSError, ValueError):  # no container, or "max"
        return None
