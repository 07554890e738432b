import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jupyter_dist.errors import JournalError, StorageError
from jupyter_dist.storage import journal as journal_module
from jupyter_dist.storage.journal import HERE_BYTES_MAX, TIDY_AFTER, Change
from jupyter_dist.storage.journal_file import RecordTable
from tests.storage.folders import all_files
from tests.storage.journals import NAME, WAIT_S, Opened, held

MIB = 1 << 20
HOLDER = """
import sys
from pathlib import Path
from tests.storage.journals import Opened
opened = Opened(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""
LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode=EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


class Gate:
    """Holds the writer up in its commit, and counts what was committed."""

    def __init__(self, monkeypatch):
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)
        self.commits: list[list[Change]] = []
        commit = RecordTable.commit

        def wait_and_commit(table, changes):
            changes = {kind: dict(of_kind) for kind, of_kind in changes.items()}
            self.commits.append([change for of_kind in changes.values() for change in of_kind.values()])
            self.entered.release()
            assert self.open.acquire(timeout=WAIT_S)
            commit(table, changes)

        monkeypatch.setattr(RecordTable, "commit", wait_and_commit)

    def hold(self, opened):
        """Write something and wait until the writer is inside its commit."""
        opened.write((9, "gate", b""))
        assert self.entered.acquire(timeout=WAIT_S)

    def let(self):
        """Let the writer go, for good."""
        self.open.release(1000)


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


def test_open_without_a_file_makes_an_empty_journal_for_its_owner_alone(tmp_path):
    with Opened(tmp_path) as opened:
        assert opened.recovered == ({}, 0, (), {})
        assert not opened.journal.trouble
        opened.keep((1, "a", b"x"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys((NAME, f"{NAME}-wal", f"{NAME}.lock"), 0o600)


def test_open_after_a_close_returns_the_last_value_of_each_record(tmp_path):
    with Opened(tmp_path, epoch=3) as opened:
        opened.keep((1, "a", b"first"), (2, "a", b"other"), (1, "gone", b"x"))
        opened.keep((1, "a", b"second"), (1, "gone", None), (1, "never", None))
        opened.keep((2, "empty", b""), (0, "", b"no key"), (1, "é\0\ud800", b"odd"))
    records = {1: {"a": b"second", "é\0\ud800": b"odd"}, 2: {"a": b"other", "empty": b""}, 0: {"": b"no key"}}
    assert held(tmp_path, epoch=4) == (records, 3, (), {})
    assert held(tmp_path, epoch=9) == (records, 4, (), {})


def test_close_writes_what_is_queued_and_tells(tmp_path):
    opened = Opened(tmp_path)
    for number in range(100):
        opened.write((1, str(number), b"x" * number))
    opened.journal.close()
    opened.journal.close()
    assert opened.told[-1] == 100
    assert opened.told == sorted(set(opened.told))
    assert len(held(tmp_path).records[1]) == 100


def test_write_after_close_is_not_kept_and_not_told(tmp_path):
    opened = Opened(tmp_path)
    opened.journal.close()
    opened.write((1, "a", b"x"))
    assert opened.told == []
    assert held(tmp_path).records == {}


def test_close_with_remove_leaves_nothing(tmp_path):
    (tmp_path / "other").touch()
    opened = Opened(tmp_path)
    opened.keep((1, "a", b"x"))
    for name in (f"{NAME}.damaged-1", f"{NAME}.damaged-1-wal", f"{NAME}.new"):
        (tmp_path / name).touch()
    opened.journal.close(remove=True)
    assert all_files(tmp_path) == ["other"]


def test_write_of_nothing_is_told_too(tmp_path):
    with Opened(tmp_path) as opened:
        opened.keep()
        opened.keep()
        assert opened.told[-1] == 2


def test_write_that_comes_and_goes_in_the_queue_costs_nothing(tmp_path, gate):
    with Opened(tmp_path) as opened:
        gate.hold(opened)
        opened.write(*((1, str(number), b"x", True) for number in range(100)))
        number = opened.write(*((1, str(number), None) for number in range(100)))
        assert opened.journal._queued_bytes == 0
        gate.let()
        assert opened.wait(lambda: opened.told[-1:] == [number])
        assert len(gate.commits) == 1
    assert held(tmp_path).records == {9: {"gate": b""}}


def test_write_of_a_queued_record_replaces_it(tmp_path, gate):
    with Opened(tmp_path) as opened:
        gate.hold(opened)
        opened.write((1, "a", b"first", True), (1, "b", b"first"))
        opened.write((1, "a", b"second"), (1, "b", None), (1, "c", None), (1, "c", b"back", True))
        gate.let()
    assert gate.commits[1] == [(1, "a", b"second", True), (1, "b", None, False), (1, "c", b"back", False)]
    assert held(tmp_path).records[1] == {"a": b"second", "c": b"back"}


def test_removal_of_a_new_record_that_is_being_committed_is_written(tmp_path, gate):
    with Opened(tmp_path) as opened:
        opened.write((1, "a", b"x", True))
        assert gate.entered.acquire(timeout=WAIT_S)
        opened.write((1, "a", None))
        gate.let()
    assert held(tmp_path).records.get(1) in ({}, None)


def test_removal_of_a_record_that_came_back_in_the_queue_is_written(tmp_path, gate):
    with Opened(tmp_path) as opened:
        opened.write((1, "a", b"x", True))
        assert gate.entered.acquire(timeout=WAIT_S)
        opened.write((1, "a", None))
        opened.write((1, "a", b"again", True))
        opened.write((1, "a", None))
        gate.let()
    assert held(tmp_path).records.get(1) in ({}, None)


def test_queue_over_its_limit_is_behind_until_it_is_written(tmp_path, gate):
    with Opened(tmp_path, journal_queue_bytes_max=MIB) as opened:
        gate.hold(opened)
        assert not opened.journal.is_behind
        number = opened.write((1, "a", bytes(2 * MIB)))
        assert opened.journal.is_behind
        gate.let()
        assert opened.wait(lambda: opened.told[-1:] == [number])
        assert not opened.journal.is_behind
    assert held(tmp_path).records[1] == {"a": bytes(2 * MIB)}


def test_queue_that_nobody_waits_for_ends_in_words_and_keeps_no_memory(tmp_path, gate):
    with Opened(tmp_path, journal_queue_bytes_max=MIB) as opened:
        gate.hold(opened)
        for number in range(10):
            opened.write((1, str(number), bytes(MIB)))
        assert len(opened.troubles) == 1
        assert "the disk is too slow" in opened.troubles[0]
        assert opened.journal.trouble == opened.troubles[0]
        assert opened.journal._queue == {}
        assert not opened.journal.is_behind
        gate.let()
    assert opened.told == []


def test_second_opener_in_another_process_is_refused_with_the_first_ones_pid(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(JournalError, match=f"in use by process {holder.pid}"):
            Opened(tmp_path)
        holder.kill()
    assert held(tmp_path).epoch == 1


def test_second_opener_in_the_same_process_is_refused(tmp_path):
    with Opened(tmp_path) as opened:
        with pytest.raises(JournalError, match=f"in use by process {os.getpid()}"):
            Opened(tmp_path)
        opened.keep((1, "a", b"x"))
    assert held(tmp_path).records == {1: {"a": b"x"}}


def test_file_that_another_program_has_open_is_refused_and_unharmed(tmp_path, monkeypatch):
    monkeypatch.setattr("jupyter_dist.storage.journal_file.LOCKED_S", 0.0)
    with Opened(tmp_path) as opened:
        opened.keep((1, "a", b"x"))
    command = [sys.executable, "-c", LOCKER, str(tmp_path / NAME)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as locker:
        assert locker.stdout.readline() == "locked\n"
        with pytest.raises(JournalError, match="locked"):
            Opened(tmp_path)
        locker.kill()
    assert held(tmp_path) == ({1: {"a": b"x"}}, 1, (), {})


def test_journal_of_a_newer_version_is_refused_and_unharmed(tmp_path):
    with Opened(tmp_path, version=7) as opened:
        opened.keep((1, "a", b"x"))
    with pytest.raises(JournalError, match="newer version"):
        Opened(tmp_path, version=6, epoch=2)
    assert held(tmp_path, version=7) == ({1: {"a": b"x"}}, 1, (), {})


def test_journal_of_an_older_version_is_read_and_is_of_the_new_one_then(tmp_path):
    with Opened(tmp_path, version=6) as opened:
        opened.keep((1, "a", b"x"))
    assert held(tmp_path, version=7).records == {1: {"a": b"x"}}
    with pytest.raises(JournalError, match="newer version"):
        Opened(tmp_path, version=6)


def test_folder_that_is_missing_is_refused(tmp_path):
    with pytest.raises(JournalError, match="No such file"):
        Opened(tmp_path / "missing")
    with pytest.raises(StorageError):
        Opened(tmp_path / "missing")


def test_link_in_the_journals_place_is_refused(tmp_path):
    (tmp_path / "else").touch()
    (tmp_path / NAME).symlink_to(tmp_path / "else")
    with pytest.raises(JournalError):
        Opened(tmp_path)
    assert (tmp_path / "else").stat().st_size == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(JournalError, match="Permission denied"):
            Opened(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_records_that_do_not_fit_into_memory_are_refused_in_words(tmp_path, monkeypatch):
    def lack(*arguments):
        raise MemoryError

    monkeypatch.setattr(journal_module, "recover", lack)
    with pytest.raises(JournalError, match="do not fit into memory"):
        Opened(tmp_path)
    monkeypatch.undo()
    assert held(tmp_path).records == {}  # nobody holds it


def keep_and_rest(opened, *changes):
    """Have changes be durable, and the writer leave the table."""
    opened.keep(*changes)
    with opened.journal._turn:
        pass


def test_hurry_has_a_little_committed_before_it_returns(tmp_path):
    with Opened(tmp_path, journal_interval_s=1000.0) as opened:
        keep_and_rest(opened, (1, "first", b"x"))  # the thread leaves time for more from now on
        for number in range(2, TIDY_AFTER):
            assert opened.write((1, "a", str(number).encode()), is_awaited=True) == number
            assert opened.told[-1] == number - 1
            opened.journal.hurry()
            assert opened.told[-1] == number
    assert held(tmp_path).records == {1: {"first": b"x", "a": str(TIDY_AFTER - 1).encode()}}


@pytest.mark.parametrize("circumstance", ["much", "slow disk"])
def test_hurry_leaves_it_to_the_thread_which_leaves_no_time_for_more(tmp_path, monkeypatch, circumstance):
    size = HERE_BYTES_MAX if circumstance == "much" else 1
    if circumstance == "slow disk":
        monkeypatch.setattr(journal_module, "HERE_S_MAX", 0.0)
    with Opened(tmp_path, journal_interval_s=1000.0) as opened:
        keep_and_rest(opened, (1, "first", b"x"))
        opened.write((1, "second", b"x"), is_awaited=True)
        opened.journal.hurry()
        committers = []
        commit = RecordTable.commit

        def note_and_commit(table, changes):
            committers.append(threading.current_thread())
            commit(table, changes)

        monkeypatch.setattr(RecordTable, "commit", note_and_commit)
        number = opened.write((1, "third", bytes(size)), is_awaited=True)
        opened.journal.hurry()
        assert opened.wait(lambda: opened.told[-1] == number)
        assert committers == [opened.journal._thread]


def test_hurry_while_the_thread_commits_waits_for_nobody(tmp_path, gate):
    with Opened(tmp_path) as opened:
        gate.hold(opened)
        number = opened.write((1, "a", b"x"), is_awaited=True)
        opened.journal.hurry()
        assert opened.told == []
        gate.let()
        assert opened.wait(lambda: opened.told[-1:] == [number])


def test_error_in_a_commit_without_the_thread_stops_the_journal_and_is_told_once(tmp_path, monkeypatch):
    with Opened(tmp_path) as opened:
        keep_and_rest(opened, (1, "a", b"kept"))

        def fail(*arguments):
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(RecordTable, "commit", fail)
            for _ in range(2):
                opened.write((1, "a", b"not kept"), is_awaited=True)
                opened.journal.hurry()
        opened.journal._thread.join(WAIT_S)
        assert opened.troubles == [opened.journal.trouble]
        assert opened.told == [1]
    assert held(tmp_path).records == {1: {"a": b"kept"}}


def test_hurry_after_close_does_nothing(tmp_path):
    opened = Opened(tmp_path)
    opened.journal.close()
    opened.journal.hurry()
    assert not opened.troubles


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("database or disk is full"), OSError(5, "I/O error"), MemoryError()]
)
def test_error_in_a_commit_stops_the_journal_and_is_told_once(tmp_path, monkeypatch, error):
    with Opened(tmp_path) as opened:
        opened.keep((1, "a", b"kept"))

        def fail(*arguments):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(RecordTable, "commit", fail)
            opened.write((1, "a", b"not kept"))
            assert opened.wait(lambda: opened.troubles)
        opened.journal._thread.join(WAIT_S)
        for number in range(100):
            opened.write((1, str(number), bytes(1000)))
        assert opened.journal._queue == {}
        assert opened.troubles == [opened.journal.trouble]
        assert str(error) in opened.journal.trouble
        assert opened.told == [1]
    recovered = held(tmp_path)
    assert recovered.records == {1: {"a": b"kept"}}
    assert "could not be written any more since" in recovered.damage[0]


def test_word_of_damage_stays_until_the_first_records_are_written(tmp_path):
    held(tmp_path)
    (tmp_path / f"{NAME}.stopped").touch()
    assert len(held(tmp_path).damage) == 1
    assert len(held(tmp_path).damage) == 1
    with Opened(tmp_path) as opened:
        assert len(opened.recovered.damage) == 1
        opened.keep((1, "a", b"x"))
    assert held(tmp_path) == ({1: {"a": b"x"}}, 1, (), {})


def test_full_file_is_trouble_and_what_was_told_is_kept(tmp_path):
    with Opened(tmp_path) as opened:
        opened.journal._table._connection.execute("PRAGMA max_page_count=10").fetchall()  # the writer waits yet
        opened.keep((1, "a", b"kept"))
        opened.write((1, "a", bytes(100_000)))
        assert opened.wait(lambda: opened.troubles)
        assert "full" in opened.journal.trouble
    assert held(tmp_path).records == {1: {"a": b"kept"}}


def test_files_that_are_removed_under_the_journal_are_trouble(tmp_path):
    with Opened(tmp_path) as opened:
        opened.keep((1, "a", b"x"))
        for path in tmp_path.glob(f"{NAME}*"):
            path.unlink()
        opened.write((1, "b", b"y"))
        assert opened.wait(lambda: opened.troubles)
        assert opened.told == [1]


def test_callback_into_a_closed_loop_is_no_trouble(tmp_path):
    opened = Opened(tmp_path)

    def refuse(number):
        raise RuntimeError("Event loop is closed")

    opened.journal._on_written = refuse
    opened.write((1, "a", b"x"))
    opened.journal.close()
    assert opened.journal.trouble == ""
    assert held(tmp_path) == ({1: {"a": b"x"}}, 1, (), {})


def test_disk_that_does_not_answer_ends_close_in_time_and_keeps_the_lock(tmp_path, gate):
    opened = Opened(tmp_path, stop_s_max=0.01)
    gate.hold(opened)
    opened.journal.close()
    assert "does not answer" in opened.troubles[0]
    with pytest.raises(JournalError, match="in use"):
        Opened(tmp_path)
    gate.let()
    opened.journal._thread.join(WAIT_S)
    opened.journal.close()
    assert held(tmp_path).damage


@pytest.mark.slow
def test_million_records_that_came_and_went_leave_a_small_file(tmp_path):
    live = [(1, f"live-{number}", bytes(300)) for number in range(10_000)]
    with Opened(tmp_path) as opened:
        opened.keep(*live)
        for start in range(0, 1_000_000, 250_000):
            keys = [f"key-{number * 7919 % 1_000_003:032}" for number in range(start, start + 250_000)]
            opened.keep(*(Change(1, key, b"some data of a task" * 8) for key in keys))
            opened.keep(*(Change(1, key, None) for key in keys))
        assert shrinks_below(64 * MIB + 2 * 10_000 * 330, tmp_path)
    assert len(held(tmp_path).records[1]) == 10_000


def test_file_shrinks_when_nothing_is_written_any_more(tmp_path):
    with Opened(tmp_path) as opened:
        opened.keep(*(Change(1, str(number), bytes(1000)) for number in range(150_000)))
        assert size(tmp_path) > 150 * MIB
        opened.keep(*(Change(1, str(number), None) for number in range(150_000)))
        assert shrinks_below(64 * MIB, tmp_path)


def shrinks_below(nbytes: int, folder: Path) -> bool:
    """Wait until the files are small: the writer gives room back in steps."""
    end_s = time.monotonic() + WAIT_S
    while size(folder) >= nbytes and time.monotonic() < end_s:
        threading.Event().wait(0.01)
    return size(folder) < nbytes


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
