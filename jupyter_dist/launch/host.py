"""What a launcher needs to know of this host: how many cores are ours, and where a cluster's files can be."""

from __future__ import annotations

import math
import os
import re
import secrets
import tempfile
from pathlib import Path

from jupyter_dist.comm.address import UNIX_PATH_BYTES_MAX
from jupyter_dist.errors import ClusterStartError, UsageError
from jupyter_dist.launch.connection_file import FOLDER_PREFIX, runtime_folder
from jupyter_dist.processes.folder import LONGEST_NAME

QUOTA = Path("/sys/fs/cgroup/cpu.max")
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SHORT_TEMP = "/tmp"  # noqa: S108  # a folder that nobody else can name or enter is made below it


def count_cores() -> int:
    """Return how many cores this process may use: its affinity, and the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or "max"
        return cores


def parse_bytes(text: str | float | None) -> int:
    """Return the number of bytes that ``"2GB"``, ``"512 MiB"`` or a number means; 0 for None.

    Raises
    ------
    UsageError
        It means none.
    """
    if text is None:
        return 0
    match = SIZE.fullmatch(str(text))
    if match is None:
        raise UsageError(f"{text!r} is no amount of memory: write 2GB, 512MiB or a number of bytes")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** POWERS[unit.lower()])


def make_folder() -> Path:
    """Make the folder of a new cluster, closed to others, with a path short enough for sockets.

    Raises
    ------
    ClusterStartError
        There is no room for one.
    """
    name = f"{FOLDER_PREFIX}{secrets.token_hex(4)}"
    folder = runtime_folder() / name
    try:
        if _has_room(folder):
            folder.mkdir(mode=0o700)
            return folder
        for parent in (tempfile.gettempdir(), SHORT_TEMP):
            if _has_room(Path(parent) / name):
                return Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))
    except OSError as error:
        raise ClusterStartError(f"a folder for the cluster cannot be made: {error}") from None
    raise ClusterStartError(f"{folder} is too long a path for sockets: set JUPYTER_RUNTIME_DIR to a shorter one")


def _has_room(folder: Path) -> bool:
    return len(os.fsencode(folder)) + 1 + len(LONGEST_NAME) <= UNIX_PATH_BYTES_MAX
