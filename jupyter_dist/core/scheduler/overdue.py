"""Attempts that do not end when they should: their worker's process is ended instead.

A worker interrupts what it runs by itself, when it is told to and when a task's time is over. Code that does not come back
to Python cannot be interrupted so, and while it holds the interpreter's lock its worker does not even hear of it. Only
the nanny still sees which attempts are inside a user's code, and tells with each pulse. One that is there when its grace
is over is overdue.

What was stopped by force costs no certificate: nobody waits for it, and its neighbours run again elsewhere at once. What
has run out of its time is told by a certificate, which its error shows; the process is aborted for that, so that
faulthandler writes where it was. A task with a retry left runs again alone, as a suspect does: it harms its neighbours.
"""

from jupyter_dist.core.scheduler import lineage
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import AbortWorker, DeathCertificate, ErrorInfo, ProcessPulse

NOT_ENDED = "a task did not end within"
OVERRUN = "overrun"  # the cause of the death of a process whose task ran longer than it may


def on_pulse(state: State, member: Member, pulse: ProcessPulse, now: float) -> str:
    """Look at what is inside a user's code on a worker; return why its process is to be replaced, if it is.

    Nothing is known of an attempt that has ended, or that the worker has in hand behind another one.
    """
    known = member.ends_by_s
    member.ends_by_s = {attempt: known[attempt] for attempt in known if _is_there(member, attempt)}
    for attempt in pulse.inside:
        task = member.processing.get(attempt) or member.waiting.get(attempt)
        if task is not None and task.options.timeout_s:
            allowed_s = task.options.timeout_s + state.settings.stop_grace_s
            if now >= member.ends_by_s.setdefault(attempt, now + allowed_s):
                _abort(state, member, task)
        elif now >= member.ends_by_s.get(attempt, now + 1):
            return f"{NOT_ENDED} {state.settings.stop_grace_s:g} s after it was interrupted"
    return ""


def _is_there(member: Member, attempt: int) -> bool:
    return attempt in member.zombies or attempt in member.processing or attempt in member.waiting


def _abort(state: State, member: Member, task: Task) -> None:
    """Have a worker ended by its nanny, which tells how that went; until then nothing is decided."""
    member.overran = task.attempt
    words = f"{task.label} ({task.key}) ran longer than its timeout of {task.options.timeout_s:g} s and could not be interrupted"
    for nanny in state.nannies.values():
        if nanny.name == member.nanny:
            state.say(nanny.incarnation, AbortWorker(member.name, member.pid, words))


def is_overrun(member: Member, attempt: int, certificate: DeathCertificate | None) -> bool:
    """Whether an attempt is the one whose time was over when its worker's process was ended for that."""
    return certificate is not None and certificate.cause == OVERRUN and attempt == member.overran


def fail_overrun(state: State, task: Task, certificate: DeathCertificate, now: float) -> None:
    """Try a task again whose process was ended for its time, when it has retries left; else fail it."""
    task.certificates = (*task.certificates, certificate)
    if task.retries_left > 0:
        task.retries_left -= 1
        state.ledger.trials(task)
        state.record_task("retried", now, task, certificate.worker, certificate.words)
        lineage.requeue(state, task, now)
        return
    lineage.fail(state, task, describe(task), now, certificate.worker)


def describe(task: Task) -> ErrorInfo:
    """Return the error of a task whose process was ended for its time."""
    last = task.certificates[-1]
    text = last.words
    if last.output:
        text += f"\nIts last output:\n{last.output}"
    if last.stack:
        text += f"\nWhere it was:\n{last.stack}"
    return ErrorInfo("TaskOverrunError", text, last.stack, kind=OVERRUN, key=task.key, certificates=task.certificates)
