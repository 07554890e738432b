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
from jupyter_dist.messages import Answer, CodeReplaced, CodeTaken, PutCode, TakeCode


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
    replaced = [table.put(file, session.id) for file in message.files]
    overdue = table.take_overdue(frozenset(file.name for file in message.files))
    _tell_owners(state, session, [entry for entry in replaced if entry is not None], overdue)
    number = table.next_number()
    running = [member for member in state.members.values() if member.state == "running"]
    for member in running:
        state.say(member.incarnation, TakeCode(number, message.files))
    if message.request:
        asked = {member.incarnation for member in running if not message.workers or member.fits(message.workers)}
        until_s = now + state.settings.code_wait_s_max
        table.pending.append(PendingCode(session.id, message.request, number, asked, until_s))


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
    """Tell a worker that joined all code there is."""
    files = tuple(entry.file for entry in state.code.entries.values())
    if files:
        state.say(member.incarnation, TakeCode(state.code.last_number, files))


def on_taken(state: State, member: Member, message: CodeTaken, _now: float) -> None:
    """Note what code a worker has."""
    if member.modules != message.modules:
        member.modules = message.modules
        state.version += 1
    for pending in state.code.pending:
        if message.number == pending.number and member.incarnation in pending.waiting:
            pending.waiting.discard(member.incarnation)
            if message.error is not None and not pending.error:
                pending.error = f"{member.name}: {message.error.text}"
                pending.failure = message.error


def settle(state: State, now: float) -> None:
    """Answer those who wait, when all workers have said that they have it, are gone, or have taken too long."""
    for pending in tuple(state.code.pending):
        pending.waiting.intersection_update(
            incarnation for incarnation, member in state.members.items() if member.state == "running"
        )
        if pending.waiting and now < pending.until_s:
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
