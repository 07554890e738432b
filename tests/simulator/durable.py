"""What of a scheduler's tables outlives it, and the proof: another that reads the journal has the same.

Compared when a batch has just been written and nothing is behind it: then the journal is all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_dist.core.scheduler.arcs import ERRED, MEMORY
from jupyter_dist.core.scheduler.coordination import departures
from jupyter_dist.core.scheduler.coordination.tables import Coordination, Queue, Turn
from jupyter_dist.core.scheduler.machine import SchedulerMachine
from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Parcel

Records = Mapping[int, Mapping[str, Any]]
SHARE = 40  # of so many flushes one is looked at: to read a journal takes as long as fifty events


def describe(state: State) -> dict[str, dict[str, Any]]:
    """Return the durable part of a scheduler's tables, by table and key."""
    tasks, sessions = state.tasks.values(), state.sessions.values()
    return {
        "tasks": {task.key: _how_it_is_made(task) for task in tasks},
        "trials": {task.key: (task.retries_left, task.certificates, task.spent) for task in tasks},
        "values": {
            task.key: (task.value, task.stored, task.nbytes, task.type_name, task.made_by)
            for task in tasks
            if task.state == MEMORY and (task.value is not None or task.stored)
        },
        "spoken": {task.key: {other.key for other in task.speaks_of} for task in tasks if task.speaks_of},
        "errors": {task.key: task.error for task in tasks if task.state == ERRED},
        "wants": {session.id: _wants(session) for session in sessions},
        "names": {session.id: dict(session.names.pairs()) for session in sessions},
        "keepers": {keeper.id: set(_wants(keeper)) for keeper in state.keepers.values()},
        **_describe_books(state.coordination),
    }


def _describe_books(books: Coordination) -> dict[str, dict[str, Any]]:
    """Return what is shared by name. What a client asks for again by itself is not written, nor what was set aside."""
    turns = [turn for turns in books.turns.values() for turn in turns.values() if not departures.is_asked_again(turn)]
    return {
        "leases": {
            f"{home.place}": (home.limit, {_who(turn) for turn in home.holders}, [_who(turn) for turn in home.line])
            for home in books.leases.values()
        },
        "items": {home.place[1]: items for home in books.queues.values() if (items := _items(home))},
        "lines": {
            home.place[1]: [_who(turn) for line in (home.line, home.putters) for turn in line]
            for home in books.queues.values()
            if home.line or home.putters
        },
        "turns": {_who(turn): (turn.size, _parcels(turn), turn.is_answered) for turn in turns},
        "named": {f"{home.place}": home.kept.parcel for home in books.values.values() if home.kept is not None},
        "spoken of": {task.key: count for task, count in books.kept.items()},
        "replies": {f"{session.id}/{n}": reply for session, of in books.replies.items() for n, reply in of.items()},
    }


def _who(turn: Turn) -> str:
    return f"{turn.session.id}/{turn.request}"


def _items(home: Queue) -> list[Parcel]:
    kept = [*home.items, *(kept for turn in home.line for kept in turn.kept)]
    return [one.parcel for one in sorted(kept, key=lambda one: one.number)]


def _parcels(turn: Turn) -> list[Parcel]:
    is_set_aside = isinstance(turn.home, Queue) and turn.line is turn.home.line
    return [] if is_set_aside else [kept.parcel for kept in turn.kept]


def _how_it_is_made(task: Task) -> tuple[Any, ...]:
    inputs, held = ([other.key for other in edges] for edges in (task.dependencies, task.held))
    return task.function_id, task.arguments, task.options, task.order, inputs, held


def _wants(session: Session) -> dict[str, int]:
    return {task.key: wish for task, wish in session.wants.items()}


def _may_differ(live: State, reader: State, table: str, key: str, read: Any) -> bool:
    """Whether it is as good.

    What is behind a task that is done counts no more. Of two inputs' errors either does, and one that follows from an
    input's is found again when all workers had their time to come back. A value that was let go may still be there.
    """
    task = live.tasks.get(key)
    if task is None:
        return False
    if table == "trials":
        return task.state in (MEMORY, ERRED)
    if table == "values":
        return read is not None and task.state not in (MEMORY, ERRED)
    if table != "errors" or task.state != ERRED:
        return False
    if read is None and any(
        other.key in reader.tasks and reader.tasks[other.key] in reader.doubtful for other in task.dependents or ()
    ):
        return True  # what needed it runs, and whose worker does not come back with that errs all the same
    if read is None:
        return not reader.doubtful.keys().isdisjoint(_list_above(reader.tasks[key]))
    return read in [above.error for above in _list_above(task)]


def _list_above(task: Task) -> dict[Task, None]:
    """Return a task and all it is made from."""
    found, stack = {task: None}, [task]
    while stack:
        fresh = [other for other in stack.pop().dependencies if other not in found]
        found.update(dict.fromkeys(fresh))
        stack.extend(fresh)
    return found


def compare(live: State, records: Records, now: float) -> str:
    """Read a journal and return in words what is not as in the tables it is of; empty when all is.

    Reading twice must give the same as reading once, and leave nothing more to tidy away.
    """
    known = describe(live)
    for times in ("once", "twice"):
        read = SchedulerMachine(live.settings, live.epoch + 1, "read", now)
        changes = read.restore(records, now).journal
        read.check()
        found = describe(read.state)
        for table, rows in known.items():
            for key in rows.keys() | found[table].keys():
                was, is_now = rows.get(key), found[table].get(key)
                if was != is_now and not _may_differ(live, read.state, table, key, is_now):
                    return f"{table} of {key}: {was}, and read {times} from the journal {is_now}"
        tidied = {kind: dict(of) for kind, of in records.items()}
        for change in changes:
            tidied.get(change.kind, {}).pop(change.key, None)
            if change.record is not None:
                tidied.setdefault(change.kind, {})[change.key] = change.record
        if times == "twice" and tidied != records:
            return f"the journal is tidied again: {changes}"
        records = tidied
    return ""
