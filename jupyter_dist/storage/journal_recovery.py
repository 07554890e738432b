"""What a journal's file still says when its scheduler has died.

That is everything, as a rule; and if the file is damaged all that can be read and is whole, with a word on the rest.

A file that is damaged is not used again. It is set aside under a name with the time, and what could be read is
written into a fresh one, which takes its place at the end. Until then the damaged one stands there: whoever dies in
between leaves it to the next. What is known of the damage is kept in the fresh file as well, until the scheduler's first
records are: by then it has taken notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_dist.errors import JournalError
from jupyter_dist.storage.journal_file import (
    MASK,
    PAGE_BYTES,
    SELECT,
    TOTAL_MASK,
    Change,
    Header,
    Places,
    RecordTable,
    connect,
    log_file,
    make_file,
    unpack_header,
)

NOTE_KIND = -2
NOTE_KEY = "damage"
ASIDE_MAX = 2  # damaged files that are kept
LOOKS_MAX = 10_000  # for rows around damaged pages
BEYOND = 1_000_000  # how far after the last row others are looked for when the header is gone
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
SUFFIXES = ("-wal", "-shm", "-journal")
NUMBER_MAX = 1 << 62
UNWRITABLE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)  # the second: words of SQLite's with a piece of the damage in them
Row = tuple[Any, Any, Any, Any, Any]


def error_code(error: Exception) -> int:
    """Return SQLite's primary code of an error, 0 for one of Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@dataclass(slots=True)
