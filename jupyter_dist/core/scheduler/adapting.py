"""A cluster that scales itself: measuring its load, starting workers, and choosing which may end.

A worker may end only when it does nothing, holds no result and is not kept for anybody: so an end costs no task and no
value. It is given up here at once, before its nanny hears of it, so that nothing more is given to it.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice

from jupyter_dist.core.resources import Amounts
from jupyter_dist.core.scaling import Adaptation, Bounds, Load
from jupyter_dist.core.scheduler import membership, retiring
from jupyter_dist.core.scheduler.arcs import PROCESSING, QUEUED
from jupyter_dist.core.scheduler.goals import goal, wanted_workers
from jupyter_dist.core.scheduler.queues import QueueEntry, is_live
from jupyter_dist.core.scheduler.records import Member, Nanny, Session
from jupyter_dist.core.scheduler.state import GUESS_S, State
from jupyter_dist.messages import AdaptCluster, Answer, StopAdapting

SAMPLED_MAX = 1000  # tasks of a queue nobody can serve that are looked at one by one
REASON = "it had nothing to do, and the cluster needs fewer workers"


def on_adapt(state: State, session: Session, message: AdaptCluster, now: float) -> None:
    """Begin to scale by load, from the next tick on."""
    error = _refuse(state, message)
    if not error:
        bounds = Bounds(message.minimum, message.maximum, message.interval_s, message.wait_count)
        state.adaptation = Adaptation(bounds, now)
        state.record("scaled", now, f"from now on by load, {message.minimum} to {message.maximum} workers")
    state.say(session.incarnation, Answer(message.request, error))


def _refuse(state: State, message: AdaptCluster) -> str:
    most = state.settings.workers_max
    if not (0 <= message.minimum <= message.maximum <= most and message.maximum):
        return f"cannot adapt between {message.minimum} and {message.maximum} workers: choose 0 to {most}, at most 1 or more"
    if not (message.wait_count >= 1 and message.interval_s >= state.settings.watch_interval_s_min):
        return f"cannot look every {message.interval_s:g} s, and wait for {message.wait_count} looks"
    return ""


def on_stop_adapting(state: State, session: Session, message: StopAdapting, now: float) -> None:
    """Keep the workers there are from now on."""
    if state.adaptation is not None:
        state.adaptation = None
        state.record("scaled", now, f"by load no longer: {wanted_workers(state)} workers wanted")
    state.say(session.incarnation, Answer(message.request))


def on_tick(state: State, now: float) -> None:
    """Look at the load when it is time, and start or end workers."""
    adaptation = state.adaptation
    if adaptation is None or now < adaptation.due_s:
        return
    if not state.nannies or state.restarts:
        adaptation.due_s = now + adaptation.bounds.interval_s
        return
    before = adaptation.target
    load = measure(state, adaptation, now)
    change = adaptation.look(wanted_workers(state), load, state.settings.adapt_target_s, now)
    if adaptation.target != before:
        state.version += 1
    if change > 0:
        _start(state, change, now)
    elif change < 0:
        _end(state, -change, now)


# -- the load


def measure(state: State, adaptation: Adaptation, now: float) -> Load:
    """Return what there is to do, without what no worker could do."""
    running = [member for member in state.members.values() if member.state == "running"]
    adaptation.slots = max((member.slots for member in running), default=adaptation.slots)
    slots = adaptation.slots
    slow = _longest(running, now)
    counts: Counter[str] = Counter()
    for name, label in state.labels.items():
        counts[name] = label.counts[QUEUED] + label.counts[PROCESSING]
    extra = 0
    for (names, loose, needed, _once), queue in state.restricted.items():
        if running and not _can_serve(running, () if loose else names, needed):
            counts.subtract(_labels(queue))
        elif needed:
            capacity = _capacity(running, slots, needed)
            extra += math.ceil(len(queue) / capacity) - math.ceil(len(queue) / slots)
    tasks = sum(count for count in counts.values() if count > 0)
    work_s = sum(count * max(_mean_s(state, name), slow.get(name, 0.0)) for name, count in counts.items() if count > 0)
    return Load(tasks, work_s / slots, math.ceil(tasks / slots) + extra)


def _mean_s(state: State, name: str) -> float:
    label = state.labels[name]
    return label.seconds / label.finished if label.finished else GUESS_S


def _longest(running: list[Member], now: float) -> dict[str, float]:
    """Return for how long the slowest task of each label has run: others of it are reckoned to take as long."""
    slow: dict[str, float] = {}
    for member in running:
        for task in islice(member.processing.values(), member.slots):
            slow[task.label] = max(slow.get(task.label, 0.0), now - task.since_s)
    return slow


def _can_serve(running: list[Member], names: tuple[str, ...], needed: Amounts) -> bool:
    return any((not names or member.fits(names)) and member.declares(needed) for member in running)


def _capacity(running: list[Member], slots: int, needed: Amounts) -> int:
    """Return how many tasks with these needs run on one worker at a time."""
    most = [min(int(member.resources.get(name, 0.0) / amount) for name, amount in needed) for member in running]
    return max(1, min(slots, max(most, default=slots)))


def _labels(queue: list[QueueEntry]) -> Counter[str]:
    """Count a queue's tasks by label; of a long queue, by its first ones."""
    counted = Counter(entry[3].label for entry in islice(queue, SAMPLED_MAX) if is_live(entry))
    if len(queue) > SAMPLED_MAX:
        counted[queue[0][3].label] += len(queue) - SAMPLED_MAX
    return counted


# -- workers


def _start(state: State, count: int, now: float) -> None:
    """Spread more workers over the hosts, those first that have the fewest."""
    more: Counter[Nanny] = Counter()
    for _ in range(count):
        more[min(state.nannies.values(), key=lambda nanny: goal(state, nanny) + more[nanny])] += 1
    for nanny, fresh in more.items():
        retiring.set_workers(state, nanny, nanny.wanted + fresh)
    state.record("scaled", now, f"by load: {wanted_workers(state)} workers wanted")


def _end(state: State, count: int, now: float) -> None:
    """End some workers that nothing is lost with, the newest first."""
    ended = False
    spare = [member for member in reversed(state.members.values()) if _is_spare(state, member)]
    for member in spare[:count]:
        nanny = membership.nanny_of(state, member)
        if nanny is not None and nanny.wanted:
            ended = True
            state.fenced.add((member.name, member.pid))
            state.effects.closes[member.incarnation] = REASON
            membership.lose(state, member, REASON, None, now)
            retiring.end_worker(state, nanny, member, REASON)
    if ended:
        state.record("scaled", now, f"by load: {wanted_workers(state)} workers wanted")


def _is_spare(state: State, member: Member) -> bool:
    is_idle = not member.is_at_work and not member.zombies and member.solo is None
    return member.state == "running" and is_idle and not member.held and not state.moves.making[member]
