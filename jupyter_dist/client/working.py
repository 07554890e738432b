"""The part of an Executor that is for work: calls, data, results, and giving up.

Calls are checked and packed by `calls` and `mapping`, wished for and heard of in `session`, waited for and turned into
values by `results`.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from jupyter_dist.client import containers, feeding, inspection
from jupyter_dist.client.blocking import begin, block
from jupyter_dist.client.calls import (
    check_callable,
    check_count,
    check_flag,
    check_key,
    check_timeout,
    make_options,
    named_workers,
    pack_call,
)
from jupyter_dist.client.data import check_broadcast, scatter_one
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.front import Front
from jupyter_dist.client.future import Future
from jupyter_dist.client.mapping import AHEAD_MAX, Mapper, options_of_each
from jupyter_dist.client.orphans import failed_wish
from jupyter_dist.client.packing import pack_function
from jupyter_dist.errors import UsageError
from jupyter_dist.messages import Cancel, TaskOptions

Workers = str | Iterable[str] | None


class Working(Front):
    """What an Executor does with calls and their results."""

    # -- work --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        func: Callable[..., Any],
        *args: Any,
        key: str | None = None,
        pure: bool = True,
        workers: Workers = None,
        allow_other_workers: bool = False,
        retries: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        resources: Mapping[str, float] | None = None,
        rerun: str = "always",
        **kwargs: Any,
    ) -> Future:
        """Have a function called on the cluster.

        Parameters
        ----------
        func, *args, **kwargs
            The call. Futures inside list, tuple, set or dict arguments stand for their results.
        key
            The name of the task; a known key gives a future on the known task, and nothing is sent.
        pure
            Whether the same call gives the same result: then it has the same key and runs once.
        workers
            Names, hosts or addresses of the workers that may run it.
        allow_other_workers
            Whether others may when none of these is there.
        retries
            How often it is tried again when it raises.
        priority
            Higher ones run first.
        timeout
            Seconds it may run; then it is stopped, and errs with TaskTimeoutError.
        resources
            What it takes of its worker's resources while it runs, as ``{"GPU": 1}``. It waits for a worker that has so
            much free.
        rerun
            ``always``: when its worker dies, or its result is lost, it runs again by itself. ``never``, for a function
            with effects outside: once it may have begun it does not begin again, but it, and what needs it, errs with
            DataLostError, or WorkerCrashedError if it killed its worker. `retry`, or submitting it anew when its futures
            are gone, runs it again. It is begun a few milliseconds later: when it is written down that it is.

        Raises
        ------
        PackingError
            The function or an argument cannot be pickled; nothing was sent.
        TypeError
            ``func`` is not callable, ``allow_other_workers`` no bool, or a worker or resource of a wrong type.
        UsageError
            ``allow_other_workers`` without ``workers``, no worker among these, a number or an amount that is negative,
            a ``rerun`` that is neither or has ``retries`` beside never, or a future of another executor.
        CancelledError
            A future among the arguments was cancelled.
        ClusterClosedError
            The executor is closed.
        """
        check_callable(func)
        check_count("retries", retries)
        options = make_options(
            workers,
            allow_other_workers,
            resources,
            rerun,
            retries=retries,
            priority=priority,
            pure=pure,
            timeout_s=check_timeout(timeout),
        )
        return self._submit_one(func, args, kwargs, key, options)

    def submit_task(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        label: str | None = None,
        group: str = "",
        pure: bool = False,
        retries: int = 0,
        priority: int = 0,
        workers: Workers = None,
        timeout_s: float = 0.0,
        on_output: Callable[[str, str], object] | None = None,
        resources: Mapping[str, float] | None = None,
        rerun: str = "always",
    ) -> Future:
        """Have a function called, with everything a tool may want to say about the task.

        As `submit`; besides, ``label`` is the name people see, ``group`` says which cell or run asked, ``timeout_s``
        limits the run, and ``on_output(stream, text)`` is called from the I/O thread with what the task prints, as it
        prints it; it must not block.
        """
        check_callable(func)
        options = make_options(
            workers,
            False,
            resources,
            rerun,
            retries=retries,
            priority=priority,
            pure=pure,
            group=group,
            timeout_s=timeout_s,
            output=on_output is not None,
        )
        return self._submit_one(func, args, kwargs or {}, key, options, label=label, on_output=on_output)

    def _submit_one(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        key: str | None,
        options: TaskOptions,
        *,
        label: str | None = None,
        on_output: Callable[[str, str], object] | None = None,
    ) -> Future:
        session = self.session
        session.check_open()
        if key is not None and (known := session.join(check_key(key))) is not None:
            return Future(self, known)
        function = pack_function(func, label, session.code)
        call = pack_call(self, function, args, kwargs, key=key, pure=options.pure, settings=self.settings)
        with session.lock:  # nothing is heard of the task before its listener is in place
            wish = session.submit(function, options, [call.spec])[0]
            if on_output is not None:
                wish.on_output = on_output
        return Future(self, wish)

    def map(
        self,
        func: Callable[..., Any],
        *iterables: Any,
        key: str | Iterable[str] | None = None,
        pure: bool = True,
        workers: Any = None,
        allow_other_workers: bool = False,
        retries: int = 0,
        priority: int = 0,
        timeout: float | None = None,
        resources: Mapping[str, float] | None = None,
        rerun: str = "always",
        maxsize: int = AHEAD_MAX,
        **kwargs: Any,
    ) -> Any:
        """Have a function called on each element of iterables, or on pairs, triples… of their elements.

        The shortest iterable wins. The function is packed once.

        Parameters
        ----------
        func, *iterables, **kwargs
            The calls. When all iterables are iterators they are read as their futures are, ``maxsize`` ahead; queues
            are read as they are filled.
        key
            The beginning of the tasks' names, to which their places are added; or a name for each, also from an iterator.
        workers
            As `submit`; or a list or an iterator with one set of workers for each call.
        maxsize
            For iterators and queues: how many futures are made ahead of their reader.
        pure, allow_other_workers, retries, priority, timeout, resources, rerun
            As `submit`, for each call.

        Returns
        -------
        list, iterator or Queue of Future
            As the iterables are.

        Raises
        ------
        TypeError
            Queues beside other things.
        UsageError
            There is no iterable, or not as many keys or sets of workers as calls.
        PackingError, TypeError, UsageError, CancelledError, ClusterClosedError
            As `submit`.
        """
        check_callable(func)
        check_count("retries", retries)
        check_count("maxsize", maxsize, least=1)
        if not iterables:
            raise UsageError("map needs at least one iterable beside the function")
        self.session.check_open()
        make = functools.partial(
            make_options,
            allow_other_workers=allow_other_workers,
            resources=resources,
            rerun=rerun,
            retries=retries,
            priority=priority,
            pure=pure,
            timeout_s=check_timeout(timeout),
        )
        function = pack_function(func, code=self.session.code)
        return Mapper(self, function, kwargs, options_of_each(workers, make), key).map(iterables, maxsize)

    def scatter(
        self, data: Any, workers: Workers = None, broadcast: bool | int = False, *, maxsize: int = AHEAD_MAX
    ) -> Any:
        """Put data where every worker can use it, once, for many tasks.

        A list, tuple, set, iterator or queue gives the same with futures in it; a dict gives a dict whose keys name
        the tasks. Anything else is one piece of data and gives one future.

        A large piece is written once into memory that all processes of the host share; tasks use it from there
        without a copy. So the arrays in it are read-only: a task that wants to change one makes a copy of its own.
        A worker's death loses none of it. It is freed when its last future is gone and no task on its way needs it;
        keep its future as long as a result made from it might have to be made again.

        Parameters
        ----------
        data
            The data.
        workers
            Names or hosts of the workers that shall have it. All workers of a host have it, so nothing depends on it.
        broadcast
            Whether all, or how many workers shall have it. Nothing depends on it either.
        maxsize
            For a queue: how many futures are made ahead of their reader.

        Raises
        ------
        PackingError
            A piece cannot be pickled, or is larger than ``object_bytes_max``.
        StorageFullError
            The host has no room for it; nothing of that piece is left.
        UsageError
            There is no such worker, or ``broadcast`` is no number of workers.
        ClusterClosedError
            The executor is closed.
        """
        check_broadcast(broadcast)
        workers = named_workers(workers)
        check_count("maxsize", maxsize, least=1)
        self.session.check_open()
        if feeding.are_queues([data]):
            feeder = feeding.Feeder(self, lambda item: [self._scatter_one(item)], self._excuse_scatter)
            return feeder.start([data], maxsize)
        return self.perform(self._scatter(data, workers))

    async def _scatter(self, data: Any, workers: Workers) -> Any:
        if workers is not None:
            inspection.chosen_workers(await self.describe(), workers)
        if type(data) is dict:
            keys = list(map(check_key, data))  # before anything is written
            return {key: self._scatter_one(data[key], key) for key in keys}
        if type(data) in (list, tuple, set, frozenset):
            return type(data)(self._scatter_one(item) for item in data)
        if isinstance(data, Iterator):
            return (self._scatter_one(item) for item in data)
        return self._scatter_one(data)

    def _scatter_one(self, value: Any, key: str | None = None) -> Future:
        return Future(self, scatter_one(self.session, self.readers.store, value, key))

    def _excuse_scatter(self, error: BaseException) -> Future:
        return Future(self, failed_wish("scatter", error))

    # -- results -----------------------------------------------------------------------------------------------------

    def gather(self, futures: Any, errors: str = "raise", *, maxsize: int = 0) -> Any:
        """Return the results of futures, in the same nested list, tuple, set or dict; of an iterator, an iterator.

        Parameters
        ----------
        futures
            One future, or any nesting of containers of futures and other things; an iterator, or a queue of such. Of a
            dict's values or items, a list.
        errors
            ``raise`` the first error as soon as it is known, or ``skip`` futures that erred or were cancelled; these
            are left out of their list. In a queue an error that is not skipped stands in the place of its result.
        maxsize
            For a queue: how many results are put ahead of their reader; 0 for any number.

        Returns
        -------
        Any
            An asynchronous executor returns an awaitable of it, and for an iterator an asynchronous iterator.

        Raises
        ------
        Exception
            As `Future.result`.
        UsageError
            ``errors`` is neither, or a future is of another executor.
        """
        __tracebackhide__ = True
        if errors not in ("raise", "skip"):
            raise UsageError(f"errors={errors!r}: choose 'raise' or 'skip'")
        check_count("maxsize", maxsize)
        if isinstance(futures, KeysView | ValuesView | ItemsView):
            futures = list(futures)
        results = self.results
        if feeding.are_queues([futures]):
            feeder = feeding.Feeder(self, lambda item: block(results.gather([item], errors)), lambda error: error)
            return feeder.start([futures], maxsize)
        if isinstance(futures, Iterator):
            return self._iterate_awaiting(futures, errors) if self.asynchronous else self._iterate(futures, errors)
        try:
            return self.perform(results.gather(futures, errors))
        except BaseException as error:
            hide_frames(error)
            raise

    def _iterate(self, futures: Iterator[Any], errors: str) -> Iterator[Any]:
        __tracebackhide__ = True
        try:
            for future in futures:
                yield from block(self.results.gather([future], errors))
        except BaseException as error:
            hide_frames(error)
            raise

    async def _iterate_awaiting(self, futures: Iterator[Any], errors: str) -> AsyncIterator[Any]:
        __tracebackhide__ = True
        try:
            for future in futures:
                for value in await begin(self.results.gather([future], errors)):
                    yield value
        except BaseException as error:
            hide_frames(error)
            raise

    # -- giving up, and trying again ---------------------------------------------------------------------------------

    def cancel(self, futures: Any, force: bool = False) -> None:
        """Cancel futures that are not done, and what was made from them; with ``force`` stop what runs as well.

        Without ``force`` a task that runs goes on to its end; its result is dropped. Never blocks.

        Raises
        ------
        UsageError
            A future is of another executor.
        TypeError
            There is no future in what is given, or ``force`` is no bool.
        ClusterClosedError
            The executor is closed, and a future is not done.
        """
        check_flag("force", force)
        found = containers.futures_of(self, futures)
        pending = [future.wish for future in found if not future.done()]
        if pending:
            self.session.say(Cancel(tuple(wish.key for wish in pending), force))
            self.session.settle_cancelled(pending, "cancelled by its user")

    def retry(self, futures: Any) -> Any:
        """Try erred futures again, with the inputs whose error they passed on; others are left as they are.

        An input that erred is tried again for all that was made from it: whatever passed its error on is pending too.

        Raises
        ------
        UsageError
            A future is of another executor.
        TypeError
            There is no future in what is given.
        ClusterClosedError
            The executor is closed.
        """
        self.session.retry([future.wish for future in containers.futures_of(self, futures)])
        return self.perform(_nothing())


async def _nothing() -> None:
    """Make a call that needs no wait."""
