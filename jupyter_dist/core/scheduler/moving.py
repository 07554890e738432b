"""Copies of results: to have several, to spread them evenly, and to save those of a worker that leaves.

Jobs (`moves`) say what is wanted, not what is to be done. Each looks at one task after another, by the tables as they
are then, and begins the copies that are missing; when one ends, made or not, its task is looked at again. So a worker
that comes or goes needs no rule of its own. Nothing is dropped before a copy of it is confirmed elsewhere.

A task that could not be copied `TRIES_MAX` times is given up, with the reason; so a job ends, unless workers come and
go for ever.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping

from jupyter_dist.core.scheduler.arcs import MEMORY
from jupyter_dist.core.scheduler.moves import Copy, Job, Rebalance, Replication, Retirement
from jupyter_dist.core.scheduler.records import Member, Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    Answer,
    CopyFailed,
    CopyMade,
    FreeKeys,
    HoldCopy,
    RebalanceKeys,
    ReplicateKeys,
    StoreCopy,
)

TRIES_MAX = 3
ROUNDS_MAX = 5  # plans one rebalance makes, when workers come and go under it
MEMORY_SHARE_MAX = 0.8  # of a worker's limit: no copy is made that would fill it further
UNEVEN_SHARE = 0.1  # of the mean: a smaller difference between two workers is not worth a move
NAMES_MAX = 5  # results an error names

Planned = tuple[Task, Member, Member]  # a task, from where, to where


# -- plans: pure -----------------------------------------------------------------------------------------------------


def plan_rebalance(
    held_bytes: Mapping[Member, int], movable: Mapping[Member, Iterable[Task]], can_take: Callable[[Member, int], bool]
) -> list[Planned]:
    """Return moves that make workers hold about as many bytes each, every task moved at most once.

    Parameters
    ----------
    held_bytes
        What each worker holds in all.
    movable
        What may be moved away from it.
    can_take
        Whether a worker has room for so many bytes more.
    """
    now_bytes = dict(held_bytes)
    left = {member: sorted(tasks, key=lambda task: (task.nbytes, task.key)) for member, tasks in movable.items()}
    enough = UNEVEN_SHARE * sum(now_bytes.values()) / max(1, len(now_bytes))
    moves: list[Planned] = []
    full = sorted(now_bytes, key=lambda member: -now_bytes[member])
    while full:
        source = max(full, key=lambda member: now_bytes[member])
        target = min(now_bytes, key=lambda member: now_bytes[member])
        gap = now_bytes[source] - now_bytes[target]
        if gap <= enough:
            break
        task = _best_to_move(left.get(source, []), target, gap)
        if task is None or not can_take(target, now_bytes[target] - held_bytes[target] + task.nbytes):
            full.remove(source)  # nothing of it would make things more even
            continue
        left[source].remove(task)
        now_bytes[source] -= task.nbytes
        now_bytes[target] += task.nbytes
        moves.append((task, source, target))
    return moves


def _best_to_move(tasks: list[Task], target: Member, gap: int) -> Task | None:
    """Return the largest of tasks sorted by size that fits into half of a gap, else the smallest that lowers it."""
    half = bisect_right(tasks, gap / 2, key=_size)
    below = next(
        (
            task
            for task in (tasks[index] for index in range(half - 1, -1, -1))
            if task.nbytes and target not in task.holders
        ),
        None,
    )
    if below is not None:
        return below
    return next((task for task in tasks[half : bisect_left(tasks, gap, key=_size)] if target not in task.holders), None)


def _size(task: Task) -> int:
    return task.nbytes


def members_of(state: State, names: tuple[str, ...]) -> list[Member]:
    """Return the workers that may be given copies: those of these names, all for none, that have room and stay."""
    running = (member for member in state.members.values() if member.state == "running" and not member.is_paused)
    return [member for member in running if not names or member.fits(names)]


def load_bytes(state: State, member: Member) -> int:
    """Return what a worker holds and is about to."""
    return member.held_bytes + state.moves.coming_bytes[member]


def has_memory(state: State, member: Member, nbytes: int) -> bool:
    """Whether a worker may hold so much more, by its own limit."""
    limit = member.memory_bytes_max
    return not limit or member.memory_bytes + state.moves.coming_bytes[member] + nbytes <= MEMORY_SHARE_MAX * limit


def choose_targets(state: State, job: Job, task: Task, candidates: Iterable[Member]) -> list[Member]:
    """Return the workers that may be given a copy, best first: those where it has not failed, then by what they hold."""
    able = [member for member in candidates if has_memory(state, member, task.nbytes)]
    return sorted(able, key=lambda member: (job.tries[task, member], load_bytes(state, member), member.incarnation))


def choose_source(state: State, task: Task, branching: int) -> Member | None:
    """Return the holder that gives the fewest copies of a task just now; None when each gives as many as it may."""
    counts = [(state.moves.count_from(task, holder), index) for index, holder in enumerate(task.holders)]
    if not counts or min(counts)[0] >= branching:
        return None
    return task.holders[min(counts)[1]]


def is_free(state: State, member: Member) -> bool:
    """Whether a worker may make one more copy just now."""
    return state.moves.making[member] < state.settings.copies_max


# -- one copy --------------------------------------------------------------------------------------------------------


def begin_copy(state: State, job: Job, task: Task, source: Member, target: Member | None, now: float) -> None:
    """Have a copy made: by a target that fetches it, or into the object store by the worker that has it."""
    settings = state.settings
    one_s = 2 * settings.lease_s + task.nbytes / settings.fetch_bytes_per_s_min
    copy = state.moves.begin(task, source, target, now + settings.lease_s + one_s * (1 + len(task.holders)))
    state.moves.join(job, copy)
    if target is None:
        state.say(source.incarnation, StoreCopy(copy.number, task.key, copy.name))
        return
    holders = (source.address, *(holder.address for holder in task.holders if holder is not source))
    message = HoldCopy(
        copy.number,
        task.key,
        task.nbytes,
        holders,
        task.made_by,
        task.type_name,
        tuple(spoken.key for spoken in task.speaks_of),
    )
    state.say(target.incarnation, message)


def on_copy_made(state: State, member: Member, message: CopyMade, _now: float) -> None:
    """Note a new holder."""
    copy = _answered(state, member, message.copy)
    if copy is None:
        return
    state.moves.end(copy)
    state.version += 1
    if copy.target is not None:
        state.hold(copy.task, copy.target)
    elif copy.task.stored:
        state.freed.append(copy.name)
    else:
        copy.task.stored = copy.name
        saved = state.ledger.replace(copy.task)
        for job in copy.jobs:
            if isinstance(job, Retirement):
                job.saved = saved


def on_copy_failed(state: State, member: Member, message: CopyFailed, _now: float) -> None:
    """Note that a copy could not be made."""
    copy = _answered(state, member, message.copy)
    if copy is not None:
        for job in copy.jobs:
            job.blame(copy, message.reason)
        state.moves.end(copy)


def _answered(state: State, member: Member, number: int) -> Copy | None:
    """Return a copy its maker answers for; None when it was given up: the maker has been told to free it."""
    unsure = state.moves.unsure.pop(number, None)
    if unsure is not None:
        state.freed.append(unsure.name)
    copy = state.moves.copies.get(number)
    return copy if copy is not None and copy.maker is member else None


def on_tick(state: State, now: float) -> None:
    """Give up copies that take too long: their makers are at work in code that holds the interpreter's lock."""
    for copy in [copy for copy in state.moves.copies.values() if copy.due_s <= now]:
        for job in copy.jobs:
            job.blame(copy, f"{copy.maker.name} has not made it in time")
        state.stop_copies([copy])


