"""What is written down of the tables, so that a scheduler that dies can be followed by one that goes on.

The ledger is told by `state.State` and the modules that decide, and collects changes of a keyed table (`Change`); the
driver writes them, later, while the scheduler works on. Nobody waits for the disk, but for answers about what is shared
by name (`coordination.answers`): instead, whoever told the scheduler something keeps it until the ledger says that it is
written (`acknowledge`), and says it again to a scheduler that does not know it. So a change and the number of messages it
came from are always written together.

A record for each task would cost as much as the rest of its handling. So tasks of one submission share a record, and
results that come together share one: a `Group`, removed with the last of its tasks, or written again without those that
are gone (`compaction`). A task that is gone before its batch ends is never written.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from jupyter_dist.core.scheduler.arcs import MEMORY
from jupyter_dist.core.scheduler.code_table import CodeEntry
from jupyter_dist.core.scheduler.records import Group, Member, Session, Task
from jupyter_dist.messages import (
    CodeRecord,
    DataRecord,
    ErrorInfo,
    FunctionBody,
    GoneRecord,
    HostRecord,
    JournalRecord,
    KeepRecord,
    Kept,
    NamesRecord,
    ResultEntry,
    ResultsRecord,
    SessionRecord,
    SpeakRecord,
    SubmissionRecord,
    TaskSpec,
    TrialsRecord,
    WantRecord,
)
from jupyter_dist.messages.journal import (
    CODE,
    DATA,
    ERROR,
    FUNCTION,
    GONE,
    HOST,
    KEEP,
    NAMES,
    RESULTS,
    SESSION,
    SPEAK,
    SUBMISSION,
    TRIALS,
    WANT,
)

ACK_S = 0.1  # how long a peer is left without a word that what it said is written
TOLD_MAX = 512  # batches that are written and not acknowledged before that is done at once
ROWS = frozenset({DATA, ERROR, TRIALS, WANT})  # kinds whose records are of one task each
ENTRY_BYTES = 64  # of a task in a record that it shares, besides its arguments or its value


class Change(NamedTuple):
    """A record to write, or with none the key to remove. ``is_new``: this key never had a record."""

    kind: int
    key: str
    record: JournalRecord | None
    is_new: bool = False


class Ledger:
    """The changes of one batch, and what was written of earlier ones."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.results: list[Task] = []  # tasks that came into memory in this batch
        self.trouble = ""  # why nothing is written down any more
        self.written = 0  # up to which batch everything is on the disk
        self.number = 0  # of the newest batch
        self.wasted_bytes = 0  # about, in records of tasks some of which are gone
        self.spared_bytes = 0  # of these, what the last compaction left
        self._last_group = 0
        self._gone: list[Task] = []  # submitted tasks that went in this batch
        self._renamed: dict[Session, None] = {}  # those whose names for keys changed in this batch
        self._rows: dict[str, set[tuple[int, str]]] = {}  # by task: its records that are of it alone
        self._unwritten: deque[tuple[int, Member | Session, int]] = deque()  # batch, who said it, how much by then
        self._written: dict[Member | Session, int] = {}  # who is to be told, and of how much
        self.ack_due_s: float | None = None

    # -- what happens to tasks ---------------------------------------------------------------------------------------

    def submit(self, session: Session, specs: list[TaskSpec], tasks: list[Task]) -> None:
        """Note new tasks of one submission, which have one function and follow each other in the order of all."""
        nbytes = sum(len(spec.arguments) for spec in specs) + ENTRY_BYTES * len(specs)
        group = self._new_group(SUBMISSION, len(tasks), nbytes)
        first = tasks[0]
        group.session, group.orders = session.id, range(first.order, first.order + len(tasks))
        for task in tasks:
            task.submission = group
        record = SubmissionRecord(session.id, first.function_id, first.options, first.order, tuple(specs))
        self.changes.append(Change(SUBMISSION, group.key, record, is_new=True))

    def put(self, task: Task) -> None:
        """Note data that a client brought."""
        value = task.value or b""
        self._write_row(task, DATA, task.key, DataRecord(task.order, task.type_name, value, task.stored, task.nbytes))

    def want(self, session: Session, task: Task, wish: int) -> None:
        """Note that a client wants a task otherwise than its submission says; with 0 that it does not."""
        self._write_row(task, WANT, f"{session.id}/{task.key}", WantRecord(wish))

    def keep(self, keeper: Session, task: Task) -> None:
        """Note that a task runs to its end for a client that may be gone by then."""
        self._write_row(task, KEEP, f"{keeper.id}/{task.key}", KeepRecord(keeper.name))

    def unkeep(self, keeper: Session, task: Task) -> None:
        """Note that it does not, or is at its end."""
        self._remove_row(task, KEEP, f"{keeper.id}/{task.key}")

    def speak(self, task: Task) -> None:
        """Note of what a task's value speaks."""
        if task.speaks_of:
            self._write_row(task, SPEAK, task.key, SpeakRecord(tuple(other.key for other in task.speaks_of)))
        else:
            self._remove_row(task, SPEAK, task.key)

    def function(self, body: FunctionBody) -> None:
        """Note a function that tasks call."""
        self.changes.append(Change(FUNCTION, body.id, body))

    def drop_function(self, function_id: str) -> None:
        """Note that none does any more."""
        self.changes.append(Change(FUNCTION, function_id, None))

    def leave_memory(self, task: Task) -> None:
        """Note that a task's value is gone, or let go of."""
        group, task.batch = task.batch, None
        if group is not None:
            self._leave(group)
        elif task.function is None:
            record = DataRecord(task.order, task.type_name, b"", "", task.nbytes, is_gone=True)
            self._write_row(task, DATA, task.key, record)

    def replace(self, task: Task) -> int:
        """Note that a result is elsewhere than its record says; return the number of the batch this will be in."""
        self.leave_memory(task)
        self.results.append(task)
        return self.number + 1

    def fail(self, task: Task, error: ErrorInfo) -> None:
        """Note an error that began with this task; those made from it have it from here."""
        self._write_row(task, ERROR, task.key, error)

    def leave_error(self, task: Task) -> None:
        """Note that an error was forgotten."""
        self._remove_row(task, ERROR, task.key)

    def trials(self, task: Task) -> None:
        """Note what a task has behind it."""
        if task.certificates or task.retries_left != task.options.retries or task.spent is not None:
            record = TrialsRecord(task.retries_left, task.certificates, task.erred_by, task.spent)
            self._write_row(task, TRIALS, task.key, record)
        else:
            self._remove_row(task, TRIALS, task.key)

    def forget(self, task: Task) -> None:
        """Note that a task is gone from every table."""
        if task.submission is not None:
            self._leave(task.submission)
            self._gone.append(task)
        if task.key in self._rows:
            for kind, key in self._rows.pop(task.key):
                self.changes.append(Change(kind, key, None))

    def forget_all(self, tasks: dict[str, Task]) -> None:
        """Note that all tasks are gone."""
        self.results.clear()
        for task in tasks.values():
            if task.batch is not None:
                self._leave(task.batch)
            self.forget(task)
        self._gone.clear()

    # -- sessions ----------------------------------------------------------------------------------------------------

    def session(self, session: Session) -> None:
        """Note a client, and how much it said."""
        kind, name, received = session.kind, session.name, session.received
        record = SessionRecord(kind, name, session.linger_s, session.pid, received, session.missed)
        self.changes.append(Change(SESSION, session.id, record))

    def names(self, session: Session) -> None:
        """Note what a client calls its keys."""
        self._renamed[session] = None

    def close_session(self, session: Session) -> None:
        """Note that it is gone."""
        self._renamed.pop(session, None)
        self.changes.append(Change(SESSION, session.id, None))
        self.changes.append(Change(NAMES, session.id, None))
        self._written.pop(session, None)

    # -- code --------------------------------------------------------------------------------------------------------

    def code(self, entry: CodeEntry) -> None:
        """Note a file that every worker shall have."""
        record = CodeRecord(entry.session, entry.place, entry.file)
        self.changes.append(Change(CODE, entry.file.name, record))

    def drop_code(self, name: str) -> None:
        """Note that it is kept no longer."""
        self.changes.append(Change(CODE, name, None))

    # -- what clients share by name ----------------------------------------------------------------------------------

    def note(self, kind: int, key: str, record: JournalRecord | None, *, is_new: bool = False) -> None:
        """Note a record that belongs to no task, or with none that it is gone."""
        self.changes.append(Change(kind, key, record, is_new))

    # -- hosts -------------------------------------------------------------------------------------------------------

    def host(self, nanny: str, host: str) -> None:
        """Note a nanny."""
        self.changes.append(Change(HOST, nanny, HostRecord(host)))

    # -- what the next scheduler knows already -----------------------------------------------------------------------

    def adopt_submission(self, number: str, record: SubmissionRecord, tasks: list[Task], gone: bytes) -> None:
        """Take a submission's record over from the scheduler before; these of its tasks are still there."""
        nbytes = sum(len(spec.arguments) + ENTRY_BYTES for spec in record.tasks)
        group = self._adopt_group(SUBMISSION, number, len(tasks), len(record.tasks), nbytes)
        group.session, group.orders = record.session, orders_of(record)
        group.gone = bytearray(gone) if gone else None
        for task in tasks:
            task.submission = group

    def adopt_batch(self, number: str, record: ResultsRecord, tasks: list[Task]) -> None:
        """Take a batch of results over from the scheduler before; those of these tasks are still there."""
        nbytes = sum(len(entry.value or b"") + ENTRY_BYTES for entry in record.results)
        group = self._adopt_group(RESULTS, number, len(tasks), len(record.results), nbytes)
        for task in tasks:
            task.batch = group

    def adopt_row(self, task_key: str, kind: int, key: str) -> None:
        """Take a task's own record over from the scheduler before."""
        self._rows.setdefault(task_key, set()).add((kind, key))

    def discard(self, kind: int, key: str) -> None:
        """Remove a record of the scheduler before that says nothing any more."""
        self.changes.append(Change(kind, key, None))

    def row_keys(self) -> set[str]:
        """Return the keys of the tasks that have records of their own."""
        return set(self._rows)

    # -- batches -----------------------------------------------------------------------------------------------------

    def close_batch(self, source: Member | Session | None, now: float) -> tuple[list[Change], int]:
        """Return the changes of this batch and its number, and begin the next one.

        What changed nothing while everything is written needs no write to wait for. A client is told so; a worker, which
        says something with every heartbeat, when others are.
        """
        if self.results:
            self._write_results()
        for session in self._renamed:
            self.changes.append(Change(NAMES, session.id, NamesRecord(session.names.pairs())))
        self._renamed.clear()
        if self._gone:
            self._note_gone()
        changes = self.changes
        if changes and isinstance(source, Session) and source.id:
            self.session(source)
        if changes:
            self.changes = []
            self.number += 1
        if source is not None and self.number > self.written:
            self._unwritten.append((self.number, source, source.received))
        elif source is not None:
            self._written[source] = source.received
            if self.ack_due_s is None and isinstance(source, Session):
                self.ack_due_s = now + ACK_S
        return changes, self.number

    def _write_results(self) -> None:
        tasks = [task for task in dict.fromkeys(self.results) if task.state == MEMORY]
        self.results.clear()
        if tasks:
            record = results_record(tasks)
            nbytes = sum(len(task.value or b"") for task in tasks) + ENTRY_BYTES * len(tasks)
            group = self._new_group(RESULTS, len(tasks), nbytes)
            for task in tasks:
                task.batch = group
            self.changes.append(Change(RESULTS, group.key, record, is_new=True))

    def on_written(self, number: int, now: float) -> None:
        """Note that everything up to this batch is on the disk."""
        self.written = max(self.written, number)
        unwritten, written = self._unwritten, self._written
        while unwritten and unwritten[0][0] <= self.written:
            _number, source, received = unwritten.popleft()
            written[source] = received
        if written and self.ack_due_s is None:
            self.ack_due_s = now + ACK_S

    def acknowledge(self) -> list[tuple[int, Kept]]:
        """Return who is to be told how much of what it said will not be forgotten: incarnations and messages."""
        self.ack_due_s = None
        told = [(source.incarnation, Kept(received)) for source, received in self._written.items()]
        self._written.clear()
        return [(incarnation, message) for incarnation, message in told if incarnation]

    # -- groups and rows ---------------------------------------------------------------------------------------------

    def rewrite(self, group: Group, record: SubmissionRecord | ResultsRecord, nbytes: int) -> None:
        """Write a group's record again, under its old key, with the tasks alone that need it."""
        self.wasted_bytes -= group.nbytes - group.share * group.live
        group.nbytes, group.share = nbytes, nbytes // group.live
        self.wasted_bytes += group.nbytes - group.share * group.live
        self.changes.append(Change(group.kind, group.key, record))
        if isinstance(record, SubmissionRecord):
            group.orders = orders_of(record)
            self._forget_gone(group)

    def _note_gone(self) -> None:
        """Note which tasks are gone while others of their submissions are not: the next scheduler must not make them."""
        thinned: dict[Group, bytearray] = {}
        for task in self._gone:
            group = task.submission
            if group is None or not group.live:
                continue
            place = bisect_left(group.orders, task.order)
            if place == len(group.orders) or group.orders[place] != task.order:
                continue  # the record was written without it just now
            if group.gone is None:
                group.gone = bytearray((len(group.orders) + 7) // 8)
            group.gone[place >> 3] |= 1 << (place & 7)
            thinned[group] = group.gone
        self._gone.clear()
        self.changes += [Change(GONE, group.key, GoneRecord(bytes(gone))) for group, gone in thinned.items()]

    def _forget_gone(self, group: Group) -> None:
        if group.gone is not None:
            group.gone = None
            self.changes.append(Change(GONE, group.key, None))

    def _new_group(self, kind: int, live: int, nbytes: int) -> Group:
        self._last_group += 1
        share = nbytes // live
        self.wasted_bytes += nbytes - share * live  # what is left over by the division
        return Group(kind, f"{self._last_group:012d}", live, nbytes, share)

    def _adopt_group(self, kind: int, number: str, live: int, count: int, nbytes: int) -> Group:
        self._last_group = max(self._last_group, int(number))
        share = nbytes // count
        self.wasted_bytes += nbytes - share * live
        return Group(kind, number, live, nbytes, share)

    def _leave(self, group: Group) -> None:
        group.live -= 1
        self.wasted_bytes += group.share
        if not group.live:
            self.wasted_bytes -= group.nbytes
            self.spared_bytes = min(self.spared_bytes, self.wasted_bytes)
            self.changes.append(Change(group.kind, group.key, None))
            self._forget_gone(group)

    def _write_row(self, task: Task, kind: int, key: str, record: JournalRecord) -> None:
        self._rows.setdefault(task.key, set()).add((kind, key))
        self.changes.append(Change(kind, key, record))

    def _remove_row(self, task: Task, kind: int, key: str) -> None:
        rows = self._rows.get(task.key)
        if rows is not None and (kind, key) in rows:
            rows.discard((kind, key))
            self.changes.append(Change(kind, key, None))
            if not rows:
                del self._rows[task.key]


def orders_of(record: SubmissionRecord) -> Sequence[int]:
    """Return the places of a submission's tasks in the order of all."""
    count = len(record.tasks)
    return record.orders if len(record.orders) == count else range(record.first, record.first + count)


def is_gone(gone: bytes, place: int) -> bool:
    """Whether the bit of a place in a submission is set."""
    return place // 8 < len(gone) and bool(gone[place // 8] >> place % 8 & 1)


def results_record(tasks: list[Task]) -> ResultsRecord:
    """Return the record of results that came together."""
    return ResultsRecord(
        tuple(
            [
                ResultEntry(task.key, task.made_by, task.value, task.nbytes, task.type_name, task.stored)
                for task in tasks
            ]
        )
    )
