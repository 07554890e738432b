"""An observer: a session that wants no task, for the Jupyter server and the command line. Lives in the caller's loop."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Self

from jupyter_dist.client.feed import Feed, Watching
from jupyter_dist.client.session import Session, open_session
from jupyter_dist.errors import ClusterClosedError, ClusterError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import (
    ClusterSnapshot,
    Describe,
    Observation,
    RestartCluster,
    ScaleCluster,
    StopCluster,
)
from jupyter_dist.settings import Settings, load_settings

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
            raise ClusterError("the scheduler answered without a snapshot: is it of another version?")
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

    def watch(self, callback: Callable[[Observation], None], interval_s: float) -> Watching:
        """Have a callback told, in this loop, what happens; at most once every ``interval_s`` seconds."""
        if self._feed is None:
            raise ClusterClosedError(NOT_OPEN)
        return self._feed.add(callback, interval_s)
