"""A lock on a folder, which the system takes back when its holder dies: a folder that nobody holds belongs to nobody."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


def hold_folder(path: Path) -> int:
    """Lock a folder and return the descriptor that holds it, with all that inherit it."""
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
