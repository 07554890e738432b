"""Handing out what is queued: one pass after each batch of events.

A worker keeps some unstarted tasks in hand, more of them the shorter they are, so that it never waits for the next;
when others idle, what has not begun is asked back. A suspect is handed out only to a worker it has to itself.
"""

import heapq

from jupyter_dist.core.scheduler import placement
from jupyter_dist.core.scheduler.arcs import QUEUED
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import AssignedTask, AssignTask, TaskInput, Withdraw


def dispatch(state: State, now: float) -> None:
    """Assign queued tasks as long as a worker has room for one."""
    if state.suspects:
        _dispatch_suspects(state, now)
    if state.restricted:
        _dispatch_restricted(state, now)
    queue = state.queue
    while queue and (state.idle or state.open):
        task = queue[0][3]
        if task.state == QUEUED:
            member = placement.choose(state, task)
            if member is None:
                break
            heapq.heappop(queue)
            hand_out(state, task, member, now)
        else:
            heapq.heappop(queue)
    if not queue and state.idle and len(state.members) > 1:
        _take_back(state, now)


def hand_out(state: State, task: Task, member: Member, now: float) -> None:
    """Assign a task to a worker and tell it."""
    attempt = state.assign(task, member, now)
    if member in state.idle:
        state.idle.move_to_end(member)
    elif member in state.open:
        state.open.move_to_end(member)
    sends = state.effects.sends[member.incarnation]
    function_id = ""
    if task.function is not None:
        function_id = task.function.id
        if function_id not in member.functions:
            member.functions.add(function_id)
            sends.append(task.function)
    options = task.options
    inputs = tuple(map(_input, task.dependencies)) if task.dependencies else ()
    assigned = AssignedTask(task.key, attempt, function_id, task.arguments, inputs, options.timeout_s, options.output)
    sends.append(AssignTask(assigned))


def _input(dependency: Task) -> TaskInput:
    holders = tuple(member.address for member in dependency.holders)
    return TaskInput(dependency.key, dependency.value, dependency.nbytes, holders)


def _dispatch_restricted(state: State, now: float) -> None:
    for options, queue in tuple(state.restricted.items()):
        names = options.workers
        anywhere = options.loose and not any(member.fits(names) for member in state.members.values())
        while queue:
            task = queue[0][3]
            if task.state == QUEUED:
                member = placement.choose(state, task) if anywhere else placement.choose_among(state, task, names)
                if member is None:
                    break
                heapq.heappop(queue)
                hand_out(state, task, member, now)
            else:
                heapq.heappop(queue)
        if not queue:
            del state.restricted[options]


def _dispatch_suspects(state: State, now: float) -> None:
    """Give each suspect a worker that is empty, or set the least busy one apart for it until it is."""
    for task, apart in tuple(state.suspects.items()):
        fitting = [member for member in state.members.values() if _may_be_alone_with(member, task)]
        if not fitting:
            continue
        member = min(fitting, key=lambda candidate: candidate.load)
        if not member.load:
            state.set_apart(task, member)
            hand_out(state, task, member, now)
        elif apart is None:
            state.set_apart(task, member)
            _withdraw(state, member, len(member.processing))


def _may_be_alone_with(member: Member, task: Task) -> bool:
    names = task.options.workers
    is_free = member.state == "running" and (member.solo is None or member.solo is task)
    return is_free and (not names or member.fits(names))


def _take_back(state: State, now: float) -> None:
    """Ask busy workers for unstarted tasks that idle ones could run at once."""
    room = sum(member.slots - member.load for member in state.idle)
    for member in state.members.values():
        spare = unstarted(member)
        if room <= 0 or spare <= 0 or not _is_stuck(state, member, now):
            continue
        count = min(room, max(1, spare // 2))
        _withdraw(state, member, count)
        room -= count


def unstarted(member: Member) -> int:
    """Return how many attempts a worker surely has in hand that it was not asked to give back yet."""
    return min(len(member.processing) - len(member.withdrawing), member.load - member.slots)


def _is_stuck(state: State, member: Member, now: float) -> bool:
    """Whether a worker will not come to what it has in hand within the time a retraction is worth."""
    oldest = next(iter(member.processing.values()), None)
    patience = state.settings.retract_after_s
    return oldest is not None and (member.occupancy_s > patience * member.slots or now - oldest.since_s > patience)


def retract_deadline(state: State) -> float | None:
    """Return when workers with tasks in hand should be looked at again, while others idle and nothing is queued."""
    if state.queue or not state.idle or len(state.members) < 2:
        return None
    since = [
        next(iter(member.processing.values())).since_s for member in state.members.values() if unstarted(member) > 0
    ]
    return min(since) + state.settings.retract_after_s if since else None


def _withdraw(state: State, member: Member, count: int) -> None:
    newest = [attempt for attempt in reversed(member.processing) if attempt not in member.withdrawing][:count]
    if newest:
        member.withdrawing.update(newest)
        state.say(member.incarnation, Withdraw(tuple(newest)))
