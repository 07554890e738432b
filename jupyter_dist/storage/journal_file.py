"""The file a journal is kept in: one table of SQLite, a row a record, written by one connection that is alone with it.

A row is never changed. It is added under a number of its own, and removed when its record is replaced or removed; a
number is used once in a file's life. So the table grows at its end, and what is removed together mostly stands
together: a row costs 3 us. With the keys as the table's own order, where one lands anywhere, it is 15. Where a record's
row is, the writer remembers: about 100 bytes a live record.

What makes damage visible:

* A row's seal is a checksum of its number, kind and key, and one of these and the data.
* Row 0 is the header. It changes with each commit, and tells how many rows there are and the sum of the squares of
  their numbers: a page that is missing, or an old one in its place, is noticed though each row in it is whole.
* What is removed is overwritten with zeros (``secure_delete``), and never comes back through a damaged pointer.

``synchronous=OFF``: a commit is in the system's memory, which outlives the process, and that is what is promised. The
death of the machine ends the cluster as well, and no commit ever waits for a slow disk's ``fsync``.

Many rows go through one statement: the interpreter's lock is let go once for all of them, and not once a row, after each
of which the scheduler's loop would keep it for milliseconds.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FILE_MODE = 0o600
HEADER_KIND = -1
HEADER_KEY = b"journal"
PAGE_BYTES = 4096
CHECKPOINT_PAGES = 4000  # the log is folded into the file when it is so long
LOG_BYTES_MAX = 24 * 1024 * 1024  # a longer log, after a large commit, is cut
SPARE_PAGES = 4000  # free pages that are kept for new rows, besides an eighth of those that are used
VACUUM_PAGES = 2000  # given back at a time
LOCKED_S = 1.0  # how long another program may lock the file
COLUMNS = 5
PORTIONS = (1000, 100, 10, 1)  # rows in one statement
MASK = 0xFFFFFFFF
TOTAL_MASK = (1 << 63) - 1
TABLE = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, key BLOB NOT NULL, data BLOB NOT NULL, seal INTEGER NOT NULL)
"""
SELECT = "SELECT number, kind, key, data, seal FROM records"
PRAGMAS = (
    f"page_size={PAGE_BYTES}",
    "auto_vacuum=INCREMENTAL",
    "locking_mode=EXCLUSIVE",  # no third file, and no lock to ask for at each commit
    "journal_mode=WAL",
    "synchronous=OFF",
    "secure_delete=ON",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    f"journal_size_limit={LOG_BYTES_MAX}",
    "cache_size=-16384",
    "trusted_schema=OFF",
)


class Change(NamedTuple):
    """What becomes of one record.

    Parameters
    ----------
    kind : int
        A small number, not negative; which kinds there are is the caller's business.
    key : str
        The record's key, of its kind.
    data : bytes or None
        What is kept; None removes the record.
    is_new : bool, optional
        No record of this kind and key can be in the journal yet. If it is removed before it was written, nothing is.
    """

    kind: int
    key: str
    data: bytes | None
    is_new: bool = False


Changes = Mapping[int, Mapping[str, Change]]  # by kind and key
Places = dict[int, dict[str, int]]  # the number of each record's row, by kind and key


class Header(NamedTuple):
    """What row 0 says."""

    version: int  # of what the caller keeps
    epoch: int  # of the scheduler that wrote last
    next: int  # the number of the next row
    rows: int  # how many there are besides this
    total: int  # the sum of the squares of their numbers

    def pack(self) -> bytes:
        """Return it as a record's data."""
        return json.dumps(self).encode()


def unpack_header(data: bytes) -> Header | None:
    """Return a header from a record's data, unless it is none of ours."""
    try:
        return Header(*json.loads(data))
    except (ValueError, TypeError):
        return None


def seal(number: int, kind: int, key: bytes, data: bytes) -> int:
    """Return a row's seal. Its upper half vouches for what the row is about, without the data."""
    key_seal = zlib.crc32(key, (number ^ kind << 24) & MASK)
    return (key_seal & 0x7FFFFFFF) << 32 | zlib.crc32(data, key_seal)


def make_file(path: Path) -> None:
    """Make a file that only its owner can read, or make it so.

    Raises
    ------
    OSError
        It cannot be made or written, or is a link.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)  # SQLite gives its other files the same
    finally:
        os.close(descriptor)  # before SQLite opens it: closing any descriptor would drop its locks


def log_file(path: Path) -> Path:
    """Return where SQLite keeps the log of a file's last commits."""
    return path.with_name(f"{path.name}-wal")


def connect(path: Path) -> sqlite3.Connection:
    """Open a file that is there, and take it for us alone.

    Raises
    ------
    sqlite3.Error
        It is locked, or it is no file of SQLite's, or a damaged one.
    """
    connection = sqlite3.connect(path, timeout=LOCKED_S, isolation_level=None, check_same_thread=False)
    try:
        connection.text_factory = bytes
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


