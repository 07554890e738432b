"""What follows, along the edges of the graph, when a task becomes needed, unneeded, finished or impossible.

The four walks of the graph live here: `activate` goes up to the inputs, `release` goes up when nobody asks any more,
`finish` and `fail` go down to the dependents. All use a work list, never recursion: a chain of a million tasks is a
chain of a million steps.
"""

from collections.abc import Iterable

from jupyter_dist.core.scheduler import keeping, once, speaking
from jupyter_dist.core.scheduler.arcs import ACTIVE, ERRED, FORGOTTEN, MEMORY, PROCESSING, QUEUED, RELEASED, WAITING
from jupyter_dist.core.scheduler.records import Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import ErrorInfo, ErrorView, FreeKeys, KeyErred, KeyFinished


def activate(state: State, task: Task, now: float) -> None:
    """Set a released task, and whatever it needs that is not there, on the way to a value."""
    stack = [task]
    while stack:
        task = stack.pop()
        if task.state != RELEASED or not task.is_needed:
            continue  # an input that failed may have taken away the need for the others
        error = impossible(task)
        if error is not None and state.recover_until_s is not None:
            state.doubtful[task] = None  # a worker may yet come back with it, or with what was made from it
        elif error is not None:
            fail(state, task, error, now)
        elif task.missing:
            state.move(task, WAITING, now)
            once.doubt(state, task)
            stack.extend(needed for needed in task.needs if needed.state == RELEASED)
        else:
            state.move(task, QUEUED, now)
            once.doubt(state, task)
            stack.extend(held for held in task.held if held.state == RELEASED)


def impossible(task: Task) -> ErrorInfo | None:
    """Return why a task that is to be made cannot be, or None."""
    for dependency in task.dependencies:
        if dependency.state == ERRED:
            return dependency.error
    if task.function is None:
        return describe_loss(task, "its last future was dropped, and it was let go")
    return once.describe_over(task) if once.is_over(task) else None


def describe_loss(task: Task, reason: str) -> ErrorInfo:
    """Return the error of data that was scattered and is gone."""
    size = f"{task.type_name}, {task.nbytes:,} bytes" if task.nbytes else task.type_name
    text = f"the data {task.key!r} ({size}) was scattered, not computed, and is gone ({reason}): scatter it again"
    return ErrorInfo("DataLostError", text, "", kind="lost", key=task.key)


def requeue(state: State, task: Task, now: float) -> None:
    """Put a task that was taken from its worker back on its way; its attempt must have been detached."""
    state.move(task, WAITING if task.missing else QUEUED, now)
    error = next((dependency.error for dependency in task.dependencies if dependency.error is not None), None)
    if error is not None:
        fail(state, task, error, now)


def finish(state: State, task: Task, now: float) -> None:
    """Tell everybody that a task is in memory: clients, dependents, and the inputs nobody needs any more."""
    queue_dependents(state, task, now)
    if task.sessions:
        tell_finished(state, task)
        if state.keepers:
            keeping.unkeep(state, task)
    for needed in task.needs:
        if not needed.consumers and not needed.sessions:
            release(state, (needed,), now)
    if not task.sessions and not task.consumers:
        release(state, (task,), now)


def queue_dependents(state: State, task: Task, now: float) -> None:
    """Queue what waited for this task alone, now that it is in memory."""
    if task.dependents:
        for dependent in task.dependents:
            if not dependent.missing and dependent.state == WAITING:
                state.move(dependent, QUEUED, now)


def tell_finished(state: State, task: Task) -> None:
    """Tell the clients that want a task in memory what it is and where."""
    holders = tuple(member.address for member in task.holders) if task.holders else ()
    for session in task.sessions:
        if session.incarnation:
            wish = session.wants[task]
            message = KeyFinished(wish, task.key, task.value, task.nbytes, task.type_name, holders, task.stored)
            state.effects.sends[session.incarnation].append(message)


def fail(state: State, task: Task, error: ErrorInfo, now: float, worker: str = "") -> None:
    """Mark a task as erred, and with the same error every task that waits for it; ``worker`` is where it happened."""
    stack = [task]
    while stack:
        task = stack.pop()
        if task.state == ERRED or not task.is_needed:
            continue  # reached twice, or needed only by one that has erred just now
        state.move(task, ERRED, now)
        task.error = error
        if task.key == error.key or not error.key:
            state.ledger.fail(task, error)
        state.erred += 1
        state.record_task("erred", now, task, detail=f"{error.type_name}: {error.text}"[:200])
        if task.key == error.key or not error.key:
            at_s = now + state.wall_offset_s
            state.chronicle.errors.append(
                ErrorView(task.key, task.label, task.options.group, worker, at_s, shown(error))
            )
        for incarnation, wish in state.wishes(task):
            state.say(incarnation, KeyErred(wish, task.key, error))
        if task.dependents:
            stack.extend(dependent for dependent in task.dependents if dependent.state == WAITING)
        if state.keepers:
            keeping.unkeep(state, task)
        release(state, (task, *task.needs, *speaking.end(state, task)), now)


def shown(error: ErrorInfo) -> ErrorInfo:
    """Return an error as watchers see it: without the bytes only a client can load."""
    return ErrorInfo(
        error.type_name,
        error.text[:1000],
        error.traceback[-8000:],
        error.filename,
        error.line,
        error.function,
        b"",
        error.kind,
        error.key,
        error.certificates,
    )


def _hand_error_on(state: State, task: Task) -> None:
    """Have the error of a task that is let go written down for those that have it from there."""
    if task.error is not None:
        for dependent in task.dependents or ():
            if dependent.error is task.error:
                state.ledger.fail(dependent, task.error)


def forgive(state: State, task: Task, now: float) -> None:
    """Make an erred task as if it were new; whoever does this activates it."""
    task.spent = None
    _clear_error(state, task)
    state.move(task, RELEASED, now)


def _clear_error(state: State, task: Task) -> None:
    task.error = None
    task.certificates = task.losses = ()  # should anybody want it again, it is tried as if it were new
    task.retries_left = task.options.retries
    state.ledger.trials(task)


def release(state: State, tasks: Iterable[Task], now: float, *, force: bool = False) -> None:
    """Let go of those of these tasks that nobody needs, of their values, and of what only they needed or spoke of.

    What runs goes on to its end and keeps its slot until then; with ``force`` it is interrupted.
    A task that others were made from stays on record as their lineage; it is forgotten with the last of them.
    """
    stack = list(tasks)
    while stack:
        task = stack.pop()
        if task.state == FORGOTTEN or task.is_needed:
            continue
        if task.speaks_of:
            stack.extend(speaking.end(state, task))
        if task.state != RELEASED:
            was_active = task.state in ACTIVE
            _let_go(state, task, now, force=force)
            state.move(task, RELEASED, now)
            if was_active:
                stack.extend(task.needs)
        if not task.is_lineage:
            state.move(task, FORGOTTEN, now)
            stack.extend(needed for needed in task.needs if not needed.is_lineage)


def _let_go(state: State, task: Task, now: float, *, force: bool) -> None:
    if task.spent is not None:
        once.let_go(state, task)
    if task.state == PROCESSING:
        state.give_up(task, now, force=force)
    elif task.state == MEMORY:
        for member in task.holders:
            state.drop_replica(task, member)
            state.say(member.incarnation, FreeKeys((task.key,)))
        state.drop_stored(task)
        state.set_value(task, None, 0, task.type_name)
    elif task.state == ERRED:
        _hand_error_on(state, task)
        _clear_error(state, task)
