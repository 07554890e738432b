"""What a death costs: which values are gone, which tasks go back, and who is to blame.

Exact blame: only an attempt that was inside a user's code when its worker died, of a death a task can cause, is a
suspect; one that waited there for something of the cluster, only when nobody computed. A suspect runs again alone on a
worker, beside others at most that wait; a task that has been there for `crash_limit` deaths, at the last one alone, is
convicted and errs with the death certificates. Everything else that the worker had goes back to the queue, free of
suspicion.

Tasks that wait for each other cannot all be alone, so a death may leave several suspects again and again: after
`CHARGES_MAX` it is enough. As often a task may lose its worker by what it submitted and waits for: that may be another
task with each of its runs, which nobody has seen before. This is counted for as long as the task is known, also over
results that were lost: else tasks whose results die with the worker would bring forth new killers for ever.

A task that is not run twice (`once`) errs at the first death at which its code may have begun, alone or not.
"""

from collections.abc import Iterable, Mapping

from jupyter_dist.core.scheduler import doubt, lineage, once, overdue
from jupyter_dist.core.scheduler.arcs import ACTIVE, MEMORY, QUEUED, RELEASED, WAITING
from jupyter_dist.core.scheduler.records import Member, Orphan, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import STORE, DeathCertificate, ErrorInfo, FreeKeys, KeyLost

CHARGES_MAX = 10
NOBODY = "nobody has it any more"
BLAMING_CAUSES = frozenset({"exit", "signal", "memory"})  # deaths a task can cause; "asked" is not one


def drop_held(state: State, member: Member, now: float) -> None:
    """Strike a worker that is gone as holder of everything, and make again what was nowhere else and is needed."""
    state.stop_copies(state.moves.with_member(member))
    held = tuple(member.held)
    for task in held:
        state.drop_replica(task, member)
    for task in held:
        lose_if_gone(state, task, now, f"{member.name} was lost")


def resolve(state: State, member: Member, certificate: DeathCertificate | None, now: float) -> None:
    """Decide about every task a dead worker had been given, now that it is known how it died or that nobody knows."""
    charged = charged_attempts(certificate)
    current = member.current()
    orphans = [member.orphans[attempt] for attempt in charged if attempt in member.orphans]
    forebears = _forebears(state, [*(current[attempt] for attempt in charged if attempt in current), *orphans])
    for attempt, task in current.items():
        if task.attempt != attempt or task.member is not member:
            continue  # released just now: only a task that was convicted needed it
        if task.options.once:
            _resolve_once(state, task, member, certificate, now)
            continue
        state.detach(task)
        if certificate is not None and overdue.is_overrun(member, attempt, certificate):
            overdue.fail_overrun(state, task, certificate, now)
        elif certificate is not None and attempt in charged:
            _suspect(state, task, certificate, now, is_alone=len(charged) == 1)
        elif certificate is not None and task in forebears:
            _bereave(state, task, forebears[task], certificate, now)
        else:
            state.record_task("retried", now, task, member.name)
            lineage.requeue(state, task, now)
    if orphans and certificate is not None:
        _charge_forebears(state, forebears, current, certificate, now)
    member.zombies.clear()
    member.waiting.clear()
    state.remove_member(member)


def charged_attempts(certificate: DeathCertificate | None) -> tuple[int, ...]:
    """Return which attempts may have caused a death."""
    if certificate is None or certificate.cause not in BLAMING_CAUSES:
        return ()
    return certificate.attempts or certificate.waiting


def _suspect(state: State, task: Task, certificate: DeathCertificate, now: float, *, is_alone: bool) -> None:
    task.certificates = (*task.certificates, certificate)
    deaths = sum(certified.cause in BLAMING_CAUSES for certified in task.certificates)
    if deaths >= CHARGES_MAX or (is_alone and deaths >= state.settings.crash_limit):
        lineage.fail(state, task, conviction(task), now, certificate.worker)
    else:
        state.ledger.trials(task)
        state.record_task("retried", now, task, certificate.worker, certificate.words)
        lineage.requeue(state, task, now)


def _resolve_once(state: State, task: Task, member: Member, certificate: DeathCertificate | None, now: float) -> None:
    attempt = task.attempt
    is_unsent = attempt in state.once.unsent
    state.detach(task)
    if is_unsent or not once.may_have_begun(attempt, certificate):
        state.record_task("retried", now, task, member.name)
        doubt.take_back(state, task, now)
    elif certificate is not None and overdue.is_overrun(member, attempt, certificate):
        task.certificates = (certificate,)
        doubt.lose(state, task, overdue.describe(task), now, member.name)
    else:
        doubt.lose(state, task, _describe_end(task, attempt, certificate, member.name), now, member.name)


def _describe_end(task: Task, attempt: int, certificate: DeathCertificate | None, worker: str) -> ErrorInfo:
    """Return the error of an attempt that may have begun on a worker that is dead."""
    if certificate is None:
        return once.describe(task, f"{worker} was lost, and nobody knows how far it was")
    if certificate.ended is None:
        return once.describe(task, certificate.words)
    if charged_attempts(certificate) == (attempt,):
        task.certificates = (certificate,)
        return conviction(task)
    if attempt in certificate.ended:
        return once.describe(task, f"its result is lost: {certificate.words}", "ran")
    return once.describe(task, certificate.words, "was running")