class RecordTable:
    """The rows of an open file. Used by one thread at a time.

    Parameters
    ----------
    path : Path
        The file.
    connection : sqlite3.Connection
        From `connect`.
    header : Header
        What the file says, or is to say at the next commit.
    places : dict
        Where its records are.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, header: Header, places: Places) -> None:
        self.header = header
        self._file = path
        self._log = log_file(path)
        self._connection = connection
        self.places = places

    def begin(self) -> None:
        """Make the table if it is not there, and write the header.

        Raises
        ------
        sqlite3.Error
            It cannot be done. The table is not to be used.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(TABLE)
        self._write_header()
        self._connection.execute("COMMIT")
        self.fold()  # a file with a table in it is never taken for a blank one, whatever becomes of the log

    def commit(self, changes: Changes) -> None:
        """Make changes, all or none.

        Raises
        ------
        sqlite3.Error
            They are not made. The table is not to be used any more.
        FileNotFoundError
            The file was removed under us: they are nowhere.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        gone: list[int] = []
        values: list[Any] = []
        for row in self._rows(changes, gone):
            values += row
            if len(values) == COLUMNS * PORTIONS[0]:
                self._insert(values)
                values = []
        self._insert(values)
        self._delete(gone)
        self._write_header()
        self._connection.execute("COMMIT")
        self._log.stat()

    def tidy(self) -> bool:
        """Give back what the file and its log have too much; return whether there is more to give.

        Raises
        ------
        sqlite3.Error
            It cannot be done. The table is not to be used any more.
        """
        free, pages = self._ask("PRAGMA freelist_count"), self._ask("PRAGMA page_count")
        is_sparse = free > SPARE_PAGES + (pages - free) // 8
        if is_sparse:  # as a script: all its steps are taken without the interpreter's lock
            self._connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
        unfolded = self._file.stat().st_size - PAGE_BYTES * pages  # what was given back in the log only
        if max(unfolded, self._log.stat().st_size) > LOG_BYTES_MAX:
            self.fold()
        return is_sparse

    def fold(self) -> None:
        """Bring all that is in the log into the file.

        Raises
        ------
        sqlite3.Error
            It cannot be done. The table is not to be used any more.
        """
        if self._ask("PRAGMA wal_checkpoint(TRUNCATE)"):
            raise sqlite3.OperationalError("the log is in use")

    def interrupt(self) -> None:
        """Break off what another thread does with the table."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the file. What was committed stays."""
        self._connection.close()

    def _ask(self, question: str) -> int:
        return int(self._connection.execute(question).fetchone()[0])

    def _rows(self, changes: Changes, gone: list[int]) -> Iterator[tuple[int, int, bytes, bytes, int]]:
        """Yield the rows to be added, and collect the numbers of those to be removed."""
        number, total, count = self.header.next, self.header.total, self.header.rows
        for kind, changes_of_kind in changes.items():
            places = self.places.setdefault(kind, {})
            for text, (_kind, _key, data, _is_new) in changes_of_kind.items():
                before = places.pop(text, None)
                if before is not None:
                    gone.append(before)
                    total -= before * before
                    count -= 1
                if data is not None:
                    key = text.encode(errors="surrogatepass")
                    key_seal = zlib.crc32(key, (number ^ kind << 24) & MASK)  # `seal`, without the call
                    yield number, kind, key, data, (key_seal & 0x7FFFFFFF) << 32 | zlib.crc32(data, key_seal)
                    places[text] = number
                    total += number * number
                    count += 1
                    number += 1
        self.header = self.header._replace(next=number, rows=count, total=total & TOTAL_MASK)

    def _insert(self, values: list[Any]) -> None:
        one = f"({','.join('?' * COLUMNS)})"
        for portion in portions(values, COLUMNS):
            rows = ",".join([one] * (len(portion) // COLUMNS))
            self._connection.execute(f"INSERT INTO records VALUES {rows}", portion)  # noqa: S608  # question marks

    def _delete(self, numbers: list[int]) -> None:
        numbers.sort()
        for portion in portions(numbers, 1):
            marks = ",".join("?" * len(portion))
            self._connection.execute(f"DELETE FROM records WHERE number IN ({marks})", portion)  # noqa: S608  # the same

    def _write_header(self) -> None:
        data = self.header.pack()
        row = (0, HEADER_KIND, HEADER_KEY, data, seal(0, HEADER_KIND, HEADER_KEY, data))
        self._connection.execute("INSERT OR REPLACE INTO records VALUES (?,?,?,?,?)", row)


def portions(values: Sequence[Any], width: int) -> Iterator[Sequence[Any]]:
    """Yield values in portions of few sizes, so that few statements are ever prepared."""
    start = 0
    for rows in PORTIONS:
        step = rows * width
        while len(values) - start >= step:
            yield values[start : start + step]
            start += step
