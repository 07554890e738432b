"""What a worker keeps while it has no scheduler, and tells the one it finds again.

What runs goes on, what it holds stays. What has not begun is given back: the scheduler will hand it out again. What it
said last may not have been heard, or may have been forgotten with the scheduler: every end of an attempt is kept until
the scheduler says that it will not be forgotten (`Kept`), and said again after the next welcome. Of tasks that are not
run twice it is kept besides that they have begun, whatever became of their results.
"""

from __future__ import annotations

from collections import deque

from jupyter_dist.core.resources import Amounts
from jupyter_dist.core.worker.attempt import FETCHING, READY, RUNNING, WAITING, Attempt, AttemptState
from jupyter_dist.core.worker.effects import TakeBack
from jupyter_dist.core.worker.state import Said, State
from jupyter_dist.messages import AttemptWaits, HeldResult, Kept, Leaving, Message, TaskErred, TaskFinished

GOING_ON: frozenset[AttemptState] = frozenset({READY, RUNNING, WAITING})  # whose end is still to come


def suspend(state: State) -> None:
    """Give back what has not begun: there is no scheduler."""
    attempts = tuple(state.attempts.values())
    hand = tuple(attempt.task.attempt for attempt in attempts if attempt.state == READY)
    if hand:
        state.effects.taken_back.append(TakeBack(hand, (), answer=False))
    for attempt in attempts:
        if attempt.state == FETCHING:
            state.end_attempt(attempt, "given-back")


def note_said(state: State, says: list[Message], *, is_heard: bool) -> None:
    """Keep the ends of attempts among what is said now; what nobody hears waits for the next scheduler."""
    for message in says:
        state.said += 1
        if isinstance(message, TaskFinished | TaskErred):
            is_wanted = message.attempt not in state.unwanted
            if message.attempt in state.once:
                state.once.discard(message.attempt)
                state.spent.append((state.said, message.attempt))
            state.unwanted.discard(message.attempt)
            if is_wanted or not is_heard:
                state.unkept.append(Said(state.said, message, is_wanted))


def on_kept(state: State, message: Kept) -> None:
    """Forget what the scheduler will not forget."""
    while state.unkept and state.unkept[0].number <= message.received:
        state.unkept.popleft()
    while state.spent and state.spent[0][0] <= message.received:
        state.spent.popleft()


def on_stop(state: State, attempt: int) -> None:
    """Forget how an attempt ended that nobody wants any more."""
    state.unkept = deque(said for said in state.unkept if said.reply.attempt != attempt)


def on_welcome(state: State) -> None:
    """Say again what may have been forgotten, unless the list of held results said it."""
    replies = [said.reply for said in state.unkept if said.reply.attempt not in state.told_held]
    state.unwanted.update(said.reply.attempt for said in state.unkept if not said.is_wanted)
    state.unkept.clear()
    state.said = 0
    state.spent = deque((0, attempt) for _number, attempt in state.spent)  # they were told of before any message
    state.memory.told = (False, "")
    waiting = [AttemptWaits(number) for number, attempt in state.attempts.items() if attempt.state == WAITING]
    leaving = [state.leaving] if state.leaving is not None else []
    state.effects.says[:0] = [*replies, *waiting, *leaving]


def on_leaving(state: State, event: Leaving) -> None:
    """Say that this worker is to end, now and to every scheduler it will have."""
    state.leaving = event
    state.effects.says.append(event)


def _is_freed(state: State, reply: TaskFinished | TaskErred) -> bool:
    """Whether a result was held and is not any more: it is elsewhere, or nobody's, and not to be looked for here."""
    return isinstance(reply, TaskFinished) and reply.value is None and reply.attempt not in state.told_held


def list_kept(state: State) -> tuple[tuple[HeldResult, ...], tuple[tuple[int, str], ...]]:
    """Return the results that are held, and the attempts whose end will be said after the welcome.

    An attempt that is ready now could not be taken back: a slot has it. One that was stopped has no key any more: it
    occupies its slot, and nothing else.
    """
    held = tuple(HeldResult(key, live.attempt, live.nbytes, live.type_name) for key, live in state.held.items())
    state.told_held = {result.attempt for result in held}
    state.unkept = deque(said for said in state.unkept if not _is_freed(state, said.reply))
    going_on = [(number, "" if attempt.stopped else attempt.task.key) for number, attempt in _going_on(state)]
    ended = [
        (said.reply.attempt, said.reply.key if said.is_wanted else "")
        for said in state.unkept
        if said.reply.attempt not in state.told_held
    ]
    return held, (*going_on, *ended)


def list_spent(state: State) -> tuple[int, ...]:
    """Return the attempts of tasks that are not run twice that have ended, and that the scheduler may have forgotten."""
    return tuple(attempt for _number, attempt in state.spent)


def list_holding(state: State) -> tuple[tuple[int, Amounts], ...]:
    """Return what attempts take of the worker's resources; those that were stopped too: they have it until they end."""
    return tuple((number, attempt.task.resources) for number, attempt in _going_on(state) if attempt.task.resources)


def list_stopping(state: State) -> tuple[int, ...]:
    """Return the attempts whose slot was told to end them and has not yet."""
    return tuple(number for number, attempt in _going_on(state) if attempt.interrupted)


def _going_on(state: State) -> list[tuple[int, Attempt]]:
    return [(number, attempt) for number, attempt in state.attempts.items() if attempt.state in GOING_ON]