def drop_copy(state: State, task: Task, member: Member) -> None:
    """Have a worker drop a copy that is not the last."""
    state.drop_replica(task, member)
    state.say(member.incarnation, FreeKeys((task.key,)))


# -- replicate -------------------------------------------------------------------------------------------------------


def on_replicate(state: State, session: Session, message: ReplicateKeys, _now: float) -> None:
    """Begin to copy results; answered by `advance`."""
    tasks, error = _find(state, message.keys)
    error = error or _unknown_worker(state, message.workers)
    if error:
        state.say(session.incarnation, Answer(message.request, error, kind="usage"))
        return
    branching = max(1, message.branching)
    job = Replication(session, message.request, tasks, message.workers, max(0, message.count), branching)
    state.moves.jobs.append(job)


def _find(state: State, keys: tuple[str, ...]) -> tuple[tuple[Task, ...], str]:
    """Return the tasks of these keys, and in words which of them are not known."""
    unknown = [key for key in keys if key not in state.tasks]
    if unknown:
        return (), f"the cluster does not know {', '.join(unknown[:NAMES_MAX])} any more"
    return tuple(state.tasks[key] for key in dict.fromkeys(keys)), ""


def _unknown_worker(state: State, names: tuple[str, ...]) -> str:
    for name in names:
        if not any(member.fits((name,)) for member in state.members.values()):
            return f"there is no worker {name!r} any more"
    return ""


