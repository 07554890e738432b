"""What one client wishes for, and what it is to say of that: a table under one lock, and one queue.

Threads make and drop wishes under the lock and leave what is to be said in the queue, so that the order in which things
were done is the order in which the scheduler hears of them. Watchers are told outside the lock. A Future that dies may do
so in any thread, even inside this module: it only appends to a queue of its own. How the queue is emptied, and what the
scheduler answers, is for `session`.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence

from jupyter_dist.client.waiting import Watcher, unsettled
from jupyter_dist.core.futures import FutureTable, Wish
from jupyter_dist.core.outgoing import Outgoing
from jupyter_dist.errors import ClusterClosedError
from jupyter_dist.messages import (
    FunctionBody,
    KeyName,
    Message,
    NameKeys,
    PutValue,
    Release,
    RetryKeys,
    Submit,
    TaskOptions,
    TaskSpec,
    WantKeys,
)
from jupyter_dist.processes import inside
from jupyter_dist.settings import Settings

log = logging.getLogger("jupyter_dist.client")

# A call: its key, its packed arguments, the keys of its inputs, and perhaps those of futures that travel in it.
CallSpec = tuple[str, bytes, tuple[str, ...]] | tuple[str, bytes, tuple[str, ...], tuple[str, ...]]


class Wishes(ABC):
    """The wishes of a session, for any number of threads.

    Attributes
    ----------
    table
        What is wished for; to be read and changed under `lock` only.
    closed_reason
        Why the session is over; empty while it is not.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = threading.RLock()  # re-entrant: a Future may die while this thread holds it
        self.table = FutureTable(settings.output_bytes_max)
        self.closed_reason = ""
        self._outgoing = Outgoing()
        self._dropped: deque[Wish] = deque()
        self._is_ending = False

    @abstractmethod
    def _wake(self) -> None:
        """Have what is to be said be sent soon. Takes no lock, and may be called from anywhere."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be asked."""
        return bool(self.closed_reason)

    def check_open(self) -> None:
        """Raise ClusterClosedError when the session is over."""
        if self.closed_reason:
            raise ClusterClosedError(self.closed_reason)

    # -- making and dropping -----------------------------------------------------------------------------------------

    def submit(self, function: FunctionBody, options: TaskOptions, calls: Iterable[CallSpec]) -> list[Wish]:
        """Wish for the results of calls of one function.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        wishes, specs = [], []
        with self.lock:
            self.check_open()
            for key, arguments, dependencies, *held in calls:
                wish, is_new = self.table.wish(key, function.label)
                wishes.append(wish)
                if is_new:
                    specs.append(TaskSpec(key, arguments, dependencies, wish.number, *held))
            if specs:
                self._say(Submit(function, options, tuple(specs), inside.running_key()))
        return wishes

    def want(self, key: str, label: str) -> Wish:
        """Wish for a key that others made known; it is cancelled soon if the cluster does not know it.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        with self.lock:
            self.check_open()
            wish, is_new = self.table.wish(key, label)
            if is_new:
                self._say(WantKeys(((key, wish.number),)))
        return wish

    def retry(self, wishes: Sequence[Wish]) -> None:
        """Wish again for what erred, and for all that passed on the same error; what did not err is left as it is.

        What is tried again are the inputs that raised it, so none of these may go on telling of it.
        """
        with self.lock:
            self.check_open()
            again = self.table.retry(dict.fromkeys([*wishes, *self._with_origins_of(wishes)]))
            if again:
                self._say(RetryKeys(tuple(wish.key for wish in again)))

    def _with_origins_of(self, wishes: Iterable[Wish]) -> list[Wish]:
        origins = {wish.error.key for wish in wishes if wish.error is not None}
        return [wish for wish in self.table.by_key.values() if wish.error is not None and wish.error.key in origins]

    def put(self, key: str, value: bytes, type_name: str, speaks_of: tuple[str, ...] = ()) -> Wish:
        """Make a value known to the cluster under a key; it holds what the futures in it stand for."""
        with self.lock:
            self.check_open()
            wish, is_new = self.table.wish(key, "scatter")
            if is_new:
                self._say(PutValue(key, value, type_name, wish.number, speaks_of=speaks_of))
        return wish

    def put_stored(
        self, key: str, name: str, nbytes: int, type_name: str, speaks_of: tuple[str, ...] = ()
    ) -> tuple[Wish, bool]:
        """Make a value in the host's object store known under a key; return also whether it is used.

        It is not used when the key was known already.
        """
        with self.lock:
            self.check_open()
            wish, is_new = self.table.wish(key, "scatter")
            if is_new:
                self._say(PutValue(key, b"", type_name, wish.number, name, nbytes, speaks_of))
        return wish, is_new

    def drop(self, wish: Wish) -> None:
        """Note that a Future is gone. Called by garbage collection too: takes no lock and never fails."""
        self._dropped.append(wish)
        self._wake()

    def release(self, wish: Wish) -> None:
        """Let one reference on a wish go now; when it was the last, whoever still waits for it is told."""
        with self.lock:
            self._release_dropped()
            is_last = wish.references == 1 and self.table.by_number.get(wish.number) is wish
            told = self._watchers_of(self.table.cancel([wish], "its last future was released")) if is_last else []
            wish.references -= 1
            if is_last and not self.closed_reason:
                self._say(Release((wish.key,)))
        notify(told)

    def join(self, key: str) -> Wish | None:
        """Return the wish this session has for a key, with one reference more; None when it has none."""
        with self.lock:
            self._release_dropped()
            wish = self.table.by_key.get(key)
            if wish is not None:
                wish.references += 1
        return wish

    def unsettled(self) -> list[Wish]:
        """Return the wishes that may still settle; one whose last Future is gone never will."""
        with self.lock:
            self._release_dropped()
            return unsettled(self.table.by_key.values())

    def name_wishes(self, wishes: Iterable[tuple[str, Wish]]) -> None:
        """Have the cluster know names for keys; of those that are given up already nothing is said."""
        with self.lock:
            self.check_open()
            known = [(name, wish) for name, wish in wishes if self.table.by_number.get(wish.number) is wish]
            if known:
                self._say(NameKeys(tuple(KeyName(name, wish.key) for name, wish in known)))

    def settle_cancelled(self, wishes: Iterable[Wish], reason: str) -> list[Wish]:
        """Settle wishes as cancelled here and now, and tell their watchers."""
        with self.lock:
            changed = self.table.cancel(wishes, reason)
            told = self._watchers_of(changed)
        notify(told)
        return changed

    # -- saying ------------------------------------------------------------------------------------------------------

    def say(self, message: Message) -> None:
        """Say something to the scheduler, after all that was said before.

        Raises
        ------
        ClusterClosedError
            The session is over.
        """
        with self.lock:
            self.check_open()
            self._say(message)

    def _say(self, message: Message) -> None:
        self._outgoing.add(message)
        self._wake()

    def keep_dropped(self) -> None:
        """Release nothing more because a Future is gone: this process is ending, and all of them will be.

        Takes no lock: in a forked child that ends somebody who is not there may have it.
        """
        self._is_ending = True

    def _release_dropped(self) -> None:
        if self._is_ending:
            return
        keys = []
        while self._dropped:
            wish = self._dropped.popleft()
            if self.table.drop(wish):
                keys.append(wish.key)
        if keys:
            self._outgoing.add(Release(tuple(keys)))

    # -- watching ----------------------------------------------------------------------------------------------------

    def watch(self, wish: Wish, watcher: Watcher) -> bool:
        """Have a watcher told when a wish settles; False when it has, and the watcher was not added."""
        with self.lock:
            if wish.is_settled:
                return False
            if wish.watchers is None:
                wish.watchers = []
            wish.watchers.append(watcher)
            return True

    def watch_all(self, wishes: Iterable[Wish], watcher: Watcher) -> int:
        """Have a watcher told of each of these wishes that has not settled; return how many these are."""
        with self.lock:
            return sum(self.watch(wish, watcher) for wish in wishes)

    def unwatch(self, wishes: Iterable[Wish], watcher: Watcher) -> None:
        """Stop telling a watcher."""
        with self.lock:
            for wish in wishes:
                if wish.watchers and watcher in wish.watchers:
                    wish.watchers.remove(watcher)

    def _watchers_of(self, wishes: list[Wish]) -> list[tuple[Watcher, Wish]]:
        """Return who is to be told of changes; who waited for a wish to settle is told once and forgotten."""
        told: list[tuple[Watcher, Wish]] = []
        for wish in wishes:
            if wish.watchers:
                told.extend((watcher, wish) for watcher in wish.watchers)
                if wish.is_settled:
                    wish.watchers = None
        return told


def notify(told: Iterable[tuple[Watcher, Wish]]) -> None:
    """Tell watchers of wishes that changed. Called outside the lock."""
    for watcher, wish in told:
        try:
            watcher.notify(wish)
        except Exception:  # one watcher's fault must not keep the others waiting
            log.exception("a watcher of %s failed", wish.key)
