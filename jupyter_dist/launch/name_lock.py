"""File locks, which the system takes back when their holder dies: on a cluster's name, and on its folder.

There is one starter at a time for each name. The file is removed by its last holder; a waiter that locked a removed
file has locked nothing, so it looks again. A folder is held by its nanny, which inherits the lock from the launcher:
one that nobody holds belongs to nobody.
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


def hold_folder(path: Path) -> int:
    """Lock a new cluster's folder and return the descriptor that holds it, with all that inherit it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # some network folders cannot; then nobody sweeps there either
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_held(path: Path) -> bool:
    """Return whether somebody holds a folder, or may."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
