"""Waiting for wishes of one session, and turning those that finished into values: what `gather` and `result` do.

What waits is a call of steps, see `blocking`: values are loaded in the thread that asked for them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import weakref
from typing import Any

from jupyter_dist.client import containers
from jupyter_dist.client.blocking import Opening, Remotely
from jupyter_dist.client.future import Future
from jupyter_dist.client.loading import fetch, fetch_all, unpack
from jupyter_dist.client.loop import LoopThread
from jupyter_dist.client.reading import Readers
from jupyter_dist.client.session import Session
from jupyter_dist.client.waiting import FAILED, NONE, Countdown, unsettled
from jupyter_dist.core.futures import UNLOADED, FutureStatus, Wish
from jupyter_dist.errors import UsageError
from jupyter_dist.protocol.framing import Buffer


class Results:
    """The results of one session."""

    def __init__(self, owner: object, session: Session, readers: Readers, loop: LoopThread) -> None:
        self._owner = weakref.ref(owner)  # futures in a value are of the executor that reads it
        self._session = session
        self._readers = readers
        self._loop = loop

    async def gather(self, futures: Any, errors: str) -> Any:
        """Return the results of futures in the nesting they are in; see `Executor.gather`."""
        __tracebackhide__ = True
        found = containers.futures_in(futures)
        self._check_own(found)
        wishes = [future.wish for future in found]
        await self.wait(wishes, stop_on=FAILED if errors == "raise" else NONE)
        if errors == "raise":
            for future in found:
                if future.wish.status in FAILED:
                    future.raise_failure()
        await self._load_all([wish for wish in wishes if wish.status in ("finished", "lost")])
        return containers.replace(futures, skip_failed=errors == "skip")

    def _check_own(self, found: list[Future]) -> None:
        for future in found:
            if future.executor.session is not self._session:
                if future.wish.number == 0:
                    future.raise_failure()  # it is of no executor, and says why
                raise UsageError(f"{future!r} belongs to another executor: gather it there")

    async def wait(
        self, wishes: list[Wish], *, stop_on: frozenset[FutureStatus] = NONE, timeout: float | None = None
    ) -> bool:
        """Wait until all have settled, or one in one of these ways; return whether it was in time."""
        if any(wish.status in stop_on for wish in wishes):
            return True
        waiting = unsettled(dict.fromkeys(wishes))
        if not waiting:
            return True
        countdown = Countdown(len(waiting), stop_on=stop_on)
        with self._session.lock:
            settled = [wish for wish in waiting if not self._session.watch(wish, countdown)]
        for wish in settled:
            countdown.notify(wish)
        try:
            return await Opening(countdown, timeout)
        finally:
            if countdown.remaining > 0:
                self._session.unwatch(waiting, countdown)

    async def _load_all(self, wishes: list[Wish]) -> None:
        """Make the values of wishes readable at once, fetching from all holders at the same time."""
        remote = [wish for wish in wishes if wish.loaded is UNLOADED and wish.value is None]
        if remote:
            found = await Remotely(self._loop, fetch_all, self._session, self._readers, remote)
            for wish, buffers in found.items():
                unpack(wish, buffers, self._owner())

    async def load(self, wish: Wish, timeout: float | None = None) -> Any:
        """Return the value of a settled wish."""
        __tracebackhide__ = True
        value = self.load_here(wish)
        if value is not UNLOADED:
            return value
        buffers = await Remotely(self._loop, fetch, self._session, self._readers, wish, timeout=timeout)
        return unpack(wish, buffers, self._owner())

    def load_here(self, wish: Wish) -> Any:
        """Return the value of a wish if it is in this process, else `UNLOADED`."""
        value = wish.value
        if value is not None:
            return unpack(wish, [value], self._owner())
        return wish.loaded

    def fetch_soon(self, wish: Wish) -> concurrent.futures.Future[list[Buffer]]:
        """Begin to fetch a wish's bytes, and return where they will be."""
        return asyncio.run_coroutine_threadsafe(fetch(self._session, self._readers, wish), self._loop.loop)
