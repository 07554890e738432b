"""Workers that leave in order, and workers that are replaced because somebody asked for it.

A worker that retires is given nothing more. What it has in hand is taken back, what it runs goes on to its end, and
what it alone holds is copied: to another worker, or into the host's object store when no other can take it. An attempt
that waits for something of the cluster is waited for too, unless that may be what cannot begin because of this. When
the journal says where everything is, the worker is out: its nanny ends its process and keeps one fewer, or, for one that
was sent SIGTERM, starts another. A worker whose results cannot be saved stays, and whoever asked hears why.

`scale` downwards goes the same way; it picks the workers that are idle and hold least.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_dist.core.scheduler import doubt, lineage, moving, once
from jupyter_dist.core.scheduler.arcs import MEMORY, QUEUED
from jupyter_dist.core.scheduler.dispatch import withdraw
from jupyter_dist.core.scheduler.goals import goal, list_going
from jupyter_dist.core.scheduler.membership import nanny_of, replace
from jupyter_dist.core.scheduler.moves import FreshRequest, Retirement, RetireRequest
from jupyter_dist.core.scheduler.placement import suits_ever
from jupyter_dist.core.scheduler.queues import is_live
from jupyter_dist.core.scheduler.records import Member, Nanny, Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    Answer,
    EndWorkers,
    KeepsWorkers,
    Leaving,
    ReplaceWorkers,
    RestartWorkers,
    RetireWorkers,
    SetWorkers,
)

IN_THE_WAY = "its worker was to leave, without which what it waited for could not begin"


def choose_leaving(members: Iterable[Member], count: int) -> list[Member]:
    """Return the workers that are missed least: those that leave already, then those with least to do, least data.

    Among equals the one with the highest number goes first: the names that stay are those users know.
    """
    by_number = sorted(members, key=lambda m: (len(m.name), m.name), reverse=True)  # among equals the highest goes
    order = sorted(by_number, key=lambda m: (m.state == "running", len(m.current()), m.held_bytes))
    return order[:count]


# -- what is asked ---------------------------------------------------------------------------------------------------


def on_retire(state: State, session: Session, message: RetireWorkers, now: float) -> None:
    """Have workers leave; answered by `advance` when they are out."""
    members, error = _chosen(state, message)
    if error:
        state.say(session.incarnation, Answer(message.request, error, kind="usage"))
        return
    retirements = [retire(state, member, "it was retired", now, ends=message.end) for member in members]
    request = RetireRequest(session, message.request, retirements, until_gone=message.until_gone)
    state.moves.retire_requests.append(request)


def _chosen(state: State, message: RetireWorkers) -> tuple[list[Member], str]:
    if message.names:
        return _named(state, message.names)
    staying = [member for member in state.members.values() if member not in state.moves.leaving]
    if not 0 <= message.count <= len(staying):
        return [], f"cannot retire {message.count} workers: there are {len(staying)}"
    return choose_leaving(staying, message.count), ""


def _named(state: State, names: tuple[str, ...]) -> tuple[list[Member], str]:
    """Return the workers of these names, and in words which of them are not there."""
    by_name = {member.name: member for member in state.members.values()}
    missing = [name for name in names if name not in by_name]
    if missing:
        return [], f"there is no worker {missing[0]!r}; there are: {', '.join(sorted(by_name)) or 'none'}"
    return [by_name[name] for name in dict.fromkeys(names)], ""


def on_leaving(state: State, member: Member, message: Leaving, now: float) -> None:
    """Let a worker go that was asked to end from outside; another one takes its place."""
    retire(state, member, message.reason, now, replaced=True)


def retire(
    state: State,
    member: Member,
    reason: str,
    now: float,
    *,
    ends: bool = True,
    replaced: bool = False,
    for_scale: bool = False,
) -> Retirement:
    """Have a worker leave, or what is under way do as much as this asks for."""
    known = state.moves.leaving.get(member)
    if known is not None:
        _widen(known, reason, ends=ends, replaced=replaced, for_scale=for_scale)
        return known
    retirement = Retirement(member, reason, ends=ends, replaced=replaced, for_scale=for_scale)
    state.moves.leaving[member] = retirement
    state.record("worker-retiring", now, f"{member.name} (pid {member.pid}) retires: {reason}", member.name)
    if member.state == "running":
        member.state = "retiring"
        state.refresh(member)
        state.stop_copies(copy for copy in state.moves.with_member(member) if copy.target is member)
        withdraw(state, member, [attempt for attempt in member.processing if attempt not in member.withdrawing])
    return retirement


def _widen(known: Retirement, reason: str, *, ends: bool, replaced: bool, for_scale: bool) -> None:
    """Have a retirement do as much as the old and the new wish for it ask."""
    known.replaced = replaced and (known.replaced or not known.ends)
    known.for_scale = known.for_scale and for_scale
    if ends and not known.ends:
        known.ends, known.is_out, known.reason = True, False, reason


def stay(state: State, retirement: Retirement) -> None:
    """Keep a worker after all."""
    member = retirement.member
    del state.moves.leaving[member]
    if member.state == "retiring":
        member.state = "running"
        state.refresh(member)
    state.stop_copies(copy for copy in tuple(state.moves.copies.values()) if copy.jobs == [retirement])


# -- scale -----------------------------------------------------------------------------------------------------------


def scale_host(state: State, nanny: Nanny, wanted: int, now: float) -> None:
    """Have a host keep so many workers: fresh ones are started, those that are too many retire."""
    surplus = goal(state, nanny) - wanted
    if surplus > 0:
        _shrink(state, nanny, surplus, now)
        return
    for retirement in [going for going in list_going(state, nanny) if going.for_scale][:-surplus]:
        stay(state, retirement)
        surplus += 1
    if surplus < 0:
        set_workers(state, nanny, nanny.wanted - surplus)


def set_workers(state: State, nanny: Nanny, wanted: int, keep: tuple[str, ...] = ()) -> None:
    """Have a host keep so many workers, those first that are named."""
    nanny.wanted = wanted
    nanny.unanswered += 1
    state.say(nanny.incarnation, SetWorkers(wanted, keep))


def on_keeps_workers(state: State, nanny: Nanny, message: KeepsWorkers, _now: float) -> None:
    """Take a nanny's word for how many workers it keeps, when it has heard all that it was told."""
    nanny.unanswered = max(0, nanny.unanswered - 1)
    if not nanny.unanswered and nanny.wanted != message.workers:
        nanny.wanted = message.workers
        state.version += 1


