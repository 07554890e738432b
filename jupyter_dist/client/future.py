"""A Future: a handle on a result that is being made, is made, or never will be.

All Futures of one executor on one key share a wish; when the last of them is gone, the cluster is told that the result
is not needed any more. A Future behaves as one of `concurrent.futures` and can be awaited in any event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Protocol

from jupyter_dist.client.callbacks import run_later
from jupyter_dist.client.session import Session
from jupyter_dist.client.waiting import AsyncWatcher, Countdown
from jupyter_dist.core.futures import UNLOADED, FutureStatus, Wish
from jupyter_dist.errors import FutureCancelledError, UsageError
from jupyter_dist.protocol.exceptions import load_exception


class Loader(Protocol):
    """How a Future's value is had."""

    def load(self, wish: Wish, timeout: float | None = None) -> Any:
        """Return the value of a settled wish, fetched if need be."""

    async def load_async(self, wish: Wish) -> Any:
        """Return it without blocking the running loop."""


class Owner(Protocol):
    """What a Future needs of its executor."""

    session: Session

    @property
    def results(self) -> Loader:
        """How its value is had."""

    def cancel(self, futures: Any, force: bool = False) -> None:
        """Give futures up."""


class Future:
    """The result of a task, now or later. Made by `Executor.submit`, `map` and `scatter`.

    Attributes
    ----------
    key : str
        The name of the task in the cluster.
    executor : Executor
        Where it was submitted.
    wish : jupyter_dist.core.futures.Wish
        What is known of it here, shared by all Futures on the key.
    """

    __slots__ = ("__weakref__", "executor", "wish")

    def __init__(self, executor: Owner, wish: Wish) -> None:
        self.executor = executor
        self.wish = wish

    def __del__(self) -> None:
        wish = getattr(self, "wish", None)
        if wish is not None:
            self.executor.session.drop(wish)

    @property
    def key(self) -> str:
        """The name of the task in the cluster."""
        return self.wish.key

    @property
    def status(self) -> FutureStatus:
        """One of pending, finished, error, cancelled, lost; lost is passing: the value is being made again."""
        return self.wish.status

    @property
    def type(self) -> str:
        """The name of the result's type; empty while there is none."""
        return self.wish.type_name

    @property
    def nbytes(self) -> int:
        """The size of the packed result in bytes; 0 while there is none."""
        return self.wish.nbytes

    @property
    def output(self) -> str:
        """What the task printed; of a long output the end."""
        wish = self.wish
        with self.executor.session.lock:
            text = "".join(part for _, part in wish.output or ())
        return f"… {wish.output_cut:,} characters before this were dropped\n{text}" if wish.output_cut else text

    def done(self) -> bool:
        """Whether it is finished, erred or cancelled."""
        return self.wish.is_settled

    def running(self) -> bool:
        """Whether it is not done. A client is not told when a task begins; see the panel for that."""
        return not self.wish.is_settled

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.wish.status == "cancelled"

    def cancel(self, force: bool = False) -> bool:
        """Give the task up; with ``force`` stop it when it runs. Return whether it is cancelled now."""
        self.executor.cancel([self], force=force)
        return self.cancelled()

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, or raise what the task raised.

        Parameters
        ----------
        timeout
            Seconds to wait at most; None to wait until it is done.

        Raises
        ------
        TimeoutError
            It was not done in time.
        CancelledError
            It was cancelled, or the cluster is gone; the text says by what.
        Exception
            The task's own exception, or that of the input it needed, with the worker's traceback.
        TaskError
            The task crashed its workers, was lost, timed out, or its result cannot be loaded here.
        """
        __tracebackhide__ = True
        deadline = None if timeout is None else time.monotonic() + timeout
        self._wait(timeout)
        self._raise_if_failed()
        if self.wish.loaded is not UNLOADED:
            return self.wish.loaded
        return self.executor.results.load(
            self.wish, None if deadline is None else max(0.0, deadline - time.monotonic())
        )

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the task raised, or None when it finished. Raises as `result` for time and cancellation."""
        self._wait(timeout)
        if self.cancelled():
            raise self._cancelled_error()
        return load_exception(self.wish.error) if self.wish.error else None

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        """Return the traceback of what the task raised, in the frames of its own code; None when it finished."""
        error = self.exception(timeout)
        return error.__traceback__ if error else None

    def add_done_callback(self, function: Callable[[Future], object]) -> None:
        """Call a function with this future once it is done, at once if it is; in a thread for callbacks."""
        watcher = _Callback(self, function)
        if not self.executor.session.watch(self.wish, watcher):
            run_later(lambda: function(self))

    def _wait(self, timeout: float | None) -> None:
        __tracebackhide__ = True
        wish, session = self.wish, self.executor.session
        if wish.is_settled:
            return
        countdown = Countdown(1)
        if not session.watch(wish, countdown):
            return
        try:
            if not countdown.wait(timeout):
                raise TimeoutError(f"{wish.key} was not done within {timeout} s")
        finally:
            session.unwatch([wish], countdown)

    def _raise_if_failed(self) -> None:
        __tracebackhide__ = True
        if self.wish.status == "cancelled":
            raise self._cancelled_error()
        if self.wish.error is not None:
            raise load_exception(self.wish.error)

    def _cancelled_error(self) -> FutureCancelledError:
        return FutureCancelledError(f"{self.key} was cancelled: {self.wish.reason}")

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result_async().__await__()

    async def _result_async(self) -> Any:
        __tracebackhide__ = True
        watcher = AsyncWatcher(asyncio.get_running_loop())
        session = self.executor.session
        while session.watch(self.wish, watcher):
            await watcher.changed.wait()
            watcher.changed.clear()
        self._raise_if_failed()
        if self.wish.loaded is not UNLOADED:
            return self.wish.loaded
        return await self.executor.results.load_async(self.wish)

    def __reduce__(self) -> tuple[object, ...]:
        raise UsageError(
            f"the future {self.key} can only travel inside list, tuple, set or dict arguments of submit and map"
        )

    def __repr__(self) -> str:
        kind = f", {self.type}" if self.type else ""
        return f"<Future {self.key}: {self.status}{kind}>"


class _Callback:
    """Calls a user's function once, when the wish has settled."""

    def __init__(self, future: Future, function: Callable[[Future], object]) -> None:
        self._future = future
        self._function = function

    def notify(self, wish: Wish) -> None:
        """Call it soon, if the wish has settled."""
        if wish.is_settled:
            function, future = self._function, self._future
            run_later(lambda: function(future))
