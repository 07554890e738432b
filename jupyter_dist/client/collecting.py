"""`wait` and `as_completed`: functions over futures of one or several executors."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from jupyter_dist.client.future import Future
from jupyter_dist.client.waiting import Countdown
from jupyter_dist.core.futures import Wish
from jupyter_dist.errors import UsageError

ALL_COMPLETED: Final = "ALL_COMPLETED"
FIRST_COMPLETED: Final = "FIRST_COMPLETED"
FIRST_EXCEPTION: Final = "FIRST_EXCEPTION"


class DoneAndNotDone(NamedTuple):
    """What `wait` returns."""

    done: set[Future]
    not_done: set[Future]


def wait(fs: Iterable[Future], timeout: float | None = None, return_when: str = ALL_COMPLETED) -> DoneAndNotDone:
    """Wait for futures and return which are done and which are not.

    Parameters
    ----------
    fs
        The futures.
    timeout
        Seconds to wait at most; what is not done then is in ``not_done``.
    return_when
        ``ALL_COMPLETED``, ``FIRST_COMPLETED`` or ``FIRST_EXCEPTION``, as in `concurrent.futures`.

    Raises
    ------
    UsageError
        ``return_when`` is none of these.
    TypeError
        Something is not a future.
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise UsageError(f"return_when={return_when!r}: choose ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION")
    futures = _checked(fs)
    pending = [future for future in futures if not future.done()]
    is_over = return_when == FIRST_COMPLETED and len(pending) < len(futures)
    is_over |= return_when == FIRST_EXCEPTION and any(f.status == "error" for f in futures)
    if pending and not is_over:
        count = 1 if return_when == FIRST_COMPLETED else len(pending)
        _wait(pending, Countdown(count, stop_on_error=return_when == FIRST_EXCEPTION), timeout)
    done = {future for future in futures if future.done()}
    return DoneAndNotDone(done, set(futures) - done)


def _wait(pending: list[Future], countdown: Countdown, timeout: float | None) -> None:
    try:
        for future in pending:
            if not future.executor.session.watch(future.wish, countdown):
                countdown.notify(future.wish)
        countdown.wait(timeout)
    finally:
        for future in pending:
            future.executor.session.unwatch([future.wish], countdown)


def as_completed(fs: Iterable[Future], timeout: float | None = None, *, with_results: bool = False) -> Iterator[Any]:
    """Yield futures as they are done, each once; with ``with_results`` pairs of a future and its result.

    Raises
    ------
    TimeoutError
        Not all were done ``timeout`` seconds after the call.
    Exception
        With ``with_results``, what a task raised.
    """
    futures = _checked(fs)
    deadline = None if timeout is None else time.monotonic() + timeout
    arrivals = _Arrivals(futures)
    return _yield_arrivals(arrivals, len(futures), deadline, with_results=with_results)


def _yield_arrivals(arrivals: _Arrivals, count: int, deadline: float | None, *, with_results: bool) -> Iterator[Any]:
    try:
        for remaining in range(count, 0, -1):
            future = arrivals.next(deadline, remaining)
            yield (future, future.result()) if with_results else future
    finally:
        arrivals.close()


class _Arrivals:
    """The queue of futures that settled."""

    def __init__(self, futures: list[Future]) -> None:
        self._queue: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        self._by_wish: dict[Wish, list[Future]] = {}
        for future in futures:
            self._by_wish.setdefault(future.wish, []).append(future)
        self._ready: list[Future] = []
        for wish, shared in self._by_wish.items():
            if not shared[0].executor.session.watch(wish, self):
                self._queue.put(wish)

    def notify(self, wish: Wish) -> None:
        """Note a wish that settled."""
        if wish.is_settled:
            self._queue.put(wish)

    def next(self, deadline: float | None, remaining: int) -> Future:
        """Return the next one."""
        while not self._ready:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                wish = self._queue.get(timeout=left)
            except queue.Empty:
                raise TimeoutError(f"{remaining} futures were not done in time") from None
            self._ready = self._by_wish.pop(wish, [])
        return self._ready.pop()

    def close(self) -> None:
        """Stop noting."""
        for wish, shared in self._by_wish.items():
            shared[0].executor.session.unwatch([wish], self)


def _checked(fs: Iterable[Future]) -> list[Future]:
    futures = [fs] if isinstance(fs, Future) else list(fs)
    for future in futures:
        if not isinstance(future, Future):
            raise TypeError(f"{future!r} is not a Future")
    return list(dict.fromkeys(futures))