class Finding:
    """What was read from a file."""

    header: Header | None = None
    records: dict[int, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    places: Places = field(default_factory=lambda: defaultdict(dict))
    damage: list[str] = field(default_factory=list)
    lost: dict[int, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    count: int = 0
    total: int = 0
    broken: int = 0  # rows whose seal is wrong
    at: int = 0  # the number of the row that was read last
    is_blank: bool = False

    def take(self, rows: Iterable[Row]) -> None:
        """Take rows as they are read, whole, broken, or the header; `at` is the number of the last."""
        records, places = self.records, self.places
        for number, kind, key, data, row_seal in rows:
            self.at = number
            try:
                key_seal = zlib.crc32(key, (number ^ kind << 24) & MASK)
                is_whole = row_seal == (key_seal & 0x7FFFFFFF) << 32 | zlib.crc32(data, key_seal)
            except TypeError:  # a number, or nothing, in the place of bytes
                self._take_broken(number, kind, key, row_seal)
                continue
            if not is_whole:
                self._take_broken(number, kind, key, row_seal)
            elif not number:
                self.header = unpack_header(data)
            else:
                text = key.decode(errors="surrogatepass")
                if places[kind].get(text, 0) < number:  # else it is seen twice, or an old row: the sum tells
                    places[kind][text] = number
                    records[kind][text] = data
                self.count += 1
                self.total += number * number

    def _take_broken(self, number: int, kind: Any, key: Any, row_seal: Any) -> None:
        """Count a broken row, and note what it was about if that is whole."""
        if not number:
            return  # the header: it is missed later
        self.broken += 1
        if type(kind) is int and type(key) is bytes and type(row_seal) is int and kind >= 0:
            key_seal = zlib.crc32(key, (number ^ kind << 24) & MASK)
            if row_seal >> 32 == key_seal & 0x7FFFFFFF:
                self.lost[kind][key.decode(errors="surrogatepass")] = None

    def judge(self) -> None:
        """Compare what was read with what the header says there is."""
        header = self.header
        if self.is_blank:
            return
        rows = f"{self.broken} of its rows are broken"
        if header is None:
            self.damage.append(f"its header is gone, so nobody knows what else is; {rows}, {self.count} were read")
        elif (header.rows, header.total) != (self.count, self.total & TOTAL_MASK):
            self.damage.append(f"it should have {header.rows} rows: {rows}, and {self.count} could be read")
        elif self.broken:
            self.damage.append(rows)

    def take_note(self) -> None:
        """Add what an earlier opening found, if no scheduler has taken notice of it yet."""
        data = self.records.pop(NOTE_KIND, {}).get(NOTE_KEY)
        if data is not None:
            note = json.loads(data)
            self.damage[:0] = note["damage"]
            for kind, key in note["lost"]:
                self.lost[kind][key] = None

    def note(self) -> Change:
        """Return the record that keeps what was found until a scheduler has taken notice."""
        lost = [(kind, key) for kind, keys in self.lost.items() for key in keys]
        return Change(NOTE_KIND, NOTE_KEY, json.dumps({"damage": self.damage, "lost": lost}).encode())


def recover(path: Path, epoch: int, version: int) -> tuple[RecordTable, Finding]:
    """Read a journal's file, make it whole if it is not, and begin an epoch in it. A file that is not there is made.

    Raises
    ------
    JournalError
        A newer version wrote it. It is as it was.
    OSError, sqlite3.Error
        It cannot be opened or written, or another program has it open.
    """
    make_file(path)
    connection, finding = _open(path)
    before = finding.header
    if before is not None and before.version > version:
        _close(connection)
        raise JournalError(
            f"the journal {path} was written by a newer version of jupyter_dist (its records are of version "
            f"{before.version}, this one knows {version}): use that version, or remove the file to start without it"
        )
    header = (before or Header(version, epoch, 1, 0, 0))._replace(version=version, epoch=epoch)
    table = None
    if connection is not None and not finding.damage:
        table = _begin(path, connection, header, finding)
    if table is None:
        _close(connection)
        table = _rebuild(path, header, finding)
    finding.take_note()
    _take_stop(path, table, finding)
    return table, finding


def _begin(path: Path, connection: sqlite3.Connection, header: Header, finding: Finding) -> RecordTable | None:
    """Begin an epoch in a file that is whole, unless writing finds what reading did not."""
    table = RecordTable(path, connection, header, finding.places)
    try:
        table.begin()
    except UNREADABLE as error:
        if error_code(error) in BUSY | UNWRITABLE:
            table.close()
            raise
        finding.damage.append(f"it cannot be written to ({error})")
        return None
    return table


def _rebuild(path: Path, header: Header, finding: Finding) -> RecordTable:
    """Write what was read into a fresh file, set the damaged one aside and put the fresh one in its place."""
    fresh = path.with_name(f"{path.name}.new")
    remove_file(fresh)
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}")
    words = "; ".join(finding.damage)
    finding.damage[:] = [f"the journal was damaged and is set aside as {aside.name}: {words}"]
    finding.take_note()
    make_file(fresh)
    table = RecordTable(fresh, connect(fresh), header._replace(next=1, rows=0, total=0), {})
    try:
        table.begin()
        table.commit(
            {
                kind: {key: Change(kind, key, data) for key, data in of_kind.items()}
                for kind, of_kind in finding.records.items()
            }
        )
        table.commit({NOTE_KIND: {NOTE_KEY: finding.note()}})
        table.fold()
    finally:
        table.close()
    _set_aside(path, aside)
    fresh.replace(path)
    table = RecordTable(path, connect(path), table.header, table.places)
    try:
        table.begin()
    except sqlite3.Error:
        table.close()
        raise
    return table


def _set_aside(path: Path, aside: Path) -> None:
    """Keep a damaged file, and its log, under another name; of earlier ones only the last."""
    earlier = sorted(item for item in path.parent.iterdir() if item.name.startswith(f"{path.name}.damaged-"))
    mains = [item for item in earlier if not item.name.endswith(SUFFIXES)]
    for item in mains[: max(0, len(mains) - ASIDE_MAX + 1)]:
        remove_file(item)
    try:
        os.link(path, aside)
    except OSError:  # there are folders without links
        shutil.copyfile(path, aside)
    for suffix in SUFFIXES:  # a log that stayed would be taken for the fresh file's
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))


