"""Tasks that are not run twice: when one is spent, and what is said of it then. The rules; `doubt` has what follows.

A task with the option ``once`` is *spent* from the moment a worker is given it: `Task.spent` names the attempt and the
worker. It is fresh again only if it is known that its code did not begin: the worker gave it back, or came back without
it, or its death certificate does not name it. Whatever else happens to the attempt, or to its result, the task errs with
`DataLostError`, and so does what needs it. That somebody wants it run again has to be said: by submitting it when there
is neither a result nor an error, or by a retry.

What is spent is written down before the worker is told, for these tasks alone: until then their assignment is *unsent*.
So a scheduler that follows knows of every attempt that may have begun.
"""

import msgspec

from jupyter_dist.core.scheduler.once_table import Unsent
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import AssignTask, DeathCertificate, ErrorInfo, Spent

LET_GO = "what became of it was let go of when nobody needed it"


def hand(state: State, task: Task, member: Member) -> None:
    """Note that a worker has the current attempt of a task, or is about to be given it."""
    state.once.in_doubt.pop(task, None)
    task.spent = Spent(task.attempt, member.name, member.host, member.pid)
    state.ledger.trials(task)


def take(state: State, task: Task, attempt: int, member: Member) -> None:
    """Note that a task has run on a worker that came back with its result."""
    state.once.in_doubt.pop(task, None)
    task.spent = Spent(attempt, member.name, member.host, 0)
    state.ledger.trials(task)


def hold_back(state: State, task: Task, member: Member, message: AssignTask) -> None:
    """Keep an assignment until it is written down that the task is spent: with the batch that is being made."""
    state.once.hold_back(Unsent(state.ledger.number + 1, task, member, message))
    state.refresh(member)


def renew(state: State, task: Task) -> None:
    """Note that a task may be run: its code has not begun, or its user wants it to begin again."""
    state.once.in_doubt.pop(task, None)
    if task.spent is not None:
        task.spent = None
        state.ledger.trials(task)


def close(state: State, task: Task) -> None:
    """Note that a task counts as run whatever its worker may still say: it had been given up, or its result is gone."""
    state.once.in_doubt.pop(task, None)
    if task.spent is not None and task.spent.pid:
        task.spent = msgspec.structs.replace(task.spent, pid=0)
        state.ledger.trials(task)


def let_go(state: State, task: Task) -> None:
    """Note that nobody needs a task, whatever it has come to."""
    if task.attempt in state.once.unsent:
        renew(state, task)
    else:
        close(state, task)


def is_over(task: Task) -> bool:
    """Whether a task has run, or counts as run, so that it has the value it has or none."""
    spent = task.spent
    return spent is not None and (not spent.pid or spent.attempt == task.made_by)


def may_have_begun(attempt: int, certificate: DeathCertificate | None) -> bool:
    """Whether the code of an attempt may have begun on a worker that is dead: only its certificate can say that not."""
    if certificate is None or certificate.ended is None:
        return True
    return attempt in certificate.attempts or attempt in certificate.waiting or attempt in certificate.ended


def describe_over(task: Task) -> ErrorInfo:
    """Return the error of a task that is needed and is over."""
    return describe(task, LET_GO)


def describe(task: Task, reason: str, verb: str = "may have begun") -> ErrorInfo:
    """Return the error of a task that has no result and is not to be run again."""
    spent = task.spent
    where = f" on {spent.worker} ({spent.host})" if spent is not None else ""
    text = (
        f'{task.label} ({task.key}) is not run twice (rerun="never"): it {verb}{where}, and {reason}. '
        "If it shall run again, say so with executor.retry(future)"
    )
    return ErrorInfo("DataLostError", text, "", kind="lost", key=task.key)