def on_certificate(state: State, certificate: DeathCertificate, now: float) -> None:
    """Decide about tasks in doubt whose worker is known to be dead."""
    for task in doubt.given_to(state, certificate.worker, certificate.pid):
        attempt = task.spent.attempt if task.spent is not None else 0
        if once.may_have_begun(attempt, certificate):
            error = _describe_end(task, attempt, certificate, certificate.worker)
            doubt.lose(state, task, error, now, certificate.worker)
        else:
            once.renew(state, task)


def _forebears(state: State, children: Iterable[Task | Orphan]) -> dict[Task, Task | Orphan]:
    """Return the tasks by which these were submitted, and those by which these were, each with one of what it led to."""
    found: dict[Task, Task | Orphan] = {}
    for child in children:
        parent = state.tasks.get(child.parent)
        while parent is not None and parent not in found:
            found[parent] = child
            parent = state.tasks.get(parent.parent)
    return found


def _charge_forebears(
    state: State,
    forebears: Mapping[Task, Task | Orphan],
    current: Mapping[int, Task],
    certificate: DeathCertificate,
    now: float,
) -> None:
    """Count a death for tasks that have to run again because what they left behind, and nobody wants, killed a worker.

    Each run leaves the same behind: else that would go on for ever, and nobody be blamed.
    """
    ran_here = set(current.values())
    for task, child in forebears.items():
        if task not in ran_here and task.state in ACTIVE:
            task.losses = (*task.losses, certificate)
            if len(task.losses) >= CHARGES_MAX:
                story = f"left behind what it had submitted, and {len(task.losses)} times that killed the worker of its result"
                state.give_up(task, now)
                _fail_bereaved(state, task, child, story, certificate, now)


def _bereave(state: State, task: Task, child: Task | Orphan, certificate: DeathCertificate, now: float) -> None:
    """Let a task run again whose worker was killed by what it had submitted, unless that happened too often."""
    task.losses = (*task.losses, certificate)
    if len(task.losses) < CHARGES_MAX:
        state.record_task("retried", now, task, certificate.worker, certificate.words)
        lineage.requeue(state, task, now)
    else:
        story = f"waited for what it had submitted, and {len(task.losses)} times that killed the worker of both"
        _fail_bereaved(state, task, child, story, certificate, now)


def _fail_bereaved(
    state: State, task: Task, child: Task | Orphan, story: str, certificate: DeathCertificate, now: float
) -> None:
    text = f"{task.label} ({task.key}) {story}. The last was {child.label} ({child.key}): {certificate.words}"
    error = ErrorInfo("WorkerCrashedError", text, "", kind="crashed", key=task.key, certificates=task.losses)
    lineage.fail(state, task, error, now, certificate.worker)


def conviction(task: Task) -> ErrorInfo:
    """Return the error of a task that killed its workers."""
    last = task.certificates[-1]
    times = len(task.certificates)
    alone = ", the last time alone" if len(charged_attempts(last)) == 1 else ", each time beside others"
    text = f"{task.label} ({task.key}) killed the process that ran it {times} times{alone}. {last.words}"
    if task.options.once:
        text = f'{task.label} ({task.key}) killed the process that ran it, and is not run twice (rerun="never"). {last.words}'
    if last.output:
        text += f"\nIts last output:\n{last.output}"
    if last.stack:
        text += f"\nWhere it was:\n{last.stack}"
    return ErrorInfo(
        "WorkerCrashedError", text, last.stack, kind="crashed", key=task.key, certificates=task.certificates
    )


def forget_replica(state: State, task: Task, holder: str, now: float, reason: str = "") -> None:
    """Strike a holder that did not have the value, by its address; when it was the last, make the value again.

    The object store as a holder is named with the object: what is said of an earlier one is not taken for this one's.
    """
    member = state.member_at.get(holder)
    was_stored = bool(task.stored) and holder == STORE + task.stored
    if was_stored:
        state.drop_stored(task)
    elif member is not None and task in member.held:
        state.drop_replica(task, member)
        state.say(member.incarnation, FreeKeys((task.key,)))  # it may have it: perhaps only the way there failed
    lose_if_gone(state, task, now, reason)
    if was_stored and task.state == MEMORY:
        state.ledger.replace(task)


def lose_if_gone(state: State, task: Task, now: float, reason: str = "") -> None:
    """Set a task in memory that nobody holds any more on its way again; data that was scattered has none."""
    if task.state != MEMORY or task.value is not None or task.stored or task.holders:
        return
    _lose(state, task, now, reason)
    if task.function is None:
        lineage.fail(state, task, lineage.describe_loss(task, reason or NOBODY), now)
    elif once.is_over(task) and state.recover_until_s is None:
        lineage.fail(state, task, once.describe(task, f"its result is gone: {reason or NOBODY}", "ran"), now)
    else:
        lineage.activate(state, task, now)


def _lose(state: State, task: Task, now: float, reason: str) -> None:
    once.close(state, task)
    state.move(task, RELEASED, now)
    state.record_task("lost", now, task, detail=reason)
    for incarnation, wish in state.wishes(task):
        state.say(incarnation, KeyLost(wish, task.key))
    for dependent in tuple(task.dependents or ()):
        if dependent.state == QUEUED:
            state.move(dependent, WAITING, now)
