"""What workers answer: results, errors, attempts given back. An answer counts only for the current attempt."""

from jupyter_dist.core.scheduler import lineage, recovery
from jupyter_dist.core.scheduler.arcs import MEMORY
from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import (
    InputMissing,
    KeyOutput,
    MemoryState,
    SetInlineMax,
    TaskErred,
    TaskFinished,
    TaskOutput,
    Withdrawn,
    WorkerSample,
)

SPILLED_BYTES_MIN = 1_000_000  # of this, or of what is spilled, 2 % more are news


def on_finished(state: State, member: Member, message: TaskFinished, now: float) -> None:
    """Take a result."""
    task = member.processing.get(message.attempt) or member.waiting.get(message.attempt)
    if task is None:
        state.bury_zombie(member, message.attempt)
        return
    state.detach(task)
    state.set_value(task, message.value, message.nbytes, message.type_name)
    state.move(task, MEMORY, now)
    if message.value is None:
        state.hold(task, member)
    task.made_by = message.attempt
    if task.certificates:
        task.certificates = ()
        state.ledger.trials(task)
    _watch_inline(state)
    state.count_finished(task, message.stopped_s - message.started_s)
    state.record_run("finished", now, task, member.name, (message.slot, message.started_s, message.stopped_s))
    if message.output:
        _tell_output(state, task, "stdout", message.output)
    lineage.finish(state, task, now)


def _watch_inline(state: State) -> None:
    """Have workers keep all results themselves while the scheduler holds too many bytes of small ones."""
    settings = state.settings
    if state.inline_on:
        wanted = state.inline_bytes <= settings.inline_total_bytes_max
    else:
        wanted = state.inline_bytes <= settings.inline_total_bytes_max // 2
    if wanted != state.inline_on:
        state.inline_on = wanted
        for member in state.members.values():
            state.say(member.incarnation, SetInlineMax(settings.inline_bytes_max if wanted else 0))


def on_erred(state: State, member: Member, message: TaskErred, now: float) -> None:
    """Take an error: try again when the task has retries left, else fail it and all that wait for it."""
    task = member.processing.get(message.attempt) or member.waiting.get(message.attempt)
    if task is None:
        state.bury_zombie(member, message.attempt)
        return
    state.detach(task)
    if message.output:
        _tell_output(state, task, "stdout", message.output)
    run = (message.slot, message.started_s, message.stopped_s)
    task.erred_by = message.attempt
    if task.retries_left > 0:
        task.retries_left -= 1
        state.ledger.trials(task)
        state.record_run("retried", now, task, member.name, run)
        lineage.requeue(state, task, now)
        return
    state.record_run("failed", now, task, member.name, run)
    lineage.fail(state, task, message.error, now, member.name)


def on_withdrawn(state: State, member: Member, message: Withdrawn, now: float) -> None:
    """Take back attempts that had not begun."""
    member.asked = 0
    for attempt in message.attempts:
        task = member.processing.get(attempt)
        if task is None:
            state.bury_zombie(member, attempt)
        else:
            state.detach(task)
            lineage.requeue(state, task, now)


def on_input_missing(state: State, member: Member, message: InputMissing, now: float) -> None:
    """Take back an attempt whose input could not be had, and find the input again first."""
    task = member.processing.get(message.attempt) or member.waiting.get(message.attempt)
    if task is None:
        state.bury_zombie(member, message.attempt)
        return
    missing = state.tasks.get(message.key)
    state.detach(task)
    lineage.requeue(state, task, now)  # first: if the input cannot be made again, this task fails with it
    if missing is not None:
        recovery.forget_replica(state, missing, message.holder, now, message.reason)


def on_output(state: State, member: Member, message: TaskOutput, _now: float) -> None:
    """Pass on what a running task printed."""
    task: Task | None = member.processing.get(message.attempt) or member.waiting.get(message.attempt)
    if task is not None:
        _tell_output(state, task, message.stream, message.text)


def _tell_output(state: State, task: Task, stream: str, text: str) -> None:
    state.chronicle.prints.add(task, text)
    for incarnation, wish in state.wishes(task):
        state.say(incarnation, KeyOutput(wish, task.key, stream, text))


def on_sample(state: State, member: Member, message: WorkerSample, _now: float) -> None:
    """Note what a worker says of itself."""
    changed = message.running != member.running
    changed |= abs(message.spilled_bytes - member.spilled_bytes) > max(member.spilled_bytes, SPILLED_BYTES_MIN) // 50
    member.running = message.running
    moved = abs(message.memory_bytes - member.memory_bytes) > member.memory_bytes // 50
    if changed or moved or round(message.cpu_percent / 10) != round(member.cpu_percent / 10):
        state.version += 1
        member.memory_bytes = message.memory_bytes
        member.cpu_percent = message.cpu_percent
    member.spilled_bytes = message.spilled_bytes


def on_memory_state(state: State, member: Member, message: MemoryState, _now: float) -> None:
    """Note whether a worker takes tasks, as far as its memory goes."""
    member.is_paused, member.trouble = message.is_paused, message.words
    state.version += 1
    state.refresh(member)
