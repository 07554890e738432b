"""Where the scheduler keeps what must survive its death: the present value of each record, by kind and key.

A table, not a log: its size follows the live state. The scheduler's loop only adds to a queue (`Journal.write`). One
thread takes all that is queued and commits it in one transaction: the file is at any time in the state after some
`write`, never between. What is queued merges: of two changes of a record the later is written, and a record that comes
and goes between two commits costs no disk. Where somebody waits for a commit (`Journal.hurry`) and it is a small one, the
loop makes it itself: that takes 60 us, to have the thread do it ten times as long.

The promise is against the death of the process. What was told by ``on_written`` is found again after any, SIGKILL too;
what the death of the machine takes is noticed, and only told.

When a write fails (the disk is full, or broken) the journal stops for good: it says so once, keeps what it has, and
takes no more. It does not try again: a second file would have to begin with the whole state, which only the scheduler
has. The next opening tells that the state is an old one.

What does not fit: a queue of ``journal_queue_bytes_max`` asks the scheduler to wait (`Journal.is_behind`), and with
`HOPELESS` times that the journal stops as for a broken disk. Recovery holds all records in memory, as their scheduler
had: 100,000 of 64 KiB are 6.4 GB, and a host that has no room for them raises `JournalError`.

`journal_file` knows the file, `journal_recovery` what to do with a damaged one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jupyter_dist.errors import JournalError
from jupyter_dist.settings import Settings
from jupyter_dist.storage.hold import hold_file, holder_pid
from jupyter_dist.storage.journal_file import Change, RecordTable
from jupyter_dist.storage.journal_recovery import NOTE_KEY, NOTE_KIND, Finding, recover, remove_file, stop_file

__all__ = ["Change", "Journal", "Recovered", "open_journal"]

HOPELESS = 4  # times the queue's limit: the disk does not come after, and the scheduler does not wait
ROW_BYTES = 300  # what a queued change takes besides its key and data
HERE_BYTES_MAX = 64 * 1024  # what is committed without the thread
HERE_S_MAX = 0.25  # a commit that takes longer shows that the disk is slow (on a busy machine any takes tens of ms):
SLOW_S = 5.0  # so long the thread makes them all
TIDY_AFTER = 256  # commits without the thread before it tidies up
TIDY_S = 0.02  # between two steps of giving back room, when there is nothing to write


class Recovered(NamedTuple):
    """What a journal held when it was opened.

    Parameters
    ----------
    records : dict
        The data, by kind and key.
    epoch : int
        Of the scheduler that wrote last; 0 if there was none, or nobody knows.
    damage : tuple of str
        What was found broken and set aside, in words; empty as a rule.
    lost : dict
        Keys whose records were damaged, by kind, where the key could still be read.
    """

    records: dict[int, dict[str, bytes]]
    epoch: int
    damage: tuple[str, ...]
    lost: dict[int, tuple[str, ...]]


class Journal:
    """Keeps records for a scheduler. Made by `open_journal`.

    Attributes
    ----------
    trouble : str
        Why records are not kept any more, in words for a person; empty as long as they are.
    """

    def __init__(
        self,
        path: Path,
        table: RecordTable,
        hold: int,
        on_written: Callable[[int], None],
        on_trouble: Callable[[str], None],
        settings: Settings,
    ) -> None:
        self.trouble = ""
        self._path = path
        self._table = table
        self._hold: int | None = hold
        self._on_written = on_written
        self._on_trouble = on_trouble
        self._queue_bytes_max = settings.journal_queue_bytes_max
        self._interval_s = settings.journal_interval_s
        self._close_s_max = settings.stop_s_max
        self._lock = threading.Lock()  # guards the queue, and which of two ends it
        self._queue: dict[int, dict[str, Change]] = defaultdict(dict)
        self._number: int | None = None  # of the last write
        self._written: int | None = None  # of the last write that was told
        self._queued_bytes = 0
        self._committing_bytes = 0
        self._wake = threading.Event()
        self._turn = threading.Lock()  # held by who uses the table
        self._hurry = threading.Event()  # the next commit is not to wait for its time
        self._slow_until_s = 0.0
        self._commits_here = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)  # a dead disk holds up no exit

    @property
    def is_behind(self) -> bool:
        """Whether so much is not written yet that whoever writes should wait."""
        return self._queued_bytes + self._committing_bytes > self._queue_bytes_max

    def write(self, changes: Sequence[Change], number: int, *, is_awaited: bool = False) -> None:
        """Queue changes, of any count, to be committed together; return at once.

        Parameters
        ----------
        changes : sequence of Change
            Later ones of the same kind and key replace earlier ones.
        number : int
            Rises with each call. When these changes are durable ``on_written(number)``, or a higher number, is called in
            the writer's thread; never after trouble.
        is_awaited : bool, optional
            Whether `hurry` is called next, or in a moment.
        """
        with self._lock:
            if self.trouble or self._closing.is_set():
                return
            is_hopeless = self._queued_bytes + self._committing_bytes > HOPELESS * self._queue_bytes_max
            if not is_hopeless:
                self._enqueue(changes)
                self._number = number
        if is_hopeless:
            self._stop(f"more than {HOPELESS * self._queue_bytes_max:,} bytes wait to be written: the disk is too slow")
        elif not is_awaited and not self._wake.is_set():
            self._wake.set()

    def hurry(self) -> None:
        """Have what is queued be durable soon: somebody waits for it."""
        is_small = self._queued_bytes <= HERE_BYTES_MAX and time.monotonic() >= self._slow_until_s
        if not is_small or not self._turn.acquire(blocking=False):
            self._hurry.set()
            self._wake.set()
            return
        try:
            self._commit_here()
        finally:
            self._turn.release()
        self._commits_here += 1
        if not self._commits_here % TIDY_AFTER:
            self._wake.set()

    def _commit_here(self) -> None:
        started_s = time.monotonic()
        try:
            self._commit()
        except Exception as error:  # noqa: BLE001  # as in the thread
            self._stop(f"{type(error).__name__}: {error}")
        ended_s = time.monotonic()
        if ended_s - started_s > HERE_S_MAX:
            self._slow_until_s = ended_s + SLOW_S

    def close(self, *, remove: bool = False) -> None:
        """Write all that is queued, and end the thread, within ``stop_s_max`` seconds.

        Parameters
        ----------
        remove : bool, optional
            Delete the files, those that were set aside too.
        """
        self._closing.set()
        self._hurry.set()
        self._wake.set()
        self._thread.join(self._close_s_max)
        if self._thread.is_alive():
            with contextlib.suppress(sqlite3.Error):  # it is closed at last
                self._table.interrupt()
            self._thread.join(1.0)
        if self._thread.is_alive():  # it may still write, so nobody else must: the lock stays
            self._stop("the disk does not answer")
            return
        if self._hold is not None:
            if remove:
                remove_all(self._path)
            os.close(self._hold)
            self._hold = None

    def start(self, finding: Finding) -> None:
        """Start the thread. What was found is forgotten with the first records: until then the next would be told."""
        if finding.damage or finding.lost:
            self._queue[NOTE_KIND][NOTE_KEY] = Change(NOTE_KIND, NOTE_KEY, None)
        self._thread.start()

    def _enqueue(self, changes: Sequence[Change]) -> None:
        """Merge changes into the queue. Runs in the scheduler's loop: less than a microsecond a change."""
        queue, nbytes = self._queue, self._queued_bytes
        for change in changes:
            kind, key, data, is_new = change
            of_kind = queue[kind]
            before = of_kind.get(key)
            if before is None:
                of_kind[key] = change
                nbytes += ROW_BYTES + len(key) + (len(data) if data else 0)
                continue
            _kind, _key, data_before, was_new = before
            if data is None and was_new:
                del of_kind[key]
                nbytes -= ROW_BYTES + len(key) + len(data_before or b"")
            else:  # whether a record can be in the file is what the first of them says
                of_kind[key] = change if is_new == was_new else Change(kind, key, data, was_new)
                nbytes += len(data or b"") - len(data_before or b"")
        self._queued_bytes = nbytes

    def _run(self) -> None:
        """Commit what is queued until closed, or something goes wrong."""
        try:
            is_sparse = False
            while self._wait(is_sparse):
                started_s = time.monotonic()
                with self._turn:
                    self._hurry.clear()
                    self._commit()
                    is_sparse = self._table.tidy()
                self._hurry.wait(max(0.0, started_s + self._interval_s - time.monotonic()))
            with self._turn:
                self._commit()
        except Exception as error:  # noqa: BLE001  # whatever it is, records are not kept any more, and that is told
            self._stop(f"{type(error).__name__}: {error}")
        finally:
            with self._turn, contextlib.suppress(sqlite3.Error):
                self._table.close()

    def _wait(self, is_sparse: bool) -> bool:
        """Wait for something to do; return whether to go on."""
        self._wake.wait(TIDY_S if is_sparse else None)
        self._wake.clear()
        return not self._closing.is_set() and not self.trouble

    def _commit(self) -> None:
        """Commit all that is queued, and tell."""
        with self._lock:
            if self.trouble:
                return
            changes, self._queue = self._queue, defaultdict(dict)
            self._committing_bytes, self._queued_bytes = self._queued_bytes, 0
            number = self._number
        if number is None:
            return  # what was found at the opening is not noticed yet
        if any(changes.values()):
            self._table.commit(changes)
        elif number == self._written:
            return
        del changes
        self._committing_bytes = 0
        if not self.trouble:
            self._written = number
            with contextlib.suppress(RuntimeError):  # a loop that is closed: nobody waits for it any more
                self._on_written(number)

    def _stop(self, words: str) -> None:
        """Keep nothing any more, and tell it once."""
        with self._lock:
            if self.trouble:
                return
            self.trouble = f"the journal {self._path} is not kept any more: {words}"
            self._queue = defaultdict(dict)
            self._queued_bytes = self._committing_bytes = 0
        self._wake.set()
        with contextlib.suppress(OSError):
            stop_file(self._path).touch(mode=0o600)
        with contextlib.suppress(Exception):  # a loop that is closed already: the words stay in `trouble`
            self._on_trouble(self.trouble)


