"""One live cluster as the manager keeps it: this server's connection to it, and the last it said.

A cluster lives on its own: the connection comes and goes, the cluster does not. While it is away the last values are
kept and shown with the reason; it is called lost after a lease without a word. Connecting never raises and is never
done twice at a time. Requests connect first if they must, are bounded in time, and say why they could not be served.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Protocol, Self, TypeVar

import msgspec

from jupyter_dist.errors import ClusterStateError, JupyterDistError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import SessionView, TaskDetail, TaskPage
from jupyter_dist.messages.observation import ClusterSnapshot, Observation
from jupyter_dist.server.models import ClusterModel, LossModel, clean, with_snapshot
from jupyter_dist.settings import Settings

T = TypeVar("T")
LOSSES_MAX = 10  # workers that died, of each cluster
WORDS_MAX = 1000
Listener = Callable[[Observation], None]
CUT = "the connection was cut"


class Closing(Protocol):
    """What can be ended."""

    def close(self) -> None:
        """End it."""


class Observing(Protocol):
    """What is needed of `jupyter_dist.client.observer.Observer`."""

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

    async def describe(self) -> ClusterSnapshot:
        """Ask for one snapshot."""

    async def scale(self, workers: int) -> None:
        """Ask for so many workers."""

    async def adapt(self, minimum: int, maximum: int) -> None:
        """Have it scale itself."""

    async def stop_adapting(self) -> None:
        """Have it keep the workers it has."""

    async def restart(self) -> None:
        """Forget every task and replace every worker."""

    async def restart_worker(self, name: str) -> None:
        """Replace one worker."""

    async def retire_worker(self, name: str) -> None:
        """Have one worker leave in order."""

    async def sessions(self) -> tuple[SessionView, ...]:
        """Ask who uses it."""

    async def list_tasks(self, *, state: str, text: str, before: int, count: int) -> TaskPage:
        """Ask for a page of tasks."""

    async def describe_task(self, key: str) -> TaskDetail:
        """Ask for one task in full."""

    async def cancel_tasks(self, keys: Iterable[str], *, force: bool) -> tuple[str, ...]:
        """Give tasks up for everybody."""

    async def retry_tasks(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Try erred tasks again for everybody."""

    async def stop(self) -> None:
        """Ask the cluster to end."""

    def watch(self, callback: Callable[[Observation], None], interval_s: float) -> Closing:
        """Hear what happens from now on, until that is closed."""


class Observe(Protocol):
    """How a cluster is observed: the class `jupyter_dist.client.observer.Observer`, or a test's."""

    def __call__(self, info: ClusterInfo, *, settings: Settings) -> Observing:
        """Return an observer that has not connected yet."""


