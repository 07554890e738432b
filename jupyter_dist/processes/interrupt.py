"""Stopping a task that runs: a `KeyboardInterrupt` in its slot, in it alone, and at most once an attempt.

In slot 0, the main thread, it is raised by the handler of a signal, so it also ends a sleep or a wait. In other threads
it is Python's asynchronous exception: it strikes between two steps of the interpreter, so a call that blocks ends first.

The hard part is that it must never strike anything else: not our own code around the task, not the next task. A guard
is armed with the attempt's number only while the task's code runs. Whoever strikes puts the number into ``stopping``
first; a guard looks there when it arms itself, so a strike that comes too early is not lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
from collections.abc import Callable
from signal import pthread_kill
from threading import Lock, get_ident
from types import FrameType
from typing import Protocol, TypeVar

# A terminal cannot send it and hardly any library uses it. Its default is to end a process, like SIGINT's.
STOP_SIGNAL = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2

OutcomeT = TypeVar("OutcomeT")


class Guard(Protocol):
    """Lets one slot's tasks be interrupted."""

    def run(
        self, attempt: int, work: Callable[[], OutcomeT], interrupted: Callable[[BaseException], OutcomeT]
    ) -> OutcomeT:
        """Return what ``work`` returns; ``interrupted``'s when the strike came where ``work`` could not catch it."""

    def strike(self, attempt: int) -> bool:
        """Interrupt the slot if it is inside this attempt; return whether to strike again if it stays there."""

    def pause(self) -> int:
        """Keep strikes off a few steps of our own that a task's code has called; gives what `resume` takes.

        Raises
        ------
        KeyboardInterrupt
            One is under way: the steps must not begin.
        """

    def resume(self, armed: int) -> None:
        """End a pause.

        Raises
        ------
        KeyboardInterrupt
            A strike came meanwhile.
        """


class MainGuard:
    """The guard of the main thread. Made in the main thread, once a process."""

    def __init__(self, stopping: set[int]) -> None:
        self._stopping = stopping
        self._armed = 0
        self._thread = get_ident()
        signal.signal(STOP_SIGNAL, self._on_signal)

    def run(
        self, attempt: int, work: Callable[[], OutcomeT], interrupted: Callable[[BaseException], OutcomeT]
    ) -> OutcomeT:
        """Run a task's code, open to `strike`."""
        try:
            self._armed = attempt
            if attempt in self._stopping:
                self._armed = 0  # first: one interrupt is enough
                raise KeyboardInterrupt
            outcome = work()
            self._armed = 0
        except KeyboardInterrupt as error:
            self._armed = 0
            outcome = interrupted(error)
        return outcome

    def strike(self, attempt: int) -> bool:
        """Send the signal to the main thread, if it is inside this attempt.

        One signal may not be enough: when it arrives just before a call that blocks, the call still blocks, and Python
        runs the handler after it. It is likely to, because the main thread lets others run just before such a call.
        """
        if self._armed != attempt:
            return False
        with contextlib.suppress(OSError):  # too many of them wait already
            pthread_kill(self._thread, STOP_SIGNAL)
        return True

    def pause(self) -> int:
        """Let strikes wait."""
        armed, self._armed = self._armed, 0
        return armed

    def resume(self, armed: int) -> None:
        """Raise what came meanwhile."""
        if armed:
            self._armed = armed
            if armed in self._stopping:
                self._armed = 0
                raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._armed and self._armed in self._stopping:
            self._armed = 0
            raise KeyboardInterrupt


class ThreadGuard:
    """The guard of another thread, the one that calls `run`."""

    def __init__(self, stopping: set[int]) -> None:
        self._stopping = stopping
        self._armed = 0
        self._thread = 0
        self._lock = Lock()  # held while the exception is set: it is of this attempt, or it is not set

    def run(
        self, attempt: int, work: Callable[[], OutcomeT], interrupted: Callable[[BaseException], OutcomeT]
    ) -> OutcomeT:
        """Run a task's code, open to `strike`."""
        outcome: OutcomeT | None = None
        self._thread = get_ident()
        try:
            if not self._arm(attempt):
                raise KeyboardInterrupt
            outcome = work()
            self._disarm()
        except KeyboardInterrupt as error:
            self._disarm()
            if outcome is None:
                outcome = interrupted(error)
        return outcome

    def strike(self, attempt: int) -> bool:
        """Set the exception in the slot's thread, if it is inside this attempt. It stays set until it is raised."""
        with self._lock:
            if self._armed == attempt:
                self._armed = 0
                _set_exception(self._thread, ctypes.py_object(KeyboardInterrupt))
        return False

    def pause(self) -> int:
        """Let strikes wait."""
        with self._lock:
            armed, self._armed = self._armed, 0
        _step()
        return armed

    def resume(self, armed: int) -> None:
        """Raise what came meanwhile."""
        if armed and not self._arm(armed):
            raise KeyboardInterrupt

    def _arm(self, attempt: int) -> bool:
        with self._lock:
            if attempt in self._stopping:
                return False  # and not armed: one interrupt is enough
            self._armed = attempt
        return True

    def _disarm(self) -> None:
        with self._lock:
            was_struck, self._armed = self._armed == 0, 0
            if was_struck:
                _set_exception(self._thread, ctypes.py_object())  # it may not have been raised yet: take it away


def _step() -> None:
    """Be a step of the interpreter, so that an exception which is set is raised here."""


def _set_exception(thread: int, exception: ctypes.py_object[type[BaseException]]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
