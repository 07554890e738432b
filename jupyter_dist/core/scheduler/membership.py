"""Who is there: workers, nannies and clients that come, fall silent and go.

A worker is given up by the first of: the end of its connection, its death certificate, a missed lease. A worker that
is silent but, seen from its nanny, burning CPU is busy, not gone. All roads lead through `lose` to `recovery.resolve`.
"""

from math import inf

from jupyter_dist.core.scheduler import code, doubt, lineage, overdue, recovery, rejoining, replay, submission
from jupyter_dist.core.scheduler.coordination import departures, returns
from jupyter_dist.core.scheduler.records import TASKS, Member, Nanny, Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    DeathCertificate,
    OpenSession,
    Pulse,
    Refused,
    RegisterNanny,
    RegisterWorker,
    ReplaceWorkers,
    Welcome,
    WorkerDied,
)

BUSY_CPU_PERCENT = 5.0  # a silent process that uses more than this is at work in code that holds the GIL


def _welcome(state: State, incarnation: int, name: str, received: int = 0, *, is_new: bool = False) -> Welcome:
    settings = state.settings
    inline = settings.inline_bytes_max if state.inline_on else 0
    heartbeat_s, lease_s = settings.heartbeat_s, settings.lease_s
    return Welcome(incarnation, state.epoch, state.cluster, name, heartbeat_s, lease_s, inline, received, is_new)


# -- workers ---------------------------------------------------------------------------------------------------------


def on_register_worker(state: State, incarnation: int, message: RegisterWorker, now: float) -> None:
    """Let a worker in, unless it is one that was replaced."""
    if replay.has_to_wait(state, now):
        state.aftermath.parked[incarnation] = message
        return
    if (message.name, message.pid) in state.fenced:
        state.say(incarnation, Refused(f"{message.name} (pid {message.pid}) was replaced: fenced"))
        state.effects.closes[incarnation] = "fenced"
        return
    for older in tuple(state.members.values()):
        if older.name == message.name and older.pid == message.pid:
            doubt.expect(state, older, now)
            lose(state, older, "it came back with a new connection", None, now)
        elif older.name == message.name:  # a process that is dead: its certificate may still be on its way
            on_worker_gone(state, older, "it came back as a new process", now)
    member = Member(incarnation, message.name, message.host, message.pid, message.address, message.slots)
    member.nanny = message.nanny
    member.memory_bytes_max = message.memory_bytes_max
    member.resources = message.resources
    member.joined_s = member.heard_s = now
    state.add_member(member)
    state.record("worker-joined", now, f"{message.name} (pid {message.pid}) joined", message.name)
    state.say(incarnation, _welcome(state, incarnation, message.name))
    code.greet(state, member)
    rejoining.take_back(state, member, message, now)
    if state.once.in_doubt:
        doubt.on_return(state, member, message, now)


def admit_parked(state: State, now: float) -> None:
    """Let those in who had to wait."""
    parked, state.aftermath.parked = state.aftermath.parked, {}
    for incarnation, message in parked.items():
        on_register_worker(state, incarnation, message, now)


def lose(state: State, member: Member, reason: str, certificate: DeathCertificate | None, now: float) -> None:
    """Give a worker up for good: all it held is gone, all it was given goes back."""
    state.record("worker-lost", now, f"{member.name} (pid {member.pid}) was lost: {reason}", member.name)
    member.state = "dying"
    state.refresh(member)
    recovery.drop_held(state, member, now)
    recovery.resolve(state, member, certificate, now)


def on_worker_gone(state: State, member: Member, reason: str, now: float) -> None:
    """Note the end of a worker's connection; while its nanny may tell how it died, what it ran waits for that word."""
    if member.state == "dying":
        return
    may_be_told = nanny_of(state, member) is not None or doubt.has_any(member)
    if (member.processing or member.waiting or member.orphans) and may_be_told:
        member.state = "dying"
        member.resolve_by_s = now + state.settings.certificate_wait_s
        state.refresh(member)
        recovery.drop_held(state, member, now)
    else:
        lose(state, member, reason, None, now)