class WatchedCluster:
    """A live cluster, the connection to it, and its last snapshot."""

    def __init__(
        self,
        info: ClusterInfo,
        observe: Observe,
        *,
        settings: Settings,
        clock: Callable[[], float],
        on_busy: Callable[[], None],
    ) -> None:
        self.info = info
        self.snapshot: ClusterSnapshot | None = None
        self.log = ""  # its end, as it was when the connection was found cut
        self.stopping: asyncio.Task[None] | None = None
        self.attaching: asyncio.Task[None] | None = None
        self._observe = observe
        self._settings = settings
        self._began_s = time.time()
        self._clock = clock
        self._on_busy = on_busy
        self._losses: deque[LossModel] = deque(maxlen=LOSSES_MAX)
        self._cut: float | None = None  # when it was first found not to be connected
        self._reason = ""
        self._observer: Observing | None = None
        self._listeners: set[Listener] = set()
        self._hearing: Closing | None = None  # what brings them what happens, while there are any
        self._exit = contextlib.AsyncExitStack()

    @property
    def is_connected(self) -> bool:
        """Whether a request would be heard."""
        return self._observer is not None and not self._observer.is_closed

    @property
    def is_new(self) -> bool:
        """Whether the first attempt to connect is still under way."""
        return self.snapshot is None and self.attaching is not None and not self.attaching.done()

    @property
    def is_busy(self) -> bool:
        """Whether it runs tasks, as far as we hear from it."""
        return self.is_connected and self.snapshot is not None and self.snapshot.counts.get("processing", 0) > 0

    def attach(self) -> asyncio.Task[None]:
        """Connect, unless that is done or under way. The task does not raise; see the model's reason."""
        if self.attaching is None or (self.attaching.done() and not self.is_connected):
            self.attaching = asyncio.create_task(self._attach(), name=f"attach to {self.info.name}")
        return self.attaching

    async def detach(self) -> None:
        """Close the connection. The cluster goes on."""
        if self.attaching is not None and not self.attaching.done():
            self.attaching.cancel()
            await asyncio.wait([self.attaching])
        await self._close()

    async def ask(self, make: Callable[[Observing], Awaitable[T]]) -> T:
        """Ask something of it, connecting first if need be.

        Raises
        ------
        ClusterStateError
            It does not answer.
        JupyterDistError
            It says no.
        """
        return await self._ask(make(await self._connected()))

    async def change(self, make: Callable[[Observing], Awaitable[None]]) -> None:
        """Ask for a change, and look at what it is then."""
        await self.ask(make)
        self.on_snapshot(await self.ask(lambda observer: observer.describe()))

    def listen(self, listener: Listener) -> None:
        """Tell somebody what happens, from what is still known on, as fast as browsers may be told."""
        self._listeners.add(listener)
        if self._hearing is not None:
            self._hearing.close()
            self._hearing = None
        self._hear()

    def unlisten(self, listener: Listener) -> None:
        """Tell somebody no more."""
        self._listeners.discard(listener)
        if not self._listeners and self._hearing is not None:
            self._hearing.close()
            self._hearing = None

    def _hear(self) -> None:
        if self._listeners and self._hearing is None and self._observer is not None:
            self._hearing = self._observer.watch(self._tell_listeners, self._settings.feed_interval_s_min)

    def _tell_listeners(self, observation: Observation) -> None:
        for listener in tuple(self._listeners):
            listener(observation)

    async def ask_to_stop(self) -> None:
        """Ask it to end in good order, if it listens. Raises nothing: who needs it ended has other means."""
        if self._observer is None or self._observer.is_closed:
            return
        with contextlib.suppress(JupyterDistError, OSError, TimeoutError):
            async with asyncio.timeout(self._settings.stop_s_max):
                await self._observer.stop()

    def on_snapshot(self, snapshot: ClusterSnapshot) -> None:
        """Keep what it says of itself."""
        self.snapshot = snapshot
        self._cut = None
        self._reason = ""
        if self.is_busy:
            self._on_busy()

    def model(self) -> ClusterModel:
        """Return what the browser is told. Values of a cluster that is silent are its last ones."""
        state, phase, reason = self._state()
        model = ClusterModel(
            name=self.info.name,
            id=self.info.cluster,
            state=state,
            phase=phase,
            reason=reason,
            elapsed_s=max(0.0, time.time() - self.info.started_s),
            wanted=self.info.workers,
            started_s=self.info.started_s,
            detached=self.info.detached,
        )
        model = msgspec.structs.replace(model, losses=tuple(self._losses))
        return model if self.snapshot is None else with_snapshot(model, self.snapshot)

    def _state(self) -> tuple[str, str, str]:
        cut_s = 0.0 if self._cut is None else self._clock() - self._cut
        if self.stopping is not None:
            return "stopping", "", ""
        if self.is_connected:
            return "running", "", ""
        if self.is_new:
            return "starting", "connecting", ""
        if cut_s <= self._settings.lease_s:
            return "running", "reconnecting", self._reason or CUT
        return "lost", "", f"its scheduler has not answered for {cut_s:.0f} s: {self._reason or CUT}"

    async def _attach(self) -> None:
        if self._cut is None:
            self._cut = self._clock()
        await self._close()
        try:
            async with asyncio.timeout(self._settings.handshake_s_max):
                observer = await self._exit.enter_async_context(self._observe(self.info, settings=self._settings))
                snapshot = await observer.describe()
            observer.watch(self._on_observation, self._settings.observe_interval_s)
        except TimeoutError:
            await self._fail(f"no answer within {self._settings.handshake_s_max:.0f} s")
        except (JupyterDistError, OSError) as error:
            await self._fail(str(error))
        else:
            self._observer = observer
            self.on_snapshot(snapshot)
            self._hear()

    async def _fail(self, reason: str) -> None:
        self._reason = reason
        await self._close()

    async def _close(self) -> None:
        self._observer = self._hearing = None
        with contextlib.suppress(JupyterDistError, OSError):
            await self._exit.aclose()

    async def _connected(self) -> Observing:
        await asyncio.wait([self.attach()])  # it may be cancelled by a stop; that must not cancel who waits here
        if self._observer is None or self._observer.is_closed:
            raise ClusterStateError(f"cluster {self.info.name!r} does not answer: {self._reason or CUT}")
        return self._observer

    async def _ask(self, request: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._settings.start_s_max):
                return await request
        except TimeoutError:
            words = f"cluster {self.info.name!r} did not answer within {self._settings.start_s_max:.0f} s"
            raise ClusterStateError(words) from None

    def _on_observation(self, observation: Observation) -> None:
        for event in observation.events:
            if event.kind == "worker-lost" and event.at_s >= self._began_s:  # not what happened before we looked
                self._losses.append(LossModel(event.number, event.at_s, event.worker, clean(event.detail, WORDS_MAX)))
        self.on_snapshot(observation.snapshot)
