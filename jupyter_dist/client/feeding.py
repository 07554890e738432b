"""Queues in, queues out: a thread takes what comes from queues and puts what becomes of it into another.

The thread ends when its executor closes. Nothing is lost without a word: what goes wrong with one item stands in that
item's place, and the last word of a thread says why it ended, also when the queue is full. What a word looks like is
said by whoever starts the thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from jupyter_dist.errors import ClusterClosedError

LOOK_S = 0.1  # how often a thread that waits for a queue looks whether its executor is still open

AnyQueue = queue.Queue[Any]


class Owner(Protocol):
    """What a feeding thread needs of its executor."""

    @property
    def is_closed(self) -> bool:
        """Whether the thread is to end."""

    @property
    def closed_reason(self) -> str:
        """Why."""


class FedQueue(AnyQueue):
    """A bounded queue in which a last word always finds its place."""

    def put_last(self, item: Any) -> None:
        """Put an item, also when the queue is full."""
        with self.mutex:
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()


class Feeder:
    """What becomes of rows, one item from each source.

    Parameters
    ----------
    owner
        The executor it works for.
    make
        Gives the items to put for a row; may raise.
    excuse
        Gives the item to put in place of one that could not be made, from the error.
    """

    def __init__(
        self, owner: Owner, make: Callable[..., Sequence[Any]], excuse: Callable[[BaseException], object]
    ) -> None:
        self._owner = owner
        self._make = make
        self._excuse = excuse

    def start(self, sources: Sequence[AnyQueue], maxsize: int) -> AnyQueue:
        """Begin to take from queues, and return the queue that is fed; it holds so many items at most."""
        out = FedQueue(maxsize)
        threading.Thread(target=self._run, args=(sources, out), name="jupyter_dist-feed", daemon=True).start()
        return out

    def _run(self, sources: Sequence[AnyQueue], out: FedQueue) -> None:
        try:
            while not self._owner.is_closed:
                self._feed([self._take(source) for source in sources], out)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever reads the queue is told
            out.put_last(self._excuse(error))
        else:
            out.put_last(self._excuse(self._closed_error()))

    def _feed(self, row: list[Any], out: AnyQueue) -> None:
        """Make and put the items of one row; while the next is waited for, nothing here keeps these alive."""
        for item in self._made(row):
            self._put(out, item)

    def _made(self, row: list[Any]) -> Sequence[Any]:
        try:
            return self._make(*row)
        except Exception as error:  # noqa: BLE001 - it stands in the place of this row
            return [self._excuse(error)]

    def _take(self, source: AnyQueue) -> Any:
        while True:
            try:
                return source.get(timeout=LOOK_S)
            except queue.Empty:
                self._check_open()

    def _put(self, out: AnyQueue, item: Any) -> None:
        while True:
            try:
                out.put(item, timeout=LOOK_S)
            except queue.Full:
                self._check_open()
            else:
                return

    def _check_open(self) -> None:
        if self._owner.is_closed:
            raise self._closed_error()

    def _closed_error(self) -> ClusterClosedError:
        return ClusterClosedError(self._owner.closed_reason)


def are_queues(sources: Sequence[object]) -> bool:
    """Whether these are queues, all of them.

    Raises
    ------
    TypeError
        Some are, some are not.
    """
    count = sum(isinstance(source, queue.Queue) for source in sources)
    if count not in (0, len(sources)):
        raise TypeError("give only queues, or none: a queue and something else cannot be walked together")
    return count > 0
