"""Who listens to what: the streams that somebody listens to are kept up to date, and no others.

A topic is ``clusters`` (the list), ``cluster/NAME`` (one cluster's inside) or ``tasks/NAME`` (what happens in it). The
first listener of a topic opens its stream, the last one closes it: a page that is hidden listens to nothing and costs
nothing, neither here nor in the scheduler.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from jupyter_dist.errors import JupyterDistError, UsageError
from jupyter_dist.launch.connection_file import NAME
from jupyter_dist.messages.observation import Observation
from jupyter_dist.server.manager import ClusterManager
from jupyter_dist.server.streams import ClusterStream, EventStream, StateStream, Stream, Told
from jupyter_dist.server.watching import WatchedCluster

log = logging.getLogger(__name__)


class Topic:
    """One stream, and who listens to it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.listeners = 0
        self.trouble = ""  # why there is nothing to hear, in words
        self.keeping: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def news(self, epoch: str, after: int) -> Told | None:
        """Return what is new to somebody who has heard so much."""
        return self.stream.since(epoch, after)

    def tell(self) -> None:
        """Wake everybody who waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Wait until there may be something new."""
        await self._changed.wait()


class Hub:
    """The topics of one server."""

    def __init__(self, manager: ClusterManager) -> None:
        self._manager = manager
        self._topics: dict[str, Topic] = {}

    def open(self, name: str) -> Topic:
        """Begin to listen to a topic.

        Raises
        ------
        UsageError
            There is none of this name.
        """
        topic = self._topics.get(name)
        if topic is None:
            topic, keep = self._make(name)
            topic.keeping = asyncio.create_task(keep(topic), name=f"keep {name[:80]}")
            self._topics[name] = topic
        topic.listeners += 1
        return topic

    def close(self, name: str) -> None:
        """Listen no more."""
        topic = self._topics[name]
        topic.listeners -= 1
        if topic.listeners == 0:
            del self._topics[name]
            if topic.keeping is not None:
                topic.keeping.cancel()

    async def stop(self) -> None:
        """Keep no topic any more: the server ends."""
        keeping = [topic.keeping for topic in self._topics.values() if topic.keeping is not None]
        for task in keeping:
            task.cancel()
        if keeping:
            await asyncio.wait(keeping)

    def _make(self, name: str) -> tuple[Topic, Callable[[Topic], Coroutine[Any, Any, None]]]:
        if name == "clusters":
            return Topic(ClusterStream()), self._keep_list
        kind, _, cluster = name.partition("/")
        if kind in {"cluster", "tasks"} and NAME.fullmatch(cluster):
            stream = StateStream() if kind == "cluster" else EventStream(self._manager.settings.feed_events_max)
            return Topic(stream), lambda topic: self._keep_cluster(topic, cluster)
        raise UsageError(f"there is no topic {name[:80]!a}: watch clusters, cluster/NAME or tasks/NAME")

    async def _keep_list(self, topic: Topic) -> None:
        """Look at the list when something was done, and every now and then: others start and stop clusters too."""
        stream = topic.stream
        while isinstance(stream, ClusterStream):
            self._manager.changed.clear()
            try:
                before = stream.number
                stream.update(await self._manager.models())
                if stream.number != before:
                    topic.tell()
            except Exception:  # one bad look must not be the last
                log.exception("looking for clusters failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._manager.settings.observe_interval_s):
                    await self._manager.changed.wait()

    async def _keep_cluster(self, topic: Topic, name: str) -> None:
        """Hear a cluster, and look whether it is there: it may be stopped, and started anew under its name."""
        heard: WatchedCluster | None = None

        def listen(observation: Observation) -> None:
            stream = topic.stream
            if isinstance(stream, StateStream | EventStream):
                stream.update(observation)
            topic.tell()

        try:
            while True:
                try:
                    cluster, trouble = await self._manager.find_running(name), ""
                except JupyterDistError as error:
                    cluster, trouble = None, str(error)
                if heard is not None and heard is not cluster:
                    heard.unlisten(listen)
                if cluster is not None and cluster is not heard:
                    cluster.listen(listen)
                heard = cluster
                if trouble != topic.trouble:
                    topic.trouble = trouble
                    topic.tell()
                await asyncio.sleep(self._manager.settings.observe_interval_s)
        finally:
            if heard is not None:
                heard.unlisten(listen)
