"""What clients ask for: work, values they bring, and giving things up."""

from collections.abc import Collection, Iterable

from jupyter_dist.core.scheduler import keeping, lineage, once, recovery, speaking
from jupyter_dist.core.scheduler.arcs import ERRED, FORGOTTEN, MEMORY, RELEASED
from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    Answer,
    Cancel,
    ClaimWishes,
    DropFunctions,
    KeyCancelled,
    KeyErred,
    KeyFinished,
    KeyOutput,
    MissingValue,
    PutValue,
    Release,
    RetryKeys,
    Submit,
    TaskOptions,
    TaskSpec,
    WantKeys,
)

UNKNOWN = "the cluster does not know it any more"
LET_GO = f"{UNKNOWN}: it was let go, or another session took it over, while the connection was lost"
UNWRITTEN = "the scheduler died before it had written down what this is"
KEYS_SHOWN = 3  # in a reason, and of each:
KEY_CHARS_SHOWN = 100


def on_submit(state: State, session: Session, message: Submit, now: float) -> None:
    """Enter the tasks of a submission, or join those that are known already."""
    function = state.intern_function(message.function)
    new: list[Task] = []
    specs: list[TaskSpec] = []
    parent = state.tasks.get(message.parent) if message.parent else None
    for spec in message.tasks:
        task = state.tasks.get(spec.key)
        if task is None:
            dependencies = _known(state, spec.dependencies)
            if dependencies is None:
                reason = f"{spec.key} needs a result that the cluster does not know any more"
                state.say(session.incarnation, KeyCancelled((spec.wish,), reason))
                continue
            task = Task(spec.key, function, message.options, state.next_order(parent))
            task.arguments, task.parent = spec.arguments, message.parent
            held = dict.fromkeys(state.tasks[name] for name in spec.held if name in state.tasks)
            state.add_task(task, dependencies, tuple(other for other in held if other not in dependencies))
            new.append(task)
            specs.append(spec)
        else:
            state.ledger.want(session, task, spec.wish)
            if task.state == RELEASED:
                once.renew(state, task)  # its user wants it to run
        state.want(session, task, spec.wish)
        if task.key in state.prints:
            tell_prints(state, session, task)
        tell_now(state, session, task)
        lineage.activate(state, task, now)
    if new:
        state.ledger.submit(session, specs, new)


def _known(state: State, keys: tuple[str, ...]) -> tuple[Task, ...] | None:
    if not keys:
        return ()
    found = [state.tasks.get(key) for key in dict.fromkeys(keys)]
    known = tuple(task for task in found if task is not None)
    return known if len(known) == len(found) else None


def tell_now(state: State, session: Session, task: Task) -> None:
    """Tell a client what is settled already about a task it wants."""
    wish = session.wants[task]
    if task.state == MEMORY:
        holders = tuple(member.address for member in task.holders)
        message = KeyFinished(wish, task.key, task.value, task.nbytes, task.type_name, holders, task.stored)
        state.say(session.incarnation, message)
    elif task.state == ERRED and task.error is not None:
        state.say(session.incarnation, KeyErred(wish, task.key, task.error))


def tell_prints(state: State, session: Session, task: Task) -> None:
    """Tell a client that wants a task from now on what this printed before."""
    wish = session.wants[task]
    for stream, text in state.prints.of(task.key):
        state.say(session.incarnation, KeyOutput(wish, task.key, stream, text))


def on_want_keys(state: State, session: Session, message: WantKeys, now: float) -> None:
    """Let a client wish for what others made known."""
    unknown = []
    for key, wish in message.wants:
        task = state.tasks.get(key)
        if task is None:
            unknown.append(wish)
            continue
        state.ledger.want(session, task, wish)
        state.want(session, task, wish)
        tell_prints(state, session, task)
        tell_now(state, session, task)
        lineage.activate(state, task, now)
    if unknown:
        state.say(session.incarnation, KeyCancelled(tuple(unknown), UNKNOWN))
    if message.request:
        state.say(session.incarnation, Answer(message.request))


def on_put_value(state: State, session: Session, message: PutValue, now: float) -> None:
    """Take a value the client made itself."""
    task = state.tasks.get(message.key)
    if task is None:
        task = Task(message.key, None, TaskOptions(), state.next_order())
        state.add_task(task, ())
    if task.state == RELEASED:
        if message.stored:
            state.set_value(task, None, message.nbytes, message.type_name)
            task.stored = message.stored
        else:
            state.set_value(task, message.value, len(message.value), message.type_name)
        unspoken = speaking.note(state, task, message.speaks_of)
        state.move(task, MEMORY, now)
        lineage.queue_dependents(state, task, now)
        lineage.release(state, unspoken, now)
        if task.function is None:
            state.ledger.put(task)
    elif message.stored:
        state.freed.append(message.stored)  # somebody else was first
    state.ledger.want(session, task, message.wish)
    state.want(session, task, message.wish)
    tell_now(state, session, task)


