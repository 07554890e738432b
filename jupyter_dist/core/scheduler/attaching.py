"""What a client that comes back finds: names for keys, the sessions that were lost, and taking these over.

A session whose connection ended without a word lingers, and wants what it wanted. Another one asks what that is, makes
its wishes, and takes over: it wants the keys before the lost session is ended, in one step, so there is no moment at
which nobody wants them. A session that is connected is never robbed, whatever its name.
"""

from jupyter_dist.core.scheduler import lifetime, membership, submission
from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Answer, DescribeSessions, KeyCancelled, NameKeys, SessionView, TakeOver, WantedKey


def on_name_keys(state: State, session: Session, message: NameKeys, _now: float) -> None:
    """Note what a client calls keys; one it does not want any more is left without a name."""
    for given in message.names:
        task = state.tasks.get(given.key)
        if task is not None and task in session.wants:
            session.names.give(given.name, given.key)
    state.ledger.names(session)


def on_describe_sessions(state: State, session: Session, message: DescribeSessions, _now: float) -> None:
    """Answer with the other sessions that may want something."""
    others = [other for other in state.sessions.values() if other is not session and other.kind not in lifetime.NOBODY]
    if message.name:
        others = [other for other in others if other.name == message.name]
    views = tuple(_view(state, other, with_keys=bool(message.name)) for other in others)
    state.say(session.incarnation, Answer(message.request, sessions=views))


def _view(state: State, session: Session, *, with_keys: bool) -> SessionView:
    is_connected = not session.is_lost
    until_s = 0.0 if is_connected else session.expires_s + state.wall_offset_s
    return SessionView(
        session.id,
        session.name,
        session.kind,
        session.pid,
        is_connected,
        0.0 if is_connected else until_s - session.linger_s,
        until_s,
        len(session.wants),
        tuple(_wanted(state, session, task) for task in session.wants) if with_keys else (),
    )


def _wanted(state: State, session: Session, task: Task) -> WantedKey:
    return WantedKey(task.key, task.label, task.state, task.since_s + state.wall_offset_s, session.names.of(task.key))


def on_take_over(state: State, session: Session, message: TakeOver, now: float) -> None:
    """Give a client what lost sessions want, and end them; those that are not lost any more are left alone.

    May be said twice.
    """
    known = [state.sessions[name] for name in dict.fromkeys(message.sessions) if name in state.sessions]
    lost = [other for other in known if other.is_lost]
    left: list[int] = []
    for given in message.wishes:
        task = state.tasks.get(given.key)
        if task is not None and session.wants.get(task) == given.wish:
            continue
        if task is not None and any(task in other.wants for other in lost):
            state.ledger.want(session, task, given.wish)
            state.want(session, task, given.wish)
            submission.tell_prints(state, session, task)
            submission.tell_now(state, session, task)
        else:
            left.append(given.wish)
    if left:
        reason = "the session it was taken over from is not lost any more: another took it over, or its time was up"
        state.say(session.incarnation, KeyCancelled(tuple(left), reason))
    for other in lost:
        _hand_names(other, session)
        membership.close_session(state, other, now)
    state.ledger.names(session)
    state.say(session.incarnation, Answer(message.request))


def _hand_names(lost: Session, heir: Session) -> None:
    """Give names to the heir that it does not use itself."""
    for task in lost.wants:
        if task in heir.wants:
            for name in lost.names.of(task.key):
                if name not in heir.names:
                    heir.names.give(name, task.key)