def remove_file(path: Path) -> None:
    """Remove a file of SQLite's with what belongs to it, as far as it is there."""
    for suffix in ("", *SUFFIXES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def stop_file(path: Path) -> Path:
    """Return the file whose presence says that a journal stopped keeping records before its scheduler ended."""
    return path.with_name(f"{path.name}.stopped")


def _take_stop(path: Path, table: RecordTable, finding: Finding) -> None:
    """Tell of a journal that had stopped keeping records: its state is an old one."""
    stop = stop_file(path)
    if not stop.exists():
        return
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stop.stat().st_mtime))
    finding.damage.append(f"the journal could not be written any more since {since}: what came later is not known")
    table.commit({NOTE_KIND: {NOTE_KEY: finding.note()}})
    stop.unlink(missing_ok=True)


def _open(path: Path) -> tuple[sqlite3.Connection | None, Finding]:
    """Open a file and read all of it; no connection if that cannot be."""
    finding, log, size = Finding(), log_file(path), path.stat().st_size
    if size == 0 and log.exists() and log.stat().st_size:
        finding.damage.append("of its files only the log of the last commits is there")  # SQLite would drop it unread
        return None, finding
    connection = None
    try:
        connection = connect(path)
        _read(connection, finding)
    except UNREADABLE as error:
        if error_code(error) in BUSY:
            _close(connection)
            raise
        finding.damage.append(str(error))
    if finding.is_blank and size % PAGE_BYTES:  # SQLite takes a file of a few bytes for an empty one
        finding.damage.append(f"only {size} bytes of it are there")
    finding.judge()
    return connection, finding


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _read(connection: sqlite3.Connection, finding: Finding) -> None:
    finding.is_blank = _is_blank(connection)
    if finding.is_blank:
        return
    try:
        finding.take(connection.execute(f"{SELECT} WHERE number = 0"))
    except UNREADABLE as error:
        _note_error(finding, error)
    _read_rows(connection, finding)
    if not finding.damage:
        _check_structure(connection, finding)


def _check_structure(connection: sqlite3.Connection, finding: Finding) -> None:
    """Look at what reading does not use: from a broken list of free pages a live one could be given out."""
    (words,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if words != b"ok":
        finding.damage.append(f"its structure is broken ({words.decode(errors='replace')})")


def _is_blank(connection: sqlite3.Connection) -> bool:
    """Whether a file was only begun: there is no table, and no room in which there may have been one."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return bool(tables == 0 and connection.execute("PRAGMA page_count").fetchone()[0] <= 1)


def _note_error(finding: Finding, error: Exception) -> None:
    if error_code(error) in BUSY:
        raise error
    if str(error) not in finding.damage:
        finding.damage.append(str(error))


def _read_rows(connection: sqlite3.Connection, finding: Finding) -> None:
    """Read the rows from both ends of a span up to what cannot be read, and then what is between, in halves."""
    spans = deque([(1, finding.header.next if finding.header else NUMBER_MAX)])
    for _look in range(LOOKS_MAX):
        if not spans:
            return
        low, high = spans.popleft()
        first = _scan(connection, finding, low, high, "ASC")
        if first is None:
            continue
        last = _scan(connection, finding, first, min(high, first + BEYOND) if high == NUMBER_MAX else high, "DESC")
        if last is not None and first < last:
            middle = (first + last) // 2
            spans += [(first, middle), (middle + 1, last)]
    finding.damage.append("not everything that may be readable was looked for")


def _scan(connection: sqlite3.Connection, finding: Finding, low: int, high: int, order: str) -> int | None:
    """Take the rows of a span in order; return the number from which on they cannot be read, None if all were."""
    step = 1 if order == "ASC" else -1
    finding.at = (low if order == "ASC" else high) - step
    try:
        finding.take(connection.execute(f"{SELECT} WHERE number BETWEEN ? AND ? ORDER BY number {order}", (low, high)))
    except UNREADABLE as error:
        _note_error(finding, error)
        return finding.at + step
    return None
