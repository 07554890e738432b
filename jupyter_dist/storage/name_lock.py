"""The lock on a cluster's name, which the system takes back when its holder dies: one starter at a time for each name.

The file is removed by its last holder; a waiter that locked a removed file has locked nothing, so it looks again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.02


@contextlib.contextmanager
def locked_name(path: Path, wait_s: float) -> Iterator[bool]:
    """Hold the lock of a name; False when somebody else still holds it after ``wait_s``."""
    end_s = time.monotonic() + wait_s
    lock = _try_lock(path)
    while lock is None and time.monotonic() < end_s:
        time.sleep(POLL_S)
        lock = _try_lock(path)
    if lock is None:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _try_lock(path: Path) -> int | None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(lock).st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None
