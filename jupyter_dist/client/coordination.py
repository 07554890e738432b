"""`Event`, `Queue` and `Variable`: what clients and tasks of one cluster tell each other by name.

Values are pickled here and loaded where they are got; the scheduler keeps the bytes, and the results of Futures in them.
"""

from __future__ import annotations

from typing import Any

from jupyter_dist.client.asking import answered, ask, asking, pack, take
from jupyter_dist.client.calls import check_count, wait_limit
from jupyter_dist.client.front import Front
from jupyter_dist.client.shared import Shared
from jupyter_dist.messages import CountItems, GetValue, NamedParcel, Parcel, PutItem, SetValues, TakeItems, UnsetValue

SETTING = "shared_bytes_max"


class Event(Shared):
    """A flag that is set or not, and that many can wait for.

    ::

        ready = Event("ready")
        future = executor.submit(lambda: ready.wait(timeout=60) and compute())
        ready.set()

    It stays as it is when its setter is gone.

    Parameters
    ----------
    name, executor
        As `Lock`.
    """

    kind = "event"

    def __init__(self, name: str | None = None, executor: Front | None = None) -> None:
        super().__init__(name, executor)

    def set(self) -> Any:
        """Set it: whoever waits goes on. CoordinationError when the cluster can keep no more."""
        __tracebackhide__ = True
        return self._perform(self._set())

    async def _set(self) -> None:
        flag = NamedParcel(self.name, Parcel(b""))
        await ask(self.executor, lambda request: SetValues(request, self.kind, (flag,)), repr(self))

    def clear(self) -> Any:
        """Unset it."""
        __tracebackhide__ = True
        return self._perform(self._clear())

    async def _clear(self) -> None:
        await ask(self.executor, lambda request: UnsetValue(request, self.kind, self.name), repr(self))

    def is_set(self) -> Any:
        """Whether it is set."""
        __tracebackhide__ = True
        return self._perform(self._wait(0.0))

    def wait(self, timeout: float | None = None) -> Any:
        """Wait until it is set, at most ``timeout`` seconds; return whether it is. Raises as `Lock.acquire`."""
        __tracebackhide__ = True
        return self._perform(self._wait(wait_limit(timeout)))

    async def _wait(self, timeout: float | None) -> bool:
        executor = self.executor
        with asking(executor, lambda request: GetValue(request, self.kind, self.name)) as question:
            answer = await answered(executor, question, repr(self), timeout)
            if answer.done:
                executor.session.claim(question.number, ())
        return answer.done


