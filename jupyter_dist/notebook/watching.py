"""One watch of an executor, shared by all its cells: a hundred cells must not ask the scheduler a hundred times.

The watch is opened with the first listener and closed with the last. Listeners are called on the client's I/O thread
and must not block it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.ports import ExecutorPort, RunnerPort, WatchingPort

Listener = Callable[[Observation], None]


class SharedWatch:
    """The watch of one executor."""

    def __init__(self, executor: RunnerPort, interval_s: float = 0.25) -> None:
        self._executor = executor
        self._interval_s = interval_s
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._watching: WatchingPort | None = None

    def add(self, listener: Listener) -> None:
        """Call this listener from now on."""
        with self._lock:
            self._listeners = [*self._listeners, listener]
            if self._watching is None:
                self._watching = self._executor.watch(self._hear, self._interval_s)

    def remove(self, listener: Listener) -> None:
        """Call this listener no more."""
        with self._lock:
            self._listeners = [other for other in self._listeners if other != listener]
            ended, self._watching = (None, self._watching) if self._listeners else (self._watching, None)
        if ended is not None:
            ended.close()

    def _hear(self, observation: Observation) -> None:
        for listener in self._listeners:
            listener(observation)


class Watches:
    """The shared watch of each executor, for as long as that lives."""

    def __init__(self) -> None:
        self._watches: weakref.WeakKeyDictionary[ExecutorPort, SharedWatch] = weakref.WeakKeyDictionary()

    def of(self, executor: ExecutorPort) -> SharedWatch:
        """Return an executor's watch."""
        return self._watches.setdefault(executor, SharedWatch(weakref.proxy(executor)))
