"""How a thread or a coroutine waits for wishes: watchers that the session tells when a wish settles.

A watcher is told under no lock, from the I/O thread, once for each change of a wish. It must not block.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterable
from typing import Protocol

from jupyter_dist.core.futures import FutureStatus, Wish
from jupyter_dist.messages import Coordinated

FAILED: frozenset[FutureStatus] = frozenset({"error", "cancelled"})
NONE: frozenset[FutureStatus] = frozenset()


class Watcher(Protocol):
    """Who is told when a wish changes."""

    def notify(self, wish: Wish) -> None:
        """Take note of a change."""


def check_wait(timeout: object) -> None:
    """Raise TypeError for what cannot be the seconds of a wait; None waits for any time."""
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float)):
        raise TypeError(f"timeout={timeout!r}: give seconds, or None to wait for any time")


# A signal that comes just before a lock is waited for does not end that wait: Python handles it after. So no wait is long.
LOOK_UP_S = 0.5


class Gate:
    """Opens once, from any thread; one thread or any number of coroutines wait for it."""

    __slots__ = ("_closed", "_sleepers", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._closed = threading.Lock()  # a bare lock: `threading.Event` costs a result() twice as much
        self._closed.acquire()
        self._sleepers: list[AsyncSleeper] | None = None

    def open(self) -> None:
        """Let everybody through; once open, nothing happens."""
        self.is_open = True
        with contextlib.suppress(RuntimeError):  # open already
            self._closed.release()
        for sleeper in self._sleepers or ():
            sleeper.wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in this thread; return whether it is open. Interruptible by Ctrl-C in the main thread."""
        left = math.inf if timeout is None else max(0.0, timeout)
        while not (acquired := self._closed.acquire(timeout=min(left, LOOK_UP_S))) and left > LOOK_UP_S:
            left -= LOOK_UP_S
        if acquired and self.is_open:
            with contextlib.suppress(RuntimeError):  # opened a second time just now
                self._closed.release()
        return self.is_open

    def stir(self) -> None:
        """Have the thread that waits come back, once, though it is not open."""
        with contextlib.suppress(RuntimeError):  # it is, or was stirred just now
            self._closed.release()

    async def wait_async(self, timeout: float | None = None) -> bool:
        """Wait in the running loop; return whether it is open."""
        sleeper = AsyncSleeper(asyncio.get_running_loop())
        self._sleepers = [*(self._sleepers or ()), sleeper]
        if not self.is_open:  # looked at after the sleeper is there: it cannot open unseen
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await sleeper.awake.wait()
        return self.is_open


class AsyncSleeper:
    """A coroutine that waits, to be woken from any thread."""

    __slots__ = ("_loop", "awake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.awake = asyncio.Event()

    def wake(self) -> None:
        """Wake it."""
        with contextlib.suppress(RuntimeError):  # its loop was closed meanwhile: nobody waits any more
            self._loop.call_soon_threadsafe(self.awake.set)


class Countdown(Gate):
    """A gate that opens when so many wishes have settled, or the first has in one of some ways."""

    __slots__ = ("_lock", "_stop_on", "remaining")

    def __init__(self, count: int, *, stop_on: frozenset[FutureStatus] = NONE) -> None:
        super().__init__()
        self.remaining = count
        self._stop_on = stop_on
        self._lock = threading.Lock()
        if count <= 0:
            self.open()

    def notify(self, wish: Wish) -> None:
        """Count a settled wish."""
        if wish.is_settled:
            with self._lock:
                self.remaining -= 1
                is_over = self.remaining <= 0
            if is_over or wish.status in self._stop_on:
                self.open()


class Question(Gate):
    """A gate that opens with the scheduler's answer to one request; without one when the session ends."""

    __slots__ = ("answer", "number")

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.answer: Coordinated | None = None

    def settle(self, answer: Coordinated) -> None:
        """Take the answer."""
        self.answer = answer
        self.open()


class AsyncWatcher:
    """Lets a coroutine in any loop wait until a wish changes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sleeper = AsyncSleeper(loop)
        self.changed = self._sleeper.awake

    def notify(self, _wish: Wish) -> None:
        """Wake the coroutine."""
        self._sleeper.wake()


def unsettled(wishes: Iterable[Wish]) -> list[Wish]:
    """Return the wishes that are still to settle."""
    return [wish for wish in wishes if not wish.is_settled]
