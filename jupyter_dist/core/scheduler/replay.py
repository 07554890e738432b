"""A scheduler's tables from what the one before it wrote down, and the wait for those who had the rest.

What only workers and clients know is not in the journal: which attempts run, where large results are, what was said and
not yet written. They come back by themselves and say so (`rejoining`, and `membership.on_open_session`). For one lease
at most, or until as many workers are there as are wanted, nothing is handed out: what they bring need not be made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from jupyter_dist.core.scheduler import doubt, keeping, lineage, speaking
from jupyter_dist.core.scheduler.arcs import ERRED, MEMORY, RELEASED
from jupyter_dist.core.scheduler.coordination import returns, rows
from jupyter_dist.core.scheduler.goals import wanted_workers
from jupyter_dist.core.scheduler.ledger import is_gone, orders_of
from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import DEPTH_STEP, State
from jupyter_dist.messages import (
    CodeRecord,
    DataRecord,
    ErrorInfo,
    FunctionBody,
    GoneRecord,
    HostRecord,
    KeepObjects,
    KeepRecord,
    NamesRecord,
    ResultEntry,
    ResultsRecord,
    SessionRecord,
    SpeakRecord,
    SubmissionRecord,
    TaskOptions,
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

Records = Mapping[int, Mapping[str, Any]]
RecordT = TypeVar("RecordT")

CLAIM_S = 0.5  # how long workers wait for clients, which alone may know what these bring along
OBJECTS_AFTER_LEASES = 2  # how long clients have to come back before what is in the object store counts as nobody's


def restore(state: State, records: Records, now: float) -> None:
    """Fill empty tables from records by kind and key, and begin to wait for workers."""
    sessions = _of(records, SESSION, SessionRecord)
    for session_id, record in sessions.items():
        session = Session(session_id, record.kind, record.name, record.linger_s, record.pid)
        session.received, session.missed = record.received, record.missed
        session.is_awaited = True
        session.expires_s = now + max(record.linger_s, state.settings.lease_s)
        state.sessions[session_id] = session
    _restore_data(state, records)
    _restore_submissions(state, records)
    _restore_wants(state, records)
    _restore_values(state, records, now)
    _restore_spoken(state, records)
    _restore_errors(state, records, now)
    state.aftermath.expected_nannies = frozenset(_of(records, HOST, HostRecord))
    state.aftermath.keep_objects_at_s = now + OBJECTS_AFTER_LEASES * state.settings.lease_s
    _restore_kept(state, records)
    _restore_code(state, records)
    rows.restore(state, records, now)
    if any(records.values()):
        state.recover_until_s = now + state.settings.lease_s
    _settle(state, now)
    doubt.restore(state)
    returns.finish(state)
    if state.tasks:
        state.aftermath.admit_at_s = now + CLAIM_S
        state.record("recovered", now, f"a new scheduler took over {len(state.tasks):,} tasks")


def _settle(state: State, now: float) -> None:
    """Set what is needed on its way, and let go of the rest: in this order, or inputs would be nobody's for a moment."""
    tasks = tuple(state.tasks.values())
    for task in tasks:
        lineage.activate(state, task, now)
    lineage.release(state, tasks, now)


def _of(records: Records, kind: int, of: type[RecordT]) -> Mapping[str, RecordT]:
    return {key: record for key, record in records.get(kind, {}).items() if isinstance(record, of)}


def _restore_data(state: State, records: Records) -> None:
    for key, record in _of(records, DATA, DataRecord).items():
        task = Task(key, None, TaskOptions(), record.order)
        task.type_name = record.type_name
        state.add_task(task, ())
        state.skip_orders(record.order)
        state.ledger.adopt_row(key, DATA, key)


