"""The worker's machine: takes what happens, hands it to the module whose duty it is, returns the effects.

Sources: a connection to the scheduler has a number of its own, given by the driver, never twice; what happens inside
the worker comes from ``LOCAL``. After a welcome only that connection is heard; without one the machine says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.resources import Amounts
from jupyter_dist.core.worker import memory, rejoining
from jupyter_dist.core.worker.effects import Effects, Held
from jupyter_dist.core.worker.events import (
    Arrived,
    Began,
    Ended,
    FetchFailed,
    GoesOn,
    MemorySeen,
    Printed,
    SpillEnded,
    SpillLost,
    StoreEnded,
    TakenBack,
    Waits,
    WorkerEvent,
)
from jupyter_dist.core.worker.fetching import (
    abandon_copies,
    expire_fetches,
    gather_inputs,
    on_arrived,
    on_fetch_failed,
    on_free,
    on_hold_copy,
    on_store_copy,
    on_store_ended,
    start_fetches,
)
from jupyter_dist.core.worker.invariants import check
from jupyter_dist.core.worker.running import (
    expire_attempts,
    make_ready,
    on_began,
    on_ended,
    on_goes_on,
    on_printed,
    on_stop,
    on_taken_back,
    on_waits,
    on_withdraw,
)
from jupyter_dist.core.worker.state import State
from jupyter_dist.messages import (
    AssignedTask,
    AssignTask,
    CodeTaken,
    DropFunctions,
    ErrorInfo,
    FreeKeys,
    FunctionBody,
    HeldResult,
    HoldCopy,
    Kept,
    Leaving,
    Refused,
    SetInlineMax,
    StopAttempt,
    StoreCopy,
    TakeCode,
    TaskErred,
    Welcome,
    Withdraw,
    WorkerSample,
)
from jupyter_dist.settings import Settings

LOCAL: Final = 0


class WorkerMachine:
    """One worker's decisions. See `jupyter_dist.core.machine.Machine`."""

    def __init__(self, settings: Settings, slots: int, memory_bytes_max: int = 0) -> None:
        self._state = State(settings, slots, memory_bytes_max)
        self._link = 0  # the connection that is heard; 0: none
        self._handlers: Mapping[type, Callable[..., None]] = {
            AssignTask: self._on_assign,
            Began: lambda event, now: on_began(self._state, event, now),
            Waits: lambda event, _now: on_waits(self._state, event),
            GoesOn: lambda event, _now: on_goes_on(self._state, event),
            Ended: lambda event, _now: on_ended(self._state, event),
            Printed: lambda event, _now: on_printed(self._state, event),
            FunctionBody: self._on_function,
            Withdraw: lambda message, _now: on_withdraw(self._state, message),
            TakenBack: lambda event, _now: on_taken_back(self._state, event),
            StopAttempt: lambda message, _now: on_stop(self._state, message),
            FreeKeys: lambda message, _now: on_free(self._state, message),
            DropFunctions: self._on_drop_functions,
            SetInlineMax: self._on_inline_max,
            Arrived: self._on_arrived,
            FetchFailed: lambda event, _now: on_fetch_failed(self._state, event),
            HoldCopy: lambda message, _now: on_hold_copy(self._state, message),
            StoreCopy: lambda message, _now: on_store_copy(self._state, message),
            StoreEnded: lambda event, _now: on_store_ended(self._state, event),
            MemorySeen: lambda event, _now: memory.on_memory_seen(self._state, event),
            SpillEnded: lambda event, now: memory.on_spill_ended(self._state, event, now),
            SpillLost: lambda event, _now: memory.on_spill_lost(self._state, event),
            Refused: self._on_refused,
            TakeCode: lambda message, _now: self._state.effects.code.append(message),
            CodeTaken: lambda event, _now: self._state.effects.says.append(event),
            Leaving: lambda event, _now: rejoining.on_leaving(self._state, event),
            WorkerSample: lambda event, _now: self._state.effects.says.append(event),
            Kept: lambda message, _now: rejoining.on_kept(self._state, message),
        }

    def handle(self, source: int, events: Sequence[WorkerEvent], now: float) -> Effects:
        """Take what came from one source, in order, as one batch."""
        for event in events:
            if isinstance(event, Welcome):
                self._on_welcome(source, event)
            elif isinstance(event, Disconnected):
                self._on_disconnected(source)
            elif source in {LOCAL, self._link} or isinstance(event, Refused):
                self._handlers[type(event)](event, now)
        return self._finish(now)

    def deadline(self) -> float | None:
        """Return when `tick` must be called at the latest."""
        state = self._state
        times = [attempt.deadline for attempt in state.timed.values()]
        times += [fetch.deadline for fetch in state.flying.values()]
        if state.memory.limit and (due := memory.deadline(state)) is not None:
            times.append(due)
        return min(times, default=None)

    def tick(self, now: float) -> Effects:
        """Interrupt what ran too long, and give silent holders up."""
        expire_attempts(self._state, now)
        expire_fetches(self._state, now)
        return self._finish(now)

    def check(self) -> None:
        """Raise `jupyter_dist.errors.InvariantError` when the tables contradict each other."""
        check(self._state, self._link)

    def find_held(self, key: str) -> Held | None:
        """Return the result held for a key."""
        return self._state.held.get(key)

    def list_kept(self) -> tuple[tuple[HeldResult, ...], tuple[tuple[int, str], ...]]:
        """Return what a scheduler is told before its welcome: the results held, and the attempts that run."""
        return rejoining.list_kept(self._state)

    def list_holding(self) -> tuple[tuple[int, Amounts], ...]:
        """Return what the attempts that run take of the worker's resources."""
        return rejoining.list_holding(self._state)

    def list_stopping(self) -> tuple[int, ...]:
        """Return the attempts that run although they were interrupted."""
        return rejoining.list_stopping(self._state)

    def list_spent(self) -> tuple[int, ...]:
        """Return what a scheduler is told besides: the attempts of tasks that are not run twice that have ended."""
        return rejoining.list_spent(self._state)

    def count_held(self) -> tuple[int, int]:
        """Return how many results are held, and their bytes."""
        return len(self._state.held), self._state.held_bytes

    def spilled_bytes(self) -> int:
        """Return how many of these bytes are on the disk."""
        return self._state.memory.spilled_bytes

    def _finish(self, now: float) -> Effects:
        if self._state.memory.limit:
            memory.settle(self._state, now)
        if self._state.queued:
            start_fetches(self._state, now)  # last: attempts that are given back leave room for others' inputs
        effects = self._state.take_effects()
        rejoining.note_said(self._state, effects.says, is_heard=bool(self._link))
        if not self._link:
            effects.says.clear()
        return effects

    # -- the connection ----------------------------------------------------------------------------------------------

    def _on_welcome(self, source: int, message: Welcome) -> None:
        if self._link:
            return
        self._link = source
        rejoining.on_welcome(self._state)
        self._state.effects.welcomed = message.name
        self._state.effects.inline_bytes_max = message.inline_bytes_max

    def _on_refused(self, message: Refused, _now: float) -> None:
        self._state.effects.refused = message.reason or "the scheduler gave no reason"

    def _on_disconnected(self, source: int) -> None:
        if source == self._link:
            self._link = 0
            rejoining.suspend(self._state)
            abandon_copies(self._state)

    # -- work and what belongs to it ---------------------------------------------------------------------------------

    def _on_assign(self, message: AssignTask, _now: float) -> None:
        state, task = self._state, message.task
        if task.attempt in state.attempts:
            return
        function = state.functions.get(task.function)
        if function is None:
            state.effects.says.append(_function_missing(task))
            return
        attempt = state.add_attempt(task, function)
        if task.inputs:
            gather_inputs(state, attempt)
        if not attempt.missing:
            make_ready(state, attempt)

    def _on_arrived(self, event: Arrived, _now: float) -> None:
        for attempt in on_arrived(self._state, event):
            make_ready(self._state, attempt)

    def _on_function(self, message: FunctionBody, _now: float) -> None:
        self._state.functions[message.id] = message

    def _on_drop_functions(self, message: DropFunctions, _now: float) -> None:
        for function in message.ids:
            if self._state.functions.pop(function, None) is not None:
                self._state.effects.forgotten.append(function)

    def _on_inline_max(self, message: SetInlineMax, _now: float) -> None:
        self._state.effects.inline_bytes_max = message.inline_bytes_max


def _function_missing(task: AssignedTask) -> TaskErred:
    words = f"the worker was never sent the function of task {task.key!r}: a bug of jupyter_dist, please report it"
    error = ErrorInfo(type_name="ProtocolError", text=words, traceback="", key=task.key)
    return TaskErred(task.key, task.attempt, error, started_s=0.0, stopped_s=0.0)
