"""The table of users' code that every worker shall have, and of clients that wait until workers have it.

It is changed here alone. Its bytes are bounded: when there are more, the oldest files nobody uploaded by name go first.
"""

from __future__ import annotations

from collections import OrderedDict

from jupyter_dist.messages import CodeFile, ErrorInfo

EPOCH_BITS = 32  # numbers of one scheduler are no numbers of another: workers answer late


class CodeEntry:
    """One file, the session that put it last, and its place in the order in which files were put."""

    __slots__ = ("file", "place", "session")

    def __init__(self, file: CodeFile, session: str, place: int) -> None:
        self.file = file
        self.session = session
        self.place = place


class PendingCode:
    """A client that waits until workers, those of these names or all, have files, and what was put before them."""

    __slots__ = ("error", "failure", "names", "request", "session", "until_s", "waiting", "workers")

    def __init__(
        self, session: str, request: int, names: tuple[str, ...], workers: tuple[str, ...], until_s: float
    ) -> None:
        self.session = session
        self.request = request
        self.names = names
        self.workers = workers
        self.waiting: dict[int, int] = {}  # workers that have not said so, with the number of what they were told
        self.until_s = until_s
        self.error = ""  # the first worker's fault, in words
        self.failure: ErrorInfo | None = None  # and as it was raised there


class CodeTable:
    """What every worker shall have."""

    def __init__(self, bytes_max: int, epoch: int) -> None:
        self.entries: OrderedDict[str, CodeEntry] = OrderedDict()  # by name, the one put longest ago first
        self.pending: list[PendingCode] = []
        self.total_bytes = 0
        self.last_number = epoch << EPOCH_BITS  # of what workers were told
        self._bytes_max = bytes_max

    def next_number(self) -> int:
        """Return the number of a new message to workers."""
        self.last_number += 1
        return self.last_number

    def has_room(self, files: tuple[CodeFile, ...]) -> bool:
        """Whether files fit beside those that were uploaded by name and are not replaced by them."""
        names = {file.name for file in files}
        fixed = (entry.file for entry in self.entries.values() if entry.file.is_upload and entry.file.name not in names)
        return sum(len(file.body) for file in (*files, *fixed)) <= self._bytes_max

    def put(self, file: CodeFile, session: str, place: int) -> CodeEntry | None:
        """Enter a file, in the last place, and not where the one of its name was; return that one."""
        before = self.remove(file.name)
        self.entries[file.name] = CodeEntry(file, session, place)
        self.total_bytes += len(file.body)
        return before

    def remove(self, name: str) -> CodeEntry | None:
        """Take a file out, if it is there, and return it."""
        entry = self.entries.pop(name, None)
        if entry is not None:
            self.total_bytes -= len(entry.file.body)
        return entry

    def take_overdue(self, spared: frozenset[str]) -> list[CodeEntry]:
        """Take out what is over the limit, oldest first, except these names and what was uploaded by name."""
        overdue = []
        for name in list(self.entries):
            if self.total_bytes <= self._bytes_max:
                break
            if name not in spared and not self.entries[name].file.is_upload:
                overdue.append(self.entries[name])
                self.remove(name)
        return overdue
