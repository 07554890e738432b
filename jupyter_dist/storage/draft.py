"""A file on its way to a name: what is written is seen under its name whole, or not at all.

On Linux the file has no name until then, so the system removes it when its writer dies in between. Elsewhere it has a
name that no reader looks for, and a writer's death leaves it to whoever removes the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

FILE_MODE = 0o600
NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
DESCRIPTORS = Path("/proc/self/fd")


class Draft(Protocol):
    """A file that is being written."""

    descriptor: int

    def publish(self, name: str) -> None:
        """Give the file its name, which must be free."""

    def drop(self) -> None:
        """Close it, and forget it if it has no name."""


class _Nameless:
    """A file without a name: the system removes it when its writer dies."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self.descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, FILE_MODE, dir_fd=folder)

    def publish(self, name: str) -> None:
        os.link(DESCRIPTORS / str(self.descriptor), name, dst_dir_fd=self._folder, follow_symlinks=True)

    def drop(self) -> None:
        os.close(self.descriptor)


class _Named:
    """A file under a name of its own, where there are no nameless ones."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._name = f".{secrets.token_hex(8)}.new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(self._name, flags, FILE_MODE, dir_fd=folder)

    def publish(self, name: str) -> None:
        os.link(self._name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)  # unlike a rename it replaces none

    def drop(self) -> None:
        os.close(self.descriptor)
        os.unlink(self._name, dir_fd=self._folder)


@contextlib.contextmanager
def open_draft(folder: int) -> Iterator[Draft]:
    """Make a file in a folder that is open as a descriptor. Unless it is published it is dropped at the end."""
    draft = _new(folder)
    try:
        yield draft
    finally:
        draft.drop()


def _new(folder: int) -> Draft:
    if hasattr(os, "O_TMPFILE") and DESCRIPTORS.is_dir():
        try:
            return _Nameless(folder)
        except OSError as error:
            if error.errno not in NO_NAMELESS:
                raise
    return _Named(folder)
