"""The Executor: what users hold of a cluster.

Thread-safe; every blocking call can be interrupted. It is a front, and each of its themes a part of its own: work is in
`working`, what it tells and does beside that in `inspecting`, `steering`, `moving`, `everywhere` and `uploading`, what it
finds of earlier sessions in `attaching`. Here are its beginning and its end. One that started its cluster ends it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self

from jupyter_dist.client import current
from jupyter_dist.client.adapters import Adapters, announce_to_joblib, shut_pools
from jupyter_dist.client.attaching import Attaching
from jupyter_dist.client.blocking import Aside, Remotely, begin, block
from jupyter_dist.client.callbacks import run_later
from jupyter_dist.client.calls import check_flag, check_key
from jupyter_dist.client.connecting import DEFAULT_NAME, Address, find, is_running, session_kind, session_name
from jupyter_dist.client.everywhere import Everywhere
from jupyter_dist.client.explaining import Explaining
from jupyter_dist.client.feed import Feed
from jupyter_dist.client.future import Future
from jupyter_dist.client.inspecting import Inspecting
from jupyter_dist.client.joining import Joining
from jupyter_dist.client.keeping import Keeping
from jupyter_dist.client.loop import loop_thread
from jupyter_dist.client.moving import Moving
from jupyter_dist.client.publishing import Publishing
from jupyter_dist.client.reading import Readers
from jupyter_dist.client.results import Results
from jupyter_dist.client.session import Session, open_session
from jupyter_dist.client.showing import Showing
from jupyter_dist.client.steering import Steering
from jupyter_dist.client.uploading import Uploading
from jupyter_dist.client.working import Working
from jupyter_dist.core.resources import check_resources
from jupyter_dist.errors import ClusterClosedError, UsageError
from jupyter_dist.launch.cluster import LocalCluster
from jupyter_dist.launch.connection_file import ClusterInfo, is_live
from jupyter_dist.messages import StopCluster
from jupyter_dist.settings import Settings, load_settings

SHUT = "this executor was shut down"


class Executor(
    Working,
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
        for what, flag in (("asynchronous", asynchronous), ("set_as_default", set_as_default), ("start", start)):
            check_flag(what, flag)
        if settings is not None and not isinstance(settings, Settings):
            raise TypeError(f"settings are Settings, not {settings!r}")
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
        self._results = Results(self, session, self._readers, self.loop)
        self._feed = Feed(session)
        self._feed.on_ended = self._tidy
        self._session = session
        current.add(self, as_default=self._set_as_default)
        announce_to_joblib()

    def _tidy(self) -> None:
        """Remove what is left of its own cluster, whose nanny has died: shared memory too. Takes no time here."""
        cluster = self._own_cluster
        if cluster is not None and not is_live(cluster.info):
            run_later(cluster.close)

    def _terms(self) -> tuple[str, float]:
        """Return what its session is to the scheduler, and for how long its results outlive it."""
        kind = session_kind()
        return kind, self.settings.linger_notebook_s if kind == "kernel" else self.settings.linger_script_s

    def share(self, other: Executor) -> None:
        """Be another front of another executor's session, instead of starting."""
        self._readers, self._feed, self._session = other.readers, other.feed, other.session
        self._results = Results(self, other.session, other.readers, self.loop)
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
    def wishes_made(self) -> int:
        """How many futures this executor has made; those made from here on have a higher number in their wish."""
        return self.session.table.last_number

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
        check_flag("wait", wait)
        check_flag("cancel_futures", cancel_futures)
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
        try:
            await session.close(SHUT)  # first: whoever is read from then is not told that a worker was lost
        finally:
            self._readers.close()

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
