"""A worker's own folder on the disk, for results that would take too much of its memory.

One file a result, laid out as in the host's object store (`object_file`): whoever needs it maps it. The disk can damage a
file, and others can remove it, so each has a checksum, over its buffers and their lengths. It is kept here, not in the
file: an older file in its place is noticed too. What does not agree with it is as good as gone; it is never used.

The folder is in the worker's scratch folder, which its nanny removes when the worker ends. Where it was removed before,
it is made again for the next result, if that can be.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from jupyter_dist.errors import StorageFullError
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.storage.object_file import UnreadableError, place
from jupyter_dist.storage.shared import REAL, ObjectFolder, System

FOLDER_NAME = "spilled"


class SpillFolder:
    """The spilled results of one worker. Thread-safe; keeps nothing open.

    Parameters
    ----------
    scratch : str or Path
        The worker's own folder.
    """

    def __init__(self, scratch: str | Path, system: System = REAL) -> None:
        self._folder = ObjectFolder(Path(scratch) / FOLDER_NAME, system)
        self._seals: dict[str, int] = {}  # checksums, by name

    def write(self, name: str, buffers: Sequence[Buffer]) -> None:
        """Keep the buffers of a packed value under a name that was never used.

        Raises
        ------
        StorageFullError
            There is no room; nothing of it is left. The text names the folder, the size and what is free.
        StorageError
            The folder cannot be made or written to; nothing is left.
        """
        folder = self._folder
        folder.make()
        _offsets, size = place([memoryview(buffer).nbytes for buffer in buffers])
        if folder.free_bytes() < size:
            raise StorageFullError(folder.lacks_room(size))
        folder.write(name, buffers)
        self._seals[name] = _seal(buffers)

    def read(self, name: str) -> list[memoryview]:
        """Return the buffers written under a name, read-only: mapped when they are large. They stay when it is removed.

        Raises
        ------
        UnreadableError
            There is no such file, or it does not hold what was written.
        OSError
            This process has no memory or no descriptor left for it.
        """
        buffers = self._folder.read(name)
        if _seal(buffers) != self._seals.get(name):
            raise UnreadableError(f"{self._folder.path / name}: its checksum is wrong")
        return buffers

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return self._folder.has(name)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that may or may not be there. Who has mapped one keeps it."""
        for name in names:
            self._seals.pop(name, None)
            self._folder.remove(name)


def _seal(buffers: Iterable[Buffer]) -> int:
    seal = 0
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        seal = zlib.crc32(view, zlib.crc32(view.nbytes.to_bytes(8, "little"), seal))
    return seal
