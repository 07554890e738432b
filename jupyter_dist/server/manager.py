"""Every cluster this user has, as one table: a name is starting, watched (live) or ended, and never two of these.

The clusters are not ours: they are detached processes that outlive this server, others start and stop them too, and
a second server of the same user sees the same ones. So the truth is on disk and in the schedulers; this table is
brought up to date before every answer and every now and then in between. What blocks runs in threads.

The lock covers looking at the disk together with what follows from it. Whoever takes a live cluster out of the table,
or puts one in, holds it: what was read before cannot then be mistaken for what is true after.
"""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Coroutine, Iterable

import msgspec

from jupyter_dist.client.observer import Observer
from jupyter_dist.errors import ClusterStateError, JupyterDistError, NoClusterError
from jupyter_dist.launch.connection_file import ClusterInfo, read_clusters
from jupyter_dist.launch.host import parse_bytes
from jupyter_dist.launch.local import ClusterSpec, cluster_log, start_cluster, stop_cluster
from jupyter_dist.server.happenings import ignore
from jupyter_dist.server.models import (
    DEFAULT_NAME,
    LOG_LINES,
    AdaptModel,
    ChangeRequest,
    ClusterModel,
    StartRequest,
    check_change,
    check_start,
    clean,
)
from jupyter_dist.server.profiles import LOCAL, Profile, with_profile
from jupyter_dist.server.starting import Start, StartingCluster
from jupyter_dist.server.watching import Observe, Observing, WatchedCluster
from jupyter_dist.settings import Settings, load_settings

Read = Callable[[Callable[[ClusterInfo], None]], Iterable[ClusterInfo]]  # told of the dead, it returns the living
GONE = "it ended: stopped from elsewhere, by itself after an idle time, or killed; nothing of it is left"
KILLED = "it ended without tidying up, so it was killed or it crashed; its log is what is left"
BROKEN = "the start failed in a way nobody foresaw; the Jupyter server's log has the traceback"


@dataclasses.dataclass(frozen=True, slots=True)
class EndedCluster:
    """A cluster that is no more and is still shown."""

    last: ClusterModel
    ended: float

    def model(self) -> ClusterModel:
        """Return what the browser is told."""
        return self.last


