"""How a thread or a coroutine waits for wishes: watchers that the session tells when a wish settles.

A watcher is told under no lock, from the I/O thread, once for each change of a wish. It must not block.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Protocol

from jupyter_dist.core.futures import Wish


class Watcher(Protocol):
    """Who is told when a wish changes."""

    def notify(self, wish: Wish) -> None:
        """Take note of a change."""


class Countdown:
    """Lets one thread wait until so many wishes have settled, or the first has failed."""

    __slots__ = ("_gate", "_lock", "remaining", "stop_on_error")

    def __init__(self, count: int, *, stop_on_error: bool = False) -> None:
        self.remaining = count
        self.stop_on_error = stop_on_error
        self._lock = threading.Lock()
        self._gate = threading.Lock()
        self._gate.acquire()
        if count <= 0:
            self._open()

    def notify(self, wish: Wish) -> None:
        """Count a settled wish."""
        if wish.is_settled:
            with self._lock:
                self.remaining -= 1
                is_over = self.remaining <= 0
            if is_over or (self.stop_on_error and wish.status != "finished"):
                self._open()

    def _open(self) -> None:
        try:
            self._gate.release()
        except RuntimeError:  # open already
            return

    def wait(self, timeout: float | None) -> bool:
        """Wait; return whether it is over. Interruptible by Ctrl-C in the main thread."""
        is_open = self._gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        if is_open:
            self._gate.release()
        return is_open


class AsyncWatcher:
    """Lets a coroutine in any loop wait until a wish changes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.changed = asyncio.Event()

    def notify(self, _wish: Wish) -> None:
        """Wake the coroutine."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.changed.set)


def unsettled(wishes: Iterable[Wish]) -> list[Wish]:
    """Return the wishes that are still to settle."""
    return [wish for wish in wishes if not wish.is_settled]