def on_release(state: State, session: Session, message: Release, now: float) -> None:
    """Forget that a client wants these keys."""
    dropped = [state.tasks[key] for key in message.keys if key in state.tasks]
    for task in dropped:
        state.unwant(session, task)
    lineage.release(state, dropped, now)
    note_unwanted(state, session, dropped)


def note_unwanted(state: State, session: Session, dropped: Iterable[Task]) -> None:
    """Note in the journal what a client does not want any more and is still known."""
    for task in dropped:
        if task.state != FORGOTTEN:
            state.ledger.want(session, task, 0)


def drop_functions(state: State) -> None:
    """Tell workers which functions will not be called again."""
    overdue = state.overdue_functions()
    for member in state.members.values():
        had = tuple(function_id for function_id in overdue if function_id in member.functions)
        if had:
            member.functions.difference_update(had)
            state.say(member.incarnation, DropFunctions(had))


def on_cancel(state: State, session: Session, message: Cancel, now: float, reason: str = "") -> None:
    """Give tasks up for a client, and with them what it has yet to make from them; others who want them keep them.

    What was made from them before stays: an input of it may be made again only because somebody asked for that alone.
    """
    given_up: dict[Task, None] = {}
    stack = [state.tasks[key] for key in message.keys if key in state.tasks]
    while stack:
        task = stack.pop()
        if task in given_up or session not in task.sessions:
            continue
        given_up[task] = None
        if all(other.id == session.id for other in task.sessions):
            stack.extend(other for other in task.dependents or () if other.state not in (MEMORY, ERRED))
    wishes = tuple(session.wants[task] for task in given_up)
    for task in given_up:
        state.unwant(session, task)
        keeping.unkeep(state, task, session.id)
        speaking.give_up(state, session, task)
        state.record_task("cancelled", now, task)
    state.say(session.incarnation, KeyCancelled(wishes, reason or _why_cancelled(message.keys)))
    lineage.release(state, given_up, now, force=message.force)
    note_unwanted(state, session, given_up)


def _why_cancelled(keys: tuple[str, ...]) -> str:
    """Return what to tell of what was made from these; the client has settled these themselves."""
    named = ", ".join(key[:KEY_CHARS_SHOWN] for key in keys[:KEYS_SHOWN])
    return f"it needs {named}{' or others' if len(keys) > KEYS_SHOWN else ''}, cancelled by its user"


def on_retry(state: State, session: Session, message: RetryKeys, now: float) -> None:
    """Try erred tasks again that a client wants, and the inputs whose error they passed on.

    One that was tried again already, with a task that is made from it, may have a value: that is told.
    """
    again: dict[Task, None] = {}
    stack = [state.tasks[key] for key in message.keys if key in state.tasks]
    for task in stack:
        if task.state == MEMORY and session in task.sessions:
            tell_now(state, session, task)
    while stack:
        task = stack.pop()
        if task.state == ERRED and task not in again:
            again[task] = None
            stack.extend(task.dependencies)
    try_again(state, again, now)


def try_again(state: State, again: Collection[Task], now: float) -> None:
    """Make erred tasks as if they were new, and have those run that somebody needs."""
    for task in again:
        culprit = state.tasks.get(task.error.key) if task.error is not None else None
        if culprit is not None and culprit.state == RELEASED:
            once.renew(state, culprit)
    for task in again:
        lineage.forgive(state, task, now)
    for task in again:
        lineage.activate(state, task, now)


def on_claim(state: State, session: Session, message: ClaimWishes, now: float) -> None:
    """Agree with a client on what it wishes for, after its connection was made anew.

    What it wishes for and nobody here knows is cancelled; what it was said to wish for and does not is released.
    """
    reason = session.missed or (UNWRITTEN if session.is_awaited else LET_GO)
    session.is_awaited = False
    claimed = message.wishes + (message.delivered if session.missed else ())
    wants = {task.key: wish for task, wish in session.wants.items()}
    unknown = tuple(wish for wish, key in claimed if wants.get(key) != wish)
    if unknown:
        state.say(session.incarnation, KeyCancelled(unknown, reason))
    session.missed = ""
    known = {wish for wish, _ in message.wishes + message.delivered}
    dropped = [task for task, wish in session.wants.items() if wish not in known]
    for task in dropped:
        state.unwant(session, task)
    lineage.release(state, dropped, now)
    note_unwanted(state, session, dropped)


def on_missing_value(state: State, session: Session, message: MissingValue, now: float) -> None:
    """Take note that a holder did not have a value: name another, or make the value again."""
    task = state.tasks.get(message.key)
    if task is not None and session in task.sessions:
        recovery.forget_replica(state, task, message.holder, now, message.reason)
        tell_now(state, session, task)
