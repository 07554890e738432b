"""Where a task should run: a pure choice among the workers that have room."""

from collections.abc import Iterable

from jupyter_dist.core.resources import Amounts
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import GUESS_S, State
from jupyter_dist.messages import TaskOptions

BANDWIDTH_BYTES_S = 1e9  # what moving an input between two workers is reckoned to cost


def choose(state: State, task: Task, now: float) -> Member | None:
    """Return the worker that can have the result soonest, or None when none has room.

    The cost is the queue before the task plus the bytes of inputs that would have to move. Workers that are free are
    used in turn; only for tasks with large inputs are the holders of these considered besides.
    """
    free = next(iter(state.idle), None) or next(iter(state.open), None)
    if free is None or not task.dependencies:
        return free
    holders = dict.fromkeys(member for dependency in task.dependencies for member in dependency.holders)
    if not holders:
        return free
    candidates = [free, *(member for member in holders if member in state.idle or member in state.open)]
    return _cheapest(task, candidates, now)


def choose_among(state: State, task: Task, names: tuple[str, ...], now: float) -> Member | None:
    """Return the best worker of those named (of all, if none is) that has room, and the resources.

    What needs resources waits for a free slot: it would hold them in hand, where nobody has any use of them. So does what
    is not run twice: of what a worker has in hand nobody knows whether it began, should the worker be lost.
    """
    needed = task.options.resources
    pools = (state.idle,) if needed or task.options.once else (state.idle, state.open)
    candidates = [member for pool in pools for member in pool if suits(member, names, needed)]
    return _cheapest(task, candidates, now) if candidates else None


def suits(member: Member, names: tuple[str, ...], needed: Amounts) -> bool:
    """Whether a worker is one of those named, and has these resources free."""
    return (not names or member.fits(names)) and (not needed or member.affords(needed))


def suits_ever(member: Member, names: tuple[str, ...], needed: Amounts) -> bool:
    """Whether a worker is one of those named, and has these resources when it is free."""
    return (not names or member.fits(names)) and (not needed or member.declares(needed))


def restriction(state: State, options: TaskOptions) -> tuple[str, ...]:
    """Return the names of those that may run a task as things are; none: anybody."""
    names = options.workers
    if options.loose and not any(m.fits(names) and m.state != "retiring" for m in state.members.values()):
        return ()
    return names


def is_sooner_elsewhere(state: State, task: Task, member: Member, now: float) -> bool:
    """Whether a free worker could begin a task before the one that has it in hand.

    Agrees with `choose`: a task that is taken back for this reason does not return to the same hand.
    """
    names = restriction(state, task.options)
    free = next((other for other in state.idle if suits(other, names, task.options.resources)), None)
    if free is None:
        return False
    here_s = _queue_s(member, member.occupancy_s - task.expected_s, now, besides=task) + _moving_s(task, member)
    return _moving_s(task, free) < here_s


def _cheapest(task: Task, candidates: Iterable[Member], now: float) -> Member:
    return min(candidates, key=lambda member: cost_s(task, member, now))


def cost_s(task: Task, member: Member, now: float) -> float:
    """Return the seconds until a task could start on a worker: its queue, and moving the inputs it lacks."""
    queue_s = 0.0 if member.load < member.slots else _queue_s(member, member.occupancy_s, now)
    return queue_s + _moving_s(task, member)


def _queue_s(member: Member, occupancy_s: float, now: float, besides: Task | None = None) -> float:
    """Return how long a worker's slots stay busy, with others than one task.

    What has taken long already is reckoned to take as long again. How long an attempt goes on that nobody wants any
    more is not known at all.
    """
    oldest = next((task for task in member.processing.values() if task is not besides), None)
    elapsed_s = now - oldest.since_s if oldest is not None else 0.0
    return (max(occupancy_s, elapsed_s) + GUESS_S * len(member.zombies)) / member.slots


def _moving_s(task: Task, member: Member) -> float:
    moved = sum(d.nbytes for d in task.dependencies if d.holders and member not in d.holders)
    return moved / BANDWIDTH_BYTES_S
