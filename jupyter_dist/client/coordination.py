"""What clients and tasks of one cluster share by name: `Lock`, `Semaphore`, `Event`, `Queue`, `Variable`.

All objects of one kind and name on one cluster mean the same thing, wherever they are. They can be passed to tasks;
inside a task they speak through the executor that is current there. They are known to the cluster from the first call
to the last: making one asks nothing. With an asynchronous executor every method returns an awaitable.

Whoever waits is served in turn. A restart of the cluster empties all of it.
"""

from __future__ import annotations

import contextlib
import types
from collections import deque
from typing import Any, ClassVar, Self

from jupyter_dist.client import current
from jupyter_dist.client.asking import answered, ask, asking, pack, take
from jupyter_dist.client.blocking import begin, block
from jupyter_dist.client.calls import check_count, check_name, check_wait
from jupyter_dist.client.front import Front
from jupyter_dist.errors import ClusterError, NoClusterError, UsageError
from jupyter_dist.ids import new_token
from jupyter_dist.messages import (
    AcquireLease,
    CountItems,
    CountLeases,
    GetValue,
    NamedParcel,
    Parcel,
    PutItem,
    ReleaseLease,
    SetValues,
    TakeItems,
    UnsetValue,
)

SETTING = "shared_bytes_max"


class Shared:
    """The base of all that is shared by name.

    Attributes
    ----------
    name : str
        By which all processes mean the same.
    """

    kind: ClassVar[str]

    def __init__(self, name: str | None, executor: Front | None) -> None:
        if executor is not None and not isinstance(executor, Front):
            raise TypeError(f"executor is an Executor, not {executor!r}")
        self.name = f"{self.kind}-{new_token()}" if name is None else check_name(name)
        self._executor = executor
        self._cluster = ""  # which it must be, if that is known
        if executor is None:
            with contextlib.suppress(NoClusterError):  # perhaps there is one when it is used
                self._executor = current.find()

    @property
    def executor(self) -> Front:
        """Through which it speaks. NoClusterError when there is none."""
        if self._executor is None:
            self._executor = _find(self._cluster, repr(self))
        return self._executor

    def move(self, cluster: str) -> None:
        """Bind it to a cluster by its id, through whatever executor there is for it when it is used."""
        self._executor, self._cluster = None, cluster

    def _perform(self, call: Any) -> Any:
        """Make a call of steps in the way of the executor."""
        __tracebackhide__ = True
        try:
            executor = self.executor
        except BaseException:
            call.close()
            raise
        return executor.perform(call)

    def __reduce__(self) -> tuple[object, ...]:
        executor = self._executor
        cluster = self._cluster if executor is None else executor.info.cluster
        return load_shared, (type(self), self._arguments(), cluster)

    def _arguments(self) -> tuple[object, ...]:
        """Return what makes another object that means the same."""
        return (self.name,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _find(cluster: str, what: str) -> Front:
    """Return an executor of this process on a cluster; the current one if that is not known."""
    if not cluster:
        found: Front = current.find()
        return found
    try:
        candidates = [current.find()]
    except NoClusterError:
        candidates = []
    for executor in (*candidates, *current.open_executors()):
        if executor.info.cluster == cluster:
            other: Front = executor
            return other
    raise NoClusterError(f"{what} is of a cluster to which this process has no open Executor: connect to that one")


def load_shared(kind: type[Shared], arguments: tuple[Any, ...], cluster: str) -> Shared:
    """Return an object that was pickled. Called by the unpickler alone."""
    shared = kind(*arguments)
    if cluster:
        shared.move(cluster)
    return shared


class Leased(Shared):
    """The base of what one holds for a time: `Lock` and `Semaphore`."""

    def __init__(self, name: str | None, executor: Front | None, limit: int) -> None:
        super().__init__(name, executor)
        self._limit = limit
        self._held: deque[int] = deque()  # the numbers of the leases this object holds, the oldest first

    def acquire(self, timeout: float | None = None) -> Any:
        """Wait for a turn and take it.

        Parameters
        ----------
        timeout
            Seconds to wait at most; 0 to take it only if it is free now, None to wait until it is.

        Returns
        -------
        bool
            Whether it is held now.

        Raises
        ------
        UsageError
            The timeout is no time; or it is a semaphore that others use with another number of leases.
        CoordinationError
            The cluster was restarted meanwhile.
        ClusterClosedError
            The executor is closed, or was before the turn came.
        """
        __tracebackhide__ = True
        return self._perform(self._acquire(check_wait(timeout)))

    async def _acquire(self, timeout: float | None) -> bool:
        executor = self.executor
        with asking(executor, lambda request: AcquireLease(request, self.kind, self.name, self._limit)) as question:
            answer = await answered(executor, question, repr(self), timeout)
            if answer.done:
                self._held.append(question.number)
        return answer.done

    def release(self) -> Any:
        """Let the next have it.

        Raises
        ------
        UsageError
            This object does not hold it.
        CoordinationError
            It was lost before: the cluster was restarted, or the connection was lost for long.
        """
        __tracebackhide__ = True
        return self._perform(self._release())

    async def _release(self) -> None:
        if not self._held:
            raise UsageError(
                f"{self!r} is not held by this object: only what acquired it can release it, and only once"
            )
        lease = self._held.popleft()
        await ask(self.executor, lambda request: ReleaseLease(request, lease), repr(self))

    async def _count(self) -> int:
        return (await ask(self.executor, lambda request: CountLeases(request, self.kind, self.name), repr(self))).count

    def __enter__(self) -> Self:
        if self.executor.asynchronous:
            raise UsageError(f"the Executor of {self!r} is asynchronous: use `async with`")
        block(self._acquire(None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        block(self._leave(error))

    async def __aenter__(self) -> Self:
        await begin(self._acquire(None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        await begin(self._leave(error))

    async def _leave(self, error: BaseException | None) -> None:
        try:
            await self._release()
        except ClusterError:
            if error is None:  # else the error of the body is the one to see
                raise

    def __del__(self) -> None:
        held, executor = getattr(self, "_held", None), getattr(self, "_executor", None)
        if held and executor is not None:
            for lease in held:
                executor.session.abandon(lease)


class Lock(Leased):
    """A lock that one at a time can hold, in all of the cluster.

    ::

        lock = Lock("database")


        def write(row, lock):
            with lock:
                append(row)


        executor.map(write, rows, lock=lock)

    It is held by the object that acquired it, and is not re-entrant: a second object of that name waits, in the same
    process too. It is free again when it is released, when that object or its process is gone, and when its session was
    without a connection for ``lock_lease_s``.

    Parameters
    ----------
    name : str, optional
        By which all mean the same lock; by default a name of its own.
    executor : Executor, optional
        By default the current one.
    """

    kind = "lock"

    def __init__(self, name: str | None = None, executor: Front | None = None) -> None:
        super().__init__(name, executor, 1)

    def locked(self) -> Any:
        """Whether anybody holds it."""
        __tracebackhide__ = True
        return self._perform(self._locked())

    async def _locked(self) -> bool:
        return await self._count() > 0


class Semaphore(Leased):
    """A lock that so many at a time can hold.

    ::

        licences = Semaphore(max_leases=2, name="licences")
        with licences:
            simulate()

    Each acquired lease must be released once, by the object that acquired it. Leases are freed as a `Lock` is.

    Parameters
    ----------
    max_leases : int, default 1
        How many may hold it. Give the same number wherever you make it: while it is in use another is an error.
    name, executor
        As `Lock`.
    """

    kind = "semaphore"

    def __init__(self, max_leases: int = 1, name: str | None = None, executor: Front | None = None) -> None:
        check_count("max_leases", max_leases, least=1)
        super().__init__(name, executor, max_leases)

    def _arguments(self) -> tuple[object, ...]:
        return (self._limit, self.name)

    def get_value(self) -> Any:
        """Return how many leases are held now, by anybody."""
        __tracebackhide__ = True
        return self._perform(self._count())


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
        return self._perform(self._wait(check_wait(timeout)))

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
        return self._perform(self._put(value, check_wait(timeout)))

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
        return self._perform(self._get(check_wait(timeout), count, is_list=batch is not False))

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
        return self._perform(self._get(check_wait(timeout)))

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
