"""An observer: a session that wants no task, for the Jupyter server and the command line. Lives in the caller's loop."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Self

from jupyter_dist.client.feed import Feed, Watching
from jupyter_dist.client.session import Session, open_session
from jupyter_dist.errors import ClusterClosedError, ClusterError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import (
    AdaptCluster,
    CancelTasks,
    ClusterSnapshot,
    Describe,
    DescribeSessions,
    DescribeTask,
    ListTasks,
    Observation,
    RestartCluster,
    RestartWorkers,
    RetireWorkers,
    RetryTasks,
    ScaleCluster,
    SessionView,
    StopAdapting,
    StopCluster,
    TaskDetail,
    TaskPage,
)
from jupyter_dist.settings import Settings, load_settings

ANOTHER_VERSION = "the scheduler answered something else than was asked: is it of another version?"
NOT_OPEN = "the observer is not open: use it in `async with`"


class Observer:
    """Sees and steers a cluster. An async context manager.

    Raises
    ------
    NoClusterError
        On entry: nobody answers.
    ClusterError
        From any method: the scheduler said no, or is gone; the text says why.
    """

    def __init__(self, info: ClusterInfo, *, settings: Settings | None = None) -> None:
        self.info = info
        self._settings = settings or load_settings()
        self._session: Session | None = None
        self._feed: Feed | None = None

    async def __aenter__(self) -> Self:
        self._session = await open_session(self.info, self._settings, kind="observer", name="observer")
        self._feed = Feed(self._session)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close("the observer left")

    @property
    def is_closed(self) -> bool:
        """Whether the cluster is gone, or this observer was closed."""
        return self._session is None or self._session.is_closed

    @property
    def closed_reason(self) -> str:
        """Why, in words; empty while it is not."""
        return self._session.closed_reason if self._session is not None else "never opened"

    def _opened(self) -> Session:
        if self._session is None:
            raise ClusterClosedError(NOT_OPEN)
        return self._session

    async def describe(self) -> ClusterSnapshot:
        """Return what the cluster is at this moment."""
        answer = await self._opened().ask(Describe)
        if answer.snapshot is None:
            raise ClusterError(ANOTHER_VERSION)
        return answer.snapshot

    async def scale(self, workers: int) -> None:
        """Have the cluster keep so many workers."""
        await self._opened().ask(lambda request: ScaleCluster(request, workers))

    async def restart(self) -> None:
        """Cancel everything and replace every worker; returns when the fresh ones are there."""
        await self._opened().ask(RestartCluster)

    async def stop(self) -> None:
        """End the cluster for everybody."""
        await self._opened().ask(StopCluster)

    async def adapt(self, minimum: int, maximum: int, interval_s: float = 1.0, wait_count: int = 3) -> None:
        """Have the cluster scale itself by its load from now on."""
        await self._opened().ask(lambda request: AdaptCluster(request, minimum, maximum, interval_s, wait_count))

    async def stop_adapting(self) -> None:
        """Have the cluster keep the workers it has now."""
        await self._opened().ask(StopAdapting)

    async def retire_worker(self, name: str) -> None:
        """Have a worker leave in order, and keep one fewer; returns when it is out."""
        await self._opened().ask(lambda request: RetireWorkers(request, (name,)))

    async def restart_worker(self, name: str) -> None:
        """Replace a worker at once, whatever it does; returns when the fresh one is there."""
        await self._opened().ask(lambda request: RestartWorkers(request, (name,)))

    async def sessions(self) -> tuple[SessionView, ...]:
        """Return who uses the cluster, or did and is expected back."""
        return (await self._opened().ask(DescribeSessions)).sessions

    async def list_tasks(self, *, state: str = "", text: str = "", before: int = 0, count: int = 100) -> TaskPage:
        """Return a page of tasks, the newest first; see `jupyter_dist.messages.ListTasks`."""
        answer = await self._opened().ask(lambda request: ListTasks(request, state, text, before, count))
        if answer.page is None:
            raise ClusterError(ANOTHER_VERSION)
        return answer.page

    async def describe_task(self, key: str) -> TaskDetail:
        """Return all there is to tell of one task; UsageError when the cluster does not know it."""
        answer = await self._opened().ask(lambda request: DescribeTask(request, key))
        if answer.task is None:
            raise ClusterError(ANOTHER_VERSION)
        return answer.task

    async def cancel_tasks(self, keys: Iterable[str], *, force: bool = False) -> tuple[str, ...]:
        """Give tasks up for everybody, and what waits for them; returns their keys."""
        return (await self._opened().ask(lambda request: CancelTasks(request, tuple(keys), force))).names

    async def retry_tasks(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Try erred tasks again for everybody, with all that has the same error; returns their keys."""
        return (await self._opened().ask(lambda request: RetryTasks(request, tuple(keys)))).names

    def watch(self, callback: Callable[[Observation], None], interval_s: float) -> Watching:
        """Have a callback told, in this loop, what happens; at most once every ``interval_s`` seconds."""
        if self._feed is None:
            raise ClusterClosedError(NOT_OPEN)
        return self._feed.add(callback, interval_s)