def nanny_of(state: State, member: Member) -> Nanny | None:
    """Return the keeper of a worker's process, if it is connected."""
    return next((nanny for nanny in state.nannies.values() if nanny.name == member.nanny), None)


def replace(state: State, member: Member, reason: str, now: float) -> None:
    """Give up a worker whose process still exists: it is fenced, and its nanny starts another."""
    state.fenced.add((member.name, member.pid))
    nanny = nanny_of(state, member)
    if nanny is not None:
        state.say(nanny.incarnation, ReplaceWorkers((member.name,), reason))
    state.effects.closes[member.incarnation] = reason
    lose(state, member, reason, None, now)


# -- nannies ---------------------------------------------------------------------------------------------------------


def on_register_nanny(state: State, incarnation: int, message: RegisterNanny, now: float) -> None:
    """Let a nanny in."""
    nanny = Nanny(incarnation, message.name, message.host, message.pid, message.workers)
    nanny.heard_s = now
    for older in tuple(state.nannies.values()):
        if older.name == message.name:
            nanny.deaths, nanny.last_death = older.deaths, older.last_death
            del state.nannies[older.incarnation]
            state.effects.closes[older.incarnation] = "the same nanny connected again"
    state.nannies[incarnation] = nanny
    state.ledger.host(nanny.name, nanny.host)
    state.version += 1
    state.say(incarnation, _welcome(state, incarnation, message.name))


def on_pulse(state: State, nanny: Nanny, message: Pulse, now: float) -> None:
    """Note how a nanny sees its workers from outside."""
    nanny.pulses = {pulse.worker: (pulse.pid, pulse.state, pulse.cpu_percent) for pulse in message.workers}
    there = {(pulse.worker, pulse.pid) for pulse in message.workers} if nanny.ending else set()
    nanny.ending = {name: pid for name, pid in nanny.ending.items() if (name, pid) in there}
    stopped = [pulse.worker for pulse in message.workers if pulse.state == "stopped"]
    connected = {member.name for member in state.members.values()} if stopped else set()
    nanny.strays = {name: nanny.strays.get(name, now) for name in stopped if name not in connected}
    for member in [member for member in state.members.values() if member.nanny == nanny.name]:
        seen = next(
            (pulse for pulse in message.workers if (pulse.worker, pulse.pid) == (member.name, member.pid)), None
        )
        why = overdue.on_pulse(state, member, seen, now) if seen is not None and member.state != "dying" else ""
        if why:
            replace(state, member, why, now)


def replace_strays(state: State, nanny: Nanny, now: float) -> None:
    """Have workers replaced that are stopped and not connected: they cannot come back by themselves."""
    overdue = tuple(name for name, since_s in nanny.strays.items() if now - since_s > state.settings.lease_s)
    for name in overdue:
        del nanny.strays[name]
        state.fenced.add((name, nanny.pulses[name][0]))
    if overdue:
        state.say(nanny.incarnation, ReplaceWorkers(overdue, "stopped, and not connected"))


def on_worker_died(state: State, nanny: Nanny, message: WorkerDied, now: float) -> None:
    """Take a death certificate."""
    certificate = message.certificate
    state.fenced.discard((certificate.worker, certificate.pid))
    if nanny.ending.get(certificate.worker) == certificate.pid:
        del nanny.ending[certificate.worker]
    nanny.deaths[certificate.worker] = nanny.deaths.get(certificate.worker, 0) + 1
    nanny.last_death[certificate.worker] = certificate.words
    for member in tuple(state.members.values()):
        if member.name == certificate.worker and member.pid == certificate.pid:
            lose(state, member, certificate.words, certificate, now)
            state.effects.closes[member.incarnation] = certificate.words
    if state.once.in_doubt:
        recovery.on_certificate(state, certificate, now)


# -- clients ---------------------------------------------------------------------------------------------------------


