"""The Executor: what users hold of a cluster.

Thread-safe; every blocking call can be interrupted. It is a front: calls are checked and packed by `calls` and
`mapping`, wished for and heard of in `session`, waited for and turned into values by `results`. What it tells and does
beside work is in `inspecting`, `steering`, `moving`, `everywhere` and `uploading`, what it finds of earlier sessions in
`attaching`. An executor that started its cluster ends it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self

from jupyter_dist.client import containers, current, feeding, inspection
from jupyter_dist.client.adapters import Adapters, announce_to_joblib, shut_pools
from jupyter_dist.client.attaching import Attaching
from jupyter_dist.client.blocking import Aside, Remotely, begin, block
from jupyter_dist.client.calls import (
    check_callable,
    check_count,
    check_flag,
    check_key,
    check_timeout,
    make_options,
    pack_call,
)
from jupyter_dist.client.connecting import DEFAULT_NAME, Address, find, is_running, session_kind, session_name
from jupyter_dist.client.data import check_broadcast, scatter_one
from jupyter_dist.client.everywhere import Everywhere
from jupyter_dist.client.explaining import Explaining
from jupyter_dist.client.feed import Feed
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.future import Future
from jupyter_dist.client.inspecting import Inspecting
from jupyter_dist.client.joining import Joining
from jupyter_dist.client.keeping import Keeping
from jupyter_dist.client.loop import loop_thread
from jupyter_dist.client.mapping import AHEAD_MAX, Mapper, options_of_each
from jupyter_dist.client.moving import Moving
from jupyter_dist.client.orphans import failed_wish
from jupyter_dist.client.packing import pack_function
from jupyter_dist.client.publishing import Publishing
from jupyter_dist.client.reading import Readers
from jupyter_dist.client.results import Results
from jupyter_dist.client.session import Session, open_session
from jupyter_dist.client.showing import Showing
from jupyter_dist.client.steering import Steering
from jupyter_dist.client.uploading import Uploading
from jupyter_dist.core.resources import check_resources
from jupyter_dist.errors import ClusterClosedError, UsageError
from jupyter_dist.launch.cluster import LocalCluster
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import Cancel, StopCluster, TaskOptions
from jupyter_dist.settings import Settings, load_settings

SHUT = "this executor was shut down"

Workers = str | Iterable[str] | None


class Executor(
    Inspecting,
    Joining,
    Explaining,
    Steering,
    Moving,
    Keeping,
    Attaching,
    Showing,
    Publishing,
    Everywhere,
    Uploading,
    Adapters,
):
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
        Memory of each worker of a new cluster, in bytes or as ``"2GB"``. Results beyond 60 % of it go to the disk; a
        worker that uses more than all of it is replaced.
    resources : dict, optional
        What each worker of a new cluster has besides its slots, as ``{"GPU": 2}``.
    asynchronous : bool, default False
        Whether what would block returns an awaitable instead. Such an executor is started by ``await``, or by
        ``async with``.
    set_as_default : bool, default True
        Whether it may be meant where none is named, see `default_executor`.
    start : bool, default True
        Whether to start at once; else `start` does.
    settings : Settings, optional
        By default from the environment.

    Raises
    ------
    NoClusterError
        There is no cluster of that name, or it does not answer.
    ClusterStartError
        A new one did not come up.
    UsageError
        Both an address and a number of workers were given, or resources for a cluster that runs already.
    """

    def __init__(
        self,
        address: Address | None = None,
        n_workers: int | None = None,
        threads_per_worker: int = 1,
        *,
        name: str | None = None,
        memory_limit: int | str | None = None,
        resources: Mapping[str, float] | None = None,
        asynchronous: bool = False,
        set_as_default: bool = True,
        start: bool = True,
        settings: Settings | None = None,
    ) -> None:
        if address is not None and n_workers is not None:
            raise UsageError("give either the address of a running cluster or n_workers for a new one, not both")
        if name is not None:
            check_key(name, "name")
        self.asynchronous = asynchronous
        self.settings = settings or load_settings()
        self.session_name = name or session_name()
        self.loop = loop_thread()
        self._address = address
        self._set_as_default = set_as_default
        self._make_cluster = functools.partial(
            LocalCluster,
            n_workers,
            threads_per_worker,
            memory_limit=memory_limit,
            resources=resources,
            settings=self.settings,
        )
        self._is_new = address is None and (n_workers is not None or not is_running(DEFAULT_NAME))
        if check_resources(resources) and not self._is_new:
            raise UsageError("the cluster runs already: its workers have the resources it was started with")
        self._own_cluster: LocalCluster | None = None
        self._session: Session | None = None
        self._is_starting = False
        self._is_shut = False
        if start and not asynchronous:
            block(self._start())

    # -- its beginning -----------------------------------------------------------------------------------------------

    def start(self) -> Any:
        """Connect, and start the cluster if it is to have one of its own. A second call does nothing.

        Raises
        ------
        NoClusterError, ClusterStartError
            As the constructor.
        ClusterClosedError
            It was shut down: make a new one.
        """
        return self.perform(self._start())

    async def _start(self) -> Self:
        if self._is_shut:
            raise ClusterClosedError(f"{SHUT}: make a new one")
        if self._session is None:
            if self._is_starting:
                raise UsageError("this Executor is being started already: await it once")
            self._is_starting = True
            try:
                await self._connect()
            finally:
                self._is_starting = False
        return self

    async def _connect(self) -> None:
        if self._is_new:
            self._own_cluster = await Aside(self._make_cluster)
        try:
            info = find(self._own_cluster or self._address)
            kind, linger_s = self._terms()
            opening = functools.partial(open_session, kind=kind, name=self.session_name, linger_s=linger_s)
            session = await Remotely(self.loop, opening, info, self.settings)
        except BaseException:
            if self._own_cluster is not None:
                await Aside(self._own_cluster.close)
            raise
        self._readers = Readers(info, self.settings)
        self._results = Results(session, self._readers, self.loop)
        self._feed = Feed(session)
        self._session = session
        current.add(self, as_default=self._set_as_default)
        announce_to_joblib()

    def _terms(self) -> tuple[str, float]:
        """Return what its session is to the scheduler, and for how long its results outlive it."""
        kind = session_kind()
        return kind, self.settings.linger_notebook_s if kind == "kernel" else self.settings.linger_script_s

    def share(self, other: Executor) -> None:
        """Be another front of another executor's session, instead of starting."""
        self._readers, self._results, self._feed = other.readers, other.results, other.feed
        self._session = other.session
        current.add(self, as_default=self._set_as_default)

    def __await__(self) -> Generator[Any, Any, Self]:
        return begin(self._start()).__await__()

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """Its session with the scheduler. UsageError before it is started."""
        if self._session is None:
            raise UsageError("this Executor is not started: `await` it, use `async with`, or call its `start()`")
        return self._session

    @property
    def readers(self) -> Readers:
        """How large values are read."""
        self._check_started()
        return self._readers

    @property
    def results(self) -> Results:
        """How values are had."""
        self._check_started()
        return self._results

    @property
    def feed(self) -> Feed:
        """How its cluster is watched."""
        self._check_started()
        return self._feed

    @property
    def info(self) -> ClusterInfo:
        """How its cluster is reached."""
        return self.session.info

    @property
    def name(self) -> str:
        """The name of the cluster."""
        return self.info.name

    @property
    def is_started(self) -> bool:
        """Whether it has a session, or had one."""
        return self._session is not None

    @property
    def owns_cluster(self) -> bool:
        """Whether its cluster ends with it."""
        return self._own_cluster is not None

    @property
    def is_closed(self) -> bool:
        """Whether it was shut down, or its cluster is gone."""
        return self._is_shut or (self._session is not None and self._session.is_closed)

    @property
    def closed_reason(self) -> str:
        """Why it is closed, in words; empty while it is not."""
        told = self._session.closed_reason if self._session is not None else ""
        return told or (SHUT if self._is_shut else "")

    @property
    def futures(self) -> dict[str, Future]:
        """All futures that are held in this process, by key."""
        with self.session.lock:
            wishes = list(self.session.table.by_key.values())
            for wish in wishes:
                wish.references += 1
        return {wish.key: Future(self, wish) for wish in wishes}

    def _check_started(self) -> None:
        _ = self.session

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

        Raises
        ------
        PackingError
            The function or an argument cannot be pickled; nothing was sent.
        TypeError
            ``func`` is not callable, ``allow_other_workers`` no bool, or a worker or resource of a wrong type.
        UsageError
            ``allow_other_workers`` without ``workers``, no worker among these, a number or an amount that is negative,
            or a future of another executor.
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
            The beginning of the tasks' names, to which their places are added; or a name for each.
        workers
            As `submit`; or a list with one set of workers for each call.
        maxsize
            For iterators and queues: how many futures are made ahead of their reader.
        pure, allow_other_workers, retries, priority, timeout, resources
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
        return Future(self, scatter_one(self.session, self._readers.store, value, key))

    def _excuse_scatter(self, error: BaseException) -> Future:
        return Future(self, failed_wish("scatter", error))

    # -- results -----------------------------------------------------------------------------------------------------

    def gather(self, futures: Any, errors: str = "raise", *, maxsize: int = 0) -> Any:
        """Return the results of futures, in the same nested list, tuple, set or dict; of an iterator, an iterator.

        Parameters
        ----------
        futures
            One future, or any nesting of containers of futures and other things; an iterator, or a queue of such.
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
        """Try erred futures again, and with them the inputs whose error they passed on; others are left as they are.

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

    # -- its end -----------------------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> Any:
        """Close this executor, and the cluster if this executor started it. A second call does nothing.

        Parameters
        ----------
        wait
            Return only when pending futures are done (as in `concurrent.futures`), unless they are cancelled.
        cancel_futures
            Do not wait for them: cancel them.
        """
        return self.perform(self._shutdown(is_waiting=wait and not cancel_futures, cancel_futures=cancel_futures))

    def close(self) -> Any:
        """Close this executor without waiting: what is not done is cancelled. As ``shutdown(wait=False)``."""
        return self.shutdown(wait=False)

    async def _shutdown(self, *, is_waiting: bool, cancel_futures: bool) -> None:
        session, self._is_shut = self._session, True
        if session is not None and not session.is_closed:
            await Aside(functools.partial(shut_pools, self, wait=is_waiting, cancel_futures=cancel_futures))
            pending = session.unsettled()
            if is_waiting and pending:
                await self._results.wait(pending)
            await Remotely(self.loop, self._close, session)
        if self._own_cluster is not None:
            await Aside(self._own_cluster.close)

    async def _close(self, session: Session) -> None:
        self._readers.close()
        await session.close(SHUT)

    def stop_cluster(self) -> Any:
        """End the cluster, for everybody who uses it."""
        return self.perform(self._stop_cluster())

    async def _stop_cluster(self) -> None:
        await self.ask(StopCluster)
        if self._own_cluster is not None:
            await Aside(self._own_cluster.close)

    # -- the executor that is meant here -----------------------------------------------------------------------------

    def as_current(self) -> AbstractContextManager[None]:
        """Make it the default executor of what runs inside a `with`, in this thread or asyncio task."""
        return current.entered(self)

    def __enter__(self) -> Self:
        if self.asynchronous:
            raise UsageError("this Executor is asynchronous: use `async with`")
        block(self._start())
        current.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        current.leave(self)
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    async def __aenter__(self) -> Self:
        await begin(self._start())
        current.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        current.leave(self)
        await begin(self._shutdown(is_waiting=kind is None, cancel_futures=kind is not None))


async def _nothing() -> None:
    """Make a call that needs no wait."""


def default_executor() -> Executor:
    """Return the executor that is meant when none is named.

    That is the innermost one that was entered with ``with`` in this thread or asyncio task; else, inside a task, the one
    of `get_executor`; else the one made last, of those that are open and were not made with ``set_as_default=False``.

    Raises
    ------
    NoClusterError
        There is none; the text says how to make one.
    """
    found: Executor = current.find()
    return found
