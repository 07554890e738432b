"""`ConcurrentExecutor`: a cluster as an executor of `concurrent.futures`, for code that asks for one.

It follows the words of the standard library's documentation: what is submitted is done also when nobody holds the
executor any more, an interpreter that ends waits for it, and a call raises in its future. What differs: a call that
cannot be pickled is refused by `submit`, because that is known at once.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import functools
import itertools
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jupyter_dist.client.calls import check_callable, pack_call
from jupyter_dist.client.concurrent_future import ConcurrentFuture
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.lane import Lane, Owner
from jupyter_dist.client.packing import label_of, pack_function
from jupyter_dist.errors import UsageError
from jupyter_dist.messages import FunctionBody, TaskOptions


class ConcurrentExecutor(concurrent.futures.Executor):
    """Runs calls on a cluster. Made by `Executor.as_concurrent`; shutting it down leaves the cluster as it is.

    Parameters
    ----------
    owner : Executor
        Through which calls go.
    options : TaskOptions
        What all its calls share.
    max_workers : int, optional
        How many of its calls may be in the cluster at a time; by default as many as keep all slots busy.

    Raises
    ------
    UsageError
        ``max_workers`` is not positive.
    """

    def __init__(self, owner: Owner, options: TaskOptions, max_workers: int | None = None) -> None:
        if max_workers is not None and (type(max_workers) is not int or max_workers <= 0):
            raise UsageError(f"max_workers must be greater than 0, a whole number, not {max_workers!r}")
        self._lane = Lane(owner, options, max_workers)
        self._code = owner.session.code
        _finish_at_exit(self._lane)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Have a function called on the cluster. As `concurrent.futures.Executor.submit`.

        Futures of the `Executor` behind it, inside list, tuple, set or dict arguments, stand for their results.

        Raises
        ------
        RuntimeError
            It was shut down; BrokenExecutor, which is one, when the cluster is gone.
        PackingError
            The function or an argument cannot be pickled.
        TypeError
            ``fn`` cannot be called.
        """
        self._lane.check_open()
        check_callable(fn)
        return self._submit_rows(pack_function(fn, code=self._code), [args], kwargs)[0]

    def submit_labelled(self, label: str, fn: Callable[..., Any], *args: Any) -> concurrent.futures.Future[Any]:
        """Do as `submit`, under a name that people know the call by."""
        self._lane.check_open()
        return self._submit_rows(pack_function(fn, label, self._code), [args], {})[0]

    def _submit_rows(
        self, function: FunctionBody, rows: Iterable[tuple[Any, ...]], kwargs: dict[str, Any]
    ) -> list[ConcurrentFuture]:
        owner, options = self._lane.owner, self._lane.options
        pack = functools.partial(pack_call, owner, function, key=None, pure=options.pure, settings=owner.settings)
        return self._lane.enter(function, [pack(row, kwargs) for row in rows])

    def map(  # the parameters of Python 3.14, in every Python
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Yield the results of calls in their order. As `concurrent.futures.Executor.map`.

        Parameters
        ----------
        fn, *iterables
            The calls; the shortest iterable wins.
        timeout
            Seconds from now after which asking for the next result raises TimeoutError.
        chunksize
            How many elements make one task; an exception takes the rest of its chunk along.
        buffersize
            How many tasks are submitted ahead of the result that is asked for next; by default all, at once.

        Raises
        ------
        ValueError
            ``chunksize`` or ``buffersize`` is less than 1.
        RuntimeError, PackingError, TypeError
            As `submit`.
        """
        for name, number in (("chunksize", chunksize), ("buffersize", buffersize)):
            if number is not None and number < 1:
                raise UsageError(f"{name} must be >= 1, not {number}")
        self._lane.check_open()
        check_callable(fn)
        deadline = None if timeout is None else time.monotonic() + timeout
        rows: Iterator[tuple[Any, ...]] = zip(*iterables, strict=False)
        if chunksize == 1:
            results = self._map(pack_function(fn, code=self._code), rows, deadline, buffersize)
            return _yield_all(results)
        function = pack_function(functools.partial(_call_each, fn), label_of(fn), self._code)
        chunks = iter(lambda: tuple(itertools.islice(rows, chunksize)), ())
        results = self._map(function, ((chunk,) for chunk in chunks), deadline, buffersize)
        return itertools.chain.from_iterable(_yield_all(results))

    def _map(
        self, function: FunctionBody, rows: Iterator[tuple[Any, ...]], deadline: float | None, buffersize: int | None
    ) -> _MapResults:
        def submit(count: int | None) -> list[ConcurrentFuture]:
            return self._submit_rows(function, itertools.islice(rows, count), {})

        return _MapResults(submit(buffersize), deadline, (lambda: submit(1)) if buffersize else None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. As `concurrent.futures.Executor.shutdown`; a second call does nothing new.

        Parameters
        ----------
        wait
            Return only when all futures are done.
        cancel_futures
            Cancel those that were not handed to the cluster.
        """
        self._lane.close(wait=wait, cancel=cancel_futures)

    def abort(self) -> None:
        """Take no more calls, give up all there are, and stop those that run; returns at once."""
        self._lane.close(wait=False, cancel=True, force=True)


class _MapResults:
    """The futures of a `map` in order, of which each is dropped before its result is given away."""

    def __init__(
        self,
        ahead: list[ConcurrentFuture],
        deadline: float | None,
        submit_next: Callable[[], list[ConcurrentFuture]] | None,
    ) -> None:
        self.futures = deque(ahead)
        self._deadline = deadline
        self._submit_next = submit_next

    def take(self) -> Any:
        """Return the next result."""
        __tracebackhide__ = True
        if self._submit_next is not None:
            self.futures.extend(self._submit_next())
        future = self.futures.popleft()
        try:
            return future.take(None if self._deadline is None else self._deadline - time.monotonic())
        finally:
            future.cancel()


def _yield_all(results: _MapResults) -> Iterator[Any]:
    __tracebackhide__ = True
    try:
        while results.futures:
            yield results.take()
    except BaseException as error:
        hide_frames(error)
        raise
    finally:
        for future in results.futures:
            future.cancel()


def _call_each(function: Callable[..., Any], chunk: Iterable[tuple[Any, ...]]) -> list[Any]:
    return [function(*row) for row in chunk]


def _finish_at_exit(lane: Lane) -> None:
    """Let the interpreter wait for a lane when it ends, before the clusters it started are stopped."""
    finish = functools.partial(_finish, weakref.ref(lane))
    atexit.register(finish)
    weakref.finalize(lane, atexit.unregister, finish).atexit = False


def _finish(reference: weakref.ref[Lane]) -> None:
    lane = reference()
    if lane is not None:
        lane.close(wait=True, cancel=False)