def _restore_submissions(state: State, records: Records) -> None:
    functions = _of(records, FUNCTION, FunctionBody)
    submissions, gone = _of(records, SUBMISSION, SubmissionRecord), _of(records, GONE, GoneRecord)
    kept = set()
    for number in sorted(submissions):
        submission = submissions[number]
        places = gone[number].places if number in gone else b""
        made = _restore_tasks(state, submission, functions.get(submission.function), places)
        if made:
            kept.add(number)
            state.ledger.adopt_submission(number, submission, made, places)
        else:
            state.ledger.discard(SUBMISSION, number)
    for number in gone:
        if number not in kept:
            state.ledger.discard(GONE, number)
    for function_id in functions:
        if function_id not in state.functions:
            state.ledger.discard(FUNCTION, function_id)


def _restore_tasks(state: State, submission: SubmissionRecord, body: FunctionBody | None, gone: bytes) -> list[Task]:
    """Enter the tasks of a submission that are still there, and return them."""
    session = state.sessions.get(submission.session)
    made = []
    orders = orders_of(submission)
    for place, (spec, order) in enumerate(zip(submission.tasks, orders, strict=True)):
        dependencies = [state.tasks[key] for key in dict.fromkeys(spec.dependencies) if key in state.tasks]
        is_whole = len(dependencies) == len(set(spec.dependencies))
        if body is None or spec.key in state.tasks or not is_whole or is_gone(gone, place):
            continue  # gone since; or its record, or one it needs, was damaged: whoever wants it is told
        task = Task(spec.key, state.intern_function(body), submission.options, order)
        task.arguments = spec.arguments
        held = dict.fromkeys(state.tasks[key] for key in spec.held if key in state.tasks)
        state.add_task(task, tuple(dependencies), tuple(other for other in held if other not in dependencies))
        made.append(task)
        if session is not None:
            state.want(session, task, spec.wish)
    state.skip_orders((orders[-1] + 1 if orders else 0) % DEPTH_STEP)
    return made


def _restore_wants(state: State, records: Records) -> None:
    for key, record in _of(records, WANT, WantRecord).items():
        session_id, _, task_key = key.partition("/")
        task, session = state.tasks.get(task_key), state.sessions.get(session_id)
        if task is None:
            state.ledger.discard(WANT, key)
            continue
        state.ledger.adopt_row(task_key, WANT, key)
        if session is not None and record.wish:
            state.want(session, task, record.wish)
        elif session is not None:
            state.unwant(session, task)

    for session_id, names in _of(records, NAMES, NamesRecord).items():
        named = state.sessions.get(session_id)
        wanted = {task.key for task in named.wants} if named is not None else set()
        for name, task_key in names.names:
            if named is not None and task_key in wanted:
                named.names.give(name, task_key)


def _restore_values(state: State, records: Records, now: float) -> None:
    for key, record in _of(records, DATA, DataRecord).items():
        if not record.is_gone:
            data = state.tasks[key]
            state.set_value(data, None if record.stored else record.value, record.nbytes, record.type_name)
            data.stored = record.stored
            state.move(data, MEMORY, now)
    for number, batch in sorted(_of(records, RESULTS, ResultsRecord).items()):
        kept = [task for entry in batch.results if (task := _restore_result(state, entry, now)) is not None]
        state.ledger.results.clear()  # they are written already
        if kept:
            state.ledger.adopt_batch(number, batch, kept)
        else:
            state.ledger.discard(RESULTS, number)


def _restore_result(state: State, entry: ResultEntry, now: float) -> Task | None:
    """Give a task the value a batch has for it; return the task if the value is here, and not with a worker."""
    task = state.tasks.get(entry.key)
    if task is None or task.function is None:
        return None
    if task.state == MEMORY:  # an earlier value: others still need the rest of its batch
        state.move(task, RELEASED, now)
        state.set_value(task, None, 0, "")
        task.stored = ""
    task.made_by = entry.attempt
    if entry.value is None and not entry.stored:
        return None
    state.set_value(task, entry.value, entry.nbytes, entry.type_name)
    task.stored = entry.stored
    state.move(task, MEMORY, now)
    return task


