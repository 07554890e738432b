"""Handing out what is queued: one pass after each batch of events.

A worker keeps some unstarted tasks in hand, more of them the shorter they are, so that it never waits for the next;
when others idle, what has not begun is asked back. A suspect is handed out only to a worker it has to itself. A task
that needs resources, or is not run twice, is handed out only where a slot is free; where it waits for nothing but the
slot, no more is given in hand, so that its turn comes.
"""

import heapq
from collections.abc import Iterator
from itertools import islice

from jupyter_dist.core.resources import Amounts
from jupyter_dist.core.scheduler import once, placement, replay
from jupyter_dist.core.scheduler.arcs import QUEUED
from jupyter_dist.core.scheduler.queues import QueueEntry
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import AssignedTask, AssignTask, TaskInput, Withdraw


def dispatch(state: State, now: float) -> None:
    """Assign queued tasks as long as a worker has room for one."""
    if state.recover_until_s is not None and not replay.is_recovered(state, now):
        return
    if state.suspects:
        _dispatch_suspects(state, now)
    if state.restricted or state.reserved:
        _dispatch_restricted(state, now)
    _drain(state, now)
    state.retract_at_s = None
    if state.laden and state.idle and not state.queue:
        _take_back(state, now)


def _drain(state: State, now: float) -> None:
    """Hand out in order what any worker may run, until there is no room for the next one."""
    queue = state.queue
    while queue:
        task = queue[0][3]
        if task.state == QUEUED:
            member = placement.choose(state, task, now)
            if member is None:
                return
            heapq.heappop(queue)
            hand_out(state, task, member, now)
        else:
            heapq.heappop(queue)


def hand_out(state: State, task: Task, member: Member, now: float) -> None:
    """Assign a task to a worker and tell it."""
    attempt = state.assign(task, member, now)
    if member in state.idle:
        state.idle.move_to_end(member)
    elif member in state.open:
        state.open.move_to_end(member)
    function = task.function
    if function is not None and function.id not in member.functions:
        member.functions.add(function.id)
        state.effects.sends[member.incarnation].append(function)
    options = task.options
    inputs = tuple(map(_input, task.dependencies)) if task.dependencies else ()
    assigned = AssignedTask(
        task.key,
        attempt,
        task.function_id,
        task.arguments,
        inputs,
        options.timeout_s,
        options.output,
        options.resources,
        options.once,
    )
    if options.once:
        once.hand(state, task, member)
        once.hold_back(state, task, member, AssignTask(assigned))
    else:
        state.effects.sends[member.incarnation].append(AssignTask(assigned))


def _input(dependency: Task) -> TaskInput:
    holders = tuple(member.address for member in dependency.holders)
    return TaskInput(dependency.key, dependency.value, dependency.nbytes, holders, dependency.stored)


def _dispatch_restricted(state: State, now: float) -> None:
    """Hand out all queues' tasks by priority; among equals those first that not every worker may run."""
    queues = [state.queue, *state.restricted.values()]
    heads = [(*_rank(queue, number), number) for number, queue in enumerate(queues) if _has_next(queue)]
    heapq.heapify(heads)
    stuck = []
    while len(heads) > 1 or (heads and heads[0][-1]):  # when only the first queue is left, it is drained as ever
        number = heapq.heappop(heads)[-1]
        queue = queues[number]
        if not _hand_out_next(state, queue, now):
            stuck.append(queue)
        elif _has_next(queue):
            heapq.heappush(heads, (*_rank(queue, number), number))
    for restriction, queue in tuple(state.restricted.items()):
        if not queue:
            del state.restricted[restriction]
    _reserve(state, stuck)


def _has_next(queue: list[QueueEntry]) -> bool:
    while queue and queue[0][3].state != QUEUED:
        heapq.heappop(queue)
    return bool(queue)


def _rank(queue: list[QueueEntry], number: int) -> tuple[int, bool, int, int]:
    priority, order, serial, _task = queue[0]
    return priority, not number, order, serial


