"""Users' code for every worker: told to those that are there, kept for those that come, and who waits for that.

A worker hears of code on the connection it hears of tasks, and before dispatch: what is assigned after it sees it. Two
clients may put different files under one name: the last one wins, and the other is told, so that it puts its own again
before it submits what needs it.
"""

from __future__ import annotations

from collections import defaultdict

from jupyter_dist.core.scheduler.code_table import CodeEntry, PendingCode
from jupyter_dist.core.scheduler.records import Member, Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Answer, CodeFile, CodeReplaced, CodeTaken, PutCode, TakeCode


def on_put(state: State, session: Session, message: PutCode, now: float) -> None:
    """Take code from a client and hand it on to all workers."""
    table = state.code
    if not table.has_room(message.files):
        words = (
            f"there is no room for it: with what was uploaded before it is more than {state.settings.code_total_bytes_max:,} "
            "bytes (code_total_bytes_max)"
        )
        state.say(session.incarnation, CodeReplaced(tuple(file.name for file in message.files), words))
        if message.request:
            state.say(session.incarnation, Answer(message.request, words))
        return
    if lost := [name for name in message.again if name not in table.entries]:
        words = f"the cluster was told, and has no {', '.join(lost)} any more: upload it again"
        state.say(session.incarnation, Answer(message.request, words))
        return
    number = table.next_number()
    _put_all(state, session, message.files, number)
    again = tuple(table.entries[name].file for name in message.again)
    running = [member for member in state.members.values() if member.state == "running"]
    for member in running:
        state.say(member.incarnation, TakeCode(number, (*again, *message.files)))
    if message.request:
        names = (*message.again, *(file.name for file in message.files))
        until_s = now + state.settings.code_wait_s_max
        pending = PendingCode(session.id, message.request, names, message.workers, until_s)
        pending.waiting = {member.incarnation: number for member in running if _is_asked(pending, member)}
        table.pending.append(pending)


def _put_all(state: State, session: Session, files: tuple[CodeFile, ...], place: int) -> None:
    """Keep files for workers that come later, and have them written down."""
    table = state.code
    replaced = [table.put(file, session.id, place) for file in files]
    overdue = table.take_overdue(frozenset(file.name for file in files))
    for file in files:
        state.ledger.code(table.entries[file.name])
    for entry in overdue:
        state.ledger.drop_code(entry.file.name)
    _tell_owners(state, session, [entry for entry in replaced if entry is not None], overdue)


def _is_asked(pending: PendingCode, member: Member) -> bool:
    return not pending.workers or member.fits(pending.workers)


def _tell_owners(state: State, session: Session, replaced: list[CodeEntry], overdue: list[CodeEntry]) -> None:
    """Tell clients that what they put is not there any more; who replaces its own knows."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for entry in replaced:
        if entry.session != session.id:
            names[entry.session].append(entry.file.name)
    for entry in overdue:
        names[entry.session].append(entry.file.name)
    for owner, lost in names.items():
        if owner in state.sessions:
            state.say(state.sessions[owner].incarnation, CodeReplaced(tuple(lost)))


def greet(state: State, member: Member) -> None:
    """Tell a worker that joined, or came back, all code there is; who waits for workers waits for this one as well.

    One that came back may have had its code from another scheduler, or not have heard of the newest: it ignores what it
    has. What is waited for is told once more under a number of its own, so that an answer is about that alone.
    """
    table = state.code
    files = tuple(entry.file for entry in table.entries.values())
    if files:
        state.say(member.incarnation, TakeCode(table.next_number(), files))
    for pending in table.pending:
        if _is_asked(pending, member):
            number = pending.waiting[member.incarnation] = table.next_number()
            awaited = tuple(table.entries[name].file for name in pending.names if name in table.entries)
            state.say(member.incarnation, TakeCode(number, awaited))


def on_taken(state: State, member: Member, message: CodeTaken, _now: float) -> None:
    """Note what code a worker has."""
    if member.modules != message.modules:
        member.modules = message.modules
        state.version += 1
    for pending in state.code.pending:
        if message.number == pending.waiting.get(member.incarnation):
            del pending.waiting[member.incarnation]
            if message.error is not None and not pending.error:
                pending.error = f"{member.name}: {message.error.text}"
                pending.failure = message.error


def settle(state: State, now: float) -> None:
    """Answer those who wait, when all workers have said that they have it, are gone, or have taken too long."""
    for pending in tuple(state.code.pending):
        for incarnation in tuple(pending.waiting):
            member = state.members.get(incarnation)
            if member is None or member.state != "running":
                del pending.waiting[incarnation]
        if now < pending.until_s and (pending.waiting or state.recover_until_s is not None):
            continue
        state.code.pending.remove(pending)
        session = state.sessions.get(pending.session)
        if session is not None:
            error = pending.error or _say_late(state, pending)
            state.say(session.incarnation, Answer(pending.request, error, failure=pending.failure))


def _say_late(state: State, pending: PendingCode) -> str:
    if not pending.waiting:
        return ""
    names = ", ".join(sorted(state.members[incarnation].name for incarnation in pending.waiting))
    return (
        f"{names} did not take it within {state.settings.code_wait_s_max:g} s, busy in code that holds Python's lock: it "
        "is on its way, and will be in place before the next task there"
    )