def _restore_errors(state: State, records: Records, now: float) -> None:
    for key, trials in _of(records, TRIALS, TrialsRecord).items():
        task = state.tasks.get(key)
        if task is None:
            state.ledger.discard(TRIALS, key)
            continue
        state.ledger.adopt_row(key, TRIALS, key)
        task.retries_left, task.certificates, task.erred_by = trials.retries_left, trials.certificates, trials.erred_by
        task.spent = trials.spent
    for key, error in _of(records, ERROR, ErrorInfo).items():
        task = state.tasks.get(key)
        if task is None or task.state != RELEASED:
            state.ledger.discard(ERROR, key)
            continue
        state.ledger.adopt_row(key, ERROR, key)
        state.move(task, ERRED, now)
        task.error = error


def _restore_kept(state: State, records: Records) -> None:
    for key, record in _of(records, KEEP, KeepRecord).items():
        session_id, _, task_key = key.partition("/")
        task = state.tasks.get(task_key)
        if task is None or task.state in (MEMORY, ERRED):
            state.ledger.discard(KEEP, key)
            continue
        state.ledger.adopt_row(task_key, KEEP, key)
        keeping.restore(state, session_id, record.name, task)


def _restore_spoken(state: State, records: Records) -> None:
    for key, record in _of(records, SPEAK, SpeakRecord).items():
        task = state.tasks.get(key)
        if task is None:
            state.ledger.discard(SPEAK, key)
            continue
        state.ledger.adopt_row(key, SPEAK, key)
        speaking.note(state, task, record.keys)


def _restore_code(state: State, records: Records) -> None:
    code = _of(records, CODE, CodeRecord)
    for name, record in sorted(code.items(), key=lambda item: (item[1].place, item[0])):
        if state.code.has_room((record.file,)):
            state.code.put(record.file, record.session, record.place)
        else:  # the limit is lower now
            state.ledger.drop_code(name)


def has_to_wait(state: State, now: float) -> bool:
    """Whether a worker is let in only later: what it brings may be known to a client that is not back yet."""
    if state.aftermath.admit_at_s is None:
        return False
    if now < state.aftermath.admit_at_s and any(session.is_awaited for session in state.sessions.values()):
        return True
    state.aftermath.admit_at_s = None
    return False


def wait_again(state: State, now: float) -> None:
    """After the scheduler itself was stopped: who is still waited for could not come."""
    lease_s = state.settings.lease_s
    returns.wait_again(state, now)
    if state.recover_until_s is not None:
        state.recover_until_s = now + lease_s
    if state.aftermath.admit_at_s is not None:
        state.aftermath.admit_at_s = now + CLAIM_S
    if state.aftermath.keep_objects_at_s is not None:
        state.aftermath.keep_objects_at_s = now + OBJECTS_AFTER_LEASES * lease_s


def is_recovered(state: State, now: float) -> bool:
    """Whether nobody who may still bring something along has to be waited for any longer."""
    if state.recover_until_s is None:
        return True
    alive = sum(member.state == "running" for member in state.members.values())
    all_there = state.aftermath.expected_nannies <= {nanny.name for nanny in state.nannies.values()}
    if now < state.recover_until_s and not (all_there and alive >= wanted_workers(state)):
        return False
    state.recover_until_s = None
    return True


def give_up_doubtful(state: State, now: float) -> None:
    """Fail what cannot be made and is needed, now that nobody comes back any more who may have it."""
    doubtful, state.doubtful = state.doubtful, {}
    for task in doubtful:
        lineage.activate(state, task, now)


def settle_objects(state: State, now: float) -> None:
    """Tell the nannies which objects in the store are still somebody's, once all who may know have come back."""
    if state.aftermath.keep_objects_at_s is None or now < state.aftermath.keep_objects_at_s or not state.nannies:
        return
    state.aftermath.keep_objects_at_s = None
    for session in state.sessions.values():
        session.is_awaited = False
    names = tuple(task.stored for task in state.tasks.values() if task.stored)
    for nanny in state.nannies.values():
        state.say(nanny.incarnation, KeepObjects(names, state.moves.first_name))