def _shrink(state: State, nanny: Nanny, surplus: int, now: float) -> None:
    here = [member for member in state.members.values() if member.nanny == nanny.name]
    going = {retirement.member for retirement in list_going(state, nanny)}
    staying = [member for member in here if member not in going]
    absent = min(surplus, max(0, goal(state, nanny) - len(staying)))  # still coming up: nothing is lost with these
    if absent:
        set_workers(state, nanny, nanny.wanted - absent, tuple(member.name for member in here))
    for member in choose_leaving(staying, surplus - absent):
        retire(state, member, "the cluster was scaled down", now, for_scale=True)


# -- on its way out --------------------------------------------------------------------------------------------------


def advance(state: State, now: float) -> None:
    """Take each worker that leaves as far as it can go now, and answer who waits for it."""
    for retirement in tuple(state.moves.leaving.values()):
        _advance(state, retirement, now)
    _answer_retired(state)
    _answer_fresh(state, now)


def _advance(state: State, retirement: Retirement, now: float) -> None:
    member = retirement.member
    if state.members.get(member.incarnation) is not member:
        _leave_tables(state, retirement, now)  # it died before it was through
    elif member.state == "retiring" and not retirement.is_out and _is_through(state, retirement, now):
        _conclude(state, retirement, now)


def _is_through(state: State, retirement: Retirement, now: float) -> bool:
    """Whether nothing is left of a worker's that is to be waited for."""
    member = retirement.member
    if member.waiting and not member.processing and _is_in_the_way(state, member):
        _give_back_waiting(state, member, now)
    while moving.work_off(retirement, lambda task: _look(state, retirement, task, now)):
        if member.is_at_work and retirement.seen == len(member.held):
            return False
        retirement.seen = len(member.held)
        unsafe = (task for task in member.held if not _is_safe(task, member))
        retirement.todo.extend(task for task in unsafe if task not in retirement.failed)
        if not retirement.todo and not member.is_at_work:
            return state.ledger.written >= retirement.saved
    return False


