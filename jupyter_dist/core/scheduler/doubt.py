"""Attempts that must not be made twice, while it is not sure whether they have begun.

A task is *in doubt* (`State.once`: queued or waiting, and not handed out) while its worker may yet come back and say:
for a moment, when a broken connection is made anew, or after a scheduler's death for as long as workers are waited for.
What a worker's death says, `recovery` decides.
"""

from jupyter_dist.core.scheduler import lineage, once
from jupyter_dist.core.scheduler.arcs import QUEUED, RELEASED, WAITING
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import ErrorInfo, RegisterWorker

NOT_BACK = "the scheduler it was given out by died, and its worker did not come back"
FORGOTTEN = "that worker came back without what became of it"


def send_written(state: State, now: float) -> None:
    """Tell workers of the assignments that are written down; those that are to get nothing more are spared."""
    state.once.send_at_s = None
    for attempt, unsent in tuple(state.once.unsent.items()):
        if unsent.batch > state.ledger.written:
            break
        member = unsent.member
        if attempt not in state.once.unsent:
            continue  # it was let go with one before
        if member.state == "running" and not member.is_paused and attempt not in member.withdrawing:
            state.once.take(attempt)
            state.refresh(member)
            state.say(member.incarnation, unsent.message)
        else:
            state.detach(unsent.task)
            take_back(state, unsent.task, now)


def take_back(state: State, task: Task, now: float) -> None:
    """Put a task on its way again whose attempt had not begun; it must have been detached."""
    once.renew(state, task)
    lineage.requeue(state, task, now)


def lose(state: State, task: Task, error: ErrorInfo, now: float, worker: str = "") -> None:
    """Fail a task that must not run again."""
    once.close(state, task)
    lineage.fail(state, task, error, now, worker)


def has_any(member: Member) -> bool:
    """Whether a worker has been given tasks that must not run twice."""
    return any(task.options.once for task in member.current().values())


# -- who comes back --------------------------------------------------------------------------------------------------


def expect(state: State, member: Member, now: float) -> None:
    """Leave in doubt what a worker has been given whose connection was just made anew: `on_return` decides."""
    for attempt, task in member.current().items():
        if task.options.once and attempt not in state.once.unsent:
            state.detach(task)
            lineage.requeue(state, task, now)
            if task.state in (QUEUED, WAITING):
                state.once.in_doubt[task] = None


def on_return(state: State, member: Member, message: RegisterWorker, now: float) -> None:
    """Decide about tasks in doubt whose worker is back: what it does not have and has not ended, had not begun."""
    said = {attempt for attempt, _key in message.running}
    said.update((held.attempt for held in message.held), message.spent)
    for task in given_to(state, message.name, message.pid):
        if task.spent is not None and task.spent.attempt in said:
            lose(state, task, once.describe(task, FORGOTTEN, "began"), now, member.name)
        else:
            once.renew(state, task)


def given_to(state: State, worker: str, pid: int) -> list[Task]:
    """Return the tasks in doubt that a process was given."""
    return [
        task
        for task in state.once.in_doubt
        if task.spent is not None and (task.spent.worker, task.spent.pid) == (worker, pid)
    ]


def refuse(state: State, task: Task, now: float) -> None:
    """Fail a task whose attempt a worker has, and which cannot be taken from there."""
    if task.spent is not None and task.state in (QUEUED, WAITING) and task not in state.once.in_doubt:
        lose(state, task, once.describe(task, FORGOTTEN, "began"), now)


def restore(state: State) -> None:
    """After a scheduler's death: what it had handed out is in doubt, unless nobody needs it."""
    for task in state.tasks.values():
        if task.spent is not None and task.state in (QUEUED, WAITING):
            state.once.in_doubt[task] = None
        elif task.state == RELEASED:
            once.close(state, task)


def give_up(state: State, now: float) -> None:
    """Fail what is in doubt, now that nobody comes back any more who may know."""
    for task in tuple(state.once.in_doubt):
        lose(state, task, once.describe(task, NOT_BACK), now)
