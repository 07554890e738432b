"""`as_completed`: futures in the order in which they are done."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

from jupyter_dist.client.blocking import Opening, begin, block, perform
from jupyter_dist.client.calls import check_flag
from jupyter_dist.client.collecting import check_futures
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.future import Future
from jupyter_dist.client.waiting import Gate, check_wait
from jupyter_dist.core.futures import Wish


class as_completed:  # noqa: N801 - users know it as a function
    """Iterate over futures as they are done, each once; with `for`, or with `async for` in any event loop.

    Futures may be added while it goes on, also from another thread; they may be of several executors.

    Parameters
    ----------
    fs : iterable of Future
        The futures to begin with.
    timeout : float, optional
        Seconds, from now on, that all of it may take.
    with_results : bool
        Give pairs of a future and its result.
    raise_errors : bool
        With results: raise what a task raised. Else the exception stands in the place of the result.

    Raises
    ------
    TypeError
        Something is not a future.
    TimeoutError
        From the iteration: not all were done in time.
    Exception
        From the iteration, with results: what a task raised.

    Examples
    --------
    ::

        completed = as_completed(executor.map(search, places), with_results=True)
        for future, found in completed:
            completed.update(executor.map(search, found.neighbours))
    """

    def __init__(
        self,
        fs: Iterable[Future] | Future = (),
        timeout: float | None = None,
        *,
        with_results: bool = False,
        raise_errors: bool = True,
    ) -> None:
        if isinstance(timeout, bool):
            raise TypeError("the second argument is the timeout in seconds; write `with_results=True`")
        check_wait(timeout)
        check_flag("with_results", with_results)
        check_flag("raise_errors", raise_errors)
        self._with_results = with_results
        self._raise_errors = raise_errors
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._lock = threading.Lock()
        self._waiting: dict[Wish, list[Future]] = {}
        self._ready: deque[Future] = deque()
        self._gates: list[Gate] = []  # of those who wait for the next
        self._ear = Ear(self)
        self.update(fs)

    # -- what it holds -----------------------------------------------------------------------------------------------

    def add(self, future: Future) -> None:
        """Add a future; one that is there already is given once more."""
        self.update([future])

    def update(self, fs: Iterable[Future] | Future) -> None:
        """Add futures."""
        futures = check_futures(fs)
        fresh: dict[Wish, Future] = {}
        with self._lock:
            for future in futures:
                wish = future.wish
                if wish not in self._waiting:
                    fresh[wish] = future
                self._waiting.setdefault(wish, []).append(future)
        for wish, future in fresh.items():  # outside the lock: the session has one of its own
            if not future.executor.session.watch(wish, self._ear):
                self.notify(wish)

    def clear(self) -> None:
        """Forget all futures; the tasks go on."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._ready.clear()
            gates = self._take_gates()
        for wish, futures in waiting.items():
            futures[0].executor.session.unwatch([wish], self._ear)
        _open(gates)

    def count(self) -> int:
        """Return how many futures are still to be given."""
        with self._lock:
            return len(self._ready) + sum(map(len, self._waiting.values()))

    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self.count()

    def has_ready(self) -> bool:
        """Whether the next one is there without waiting."""
        return bool(self._ready)

    def notify(self, wish: Wish) -> None:
        """Note a wish that settled."""
        if not wish.is_settled:
            return
        with self._lock:
            futures = self._waiting.pop(wish, None)
            if futures is None:
                return
            self._ready.extend(futures)
            gates = self._take_gates()
        _open(gates)

    def _take_gates(self) -> list[Gate]:
        gates, self._gates = self._gates, []
        return gates

    # -- one after the other -----------------------------------------------------------------------------------------

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        __tracebackhide__ = True
        try:
            item = block(self._next())
        except BaseException as error:
            hide_frames(error)
            raise
        if item is None:
            raise StopIteration
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        __tracebackhide__ = True
        try:
            item = await begin(self._next())
        except BaseException as error:
            hide_frames(error)
            raise
        if item is None:
            raise StopAsyncIteration
        return item

    async def _next(self) -> Any:
        __tracebackhide__ = True
        while (future := self._pop()) is None:
            if not await self._arrival():
                return None
        return await self._present(future)

    def _pop(self) -> Future | None:
        with self._lock:
            return self._ready.popleft() if self._ready else None

    async def _arrival(self) -> bool:
        """Wait until something has changed; False when there is nothing to wait for."""
        with self._lock:
            if self._ready:
                return True
            if not self._waiting:
                return False
            gate = Gate()
            self._gates.append(gate)
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            is_in_time = await Opening(gate, left)
        finally:
            with self._lock:
                self._gates = [other for other in self._gates if other is not gate]
        if not is_in_time:
            raise TimeoutError(f"{self.count()} futures were not done in time")
        return True

    async def _present(self, future: Future) -> Any:
        __tracebackhide__ = True
        if not self._with_results:
            return future
        try:
            return future, await future.load()
        except Exception as error:
            if self._raise_errors:
                raise
            hide_frames(error)
            return future, error

    # -- many at a time ----------------------------------------------------------------------------------------------

    def next_batch(self, block: bool = True) -> Any:
        """Return all that are done by now; with ``block`` at least one, if there are any.

        In a running event loop with futures of an asynchronous executor, an awaitable of it.
        """
        __tracebackhide__ = True
        check_flag("block", block)
        try:
            return perform(self.collect(is_blocking=block), asynchronous=self._is_asynchronous())
        except BaseException as error:
            hide_frames(error)
            raise

    def batches(self) -> Batches:
        """Iterate over batches of what is done by then, with `for` or `async for`, until all were given."""
        return Batches(self)

    async def collect(self, *, is_blocking: bool) -> list[Any]:
        """Do as `next_batch`, as a call of steps, see `blocking`."""
        __tracebackhide__ = True
        while is_blocking and not self._ready and await self._arrival():
            pass
        batch = []
        while (future := self._pop()) is not None:
            batch.append(await self._present(future))
        return batch

    def _is_asynchronous(self) -> bool:
        with self._lock:
            first = next(iter(self._ready), None) or next((fs[0] for fs in self._waiting.values()), None)
        return first is not None and first.executor.asynchronous


class Ear:
    """What the session tells in place of an `as_completed`: one that nobody iterates any more holds no future."""

    def __init__(self, completed: as_completed) -> None:
        self._completed = weakref.ref(completed)

    def notify(self, wish: Wish) -> None:
        """Pass it on, if there is somebody."""
        completed = self._completed()
        if completed is not None:
            completed.notify(wish)


class Batches:
    """The batches of an `as_completed`."""

    def __init__(self, completed: as_completed) -> None:
        self._completed = completed

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Any]:
        __tracebackhide__ = True
        try:
            batch = block(self._completed.collect(is_blocking=True))
        except BaseException as error:
            hide_frames(error)
            raise
        if not batch:
            raise StopIteration
        return batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Any]:
        __tracebackhide__ = True
        try:
            batch = await begin(self._completed.collect(is_blocking=True))
        except BaseException as error:
            hide_frames(error)
            raise
        if not batch:
            raise StopAsyncIteration
        return batch


def _open(gates: Iterable[Gate]) -> None:
    for gate in gates:
        gate.open()
