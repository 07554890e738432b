"""Waiting for wishes of one session, and turning those that finished into values: what `gather` and `result` do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from jupyter_dist.client import containers
from jupyter_dist.client.loading import fetch, fetch_all, unpack
from jupyter_dist.client.loop import LoopThread
from jupyter_dist.client.reading import Readers
from jupyter_dist.client.session import Session
from jupyter_dist.client.waiting import Countdown, unsettled
from jupyter_dist.core.futures import UNLOADED, Wish
from jupyter_dist.errors import UsageError


class Results:
    """The results of one session."""

    def __init__(self, session: Session, readers: Readers, loop: LoopThread) -> None:
        self._session = session
        self._readers = readers
        self._loop = loop

    def gather(self, futures: Any, errors: str) -> Any:
        """Return the results of futures in the nesting they are in; see `Executor.gather`."""
        __tracebackhide__ = True
        if errors not in ("raise", "skip"):
            raise UsageError(f"errors={errors!r}: choose 'raise' or 'skip'")
        if isinstance(futures, Iterator):
            return (self.gather(item, errors) for item in futures)
        found = containers.futures_in(futures)
        wishes = [future.wish for future in found]
        self.wait(wishes, stop_on_error=errors == "raise")
        if errors == "raise":
            for future in found:
                if future.wish.is_settled and future.wish.status != "finished":
                    future.result()
        self._load_all([wish for wish in wishes if wish.status in ("finished", "lost")])
        return containers.replace(futures, skip_failed=errors == "skip")

    def wait(self, wishes: list[Wish], *, stop_on_error: bool, timeout: float | None = None) -> bool:
        """Wait until all have settled, or one has failed if that is asked; return whether it was in time."""
        waiting = unsettled(dict.fromkeys(wishes))
        if stop_on_error and any(wish.is_settled and wish.status != "finished" for wish in wishes):
            return True
        countdown = Countdown(len(waiting), stop_on_error=stop_on_error)
        with self._session.lock:
            settled = [wish for wish in waiting if not self._session.watch(wish, countdown)]
        for wish in settled:
            countdown.notify(wish)
        try:
            return countdown.wait(timeout)
        finally:
            if countdown.remaining > 0:
                self._session.unwatch(waiting, countdown)

    def _load_all(self, wishes: list[Wish]) -> None:
        """Make the values of wishes readable at once, fetching from all holders at the same time."""
        remote = [wish for wish in wishes if wish.loaded is UNLOADED and wish.value is None]
        if remote:
            found = self._loop.run(fetch_all(self._session, self._readers, remote))
            for wish, buffers in found.items():
                unpack(wish, buffers)

    def load(self, wish: Wish, timeout: float | None = None) -> Any:
        """Return the value of a settled wish."""
        value = wish.value
        if value is not None:
            return unpack(wish, [value])
        if wish.loaded is not UNLOADED:
            return wish.loaded
        return unpack(wish, self._loop.run(fetch(self._session, self._readers, wish), timeout))

    async def load_async(self, wish: Wish) -> Any:
        """Return it without blocking the running loop."""
        value = wish.value
        if value is not None:
            return unpack(wish, [value])
        fetching = asyncio.run_coroutine_threadsafe(fetch(self._session, self._readers, wish), self._loop.loop)
        return unpack(wish, await asyncio.wrap_future(fetching))