def _wanted(job: Replication, group: list[Member]) -> int:
    return min(job.count or len(group), len(group))


def _look_replication(state: State, job: Replication, task: Task, now: float) -> bool:
    """Begin the copies of a task that are missing, drop those that are too many; False: look again before others."""
    if task in job.failed or (task.state == MEMORY and not task.holders):
        return True  # what is small, or in the object store, everybody has
    group = members_of(state, job.group)
    if task.state != MEMORY or not group:
        job.failed[task] = f"it is {task.state}" if group else "no worker is there that may hold it"
        return True
    if not _has_others(state, job, task):
        _drop_surplus(state, task, group, _wanted(job, group))
    coming = state.moves.of_task.get(task, {})
    for copy in coming.values():
        state.moves.join(job, copy)
    lacking = _wanted(job, group) - sum(member in task.holders or member in coming for member in group)
    if lacking <= 0:
        return True
    if job.tries[task] >= TRIES_MAX:
        job.failed[task] = job.last_reason[task]
        return True
    free = [member for member in group if member not in task.holders and member not in coming]
    return _begin_some(state, job, task, choose_targets(state, job, task, free)[:lacking], now)


def _begin_some(state: State, job: Replication, task: Task, targets: list[Member], now: float) -> bool:
    if not targets and task not in state.moves.of_task:
        job.failed[task] = "no further worker has memory left for it"
    for target in targets:
        source = choose_source(state, task, job.branching)
        if source is None:
            return True  # looked at again when one of the copies under way has ended
        if not is_free(state, target):
            return False
        begin_copy(state, job, task, source, target, now)
    return True


def _drop_surplus(state: State, task: Task, group: list[Member], wanted: int) -> None:
    have = sorted((member for member in group if member in task.holders), key=lambda member: member.held_bytes)
    for member in have[wanted:]:
        drop_copy(state, task, member)


def _lacks_copies(state: State, job: Replication, task: Task) -> bool:
    if task in job.failed or (task.state == MEMORY and not task.holders):
        return False
    group = members_of(state, job.group)
    if task.state != MEMORY or not group:
        return True
    have, wanted = sum(member in task.holders for member in group), _wanted(job, group)
    return have < wanted or (have > wanted and not _has_others(state, job, task))


def _has_others(state: State, job: Replication, task: Task) -> bool:
    """Whether another client wants copies of a task at this time: what is too many for one is not dropped then."""
    others = (other for other in state.moves.jobs if other is not job and isinstance(other, Replication))
    return any(task in other.among for other in others)


# -- rebalance -------------------------------------------------------------------------------------------------------


def on_rebalance(state: State, session: Session, message: RebalanceKeys, _now: float) -> None:
    """Begin to move results; answered by `advance`."""
    tasks, error = _find(state, message.keys)
    error = error or _unknown_worker(state, message.workers)
    if error:
        state.say(session.incarnation, Answer(message.request, error, kind="usage"))
        return
    state.moves.jobs.append(Rebalance(session, message.request, tasks if message.keys else None, message.workers))


