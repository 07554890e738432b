"""The cluster as a whole: restart, scale, stop, and stopping by itself when nobody uses it."""

from jupyter_dist.core.scheduler import moving, retiring
from jupyter_dist.core.scheduler.arcs import ACTIVE, MEMORY
from jupyter_dist.core.scheduler.coordination import departures
from jupyter_dist.core.scheduler.goals import goal, wanted_workers
from jupyter_dist.core.scheduler.records import TASKS, Nanny, PendingRestart, Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    Answer,
    ClusterStopped,
    FreeObjects,
    KeyCancelled,
    ReplaceWorkers,
    RestartCluster,
    ScaleCluster,
    StopCluster,
    StopHost,
)

NOBODY = frozenset({"observer", TASKS})  # kinds of sessions that do not keep a cluster: tasks are work, if they run


def on_restart(state: State, session: Session, message: RestartCluster, now: float) -> None:
    """Forget every task, cancel every future, replace every worker; answered by `settle_restarts`.

    May be said twice: on another connection, when the answer did not come on the first. What is there by then stays.
    """
    if message.request > session.restarted:
        session.restarted = message.request
        _start_afresh(state, now)
    state.restarts.append(PendingRestart(session, message.request, now + state.settings.start_s_max))


def _start_afresh(state: State, now: float) -> None:
    reason = "the cluster was restarted"
    _cancel_all(state, reason)
    moving.abandon_all(state, reason)
    retiring.end_all(state)
    departures.refuse_all(state, f"{reason}: nothing of what it kept by name is left")
    for member in tuple(state.members.values()):
        state.fenced.add((member.name, member.pid))
        state.effects.closes[member.incarnation] = reason
        for task in member.current().values():
            state.detach(task)
        for task in tuple(member.held):
            state.drop_replica(task, member)
        state.remove_member(member)
    for incarnation, parked in state.aftermath.parked.items():
        state.fenced.add((parked.name, parked.pid))
        state.effects.closes[incarnation] = reason
    state.aftermath.parked.clear()
    state.forget_all()
    for nanny in state.nannies.values():
        state.fenced.update((name, pid) for name, (pid, _state, _cpu) in nanny.pulses.items())  # also who is on its way
        state.say(nanny.incarnation, ReplaceWorkers((), reason))
    state.record("restarted", now, reason)


def _cancel_all(state: State, reason: str) -> None:
    for session in state.sessions.values():
        session.missed = reason  # if it does not hear of it
        state.ledger.session(session)
        if session.wants:
            state.say(session.incarnation, KeyCancelled(tuple(session.wants.values()), reason))


def settle_restarts(state: State, now: float) -> None:
    """Answer those who wait for a restart, when all fresh workers are there or have taken too long.

    The workers of a host whose nanny is silent are not waited for: nobody is there to start them.
    One whose connection was made anew meanwhile may not have heard that its futures are cancelled, and asks again when
    it has: on the connection it has now no answer must come before.
    """
    state.restarts = [pending for pending in state.restarts if pending.incarnation == pending.session.incarnation]
    alive = sum(member.state == "running" for member in state.members.values())
    silent = [nanny for nanny in state.nannies.values() if now - nanny.heard_s > state.settings.lease_s]
    wanted = wanted_workers(state) - sum(goal(state, nanny) for nanny in silent)
    for pending in tuple(state.restarts):
        errors = [_tell_silent(nanny, now) for nanny in silent]
        if alive < wanted or not state.nannies:
            if now < pending.until_s:
                continue
            late = f"after {state.settings.start_s_max:g} s only {alive} of {wanted} workers came back"
            errors.append(late if state.nannies else f"{late}: no host is connected")
        state.restarts.remove(pending)
        state.say(pending.session.incarnation, Answer(pending.request, "; ".join(errors)))


def _tell_silent(nanny: Nanny, now: float) -> str:
    return (
        f"every task is forgotten and every future is cancelled, but host {nanny.host!r} has no fresh workers: its nanny, "
        f"process {nanny.pid}, has been silent for {now - nanny.heard_s:.0f} s and may be stopped. It replaces its workers "
        "when it goes on"
    )


def on_scale(state: State, session: Session, message: ScaleCluster, now: float) -> None:
    """Spread a number of workers over the hosts, and scale by load no longer; what is too many retires."""
    error = _refuse_scale(state, message.workers)
    if not error:
        state.adaptation = None
        nannies = tuple(state.nannies.values())
        each, more = divmod(message.workers, len(nannies))
        for index, nanny in enumerate(nannies):
            retiring.scale_host(state, nanny, each + (index < more), now)
        state.record("scaled", now, f"{message.workers} workers wanted")
    state.say(session.incarnation, Answer(message.request, error))


def _refuse_scale(state: State, workers: int) -> str:
    if not 0 <= workers <= state.settings.workers_max:
        return f"cannot scale to {workers} workers: choose 0 to {state.settings.workers_max}"
    if not state.nannies:
        return "cannot scale just now: no host is connected; try again in a second"
    return ""


def on_stop(state: State, session: Session, message: StopCluster, _now: float) -> None:
    """End the cluster for everybody."""
    state.say(session.incarnation, Answer(message.request))
    stop(state, "the cluster was stopped")


def stop(state: State, reason: str) -> None:
    """Have the nannies end everything."""
    _cancel_all(state, reason)
    for session in state.sessions.values():
        state.say(session.incarnation, ClusterStopped(reason))
    for nanny in state.nannies.values():
        state.say(nanny.incarnation, StopHost(reason))
    state.effects.stop = reason


def on_tick(state: State, now: float) -> None:
    """Stop a detached cluster that nobody has used for long."""
    if not state.detached:
        return
    if any(session.kind not in NOBODY for session in state.sessions.values()) or is_working(state):
        state.idle_since_s = now
    elif now - state.idle_since_s > state.settings.idle_stop_s:
        stop(state, f"nobody used the cluster for {state.settings.idle_stop_s / 60:.0f} minutes")


def free_objects(state: State) -> None:
    """Have what nobody needs any more removed from the object store. Without a nanny it waits for one."""
    for nanny in state.nannies.values():
        state.say(nanny.incarnation, FreeObjects(tuple(state.freed)))
    state.freed.clear()


def is_working(state: State) -> bool:
    """Whether a task is on its way."""
    return any(state.counts[name] for name in ACTIVE)


def is_clean(state: State) -> bool:
    """Whether nothing is left of any task: what a restart promises."""
    return not state.tasks and not state.counts[MEMORY] and not any(m.load or m.waiting for m in state.members.values())
