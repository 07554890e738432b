"""What a worker brings along that comes back: results it holds, attempts it runs.

It may come back to the scheduler it had, after its connection broke, or to the next one, after that died. In both cases
the tables say of each task what they know, and the worker what it has; what fits is taken, everything else is given up
on the worker. A task whose value was taken once accepts that value alone: a value that was delivered is never replaced
by another. One that has none yet accepts the first there is.
"""

from collections.abc import Mapping

from jupyter_dist.core.resources import Amounts
from jupyter_dist.core.scheduler import doubt, lineage, once, speaking
from jupyter_dist.core.scheduler.arcs import ERRED, MEMORY, PROCESSING, QUEUED, WAITING
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import FreeKeys, HeldResult, RegisterWorker, StopAttempt


def take_back(state: State, member: Member, message: RegisterWorker, now: float) -> None:
    """Take what a worker brings along."""
    unwanted = tuple(held.key for held in message.held if not _take_held(state, member, held, now))
    if unwanted:
        state.say(member.incarnation, FreeKeys(unwanted))
    holding = dict(message.holding)
    for attempt, key in message.running:
        _take_running(state, member, attempt, key, holding, now)
    ends_by_s = now + state.settings.stop_grace_s
    member.ends_by_s = {attempt: ends_by_s for attempt in message.stopping if attempt in dict(message.running)}
    state.refresh(member)


def _take_running(
    state: State, member: Member, attempt: int, key: str, holding: Mapping[int, Amounts], now: float
) -> None:
    task = state.tasks.get(key)
    if task is not None and 0 < task.attempt < attempt:
        _supersede(state, task, now)
    if task is not None and _may_go_on(state, task, member, attempt, takes=attempt in holding):
        _go_on(state, task, member, attempt, now)
        if attempt in member.holding and attempt not in holding:
            member.holding[attempt] = ()  # it has ended, which is said next: what it took others may have
        return
    member.zombies.add(attempt)
    if attempt in holding and member.affords(holding[attempt]):  # nobody has more than there is
        member.holding[attempt] = holding[attempt]
    if key:
        state.say(member.incarnation, StopAttempt(attempt))
    if task is not None and task.options.once:
        doubt.refuse(state, task, now)


def _go_on(state: State, task: Task, member: Member, attempt: int, now: float) -> None:
    if task in state.doubtful:
        del state.doubtful[task]
        state.move(task, WAITING, now)  # it has its inputs, whatever became of them since
    state.assign(task, member, now, attempt)
    if task.options.once:
        once.hand(state, task, member)


def _supersede(state: State, task: Task, now: float) -> None:
    """Give an attempt up that was said to run, for a newer one: there is none before the end of the older is known."""
    if task.member is not None:
        state.give_up(task, now)
        lineage.requeue(state, task, now)


def _may_go_on(state: State, task: Task, member: Member, attempt: int, *, takes: bool) -> bool:
    """Whether an attempt a worker runs is the task's own from now on: it is needed, and no other runs."""
    is_expected = task.state in (QUEUED, WAITING) or (task in state.doubtful and task.is_needed)
    is_free = is_expected and not task.certificates and attempt > task.erred_by
    return is_free and (not takes or member.affords(task.options.resources))


def _take_held(state: State, member: Member, held: HeldResult, now: float) -> bool:
    """Take a result a worker holds, if it is one that is needed; return whether it was."""
    task = state.tasks.get(held.key)
    if task is None or not task.is_needed or task.state == ERRED or task.function is None:
        return False
    if task.made_by not in (0, held.attempt):
        return False
    if task.state == MEMORY:
        if task.made_by != held.attempt or task.value is not None:
            return False
        state.hold(task, member)
        return True
    _finish(state, task, member, held, now)
    return True


def _finish(state: State, task: Task, member: Member, held: HeldResult, now: float) -> None:
    if task.state == PROCESSING:
        state.give_up(task, now)
    task.made_by = held.attempt
    if task.options.once:
        once.take(state, task, held.attempt, member)
    unspoken = speaking.note(state, task, held.speaks_of)
    state.set_value(task, None, held.nbytes, held.type_name)
    state.move(task, MEMORY, now)
    state.hold(task, member)
    lineage.finish(state, task, now)
    lineage.release(state, unspoken, now)
