"""Watching a cluster: one feed a session, shared by all who watch through it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from jupyter_dist.client.blocking import Opening
from jupyter_dist.client.session import Session
from jupyter_dist.client.waiting import Gate
from jupyter_dist.messages import ClusterSnapshot, Observation, TaskEvent, Unwatch, Watch

log = logging.getLogger("jupyter_dist.client")

Callback = Callable[[Observation], None]


class Watching:
    """One watcher's place in a feed. Close it when nobody looks any more."""

    def __init__(self, feed: Feed, callback: Callback, interval_s: float, on_ended: Callable[[], None] | None) -> None:
        self.interval_s = interval_s
        self.on_ended = on_ended
        self._feed = feed
        self._callback = callback
        self.number = 0  # the newest event it was told

    def tell(self, observation: Observation) -> None:
        """Pass on an observation, less the events it was told before."""
        events: tuple[TaskEvent, ...] = observation.events
        if events and events[0].number <= self.number:
            events = tuple(event for event in events if event.number > self.number)
        if events:
            self.number = events[-1].number
        try:
            self._callback(Observation(observation.snapshot, events, observation.dropped))
        except Exception:  # one watcher's fault must not blind the others
            log.exception("a watcher of the cluster failed")

    def forget(self) -> None:
        """Forget which events it was told: there is another scheduler."""
        self.number = 0

    def close(self) -> None:
        """Stop being told."""
        self._feed.remove(self)


class Feed:
    """All watchers of one session: the scheduler is asked for the shortest interval among them, and told when to stop.

    Attributes
    ----------
    latest : ClusterSnapshot or None
        What was last heard of the cluster, for whoever shows it without asking.
    on_ended : callable or None
        Called when the session has ended, in the I/O loop.
    """

    def __init__(self, session: Session) -> None:
        self.on_ended: Callable[[], None] | None = None
        self._session = session
        self._lock = threading.Lock()
        self._watchers: list[Watching] = []
        self.latest: ClusterSnapshot | None = None
        session.on_observation = self._on_observation
        session.on_resumed = self._on_resumed
        session.on_ended = self._on_ended

    def add(self, callback: Callback, interval_s: float, on_ended: Callable[[], None] | None = None) -> Watching:
        """Begin to tell a callback; its first observation has every event that is still in the ring.

        The other is called when there will be no more of them, because the session ended.
        """
        watching = Watching(self, callback, interval_s, on_ended)
        with self._lock:
            self._watchers.append(watching)
            self._say_watch()
        return watching

    def _say_watch(self, after: int = 0) -> None:
        self._session.say(Watch(min(other.interval_s for other in self._watchers), after))

    def _on_resumed(self, is_another: bool) -> None:
        """Watch again on a new connection; another scheduler numbers its events anew."""
        with self._lock:
            for watching in self._watchers:
                if is_another:
                    watching.forget()
            if self._watchers:
                self._say_watch()

    def _on_ended(self) -> None:
        with self._lock:
            watchers = tuple(self._watchers)
        for watching in watchers:
            if watching.on_ended is not None:
                watching.on_ended()
        if self.on_ended is not None:
            self.on_ended()

    def check_open(self) -> None:
        """Raise ClusterClosedError when the session is over."""
        self._session.check_open()

    def remove(self, watching: Watching) -> None:
        """Stop telling a watcher; the others are told at the rate of the fastest among them."""
        with self._lock:
            if watching not in self._watchers:
                return
            self._watchers.remove(watching)
            if self._session.is_closed:
                return
            if not self._watchers:
                self._session.say(Unwatch())
            elif watching.interval_s < min(other.interval_s for other in self._watchers):
                self._say_watch(min(other.number for other in self._watchers))

    def _on_observation(self, observation: Observation) -> None:
        self.latest = observation.snapshot
        with self._lock:
            watchers = tuple(self._watchers)
        for watching in watchers:
            watching.tell(observation)


async def wait_for_workers(feed: Feed, count: int | None, timeout: float | None, interval_s: float) -> None:
    """Wait until a cluster has so many workers, or as many as it is to have; see `Steering.wait_for_workers`."""
    over, is_enough, seen = Gate(), [False], [0]

    def look(observation: Observation) -> None:
        snapshot = observation.snapshot
        seen[0] = sum(worker.state != "retiring" for worker in snapshot.workers)
        if seen[0] >= (snapshot.wanted if count is None else count) and seen[0]:
            is_enough[0] = True
            over.open()

    watching = feed.add(look, interval_s, on_ended=over.open)
    try:
        is_open = await Opening(over, timeout)
        if not is_enough[0]:
            feed.check_open()
        if not is_open:
            wanted = "all" if count is None else count
            raise TimeoutError(f"{seen[0]} workers are there after {timeout} s, not {wanted}")
    finally:
        watching.close()