def open_journal(
    path: Path,
    *,
    epoch: int,
    version: int,
    on_written: Callable[[int], None],
    on_trouble: Callable[[str], None],
    settings: Settings,
) -> tuple[Journal, Recovered]:
    """Open a journal, or make one, and read all it holds.

    Parameters
    ----------
    path : Path
        The file. Its folder is there, and closed to others; files beside it begin with its name.
    epoch : int
        Of the scheduler that opens it; written before anything else.
    version : int
        Of what the caller keeps. An older journal is opened as well: the caller reads what its earlier versions wrote.
    on_written : callable
        Called in the writer's thread with the number of a `Journal.write` when it and all before are durable.
    on_trouble : callable
        Called once, in the writer's thread or in `Journal.write` or `Journal.close`, with why nothing is kept any more.
    settings : Settings
        The limits.

    Raises
    ------
    JournalError
        Another process has it open, a newer version wrote it, or it cannot be read and written. It is as it was.
    """
    hold = _hold(path)
    try:
        table, finding = recover(path, epoch, version)
        journal = Journal(path, table, hold, on_written, on_trouble, settings)
        journal.start(finding)
    except JournalError:
        os.close(hold)
        raise
    except (OSError, sqlite3.Error) as error:
        os.close(hold)
        raise JournalError(f"the journal {path} cannot be used: {error}") from error
    except MemoryError:
        os.close(hold)
        raise JournalError(f"the records of the journal {path} do not fit into memory") from None
    lost = {kind: tuple(keys) for kind, keys in finding.lost.items() if keys}
    last = finding.header.epoch if finding.header else 0
    return journal, Recovered(dict(finding.records), last, tuple(finding.damage), lost)


def _hold(path: Path) -> int:
    lock = lock_file(path)
    try:
        return hold_file(lock)
    except BlockingIOError:
        raise JournalError(
            f"the journal {path} is in use by process {holder_pid(lock)}: two schedulers cannot share one"
        ) from None
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be used: {error.strerror or error}: {lock.parent}") from error


def lock_file(path: Path) -> Path:
    """Return the file whose lock says who has a journal open."""
    return path.with_name(f"{path.name}.lock")


def remove_all(path: Path) -> None:
    """Remove a journal with all that is beside it. Its lock goes last."""
    for item in path.parent.glob(f"{path.name}.damaged-*"):
        item.unlink(missing_ok=True)
    for item in (path, path.with_name(f"{path.name}.new")):
        remove_file(item)
    stop_file(path).unlink(missing_ok=True)
    lock_file(path).unlink(missing_ok=True)
