"""Where a task should run: a pure choice among the workers that have room."""

from collections.abc import Iterable

from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State

BANDWIDTH_BYTES_S = 1e9  # what moving an input between two workers is reckoned to cost


def choose(state: State, task: Task) -> Member | None:
    """Return the worker that can have the result soonest, or None when none has room.

    The cost is the queue before the task plus the bytes of inputs that would have to move. Workers that are free are
    used in turn; only for tasks with large inputs are the holders of these considered besides.
    """
    free = next(iter(state.idle), None) or next(iter(state.open), None)
    if free is None or not task.dependencies:
        return free
    holders = {member for dependency in task.dependencies for member in dependency.holders}
    if not holders:
        return free
    candidates = [free, *(member for member in holders if member in state.idle or member in state.open)]
    return _cheapest(task, candidates)


def choose_among(state: State, task: Task, names: tuple[str, ...]) -> Member | None:
    """Return the best worker of those named that has room."""
    candidates = [member for pool in (state.idle, state.open) for member in pool if member.fits(names)]
    return _cheapest(task, candidates) if candidates else None


def _cheapest(task: Task, candidates: Iterable[Member]) -> Member:
    return min(candidates, key=lambda member: cost_s(task, member))


def cost_s(task: Task, member: Member) -> float:
    """Return the seconds until a task could start on a worker: its queue, and moving the inputs it lacks."""
    moved = sum(d.nbytes for d in task.dependencies if d.value is None and member not in d.holders)
    return member.occupancy_s / member.slots + moved / BANDWIDTH_BYTES_S