def _is_in_the_way(state: State, member: Member) -> bool:
    """Whether what is queued can begin only when this worker is gone, or stays: its attempts may wait for that."""
    running = [other for other in state.members.values() if other.state == "running"]
    if not running:
        coming = sum(nanny.wanted for nanny in state.nannies.values()) - len(state.moves.leaving)
        return bool(state.counts[QUEUED]) and coming <= 0
    return any(
        suits_ever(member, names, needed) and not any(suits_ever(other, names, needed) for other in running)
        for (names, loose, needed, _once), queue in state.restricted.items()
        if not loose and any(map(is_live, queue))
    )


def _give_back_waiting(state: State, member: Member, now: float) -> None:
    """Have what waits on a worker run elsewhere: what it waits for would never come."""
    for task in tuple(member.waiting.values()):
        if task is None:
            continue
        state.give_up(task, now)
        if task.options.once:
            doubt.lose(state, task, once.describe(task, IN_THE_WAY, "waited"), now, member.name)
        else:
            state.record_task("retried", now, task, member.name)
            lineage.requeue(state, task, now)


def _is_safe(task: Task, member: Member) -> bool:
    """Whether a value does not depend on a worker that leaves."""
    if task.state != MEMORY or task.value is not None or task.stored:
        return True
    return any(holder.state == "running" for holder in task.holders if holder is not member)


def _look(state: State, retirement: Retirement, task: Task, now: float) -> bool:
    """Begin the copy that saves a task's value; False: look again before others."""
    member = retirement.member
    if task not in member.held or task in retirement.failed or _is_safe(task, member):
        return True
    under_way = state.moves.of_task.get(task)
    if under_way:
        for copy in under_way.values():
            state.moves.join(retirement, copy)
        return True
    others = moving.choose_targets(state, retirement, task, moving.members_of(state, ()))
    if others and retirement.tries[task] < moving.TRIES_MAX:
        if not moving.is_free(state, others[0]):
            return False
        moving.begin_copy(state, retirement, task, member, others[0], now)
        return True
    return _store(state, retirement, task, now)


def _store(state: State, retirement: Retirement, task: Task, now: float) -> bool:
    member = retirement.member
    if retirement.tries[task, None]:
        retirement.failed[task] = retirement.last_reason[task]
        return True
    if not moving.is_free(state, member):
        return False
    moving.begin_copy(state, retirement, task, member, None, now)
    return True


def _conclude(state: State, retirement: Retirement, now: float) -> None:
    member = retirement.member
    if retirement.failed:
        retirement.refusal = f"{member.name} stays: {moving.describe_failures(retirement)}"
        state.record("worker-stays", now, retirement.refusal, member.name)
        stay(state, retirement)
    elif retirement.ends:
        for task in tuple(member.held):
            state.drop_replica(task, member)
        member.zombies.clear()
        member.waiting.clear()
        state.remove_member(member)
        state.fenced.add((member.name, member.pid))
        _leave_tables(state, retirement, now)
    else:
        retirement.is_out = True  # it stays as it is, given nothing, for whoever ends it


