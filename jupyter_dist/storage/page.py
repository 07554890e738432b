"""The page a worker shares with its nanny: which attempts are inside a user's code at this moment.

Eight bytes an entry, the attempt's number in the machine's byte order, 0 for none; there is one for each thread that
can be inside a user's code: those of the slots, and those of tasks that wait. The highest bit says that the attempt
waits for something of the cluster, so that somebody else may be to blame for a death. Behind these stand as many places
for attempts that are out again, of tasks that are not run twice: the newest of them, one after another in a ring. While
the scheduler has not heard how an attempt ended, no more others can end than are there at one time. The worker writes before it calls
a user's code and after; no lock, no system call: it is a file mapped into memory, and what was written survives any
death of the process. The nanny reads it when the process is dead, to know whom to suspect.
"""

import mmap
import struct
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

ENTRY_BYTES = 8
WAITS = 1 << 63


class PageWriter:
    """The worker's side. Makes the file, with every entry empty."""

    __slots__ = ("_ended", "_entries", "_map", "_view", "begin", "end")

    begin: Callable[[int, int], None]  # (entry, attempt): it enters a user's code, or goes on there
    end: Callable[[int], None]  # (entry): it is out again

    def __init__(self, path: str | Path, entries: int) -> None:
        with Path(path).open("w+b") as file:
            file.truncate(2 * entries * ENTRY_BYTES)
            self._map = mmap.mmap(file.fileno(), 2 * entries * ENTRY_BYTES)
        view = memoryview(self._map).cast("Q")
        self._view = view
        self._entries = entries
        self._ended = count()
        self.begin = view.__setitem__

        def end(entry: int) -> None:
            view[entry] = 0

        self.end = end

    def wait(self, entry: int, attempt: int) -> None:
        """Note that an attempt waits inside a user's code."""
        self._view[entry] = attempt | WAITS

    def spend(self, attempt: int) -> None:
        """Note, before its `end`, that an attempt has run that must not run again."""
        self._view[self._entries + next(self._ended) % self._entries] = attempt

    def clear(self) -> None:
        """Say that nobody is inside a user's code: whatever ends the process now, no task does."""
        for entry in range(self._entries):
            if self._view[entry]:
                self.spend(self._view[entry] & ~WAITS)
            self._view[entry] = 0

    def close(self) -> None:
        """Unmap the file; it stays."""
        del self.begin, self.end
        self._view.release()
        self._map.close()


class Inside(NamedTuple):
    """The attempts that are inside a user's code: those that compute, and those that wait there.

    ``ended`` are those that are out again, of tasks that are not run twice; None: there is nothing to read.
    """

    computing: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    ended: tuple[int, ...] | None = None


def read_page(path: str | Path) -> Inside:
    """Return who is inside a user's code, nobody when there is no such file."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return Inside()
    if len(data) < 2 * ENTRY_BYTES:
        return Inside()
    half = len(data) // (2 * ENTRY_BYTES)
    numbers = struct.unpack(f"={2 * half}Q", data[: 2 * half * ENTRY_BYTES])
    entries = [entry for entry in numbers[:half] if entry]
    computing = tuple(entry for entry in entries if not entry & WAITS)
    waiting = tuple(entry & ~WAITS for entry in entries if entry & WAITS)
    return Inside(computing, waiting, tuple(entry for entry in numbers[half:] if entry))
