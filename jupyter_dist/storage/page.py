"""The page a worker shares with its nanny: which attempts are inside a user's code at this moment.

Eight bytes a slot, the attempt's number in the machine's byte order, 0 for none. The worker writes before it calls a
user's code and after; no lock, no system call: it is a file mapped into memory, and what was written survives any death
of the process. The nanny reads it when the process is dead, to know whom to suspect.
"""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

SLOT_BYTES = 8


class PageWriter:
    """The worker's side. Makes the file, with every slot empty."""

    __slots__ = ("_map", "_slots", "begin", "end")

    begin: Callable[[int, int], None]  # (slot, attempt): the slot enters a user's code
    end: Callable[[int], None]  # (slot): it is out again

    def __init__(self, path: str | Path, slots: int) -> None:
        with Path(path).open("w+b") as file:
            file.truncate(slots * SLOT_BYTES)
            self._map = mmap.mmap(file.fileno(), slots * SLOT_BYTES)
        view = memoryview(self._map).cast("Q")
        self._slots = view
        self.begin = view.__setitem__

        def end(slot: int) -> None:
            view[slot] = 0

        self.end = end

    def clear(self) -> None:
        """Say that no slot is inside a user's code: whatever ends the process now, no task does."""
        for slot in range(len(self._slots)):
            self._slots[slot] = 0

    def close(self) -> None:
        """Unmap the file; it stays."""
        del self.begin, self.end
        self._slots.release()
        self._map.close()


def read_page(path: str | Path) -> tuple[int, ...]:
    """Return the attempts that are inside a user's code, none when there is no such file."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return ()
    whole = len(data) - len(data) % SLOT_BYTES
    return tuple(attempt for (attempt,) in struct.iter_unpack("=Q", data[:whole]) if attempt)
