"""Attempts in the hand and in the slots: what is begun, taken back, interrupted, and what becomes of results.

The slots take attempts out of the hand by themselves, so what is known here is a little behind: whether an attempt can
still be taken back, the hand alone decides (`TakeBack`). A result of an attempt that was stopped is not held.
"""

from __future__ import annotations

import msgspec

from jupyter_dist.core.worker import memory, rejoining
from jupyter_dist.core.worker.attempt import FETCHING, READY, Attempt
from jupyter_dist.core.worker.effects import NO_INPUTS, Live, ReadyTask, Spilled, TakeBack
from jupyter_dist.core.worker.events import Began, Ended, GoesOn, Printed, TakenBack, Waits
from jupyter_dist.core.worker.state import State
from jupyter_dist.messages import (
    AttemptGoesOn,
    AttemptWaits,
    InputMissing,
    StopAttempt,
    TaskErred,
    Withdraw,
    Withdrawn,
)


def make_ready(state: State, attempt: Attempt) -> None:
    """Put an attempt that lacks no input into the hand."""
    attempt.step("inputs-here")
    state.effects.ready.append(ReadyTask(attempt.task, attempt.function, attempt.inputs or NO_INPUTS))


def on_withdraw(state: State, message: Withdraw) -> None:
    """Give back those that have not begun, and ask the hand about those that may have."""
    known = [state.attempts[number] for number in message.attempts if number in state.attempts]
    ready = tuple(attempt.task.attempt for attempt in known if attempt.state == READY)
    fetching = [attempt for attempt in known if attempt.state == FETCHING]
    for attempt in fetching:
        state.end_attempt(attempt, "given-back")
    already = tuple(attempt.task.attempt for attempt in fetching)
    state.effects.taken_back.append(TakeBack(ready, already, answer=True))


def on_taken_back(state: State, event: TakenBack) -> None:
    """End those that were still in the hand; answer if the scheduler asked."""
    for number in event.taken:
        attempt = state.attempts.get(number)
        if attempt is not None and attempt.state == READY:
            state.end_attempt(attempt, "given-back")
    if event.answer:
        state.effects.says.append(Withdrawn(event.taken))


def on_stop(state: State, message: StopAttempt) -> None:
    """Give back an attempt that has not begun; interrupt it when it has and that is asked for.

    It is answered in any case, by `Withdrawn` or by how it ended: until then its slot counts as taken. One that ended
    before it was told to stop has answered already; what it left is nobody's.
    """
    attempt = state.attempts.get(message.attempt)
    if attempt is None:
        state.free_made_by(message.attempt)
        rejoining.on_stop(state, message.attempt)
        return
    attempt.stopped = True
    if attempt.state == FETCHING:
        state.end_attempt(attempt, "given-back")
        state.effects.says.append(Withdrawn((message.attempt,)))
        return
    if attempt.state == READY:
        state.effects.taken_back.append(TakeBack((message.attempt,), (), answer=True))
    if message.force:
        attempt.interrupted = True
        state.effects.interrupts.append(message.attempt)


def on_began(state: State, event: Began, now: float) -> None:
    """Note that a slot has the attempt; its time counts from here."""
    attempt = state.attempts.get(event.attempt)
    if attempt is None:
        return
    attempt.step("began")
    if attempt.task.timeout_s:
        state.time_attempt(attempt, now + attempt.task.timeout_s)


def on_waits(state: State, event: Waits) -> None:
    """Tell the scheduler that an attempt needs no slot for a while. Its time goes on."""
    attempt = state.attempts.get(event.attempt)
    if attempt is not None:
        attempt.step("waits")
        state.effects.says.append(AttemptWaits(event.attempt))


def on_goes_on(state: State, event: GoesOn) -> None:
    """Tell the scheduler that it has one again."""
    attempt = state.attempts.get(event.attempt)
    if attempt is not None:
        attempt.step("goes-on")
        state.effects.says.append(AttemptGoesOn(event.attempt))


def on_printed(state: State, event: Printed) -> None:
    """Forward what attempts print that somebody listens to."""
    state.effects.says.extend(output for output in event.output if output.attempt in state.attempts)


def on_ended(state: State, event: Ended) -> None:
    """Tell the scheduler, and hold a result that does not ride in the message."""
    reply = event.reply
    attempt = state.attempts.get(reply.attempt)
    if attempt is None:  # of an earlier connection
        _discard(state, event)
        return
    if isinstance(reply, InputMissing):
        _drop_unreadable(state, attempt, reply)
    state.end_attempt(attempt, "ended")
    if attempt.stopped:
        state.unwanted.add(reply.attempt)
    says = state.effects.says
    says.extend(event.output)
    if isinstance(reply, TaskErred):
        says.append(_explain_timeout(reply, attempt) if attempt.timed_out else reply)
    elif isinstance(reply, InputMissing):
        state.unwanted.discard(reply.attempt)
        state.once.discard(reply.attempt)  # its code did not begin
        says.append(reply)
    elif attempt.stopped:
        says.append(msgspec.structs.replace(reply, value=None, nbytes=0))
        _discard(state, event)
    elif reply.value is not None:
        says.append(reply)
    elif refusal := memory.refuse(state, reply):
        says.append(refusal)
        _discard(state, event)
    else:
        says.append(reply)
        state.hold(reply.key, Live(event.value, reply.nbytes, reply.attempt, reply.type_name))


def _drop_unreadable(state: State, attempt: Attempt, reply: InputMissing) -> None:
    """Drop a result held here that could not be read back from the disk."""
    value = attempt.inputs.get(reply.key)
    if isinstance(value, Spilled) and state.held.get(reply.key) is value:
        state.free(reply.key)


def _discard(state: State, event: Ended) -> None:
    if event.value is not None:
        state.effects.discarded.append(event)


def _explain_timeout(reply: TaskErred, attempt: Attempt) -> TaskErred:
    words = f"task {attempt.task.key!r} was stopped: it ran longer than its timeout of {attempt.task.timeout_s:g} s"
    error = msgspec.structs.replace(reply.error, kind="timeout", type_name="TaskTimeoutError", text=words, pickled=b"")
    return msgspec.structs.replace(reply, error=error)


def expire_attempts(state: State, now: float) -> None:
    """Interrupt the attempts that have run long enough."""
    for attempt in [attempt for attempt in state.timed.values() if attempt.deadline <= now]:
        state.expire_attempt(attempt)
        attempt.interrupted = True
        state.effects.interrupts.append(attempt.task.attempt)