def _plan(state: State, job: Rebalance) -> None:
    """Plan a rebalance by what is where now."""
    job.is_stale = False
    job.rounds += 1
    group = members_of(state, job.group)
    wanted = None if job.tasks is None else frozenset(job.tasks)
    movable = {
        member: [
            task for task in member.held if (wanted is None or task in wanted) and task not in job.failed
        ]
        for member in group
    }  # fmt: skip
    held = {member: load_bytes(state, member) for member in group}
    moves = plan_rebalance(held, movable, lambda member, nbytes: has_memory(state, member, nbytes))
    job.plan = {task: (source, target) for task, source, target in reversed(moves)}
    job.todo.extend(dict.fromkeys(task for task, _source, _target in moves))


def _look_rebalance(state: State, job: Rebalance, task: Task, now: float) -> bool:
    """Begin a move, or end it by dropping the value where it came from; False: look again before others."""
    if task not in job.plan:
        return True
    source, target = job.plan[task]
    if task.state != MEMORY or task not in source.held:
        del job.plan[task]
        return True
    if target.state != "running" or target.incarnation not in state.members:
        job.is_stale = True
        del job.plan[task]
        return True
    if task in target.held:
        drop_copy(state, task, source)
        del job.plan[task]
        return True
    return _begin_move(state, job, task, now)


def _begin_move(state: State, job: Rebalance, task: Task, now: float) -> bool:
    source, target = job.plan[task]
    under_way = state.moves.of_task.get(task, {}).get(target)
    if under_way is not None:
        state.moves.join(job, under_way)
    elif job.tries[task] >= TRIES_MAX:
        job.failed[task] = job.last_reason[task]
        del job.plan[task]
    elif not is_free(state, target):
        return False
    else:
        begin_copy(state, job, task, source, target, now)
    return True


# -- all of them -----------------------------------------------------------------------------------------------------


def work_off(job: Job, look: Callable[[Task], bool]) -> bool:
    """Look at what there is to look at; return whether nothing is left to do or to wait for."""
    while job.todo:
        if not look(job.todo[0]):
            return False
        job.todo.popleft()
    return not job.flying


def advance(state: State, now: float) -> None:
    """Take each job as far as it can go now, and answer those that are done."""
    for job in tuple(state.moves.jobs):
        is_done = _advance_replication if isinstance(job, Replication) else _advance_rebalance
        if is_done(state, job, now):  # type: ignore[arg-type]  # each its own
            state.moves.jobs.remove(job)
            state.say(job.session.incarnation, Answer(job.request, describe_failures(job)))


def _advance_replication(state: State, job: Replication, now: float) -> bool:
    while work_off(job, lambda task: _look_replication(state, job, task, now)):
        job.todo.extend(task for task in job.tasks if _lacks_copies(state, job, task))  # somebody has gone meanwhile
        if not job.todo:
            return True
    return False


def _advance_rebalance(state: State, job: Rebalance, now: float) -> bool:
    while work_off(job, lambda task: _look_rebalance(state, job, task, now)):
        if not job.is_stale or job.rounds >= ROUNDS_MAX:
            return True
        _plan(state, job)
    return False


def describe_failures(job: Job) -> str:
    """Return in words what could not be copied; empty when all could."""
    if not job.failed:
        return ""
    named = [f"{task.key} ({task.nbytes:,} bytes): {reason}" for task, reason in job.failed.items()][:NAMES_MAX]
    more = len(job.failed) - len(named)
    what = "1 result" if len(job.failed) == 1 else f"{len(job.failed)} results"
    return f"{what} could not be copied: " + "; ".join(named) + (f"; and {more} more" if more else "")


def abandon_all(state: State, reason: str) -> None:
    """Answer every job: its tasks are gone."""
    for job in state.moves.jobs:
        state.say(job.session.incarnation, Answer(job.request, f"the copies were given up: {reason}"))
    state.moves.jobs.clear()
