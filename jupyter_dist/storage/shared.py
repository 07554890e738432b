"""One folder of objects that the processes of a host share.

An object has a name of hexadecimal digits, made by us. It appears whole or not at all: it is written to a file that has
no name yet, and is given its name at the end. Whoever dies in between leaves nothing (on systems without nameless
files, a draft that goes with the folder). An object never changes; a name is used once.

The folder is closed to others and checked at each use, because its parent may be open to everybody: it is a real
folder, ours, and nobody else may enter.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from jupyter_dist.errors import StorageError, StorageFullError
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.storage import room
from jupyter_dist.storage.draft import open_draft
from jupyter_dist.storage.mapping import load_object
from jupyter_dist.storage.object_file import UnreadableError, file_pieces, place

NAME = re.compile(r"[0-9a-f]{16,64}")
FOLDER_MODE = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO
PIECES_MAX = 512  # in one call of the system, which takes 1024
WRITE_BYTES_MAX = 64 * 1024 * 1024  # in one call: so often can an interrupt get through
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LOST = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EIO, errno.EACCES})


class System(Protocol):
    """What can fail for want of room. Tests have their own."""

    def write(self, descriptor: int, pieces: Sequence[memoryview]) -> int:
        """Write pieces in order and return how many bytes were taken."""

    def free_bytes(self, folder: Path) -> int:
        """Return how much more a folder can take."""


class RealSystem:
    """The operating system."""

    def write(self, descriptor: int, pieces: Sequence[memoryview]) -> int:
        """Write pieces in order and return how many bytes were taken."""
        return os.writev(descriptor, pieces)

    def free_bytes(self, folder: Path) -> int:
        """Return how much more a folder can take."""
        return room.free_bytes(folder)


REAL = RealSystem()


class ObjectFolder:
    """A folder of objects. Thread-safe; keeps nothing open.

    Parameters
    ----------
    path : str or Path
        The folder. Only `make` makes it: one that was removed is gone with its cluster, and must not come back.
    system : System, optional
        What writes, and knows what is free.
    """

    def __init__(self, path: str | Path, system: System = REAL) -> None:
        self.path = Path(path)
        self._system = system

    def make(self) -> None:
        """Make the folder if it is not there, and check that it is ours.

        Raises
        ------
        StorageError
            It cannot be made, or others have a part in it.
        """
        try:
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=FOLDER_MODE)
            with self._opened():
                pass
        except OSError as error:
            raise self._storage_error("cannot be made", error) from error

    def write(self, name: str, buffers: Sequence[Buffer]) -> int:
        """Write an object and return the size of its file. The buffers are written from where they are.

        Raises
        ------
        StorageFullError
            There is no room; nothing of it is left.
        StorageError
            The folder is gone, not ours, or cannot be written to; nothing is left.
        """
        _check_name(name)
        _offsets, size = place([memoryview(buffer).nbytes for buffer in buffers])
        try:
            with self._opened() as folder, open_draft(folder) as draft:
                self._fill(draft.descriptor, buffers)
                draft.publish(name)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFullError(self.lacks_room(size)) from None
            raise self._storage_error(f"cannot keep an object of {size:,} bytes", error) from error
        return size

    def lacks_room(self, size: int) -> str:
        """Return in words that an object is too large for what is free."""
        return f"{size:,} bytes do not fit into {self.path}, where {self.free_bytes():,} bytes are free"

    def read(self, name: str) -> list[memoryview]:
        """Return the buffers of an object, read-only: mapped when it is large. They stay when it is removed.

        Raises
        ------
        UnreadableError
            There is no such object, or it is damaged.
        OSError
            This process has no memory or no descriptor left for it.
        """
        if not NAME.fullmatch(name):
            raise UnreadableError(f"{name!r} is not the name of an object")
        try:
            with self._opened() as folder:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
                try:
                    return load_object(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            if error.errno in LOST or isinstance(error, StorageError):
                raise UnreadableError(f"{self.path / name}: {error.strerror or error}") from error
            raise
        except UnreadableError as error:
            raise UnreadableError(f"{self.path / name}: {error}") from None

    def has(self, name: str) -> bool:
        """Whether there is an object of this name."""
        return NAME.fullmatch(name) is not None and (self.path / name).exists()

    def remove(self, name: str) -> bool:
        """Remove an object, or whatever is in its place; return whether there was one. Who has mapped it keeps it."""
        if not NAME.fullmatch(name):
            return False
        try:
            with self._opened() as folder:
                os.unlink(name, dir_fd=folder)
        except OSError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of all objects."""
        try:
            return sorted(path.name for path in self.path.iterdir() if NAME.fullmatch(path.name))
        except OSError:
            return []

    def free_bytes(self) -> int:
        """Return how much more the folder can take; 0 when it is not there and cannot be."""
        try:
            return self._system.free_bytes(self.path if self.path.exists() else self.path.parent)
        except OSError:
            return 0

    def remove_all(self) -> None:
        """Remove the folder and all in it, if it is ours."""
        with contextlib.suppress(OSError):
            if self.path.lstat().st_uid == os.geteuid():
                shutil.rmtree(self.path, ignore_errors=True)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Hold the folder open as a descriptor: what is looked at is what is used."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(folder)
            if status.st_uid != os.geteuid() or status.st_mode & OTHERS:
                raise StorageError(f"{self.path} is not your own folder, closed to others: it is not used")
            yield folder
        finally:
            os.close(folder)

    def _fill(self, descriptor: int, buffers: Sequence[Buffer]) -> None:
        """Write a file from its first byte. One call of the system takes what it likes, so what is left follows."""
        for batch in _batches(file_pieces(buffers)):
            rest = batch
            while rest:
                rest = _after(rest, self._system.write(descriptor, rest))

    def _storage_error(self, what: str, error: OSError) -> StorageError:
        if isinstance(error, StorageError):
            return error
        return StorageError(f"the object store {self.path} {what}: {error.strerror or error}")


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name an object")


def _batches(pieces: Iterator[memoryview]) -> Iterator[list[memoryview]]:
    """Yield pieces in portions that one call of the system can take; a large piece is cut."""
    batch: list[memoryview] = []
    nbytes = 0
    for piece in itertools.chain.from_iterable(map(_cut, pieces)):
        if len(batch) >= PIECES_MAX or (batch and nbytes + piece.nbytes > WRITE_BYTES_MAX):
            yield batch
            batch, nbytes = [], 0
        batch.append(piece)
        nbytes += piece.nbytes
    if batch:
        yield batch


def _cut(piece: memoryview) -> Iterator[memoryview]:
    for start in range(0, piece.nbytes, WRITE_BYTES_MAX):
        yield piece[start : start + WRITE_BYTES_MAX]


def _after(pieces: list[memoryview], count: int) -> list[memoryview]:
    """Return what is left of pieces when so many bytes of them are done."""
    for index, piece in enumerate(pieces):
        if count < piece.nbytes:
            return [piece[count:], *pieces[index + 1 :]]
        count -= piece.nbytes
    return []
