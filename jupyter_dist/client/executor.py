"""The Executor: what users hold of a cluster.

Thread-safe; every blocking call can be interrupted. It is a front: calls are checked and packed by `calls`, wished for
and heard of in `session`, waited for and turned into values by `results`. An executor that started its cluster ends it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from jupyter_dist.client import containers, inspection
from jupyter_dist.client.calls import check_callable, check_count, check_key, make_options, pack_call
from jupyter_dist.client.connecting import DEFAULT_NAME, Address, Newest, find, is_running, session_kind, session_name
from jupyter_dist.client.feed import Feed, Watching, wait_for_workers
from jupyter_dist.client.future import Future
from jupyter_dist.client.loop import loop_thread
from jupyter_dist.client.packing import pack_function
from jupyter_dist.client.reading import Readers
from jupyter_dist.client.results import Results
from jupyter_dist.client.session import Session, open_session
from jupyter_dist.client.waiting import unsettled
from jupyter_dist.errors import ClusterError, UsageError
from jupyter_dist.ids import new_token
from jupyter_dist.launch.cluster import LocalCluster
from jupyter_dist.messages import (
    Answer,
    Cancel,
    ClusterSnapshot,
    Describe,
    DescribeTasks,
    FunctionBody,
    Message,
    Observation,
    RestartCluster,
    ScaleCluster,
    StopCluster,
    TaskHome,
    TaskOptions,
)
from jupyter_dist.protocol.payload import pack_inline
from jupyter_dist.settings import Settings, load_settings

LAZY_MAX = 1000  # futures a lazy `map` keeps ahead of its reader


class Executor:
    """A connection to a cluster, through which calls are submitted.

    Parameters
    ----------
    address : str, ClusterInfo or LocalCluster, optional
        Which cluster: the name of a running one, or the cluster itself. With nothing, the running one named
        ``default``, else a new local one that ends with this executor.
    n_workers : int, optional
        Start a new local cluster with so many workers, which ends with this executor or this process.
    threads_per_worker : int, default 1
        Tasks each worker of a new cluster runs at a time.
    name : str, optional
        The name of this session, as others see it; by default the notebook or script.
    memory_limit : int or str, optional
        Memory of each worker of a new cluster, in bytes or as ``"2GB"``.
    settings : Settings, optional
        By default from the environment.

    Raises
    ------
    NoClusterError
        There is no cluster of that name, or it does not answer.
    ClusterStartError
        A new one did not come up.
    """

    def __init__(
        self,
        address: Address | None = None,
        n_workers: int | None = None,
        threads_per_worker: int = 1,
        *,
        name: str | None = None,
        memory_limit: int | str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        self._own_cluster: LocalCluster | None = None
        is_new = address is None and (n_workers is not None or not is_running(DEFAULT_NAME))
        if is_new:
            self._own_cluster = LocalCluster(
                n_workers, threads_per_worker, memory_limit=memory_limit, settings=settings
            )
        elif n_workers is not None:
            raise UsageError("give either the address of a running cluster or n_workers for a new one, not both")
        self.info = find(self._own_cluster or address)
        self._loop = loop_thread()
        self.session_name = name or session_name()
        self.session: Session = self._open()
        self._readers = Readers(self.info, self.settings)
        self.results = Results(self.session, self._readers, self._loop)
        self._feed = Feed(self.session)
        _newest.add(self)

    def _open(self) -> Session:
        kind = session_kind()
        linger_s = self.settings.linger_notebook_s if kind == "kernel" else self.settings.linger_script_s
        opening = open_session(self.info, self.settings, kind=kind, name=self.session_name, linger_s=linger_s)
        try:
            return self._loop.run(opening)
        except BaseException:
            if self._own_cluster is not None:
                self._own_cluster.close()
            raise

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the cluster."""
        return self.info.name

    @property
    def is_closed(self) -> bool:
        """Whether it was shut down, or its cluster is gone."""
        return self.session.is_closed

    @property
    def closed_reason(self) -> str:
        """Why it is closed, in words; empty while it is not."""
        return self.session.closed_reason

    @property
    def futures(self) -> dict[str, Future]:
        """All futures that are held in this process, by key."""
        with self.session.lock:
            wishes = list(self.session.table.by_key.values())
            for wish in wishes:
                wish.references += 1
        return {wish.key: Future(self, wish) for wish in wishes}

    @property
    def nannies(self) -> dict[str, str]:
        """The nanny of each worker, by the worker's name; right across restarts, because names stay."""
        return dict(self.snapshot().nannies)

    def __repr__(self) -> str:
        state = f"closed: {self.closed_reason}" if self.is_closed else f"{len(self.session.table.by_key)} futures"
        return f"<Executor on {self.name!r}, {state}>"

    # -- work --------------------------------------------------------------------------------------------------------

    def submit(
        self,
        func: Callable[..., Any],
        *args: Any,
        key: str | None = None,
        pure: bool = True,
        workers: str | Iterable[str] | None = None,
        allow_other_workers: bool = False,
        retries: int = 0,
        priority: int = 0,
        **kwargs: Any,
    ) -> Future:
        """Have a function called on the cluster.

        Parameters
        ----------
        func, *args, **kwargs
            The call. Futures inside list, tuple, set or dict arguments stand for their results.
        key
            The name of the task; a known key gives a future on the known task.
        pure
            Whether the same call gives the same result: then it has the same key and runs once.
        workers
            Names or hosts of the workers that may run it.
        allow_other_workers
            Whether others may when none of these is there.
        retries
            How often it is tried again when it raises.
        priority
            Higher ones run first.

        Raises
        ------
        PackingError
            The function or an argument cannot be pickled; nothing was sent.
        TypeError
            ``func`` is not callable.
        UsageError
            ``allow_other_workers`` without ``workers``.
        ClusterClosedError
            The executor is closed.
        """
        check_callable(func)
        check_count("retries", retries)
        options = make_options(workers, allow_other_workers, retries=retries, priority=priority, pure=pure)
        return self._submit_one(pack_function(func), args, kwargs, key, options)

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
        workers: str | Iterable[str] | None = None,
        timeout_s: float = 0.0,
        on_output: Callable[[str, str], object] | None = None,
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
            retries=retries,
            priority=priority,
            pure=pure,
            group=group,
            timeout_s=timeout_s,
            output=on_output is not None,
        )
        return self._submit_one(pack_function(func, label), args, kwargs or {}, key, options, on_output)

    def _submit_one(
        self,
        function: FunctionBody,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        key: str | None,
        options: TaskOptions,
        on_output: Callable[[str, str], object] | None = None,
    ) -> Future:
        call = pack_call(self, function, args, kwargs, key=key, pure=options.pure, settings=self.settings)
        with self.session.lock:  # nothing is heard of the task before its listener is in place
            wish = self.session.submit(function, options, [call.spec])[0]
            if on_output is not None:
                wish.on_output = on_output
        return Future(self, wish)

    def map(
        self,
        func: Callable[..., Any],
        *iterables: Iterable[Any],
        pure: bool = True,
        workers: str | Iterable[str] | None = None,
        allow_other_workers: bool = False,
        retries: int = 0,
        priority: int = 0,
        **kwargs: Any,
    ) -> list[Future] | Iterator[Future]:
        """Have a function called on each element of iterables, or on pairs, triples… of their elements.

        The shortest iterable wins. The function is packed once. When all iterables are iterators, an iterator of
        futures is returned that submits a bounded number ahead of its reader; else a list.

        Raises
        ------
        PackingError, TypeError, UsageError, ClusterClosedError
            As `submit`.
        """
        check_callable(func)
        check_count("retries", retries)
        if not iterables:
            raise UsageError("map needs at least one iterable beside the function")
        function = pack_function(func)
        options = make_options(workers, allow_other_workers, retries=retries, priority=priority, pure=pure)
        if all(isinstance(iterable, Iterator) for iterable in iterables):
            return self._map_lazily(function, iterables, kwargs, options)
        rows = zip(*iterables, strict=False)
        settings = self.settings
        calls = [pack_call(self, function, row, kwargs, key=None, pure=pure, settings=settings) for row in rows]
        wishes = self.session.submit(function, options, [call.spec for call in calls])
        return [Future(self, wish) for wish in wishes]

    def _map_lazily(
        self, function: FunctionBody, iterables: tuple[Iterable[Any], ...], kwargs: dict[str, Any], options: TaskOptions
    ) -> Iterator[Future]:
        ahead: list[Future] = []
        for row in zip(*iterables, strict=False):
            ahead.append(self._submit_one(function, row, kwargs, None, options))
            if len(ahead) >= LAZY_MAX:
                yield ahead.pop(0)
        yield from ahead

    def scatter(self, data: Any) -> Any:
        """Send data to the cluster once, to be used by many tasks.

        A list, tuple, set or iterator gives the same with futures in it; a dict gives a dict whose keys name the
        tasks. Anything else is one piece of data and gives one future. Each piece is kept by the scheduler as it was
        sent, so no worker's death loses it.

        Raises
        ------
        PackingError
            A piece cannot be pickled, or is larger than ``argument_bytes_max``.
        """
        if type(data) is dict:
            return {name: self._scatter_one(item, check_key(name)) for name, item in data.items()}
        if type(data) in (list, tuple, set, frozenset):
            return type(data)(self._scatter_one(item) for item in data)
        if isinstance(data, Iterator):
            return (self._scatter_one(item) for item in data)
        return self._scatter_one(data)

    def _scatter_one(self, value: Any, key: str | None = None) -> Future:
        packed = pack_inline(value)
        kind = type(value).__name__
        key = key or f"{kind}-{new_token()}"
        if len(packed) <= self.settings.inline_bytes_max:
            return Future(self, self.session.put(key, packed, kind))
        return self.submit_task(containers.identity, (value,), key=key, label="scatter")

    # -- results -----------------------------------------------------------------------------------------------------

    def gather(self, futures: Any, errors: str = "raise") -> Any:
        """Return the results of futures, in the same nested list, tuple, set or dict; of an iterator, an iterator.

        Parameters
        ----------
        futures
            One future, or any nesting of containers of futures and other things.
        errors
            ``raise`` the first error as soon as it is known, or ``skip`` futures that erred or were cancelled; these
            are left out of their list.

        Raises
        ------
        Exception
            As `Future.result`.
        UsageError
            ``errors`` is neither.
        """
        __tracebackhide__ = True
        return self.results.gather(futures, errors)

    # -- giving up ---------------------------------------------------------------------------------------------------

    def cancel(self, futures: Any, force: bool = False) -> None:
        """Cancel futures that are not done, and what was made from them; with ``force`` stop what runs as well.

        Without ``force`` a task that runs goes on to its end; its result is dropped.
        """
        found = containers.futures_in(futures)
        pending = [future.wish for future in found if not future.done()]
        if pending:
            self.session.say(Cancel(tuple(wish.key for wish in pending), force))
            self.session.settle_cancelled(pending, "cancelled by its user")

    def restart(self) -> None:
        """Kill and replace every worker, whatever it is doing, and forget every task: all futures are cancelled.

        Raises
        ------
        ClusterError
            Not all workers came back in time.
        """
        self._ask(RestartCluster)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close this executor, and the cluster if this executor started it. A second call does nothing.

        Parameters
        ----------
        wait
            Return only when pending futures are done (as in `concurrent.futures`), unless they are cancelled.
        cancel_futures
            Do not wait for them: cancel them.
        """
        if not self.is_closed:
            with self.session.lock:
                pending = unsettled(self.session.table.by_key.values())
            if wait and pending and not cancel_futures:
                self.results.wait(pending, stop_on_error=False)
            self._loop.run(self._close())
        if self._own_cluster is not None:
            self._own_cluster.close()

    async def _close(self) -> None:
        self._readers.close()
        await self.session.close("this executor was shut down")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    def retry(self, futures: Any) -> None:
        """Try erred futures again, and with them the inputs whose error they passed on; others are left as they are."""
        self.session.retry([future.wish for future in containers.futures_of(self, futures)])

    # -- where things are --------------------------------------------------------------------------------------------

    def ncores(self, workers: str | Iterable[str] | None = None) -> dict[str, int]:
        """Return how many tasks each worker runs at a time, by its name. UsageError for an unknown worker."""
        return inspection.cores(self.snapshot(), workers)

    def who_has(self, futures: Any = None) -> dict[str, list[str]]:
        """Return the workers that hold each result, by key; of all results when no futures are given.

        A small result is kept by the scheduler itself and has no holder.
        """
        return {home.key: list(home.holders) for home in self._homes(futures) if home.state == "memory"}

    def has_what(self, workers: str | Iterable[str] | None = None) -> dict[str, list[str]]:
        """Return the keys of the results each worker holds, by its name. UsageError for an unknown worker."""
        return inspection.held_by_worker(self.snapshot(), self._homes(None), workers)

    def processing(self, workers: str | Iterable[str] | None = None) -> dict[str, list[str]]:
        """Return the keys of the tasks each worker was given, by its name. UsageError for an unknown worker."""
        return inspection.processed_by_worker(self.snapshot(), self._homes(None), workers)

    def nbytes(self, keys: Iterable[str] | None = None, summary: bool = True) -> dict[str, int]:
        """Return the sizes of results in memory in bytes, by key, or summed by function name."""
        wanted = None if keys is None else tuple(keys)
        homes = () if wanted == () else self._ask(lambda request: DescribeTasks(request, wanted or ())).tasks
        return inspection.bytes_by_key(homes, summary=summary)

    def scheduler_info(self) -> dict[str, Any]:
        """Return what is known of the scheduler and its workers, as a dict for a person or a tool."""
        return inspection.describe_cluster(self.snapshot(), self.info.address)

    def _homes(self, futures: Any) -> tuple[TaskHome, ...]:
        keys = () if futures is None else tuple(future.key for future in containers.futures_of(self, futures))
        if futures is not None and not keys:
            return ()
        return self._ask(lambda request: DescribeTasks(request, keys)).tasks

    # -- the cluster -------------------------------------------------------------------------------------------------

    def scale(self, workers: int) -> None:
        """Have the cluster keep so many workers; returns at once."""
        self._ask(lambda request: ScaleCluster(request, workers))

    def wait_for_workers(self, n_workers: int | None = None, timeout: float | None = None) -> None:
        """Wait until so many workers are there; by default as many as the cluster is to have.

        Tasks need not wait for this: they are queued until a worker is there.

        Raises
        ------
        TimeoutError
            They were not there in time; the text says how many were.
        """
        self.session.check_open()
        wait_for_workers(self._feed, n_workers, timeout, self.settings.watch_interval_s_min)

    def stop_cluster(self) -> None:
        """End the cluster, for everybody who uses it."""
        self._ask(StopCluster)
        if self._own_cluster is not None:
            self._own_cluster.close()

    def snapshot(self) -> ClusterSnapshot:
        """Return what the cluster is at this moment: workers, counts, running tasks, errors."""
        snapshot = self._ask(Describe).snapshot
        if snapshot is None:
            raise ClusterError("the scheduler answered without a snapshot: is it of another version?")
        return snapshot

    def watch(self, callback: Callable[[Observation], None], interval_s: float = 0.5) -> Watching:
        """Have a callback told what happens, at most once every ``interval_s`` seconds, from the I/O thread.

        The first observation has every task event the scheduler still knows. Close what is returned to stop.
        """
        self.session.check_open()
        return self._feed.add(callback, interval_s)

    def _ask(self, make: Callable[[int], Message]) -> Answer:
        self.session.check_open()
        return self._loop.run(self.session.ask(make))


_newest: Newest[Executor] = Newest()


def default_executor() -> Executor:
    """Return the executor made last that is not closed.

    Raises
    ------
    NoClusterError
        There is none; the text says how to make one.
    """
    return _newest.find()