class ClusterManager:
    """The clusters of this user, for handlers and for the extension.

    Parameters
    ----------
    settings : Settings, optional
        Limits and intervals; from the environment when left out.
    start, stop, read, tail, observe : callables, optional
        How clusters are started, stopped, found, how the end of a log is read, and how one is observed.
    clock : callable, optional
        A monotonic clock in seconds.
    on_busy : callable, optional
        Called again and again while a cluster runs tasks.
    on_event : callable, optional
        Told what happened to a cluster, in a word, and what it is then.
    profiles : iterable of Profile, optional
        What a start may name.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        start: Start = start_cluster,
        stop: Callable[[ClusterInfo], None] = stop_cluster,
        read: Read = read_clusters,
        tail: Callable[[ClusterInfo, int], str] = cluster_log,
        observe: Observe = Observer,
        clock: Callable[[], float] = time.monotonic,
        on_busy: Callable[[], None] = lambda: None,
        on_event: Callable[[str, ClusterModel], None] = ignore,
        profiles: Iterable[Profile] = (LOCAL,),
        log: logging.Logger | logging.LoggerAdapter[logging.Logger] | None = None,
    ) -> None:
        self.settings = load_settings() if settings is None else settings
        self._start = start
        self._stop = stop
        self._read = read
        self._tail = tail
        self._observe = observe
        self._clock = clock
        self._on_busy = on_busy
        self._on_event = on_event
        self.profiles = tuple(profiles)
        self.changed = asyncio.Event()  # set when something was done to a cluster; whoever waits clears it
        self._log = log or logging.getLogger(__name__)
        self._clusters: dict[str, StartingCluster | WatchedCluster | EndedCluster] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------------------ what handlers ask

    async def models(self) -> list[ClusterModel]:
        """Return every cluster there is, by name."""
        await self.refresh()
        return [self._clusters[name].model() for name in sorted(self._clusters)]

    async def get(self, name: str) -> ClusterModel:
        """Return one cluster."""
        return (await self._find(name)).model()

    async def start(self, request: StartRequest) -> ClusterModel:
        """Begin to start a cluster and return at once.

        Raises
        ------
        UsageError
            The name or a number is out of bounds.
        ClusterStateError
            The name is taken, or too many are starting already.
        """
        check_start(request, self.settings)
        request = with_profile(request, self.profiles)
        await self.refresh()
        name = self._free_name() if request.name is None else request.name
        self._check_free(name)
        starting = StartingCluster(_spec(name, request), self._clock)
        self._clusters[name] = starting
        self._spawn(self._run_start(starting))
        self._tell("requested", starting.model())
        return starting.model()

    async def change(self, name: str, request: ChangeRequest) -> ClusterModel:
        """Ask a running cluster for so many workers, or to scale itself; they come and go afterwards."""
        check_change(request, self.settings)
        cluster = await self.find_running(name)
        await cluster.change(lambda observer: _ask_for_change(observer, request))
        self._tell("scaled", cluster.model())
        return cluster.model()

    async def restart(self, name: str) -> ClusterModel:
        """Forget every task of a running cluster and replace its workers; return when the fresh ones are there."""
        cluster = await self.find_running(name)
        await cluster.change(lambda observer: observer.restart())
        self._tell("restarted", cluster.model())
        return cluster.model()

    async def find_running(self, name: str) -> WatchedCluster:
        """Return a cluster that can be asked something.

        Raises
        ------
        NoClusterError
            There is none of this name.
        ClusterStateError
            It does not run.
        """
        cluster = await self._find(name)
        if not isinstance(cluster, WatchedCluster) or cluster.stopping is not None:
            raise ClusterStateError(f"cluster {name!r} is not running, it is {cluster.model().state}")
        return cluster

    async def running(self) -> list[WatchedCluster]:
        """Return every cluster that can be asked something."""
        await self.refresh()
        return [cluster for cluster in self._watched() if cluster.stopping is None and cluster.is_connected]

    async def info(self, name: str) -> ClusterInfo:
        """Return where a running cluster is."""
        return (await self.find_running(name)).info

    async def stop(self, name: str) -> None:
        """End a cluster and return when it is gone. One that is starting goes when it is up; an ended one is dismissed."""
        cluster = await self._find(name)
        match cluster:
            case StartingCluster():
                cluster.is_unwanted = True
            case EndedCluster():
                self._drop(name, cluster)
            case WatchedCluster():
                if cluster.stopping is None:
                    cluster.stopping = self._spawn(self._run_stop(cluster))
                await asyncio.shield(cluster.stopping)

    async def log(self, name: str) -> str:
        """Return the last lines of a cluster's log; nothing while it is starting."""
        cluster = await self._find(name)
        if isinstance(cluster, WatchedCluster):
            return await self._tail_of(cluster.info)
        return cluster.model().log

    # ------------------------------------------------------------------------------------- what the extension asks

    def activity(self) -> list[str]:
        """Return the names of clusters that are starting or run tasks."""
        return sorted(name for name, cluster in self._clusters.items() if is_active(cluster))

    def open(self) -> None:
        """Begin to look for clusters every now and then, even when no browser asks."""
        self._spawn(self._survey())

    async def close(self) -> None:
        """Let go of everything. The clusters go on, and a start on its way is completed by its thread."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for cluster in self._watched():
            await cluster.detach()

    async def refresh(self) -> None:
        """Bring the table up to date: adopt clusters that appeared, bury those that went, reconnect."""
        async with self._lock:
            await self._keep_logs()
            living, dead = await asyncio.to_thread(self._look)
            found = {info.name: info for info in living}
            await self._bury(found)
            self._show_dead(dead)
            self._adopt(found.values())
        self._prune()
        if any(cluster.is_busy for cluster in self._watched()):
            self._on_busy()  # a scheduler whose only task goes on and on has nothing new to tell
        wanted = [cluster for cluster in self._watched() if cluster.stopping is None]
        attaching = [(cluster, cluster.attach()) for cluster in wanted]
        new = [task for cluster, task in attaching if cluster.is_new]
        if new:
            await asyncio.wait(new, timeout=self.settings.observe_interval_s)

    # ------------------------------------------------------------------------------------------------- the table

    def _watched(self) -> list[WatchedCluster]:
        return [cluster for cluster in self._clusters.values() if isinstance(cluster, WatchedCluster)]

    async def _find(self, name: str) -> StartingCluster | WatchedCluster | EndedCluster:
        await self.refresh()
        cluster = self._clusters.get(name)
        if cluster is None:
            raise NoClusterError(f"there is no cluster named {name[:64]!a}; it was stopped, or never started")
        return cluster

    def _free_name(self) -> str:
        number, name = 1, DEFAULT_NAME
        while name in self._clusters and not isinstance(self._clusters[name], EndedCluster):
            number += 1
            name = f"{DEFAULT_NAME}-{number}"
        return name

    def _check_free(self, name: str) -> None:
        cluster = self._clusters.get(name)
        if cluster is not None and not isinstance(cluster, EndedCluster):
            words = f"a cluster named {name!r} is {cluster.model().state} already; choose another name or stop it first"
            raise ClusterStateError(words)
        starting = sum(isinstance(cluster, StartingCluster) for cluster in self._clusters.values())
        if starting >= self.settings.starts_max:
            raise ClusterStateError(f"{starting} clusters are starting already; wait until one of them is up")

    def _drop(self, name: str, cluster: object) -> None:
        if self._clusters.get(name) is cluster:
            del self._clusters[name]

    def _adopt(self, found: Iterable[ClusterInfo]) -> None:
        for info in found:
            known = self._clusters.get(info.name)
            if isinstance(known, EndedCluster | None):
                self._clusters[info.name] = watched = self._watch(info)
                self._tell("found", watched.model())
            elif isinstance(known, WatchedCluster) and known.info.cluster == info.cluster:
                known.info = info  # another nanny may keep it by now

    async def _keep_logs(self) -> None:
        """Read the logs of clusters that were cut off: whoever finds such a one dead removes its folder."""
        for cluster in self._watched():
            if cluster.attaching is not None and cluster.attaching.done() and not cluster.is_connected:
                cluster.log = await self._tail_of(cluster.info) or cluster.log

    def _look(self) -> tuple[list[ClusterInfo], list[tuple[ClusterInfo, str]]]:
        """Return the clusters there are, and the dead that were found, each with the end of its log. In a thread."""
        dead: list[tuple[ClusterInfo, str]] = []

        def note(info: ClusterInfo) -> None:
            with contextlib.suppress(JupyterDistError, OSError):
                dead.append((info, clean(self._tail(info, LOG_LINES), self.settings.output_bytes_max)))

        return list(self._read(note)), dead

    def _show_dead(self, dead: Iterable[tuple[ClusterInfo, str]]) -> None:
        """Show for a while what was found dead and nobody here had seen alive, and say so in the log."""
        for info, text in dead:
            if info.name not in self._clusters:
                last = ClusterModel(
                    name=info.name,
                    id=info.cluster,
                    state="lost",
                    reason=KILLED,
                    log=text,
                    wanted=info.workers,
                    started_s=info.started_s,
                    detached=info.detached,
                )
                self._end(info.name, last)
                self._log.warning("cluster %r (nanny %d): %s", info.name, info.pid, KILLED)
                self._tell("lost", last)

    async def _bury(self, found: dict[str, ClusterInfo]) -> None:
        for cluster in self._watched():
            name = cluster.info.name
            is_there = name in found and found[name].cluster == cluster.info.cluster
            if is_there or cluster.stopping is not None:
                continue
            await cluster.detach()
            reason = KILLED if cluster.log else GONE
            nobody = {"workers": 0, "cores": 0, "memory_bytes": 0, "running": 0}
            last = msgspec.structs.replace(cluster.model(), state="lost", phase="", reason=reason, log=cluster.log)
            self._end(name, msgspec.structs.replace(last, **nobody))
            self._tell("lost", last)

    def _end(self, name: str, last: ClusterModel) -> None:
        self._clusters[name] = EndedCluster(last, self._clock())

    def _prune(self) -> None:
        ended = [(name, cluster) for name, cluster in self._clusters.items() if isinstance(cluster, EndedCluster)]
        ended.sort(key=lambda pair: pair[1].ended)
        oldest = self._clock() - self.settings.ended_shown_s
        for position, (name, cluster) in enumerate(reversed(ended)):
            is_old = cluster.last.state == "lost" and cluster.ended < oldest
            if is_old or position >= self.settings.ended_max:
                self._drop(name, cluster)

    def _watch(self, info: ClusterInfo) -> WatchedCluster:
        return WatchedCluster(info, self._observe, settings=self.settings, clock=self._clock, on_busy=self._on_busy)

    # ------------------------------------------------------------------------------------------ what goes on by itself

    def _spawn(self, doing: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run_start(self, starting: StartingCluster) -> None:
        name = starting.spec.name
        try:
            info = await asyncio.to_thread(starting.run, self._start, self._stop, self.settings)
        except Exception as error:  # noqa: BLE001  # whatever it was, the browser must see that the start failed
            await self._fail(starting, error)
            return
        watched = None if info is None else self._watch(info)
        if watched is not None:
            await watched.attach()
        async with self._lock:
            if watched is None:
                self._drop(name, starting)
                return
            self._clusters[name] = watched
        self._tell("started", watched.model())
        if starting.is_unwanted:
            await self.stop(name)

    async def _fail(self, starting: StartingCluster, error: Exception) -> None:
        is_foreseen = isinstance(error, JupyterDistError | OSError)
        if not is_foreseen:
            self._log.error("starting cluster %r failed", starting.spec.name, exc_info=error)
        words = clean(str(error), self.settings.output_bytes_max) if is_foreseen else BROKEN
        reason, _, log = words.partition("\n")
        async with self._lock:
            if starting.is_unwanted:
                self._drop(starting.spec.name, starting)
            else:
                last = msgspec.structs.replace(starting.model(), state="failed", reason=reason, log=log)
                self._end(starting.spec.name, last)
                self._tell("failed", last)

    async def _run_stop(self, cluster: WatchedCluster) -> None:
        await cluster.ask_to_stop()
        await cluster.detach()
        try:
            await asyncio.to_thread(self._stop, cluster.info)
        except BaseException:
            cluster.stopping = None
            raise
        async with self._lock:
            self._drop(cluster.info.name, cluster)
        self._tell("stopped", cluster.model())

    def _tell(self, action: str, model: ClusterModel) -> None:
        self.changed.set()
        try:
            self._on_event(action, model)
        except Exception:  # noqa: BLE001  # whoever listens must not keep a cluster from being started or stopped
            self._log.exception("telling of cluster %r failed", model.name)

    async def _survey(self) -> None:
        while True:
            try:
                await self.refresh()
            except Exception:  # noqa: BLE001  # one bad look must not end all later ones
                self._log.exception("looking for clusters failed")
            await asyncio.sleep(self.settings.survey_interval_s)

    async def _tail_of(self, info: ClusterInfo) -> str:
        text = ""
        with contextlib.suppress(JupyterDistError, OSError):
            text = await asyncio.to_thread(self._tail, info, LOG_LINES)
        return clean(text, self.settings.output_bytes_max)


def _spec(name: str, request: StartRequest) -> ClusterSpec:
    return ClusterSpec(
        name=name,
        workers=request.workers or 0,
        threads_per_worker=request.threads_per_worker or 1,
        memory_limit_bytes=parse_bytes(request.memory_limit),
        idle_stop_s=request.idle_stop_s,
        resources=request.resources or {},
    )


def _ask_for_change(observer: Observing, request: ChangeRequest) -> Coroutine[None, None, None]:
    if isinstance(request.workers, int):
        return observer.scale(request.workers)
    if isinstance(request.adapt, AdaptModel):
        return observer.adapt(request.adapt.minimum, request.adapt.maximum)
    return observer.stop_adapting()


def is_active(cluster: StartingCluster | WatchedCluster | EndedCluster) -> bool:
    """Return whether something goes on there that a server should stay up for."""
    return isinstance(cluster, StartingCluster) or (isinstance(cluster, WatchedCluster) and cluster.is_busy)
