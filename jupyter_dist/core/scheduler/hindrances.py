"""What keeps a queued task from a worker: who may run it, who has what it needs, who is busy, and with what.

Each function yields sentences for one kind of hindrance, and none when there is none of that kind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

from jupyter_dist.core.resources import describe_amounts
from jupyter_dist.core.scheduler import goals, membership, placement
from jupyter_dist.core.scheduler.queues import QueueEntry, is_live
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import TaskEvent

SETBACKS = frozenset({"lost", "retried"})
LISTED_MAX = 3  # names that are told one by one
RANKED_MAX = 50_000  # of a longer queue no places are counted


class Looking:
    """One look at the tables: what several explanations need of it is found out once."""

    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.now = now
        self._ranked: dict[int, list[tuple[int, int]]] = {}

    @cached_property
    def setbacks(self) -> dict[str, TaskEvent]:
        """The last event of each task that tells why it runs again, as far back as events are kept."""
        return {event.key: event for event in self.state.chronicle.events if event.key and event.kind in SETBACKS}

    def before(self, queue: list[QueueEntry], task: Task) -> int | None:
        """Return how many tasks are before one in its queue; None when the queue is too long to say."""
        if len(queue) > RANKED_MAX:
            return None
        ranked = self._ranked.get(id(queue))
        if ranked is None:
            ranked = self._ranked[id(queue)] = sorted((entry[0], entry[1]) for entry in queue if is_live(entry))
        return bisect_left(ranked, (-task.options.priority, task.order))


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    found = list(names)
    shown = ", ".join(found[:LISTED_MAX])
    return shown if len(found) <= LISTED_MAX else f"{shown} and {len(found) - LISTED_MAX:,} more"


def of_queued(looking: Looking, task: Task) -> Iterator[str]:
    """Say why a task that could run was not given to a worker."""
    state = looking.state
    if task in state.suspects:
        yield from _suspicion(state, task)
    if task in state.once.in_doubt and task.spent is not None:
        yield f"it must not run twice, and may have begun on {task.spent.worker} ({task.spent.host}): that is awaited"
    usable = [member for member in state.members.values() if member.state == "running"]
    if not usable:
        yield from no_workers(looking)
    fitting = _restricted(state, task, usable)
    if usable and not fitting:
        yield from _nobody_fits(looking, task, usable)
    elif fitting:
        yield from _why_not_on(looking, task, fitting)


def _restricted(state: State, task: Task, usable: list[Member]) -> list[Member]:
    names = placement.restriction(state, task.options)
    allowed = [member for member in usable if not names or member.fits(names)]
    return [member for member in allowed if member.declares(task.options.resources)]


# -- nobody can ever run it as things are


def _nobody_fits(looking: Looking, task: Task, usable: list[Member]) -> Iterator[str]:
    state = looking.state
    names, resources = placement.restriction(state, task.options), task.options.resources
    there = listed(sorted(member.name for member in usable))
    allowed = [member for member in usable if not names or member.fits(names)]
    if not allowed:
        yield f"it may run only on {listed(names)}, and no such worker is there; there are: {there}"
        yield from _unusable(looking)
        return
    whom = f"none of {listed(member.name for member in allowed)}" if names else "no worker"
    declared = [member.resources for member in allowed if member.resources]
    has = f"the most any has is {_most(declared)}" if declared else "they declare no resources"
    yield f"it needs {describe_amounts(resources)}, and {whom} has that; {has}"
    yield from _unusable(looking)


def _most(declared: list[dict[str, float]]) -> str:
    names = sorted({name for resources in declared for name in resources})
    return describe_amounts(tuple((name, max(has.get(name, 0.0) for has in declared)) for name in names))


def no_workers(looking: Looking) -> Iterator[str]:
    """Say why there is no worker."""
    state = looking.state
    wanted = goals.wanted_workers(state)
    if not state.nannies:
        yield "there is no worker, and no host is connected that could start one: its nanny is gone or on its way back"
    elif state.restarts:
        yield f"the cluster is being restarted: {wanted} workers are on their way"
    elif state.adaptation is not None:
        every_s = state.adaptation.bounds.interval_s
        yield f"there is no worker now; the cluster scales itself, and looks for work every {every_s:g} s"
    elif not wanted:
        yield "there is no worker, and none is wanted: call `executor.scale(n)`"
    else:
        yield f"there is no worker: {wanted} are wanted, none is connected"
    for nanny in state.nannies.values():
        for name, words in islice(nanny.last_death.items(), LISTED_MAX):
            yield f"{name} died {nanny.deaths.get(name, 0)} times so far, the last time: {words}"
    yield from _unusable(looking)


def _unusable(looking: Looking) -> Iterator[str]:
    others = [member for member in looking.state.members.values() if member.state != "running"]
    yield from (trouble(looking, member) for member in others[:LISTED_MAX])


# -- it has to wait for its turn


def _suspicion(state: State, task: Task) -> Iterator[str]:
    times = len(task.certificates)
    last = task.certificates[-1].words
    yield f"it is suspected to have killed {times} worker(s), so it runs again only where it is alone; the last: {last}"
    apart = state.suspects[task]
    if apart is not None:
        yield f"{apart.name} is kept for it, and has {apart.load} tasks to end before"


def _why_not_on(looking: Looking, task: Task, fitting: list[Member]) -> Iterator[str]:
    needed = task.options.resources
    active = [member for member in fitting if not member.is_paused]
    if not active:
        yield _paused(fitting)
    elif needed and not any(member.affords(needed) for member in active):
        yield from _taken(task, active)
    else:
        yield _busy(active)
    yield from _place(looking, task)
    for member in fitting:
        if member.solo is not None and member.solo is not task:
            yield f"{member.name} is kept for {member.solo.key}, which may have killed a worker"
    troubled = [words for member in fitting if (words := trouble(looking, member))]
    yield from troubled[:LISTED_MAX]
    wanted, there = goals.wanted_workers(looking.state), len(looking.state.members)
    if there < wanted:
        yield f"only {there} of {wanted} wanted workers are there"


def _paused(fitting: list[Member]) -> str:
    who = fitting[0].name if len(fitting) == 1 else f"all {len(fitting)} workers"
    return f"{who} that may run it {'is' if len(fitting) == 1 else 'are'} paused until memory is free there"


def _busy(fitting: list[Member]) -> str:
    slots = sum(member.slots for member in fitting)
    load = sum(member.load for member in fitting)
    hand = max(0, load - slots)
    who = fitting[0].name if len(fitting) == 1 else f"{len(fitting)} workers"
    busy = f"{min(load, slots):,} of {slots:,} slots of {who} that may run it are taken"
    return f"{busy}, and {hand:,} more tasks are in hand there" if hand else busy


def _taken(task: Task, fitting: list[Member]) -> Iterator[str]:
    needed = task.options.resources
    yield f"it needs {describe_amounts(needed)}, which is not free now"
    for member in fitting[:LISTED_MAX]:
        free = member.free()
        left = describe_amounts(tuple((name, max(0.0, free.get(name, 0.0))) for name, _ in needed))
        current = member.current()
        users = [current[attempt].key for attempt in member.holding if attempt in current]
        ending = len(member.holding) - len(users)
        users += [f"{ending} that nobody wants any more but still run"] if ending else []
        yield f"on {member.name} is free: {left}; the rest is taken by {listed(users) or 'nobody'}"


def _place(looking: Looking, task: Task) -> Iterator[str]:
    if task in looking.state.suspects:
        return
    queue = looking.state.queue_of(task.options)
    before = looking.before(queue, task)
    if before is None:
        yield f"up to {len(queue):,} tasks are before it in the queue"
    elif before:
        yield f"{before:,} task{'s are' if before > 1 else ' is'} before it in the queue"
    else:
        yield "it is the next one in its queue"


def trouble(looking: Looking, member: Member) -> str:
    """Say what is wrong with a worker; nothing when it is well."""
    state = looking.state
    silent_s = looking.now - member.heard_s
    if member.state == "dying":
        return f"{member.name} is gone; what its nanny says of its death is awaited"
    if member.state != "running":
        return f"{member.name} is {member.state}"
    if member.is_paused:
        return f"{member.name} is paused: {member.trouble}"
    if silent_s <= state.settings.lease_s / 2:
        return ""
    if membership.is_busy(state, member, looking.now):
        return f"{member.name} has not been heard for {silent_s:.1f} s: it computes in code that lets nothing else run"
    return f"{member.name} has not been heard for {silent_s:.1f} s: {membership.how_seen(state, member)}"