class Queue(Shared):
    """A queue of small values, or of Futures, between clients and tasks.

    ::

        queue = Queue("work", maxsize=100)
        queue.put({"id": 1, "data": executor.scatter(array)})
        queue.get(timeout=10)["data"].result()

    Values come out in the order in which they went in, each once. Futures may be anywhere in a value: their results
    stay in the cluster as long as the value is in the queue, and they come out as Futures of the executor that gets
    them. What is in it stays when its putter is gone.

    Parameters
    ----------
    name, executor
        As `Lock`.
    maxsize : int, default 0
        How many values it may have before this object's `put` waits; 0 for any number.
    """

    kind = "queue"

    def __init__(self, name: str | None = None, maxsize: int = 0, executor: Front | None = None) -> None:
        check_count("maxsize", maxsize)
        super().__init__(name, executor)
        self.maxsize = maxsize

    def _arguments(self) -> tuple[object, ...]:
        return (self.name, self.maxsize)

    def put(self, value: Any, timeout: float | None = None) -> Any:
        """Put a value in, after waiting for room.

        Raises
        ------
        TimeoutError
            There was no room in time; it was not put in.
        PackingError
            It cannot be pickled, or is larger than ``shared_bytes_max``: scatter it, and put the future in.
        UsageError
            A Future in it is of another executor.
        CancelledError
            A Future in it was cancelled.
        CoordinationError
            The cluster can keep no more of this, or was restarted meanwhile.
        ClusterClosedError
            The executor is closed, or was before there was room.
        """
        __tracebackhide__ = True
        return self._perform(self._put(value, wait_limit(timeout)))

    async def _put(self, value: Any, timeout: float | None) -> None:
        executor = self.executor
        parcel = pack(executor, value, repr(self), SETTING)
        with asking(executor, lambda request: PutItem(request, self.name, parcel, self.maxsize)) as question:
            answer = await answered(executor, question, repr(self), timeout)
        if not answer.done:
            raise TimeoutError(f"{self!r} had no room within {timeout} s")

    def get(self, timeout: float | None = None, batch: bool | int = False) -> Any:
        """Wait for a value and take it out.

        Parameters
        ----------
        timeout
            Seconds to wait at most.
        batch
            A number, to wait for so many and have them in a list; True, to have those that are there now, if any, in
            a list.

        Raises
        ------
        TimeoutError
            There were not so many in time; what came stays in the queue.
        UsageError
            The timeout is no time, or the batch no number.
        CoordinationError, ClusterClosedError
            As `put`.
        Exception
            Whatever loading a value raises; it is out of the queue then.
        """
        __tracebackhide__ = True
        if not isinstance(batch, bool):
            check_count("batch", batch, least=1)
        count = int(batch) if batch is not True else 0
        return self._perform(self._get(wait_limit(timeout), count, is_list=batch is not False))

    async def _get(self, timeout: float | None, count: int, *, is_list: bool) -> Any:
        executor = self.executor
        wanted = count if is_list else 1
        with asking(executor, lambda request: TakeItems(request, self.name, wanted)) as question:
            answer = await answered(executor, question, repr(self), timeout if wanted else None)
            if not answer.done:
                raise TimeoutError(f"{self!r} did not have {wanted} values within {timeout} s")
            values = take(executor, question, answer.parcels, repr(self))
        return values if is_list else values[0]

    def qsize(self) -> Any:
        """Return how many values it has."""
        __tracebackhide__ = True
        return self._perform(self._qsize())

    async def _qsize(self) -> int:
        return (await ask(self.executor, lambda request: CountItems(request, self.name), repr(self))).count


class Variable(Shared):
    """One small value, or Future, that everybody can set and get.

    ::

        best = Variable("best")
        best.set({"loss": 0.1, "model": future})
        best.get(timeout=10)["model"].result()

    Futures in it are kept and come out as with `Queue`. It keeps its value when its setter is gone.

    Parameters
    ----------
    name, executor
        As `Lock`.
    """

    kind = "variable"

    def __init__(self, name: str | None = None, executor: Front | None = None) -> None:
        super().__init__(name, executor)

    def set(self, value: Any) -> Any:
        """Give it a value, instead of the one it has. Raises as `Queue.put`, but never waits."""
        __tracebackhide__ = True
        return self._perform(self._set(value))

    async def _set(self, value: Any) -> None:
        executor = self.executor
        named = NamedParcel(self.name, pack(executor, value, repr(self), SETTING))
        await ask(executor, lambda request: SetValues(request, self.kind, (named,)), repr(self))

    def get(self, timeout: float | None = None) -> Any:
        """Return its value, after waiting until it has one.

        Raises
        ------
        TimeoutError
            It had none in time.
        UsageError, CoordinationError, ClusterClosedError, Exception
            As `Queue.get`.
        """
        __tracebackhide__ = True
        return self._perform(self._get(wait_limit(timeout)))

    async def _get(self, timeout: float | None) -> Any:
        executor = self.executor
        with asking(executor, lambda request: GetValue(request, self.kind, self.name)) as question:
            answer = await answered(executor, question, repr(self), timeout)
            if not answer.done:
                raise TimeoutError(f"{self!r} had no value within {timeout} s")
            return take(executor, question, answer.parcels, repr(self))[0]

    def delete(self) -> Any:
        """Take its value away: it is as if it had never been set."""
        __tracebackhide__ = True
        return self._perform(self._delete())

    async def _delete(self) -> None:
        await ask(self.executor, lambda request: UnsetValue(request, self.kind, self.name), repr(self))
