"""Locks on folders and files, which the system takes back when their holder dies: what nobody holds belongs to nobody."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

PID_BYTES_MAX = 32


def hold_folder(path: Path) -> int:
    """Lock a folder and return the descriptor that holds it, with all that inherit it. Several may hold one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # some network folders cannot; then nobody sweeps there either
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
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


def hold_file(path: Path) -> int:
    """Lock a file, made if need be, write our process id into it and return the descriptor that holds it.

    Raises
    ------
    BlockingIOError
        Another holds it.
    OSError
        It cannot be made or locked.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it while we opened it: there may be another by now


def holder_pid(path: Path) -> str:
    """Return the process id of who holds a file, or ``"?"``."""
    try:
        text = path.read_bytes()[:PID_BYTES_MAX].decode()
    except (OSError, ValueError):
        return "?"
    return text if text.isdecimal() else "?"