def _hand_out_next(state: State, queue: list[QueueEntry], now: float) -> bool:
    task = queue[0][3]
    names = placement.restriction(state, task.options)
    if names or task.options.resources or task.options.once:
        member = placement.choose_among(state, task, names, now)
    else:
        member = placement.choose(state, task, now)
    if member is None:
        return False
    heapq.heappop(queue)
    hand_out(state, task, member, now)
    return True


def _reserve(state: State, stuck: list[list[QueueEntry]]) -> None:
    """Keep the next free slots of workers that have the resources a task waits for, and clear their hands."""
    chosen: dict[Member, None] = {}
    for queue in stuck:
        options = queue[0][3].options
        if options.resources or options.once:
            names = placement.restriction(state, options)
            fitting = [member for member in state.members.values() if _lacks_a_slot(member, names, options.resources)]
            fitting.sort(key=lambda member: (member not in state.reserved, member.occupancy_s))
            chosen.update(dict.fromkeys(fitting[: len(queue)]))
    fresh = [member for member in chosen if member not in state.reserved]
    if chosen or state.reserved:
        state.reserve(chosen)
    for member in fresh:
        if member in state.laden and not member.asked:
            withdraw(state, member, [attempt for attempt in member.processing if attempt not in member.withdrawing])


def _lacks_a_slot(member: Member, names: tuple[str, ...], needed: Amounts) -> bool:
    is_open = member.state == "running" and not member.is_paused and member.solo is None
    return is_open and member.load >= member.slots and placement.suits(member, names, needed)


def _dispatch_suspects(state: State, now: float) -> None:
    """Give each suspect a worker that is empty, or set the least busy one apart for it until it is."""
    for task, apart in tuple(state.suspects.items()):
        names = placement.restriction(state, task.options)
        fitting = [member for member in state.members.values() if _may_be_alone_with(member, task, names)]
        if not fitting:
            continue
        member = min(fitting, key=lambda candidate: candidate.load)
        if not member.load and member.affords(task.options.resources):  # one that waits there may have them
            state.set_apart(task, member)
            hand_out(state, task, member, now)
        elif apart is None or apart.state != "running" or apart.is_paused:
            state.set_apart(task, member)
            withdraw(state, member, [attempt for attempt in member.processing if attempt not in member.withdrawing])


def _may_be_alone_with(member: Member, task: Task, names: tuple[str, ...]) -> bool:
    is_free = member.state == "running" and not member.is_paused and (member.solo is None or member.solo is task)
    return is_free and (not names or member.fits(names)) and member.declares(task.options.resources)


def _take_back(state: State, now: float) -> None:
    """Ask busy workers for unstarted tasks that idle ones could begin sooner; note when to look at the others again."""
    room = sum(member.slots - member.load for member in state.idle) - sum(member.asked for member in state.laden)
    patience_s = state.settings.retract_after_s
    for member in tuple(state.laden):
        spare = unstarted(member)
        if room <= 0 or spare <= 0 or member.asked:
            continue
        due_s = next(iter(member.processing.values())).since_s + patience_s
        if now >= due_s or member.occupancy_s > patience_s * member.slots:
            movable = _movable(state, member, now)
            room -= withdraw(state, member, list(islice(movable, min(room, max(1, spare // 2)))))
        else:
            state.retract_at_s = min(due_s, state.retract_at_s or due_s)


def unstarted(member: Member) -> int:
    """Return how many attempts a worker surely has in hand that it was not asked to give back yet."""
    return min(len(member.processing) - len(member.withdrawing), member.load - member.slots)


def _movable(state: State, member: Member, now: float) -> Iterator[int]:
    """Yield the attempts, newest first, that an idle worker could begin before the one that has them."""
    for attempt, task in reversed(member.processing.items()):
        if attempt not in member.withdrawing and placement.is_sooner_elsewhere(state, task, member, now):
            yield attempt


def withdraw(state: State, member: Member, attempts: list[int]) -> int:
    """Ask a worker to give attempts back; return how many."""
    if attempts:
        member.withdrawing.update(attempts)
        member.asked += len(attempts)
        state.say(member.incarnation, Withdraw(tuple(attempts)))
    return len(attempts)