def _leave_tables(state: State, retirement: Retirement, now: float) -> None:
    """Have the process of a worker ended that is in no other table any more."""
    member = retirement.member
    del state.moves.leaving[member]
    retirement.is_out = True
    state.record("worker-left", now, f"{member.name} (pid {member.pid}) left: {retirement.reason}", member.name)
    end_process(state, retirement)


def end_process(state: State, retirement: Retirement) -> None:
    """Tell a nanny to end a worker's process, and whether to start another."""
    member = retirement.member
    nanny = nanny_of(state, member)
    if not retirement.ends:
        return
    if nanny is None:
        state.effects.closes[member.incarnation] = retirement.reason
    elif retirement.replaced:
        state.say(nanny.incarnation, ReplaceWorkers((member.name,), retirement.reason))
    else:
        end_worker(state, nanny, member, retirement.reason)


def end_worker(state: State, nanny: Nanny, member: Member, reason: str) -> None:
    """Have a host end the process of a worker that is in no table any more, and keep one fewer."""
    nanny.wanted = max(0, nanny.wanted - 1)
    nanny.unanswered += 1
    nanny.ending[member.name] = member.pid
    state.say(nanny.incarnation, EndWorkers((member.name,), reason))


def end_all(state: State) -> None:
    """Have every worker that leaves ended now: a restart takes all values with it."""
    for retirement in state.moves.leaving.values():
        retirement.is_out = True
        end_process(state, retirement)
    state.moves.leaving.clear()


def _answer_retired(state: State) -> None:
    for request in tuple(state.moves.retire_requests):
        if all(retirement.is_out or retirement.refusal for retirement in request.retirements):
            if request.until_gone and any(_is_ending(state, retirement) for retirement in request.retirements):
                continue
            state.moves.retire_requests.remove(request)
            error = "; ".join(retirement.refusal for retirement in request.retirements if retirement.refusal)
            names = tuple(retirement.member.name for retirement in request.retirements if retirement.is_out)
            state.say(request.session.incarnation, Answer(request.request, error, names=names))


def _is_ending(state: State, retirement: Retirement) -> bool:
    """Whether a worker's process is not known to be gone."""
    nanny = nanny_of(state, retirement.member)
    return nanny is not None and nanny.ending.get(retirement.member.name) == retirement.member.pid


# -- restart of some workers -----------------------------------------------------------------------------------------


def on_restart_workers(state: State, session: Session, message: RestartWorkers, now: float) -> None:
    """Replace workers at once, whatever they do; answered when their successors are there."""
    members, error = _named(state, message.names)
    if error:
        state.say(session.incarnation, Answer(message.request, error, kind="usage"))
        return
    allowed_s = message.timeout_s or state.settings.start_s_max
    request = FreshRequest(session, message.request, frozenset(message.names), now + allowed_s)
    request.asked_s = now
    request.old = frozenset(state.members)
    state.moves.fresh_requests.append(request)
    for member in members:
        _interrupt_retirement(state, member)
        if member.state != "dying":
            replace(state, member, "it was restarted", now)


def _interrupt_retirement(state: State, member: Member) -> None:
    retirement = state.moves.leaving.get(member)
    if retirement is not None:
        retirement.refusal = f"{member.name} was restarted before it was out"
        stay(state, retirement)


def _answer_fresh(state: State, now: float) -> None:
    for request in tuple(state.moves.fresh_requests):
        fresh = {m.name for m in state.members.values() if m.state == "running" and m.incarnation not in request.old}
        missing = request.names - fresh
        if missing and now < request.until_s:
            continue
        state.moves.fresh_requests.remove(request)
        answer = Answer(request.request, names=tuple(sorted(request.names)))
        if missing:
            waited_s = now - request.asked_s
            error = f"after {waited_s:.3g} s these workers are not back: {', '.join(sorted(missing))}"
            answer = Answer(request.request, error, kind="timeout")
        state.say(request.session.incarnation, answer)