def on_open_session(state: State, incarnation: int, message: OpenSession, now: float) -> None:
    """Let a client in, as a new session or as the one it had."""
    session = state.sessions.get(message.session)
    is_new = session is None
    if session is None:
        session = Session(message.session, message.kind, message.name, message.linger_s, message.pid)
        state.sessions[session.id] = session
    elif session.incarnation:
        session.watch = None
        state.session_of.pop(session.incarnation, None)
        state.effects.closes[session.incarnation] = "the same session was opened again"
    session.incarnation = incarnation
    state.session_of[incarnation] = session
    state.version += 1
    state.ledger.session(session)
    state.say(incarnation, _welcome(state, incarnation, message.name, session.received, is_new=is_new))
    returns.on_back(state, session, now)
    for task in session.wants:
        submission.tell_now(state, session, task)


def on_session_gone(state: State, session: Session, now: float) -> None:
    """Note the end of a client's connection without a word: its session lingers."""
    session.incarnation = 0
    session.watch = None
    session.expires_s = now + session.linger_s
    departures.on_gone(state, session, now)
    state.version += 1
    if not session.linger_s:
        close_session(state, session, now)


def close_session(state: State, session: Session, now: float) -> None:
    """End a session: everything only it wanted is released."""
    state.sessions.pop(session.id, None)
    state.session_of.pop(session.incarnation, None)
    departures.on_closed(state, session, now)
    wanted = tuple(session.wants)
    for task in wanted:
        state.unwant(session, task)
    lineage.release(state, wanted, now)
    submission.note_unwanted(state, session, wanted)  # a client that was only cut off may open it again
    state.ledger.close_session(session)
    state.version += 1


# -- time ------------------------------------------------------------------------------------------------------------


def on_tick(state: State, now: float) -> None:
    """Look for what has fallen silent, run out or waited long enough."""
    for member in tuple(state.members.values()):
        if member.state == "dying":
            if now >= member.resolve_by_s:
                lose(state, member, "its connection ended and nobody knows how it died", None, now)
        elif now - max(member.heard_s, member.busy_s) > state.settings.lease_s:
            if is_busy(state, member, now):
                member.busy_s = now  # when it has finished, it has a lease to say so
            else:
                replace(state, member, f"not heard for {now - member.heard_s:.1f} s ({how_seen(state, member)})", now)
    for nanny in state.nannies.values():
        replace_strays(state, nanny, now)
    for session in tuple(state.sessions.values()):
        if session.incarnation or now < session.expires_s:
            continue
        if session.kind == TASKS and is_worker(state, session.pid):
            session.expires_s = now + state.settings.heartbeat_s  # it is silent as its worker is, and may yet come back
        else:
            close_session(state, session, now)
    departures.on_tick(state, now)


def next_silent_s(state: State) -> float:
    """Return when the next worker is given up, if no more is heard of it."""
    heard = (max(member.heard_s, member.busy_s) for member in state.members.values() if member.state != "dying")
    return min(heard, default=inf) + state.settings.lease_s


def is_worker(state: State, pid: int) -> bool:
    """Whether a process is a worker that lives, as far as anybody knows."""
    if any(member.pid == pid and member.state != "dying" for member in state.members.values()):
        return True
    return any(seen == pid for nanny in state.nannies.values() for seen, _state, _cpu in nanny.pulses.values())


def is_busy(state: State, member: Member, now: float) -> bool:
    """Whether a silent worker is seen at work from outside."""
    nanny = nanny_of(state, member)
    if nanny is None or now - nanny.heard_s > state.settings.lease_s:
        return False
    _pid, process_state, cpu_percent = nanny.pulses.get(member.name, (0, "gone", 0.0))
    return process_state == "running" or (process_state == "sleeping" and cpu_percent > BUSY_CPU_PERCENT)


def how_seen(state: State, member: Member) -> str:
    """Return in words how a worker's nanny sees it."""
    nanny = nanny_of(state, member)
    if nanny is None:
        return "its nanny is gone as well"
    return f"its process is {nanny.pulses.get(member.name, (0, 'gone', 0.0))[1]}"


def resume(state: State, now: float) -> None:
    """After the scheduler itself was stopped: nobody could be heard, so nobody is judged by that time."""
    for member in state.members.values():
        member.heard_s = now
    for nanny in state.nannies.values():
        nanny.heard_s = now
    for session in state.sessions.values():
        session.expires_s = max(session.expires_s, now + state.settings.lease_s)
    replay.wait_again(state, now)
