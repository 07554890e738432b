"""The calls of one `ConcurrentExecutor`: a queue here, and a bounded number of them in the cluster.

A future of `concurrent.futures` can be cancelled until it runs, and its `cancel` answers at once. So calls wait here,
where they can be taken back, and only as many are in the cluster as keep its slots busy: two for each slot, and for
short calls as many more as the cluster ends in `AHEAD_S`. One that was handed over counts as running.

What is done under the lock never runs a user's code. Whoever has futures in the cluster is kept alive by the session.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

from jupyter_dist.client import future as futures
from jupyter_dist.client.calls import PackedCall
from jupyter_dist.client.concurrent_future import ConcurrentFuture, PackedError
from jupyter_dist.client.loading import load_value
from jupyter_dist.client.loop import loop_thread
from jupyter_dist.client.pausing import aside
from jupyter_dist.client.results import Results
from jupyter_dist.client.session import Session
from jupyter_dist.core.futures import UNLOADED, Wish
from jupyter_dist.errors import ClusterClosedError, FutureCancelledError
from jupyter_dist.messages import Answer, ClusterSnapshot, Describe, FunctionBody, TaskOptions
from jupyter_dist.protocol.exceptions import load_exception
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.settings import Settings

AHEAD_S = 0.01
LOOK_S = 1.0  # how old the known number of slots may be while calls wait
SLOT_DEPTH = 2
FUTURES = re.compile(re.escape(futures.load_future.__module__.encode()))  # in the bytes of a value with futures in it


class Owner(futures.Owner, Protocol):
    """What a lane needs of its executor."""

    settings: Settings

    @property
    def session(self) -> Session:
        """Through which it speaks with the scheduler."""

    @property
    def results(self) -> Results:
        """How values are had."""


class Lane:
    """The calls of one executor. ``width`` is how many may be in the cluster at a time; None for as many as suit it."""

    def __init__(self, owner: Owner, options: TaskOptions, width: int | None) -> None:
        self.owner = owner
        self.options = options
        self._width = width
        self._slots = 0 if width else ask_slots(owner)
        self._looked_s = time.monotonic()
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._pending: OrderedDict[ConcurrentFuture, tuple[FunctionBody, PackedCall]] = OrderedDict()
        self._flights: set[_Flight] = set()
        self._pace = _Pace()
        self._is_closed = False

    def check_open(self) -> None:
        """Raise RuntimeError when no more calls are taken, BrokenExecutor when the cluster is gone."""
        if self._is_closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        try:
            self.owner.session.check_open()
        except ClusterClosedError as error:
            raise concurrent.futures.BrokenExecutor(f"cannot schedule new futures: {error}") from error

    def enter(self, function: FunctionBody, calls: Iterable[PackedCall]) -> list[ConcurrentFuture]:
        """Take calls and return their futures. Raises as `check_open`."""
        with self._lock:
            self.check_open()
            entered = []
            for call in calls:
                future = ConcurrentFuture(call.key, self._withdraw)
                self._pending[future] = (function, call)
                entered.append(future)
            afterwards = self._pump()
        _do(afterwards)
        return entered

    def _withdraw(self, future: ConcurrentFuture) -> bool:
        """Take a call back; return whether it was here."""
        with self._lock:
            was_here = self._pending.pop(future, None) is not None
            self._notify_if_idle()
        return was_here

    def close(self, *, wait: bool, cancel: bool, force: bool = False) -> None:
        """Take no more calls; perhaps return only when all are done.

        With ``cancel`` those that wait here are given up, with ``force`` also what is in the cluster, and stopped.
        """
        with self._lock:
            self._is_closed = True
            waiting = list(self._pending) if cancel or force else []
            handles = [flight.handle for flight in self._flights if flight.handle is not None] if force else []
        for future in waiting:
            future.cancel()
        if handles and not self.owner.session.is_closed:
            self.owner.cancel(handles, force=True)
        if wait:
            with aside(), self._lock:
                while not self._idle.wait_for(self._is_idle, LOOK_S):
                    pass  # in short turns: a task that waits here can be stopped

    def _is_idle(self) -> bool:
        return not self._pending and not self._flights

    def _notify_if_idle(self) -> None:
        if self._is_idle():
            self._idle.notify_all()

    # -- to the cluster and back -------------------------------------------------------------------------------------

    def _pump(self) -> list[Callable[[], object]]:
        """Hand calls over while there is room; return what is to be done when the lock is released."""
        room = (self._width or self._slots * SLOT_DEPTH + self._pace.count) - len(self._flights)
        batch: list[tuple[_Flight, FunctionBody, PackedCall]] = []
        while self._pending and room > len(batch):
            future, (function, call) = self._pending.popitem(last=False)
            future.set_running_or_notify_cancel()
            flight = _Flight(self, future)
            self._flights.add(flight)
            batch.append((flight, function, call))
        afterwards: list[Callable[[], object]] = []
        for _, group in itertools.groupby(batch, key=lambda item: item[1].id):
            afterwards.extend(self._send(list(group)))
        if self._pending and not self._width:
            self._look()
        return afterwards

    def _send(self, group: list[tuple[_Flight, FunctionBody, PackedCall]]) -> Iterable[Callable[[], object]]:
        session = self.owner.session
        function = group[0][1]
        try:
            wishes = session.submit(function, self.options, [call.spec for _, _, call in group])
        except ClusterClosedError as error:
            gone = FutureCancelledError(f"it was not begun: {error}")
            for flight, _, _ in group:
                yield functools.partial(flight.end, error=gone)
            return
        for (flight, _, _), wish in zip(group, wishes, strict=True):
            flight.handle = futures.Future(self.owner, wish)
            if not session.watch(wish, flight):
                yield functools.partial(flight.notify, wish)

    def land(self, flight: _Flight) -> None:
        """Note that a call has its outcome, and hand over the next ones."""
        with self._lock:
            self._flights.discard(flight)
            self._pace.note(time.monotonic())
            afterwards = self._pump()
            self._notify_if_idle()
        _do(afterwards)

    def _look(self) -> None:
        """Ask how many slots there are, if it was long ago."""
        now = time.monotonic()
        if now - self._looked_s >= LOOK_S:
            self._looked_s = now
            asking = asyncio.run_coroutine_threadsafe(self.owner.session.ask(Describe), loop_thread().loop)
            asking.add_done_callback(self._on_answer)

    def _on_answer(self, asked: concurrent.futures.Future[Answer]) -> None:
        snapshot = None if asked.cancelled() or asked.exception() else asked.result().snapshot
        if snapshot is not None:
            with self._lock:
                self._slots = count_slots(snapshot)
                afterwards = self._pump()
            _do(afterwards)


class _Flight:
    """One call in the cluster, from its sending to its outcome. ``handle`` is the Future that keeps the task wanted."""

    __slots__ = ("_future", "_lane", "handle")

    def __init__(self, lane: Lane, future: ConcurrentFuture) -> None:
        self.handle: futures.Future | None = None
        self._lane = lane
        self._future: ConcurrentFuture | None = future

    def notify(self, wish: Wish) -> None:
        """Pass the outcome on; a large result is fetched before."""
        if not wish.is_settled:
            return
        if wish.status == "finished" and wish.value is None and wish.loaded is UNLOADED:
            self._lane.owner.results.fetch_soon(wish).add_done_callback(functools.partial(self._on_fetched, wish))
        elif wish.status == "cancelled":
            self.end(error=FutureCancelledError(f"{wish.key} was cancelled: {wish.reason}"))
        elif wish.error is not None:
            self.end(error=PackedError(functools.partial(load_exception, wish.error)))
        elif wish.value is not None:
            self.end(load=self._loader(wish, [wish.value]))
        else:
            self.end(load=functools.partial(getattr, wish, "loaded"))

    def _on_fetched(self, wish: Wish, fetching: concurrent.futures.Future[list[Buffer]]) -> None:
        try:
            buffers = fetching.result()
        except BaseException as error:  # noqa: BLE001 - lost, cancelled or raised anew: it is this call's outcome
            self.end(error=error)
        else:
            self.end(load=self._loader(wish, buffers))

    def _loader(self, wish: Wish, buffers: list[Buffer]) -> Callable[[], object]:
        """Return how the value is loaded. One with futures in it keeps their results, so it is wanted until then."""
        handle = self.handle if buffers and FUTURES.search(buffers[0]) else None
        return functools.partial(_load, handle, wish, buffers, self._lane.owner)

    def end(self, *, error: BaseException | None = None, load: Callable[[], object] | None = None) -> None:
        """Set the outcome of the call: its error, or how its value is loaded."""
        future, self._future = self._future, None
        if future is None:
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(load)
        del future
        self.handle = None
        self._lane.land(self)


def _load(_handle: object, wish: Wish, buffers: list[Buffer], owner: Owner) -> object:
    return load_value(wish, buffers, owner)


class _Pace:
    """How many calls end in `AHEAD_S`, measured over that time or longer."""

    def __init__(self) -> None:
        self.count = 0
        self._ended = 0
        self._since_s = time.monotonic()

    def note(self, now: float) -> None:
        """Note the end of a call."""
        self._ended += 1
        elapsed = now - self._since_s
        if elapsed >= AHEAD_S:
            self.count = int(self._ended * AHEAD_S / elapsed)
            self._ended = 0
            self._since_s = now


def ask_slots(owner: Owner) -> int:
    """Ask how many tasks a cluster runs at a time.

    Raises
    ------
    ClusterClosedError
        The cluster is gone.
    """
    owner.session.check_open()
    snapshot = loop_thread().run(owner.session.ask(Describe)).snapshot
    return count_slots(snapshot) if snapshot is not None else 1


def count_slots(snapshot: ClusterSnapshot) -> int:
    """Return how many tasks a cluster runs at a time, at least one; of one whose workers still start, what it wants."""
    return sum(worker.slots for worker in snapshot.workers) or max(snapshot.wanted, 1)


def _do(afterwards: Iterable[Callable[[], object]]) -> None:
    for call in afterwards:
        call()
