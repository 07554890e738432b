"""`Lock` and `Semaphore`: what one, or so many, at a time can hold in all of a cluster.

A lease goes by the number of the request that acquired it and belongs to one object of one session. Whoever goes
without a word, object or session, gives it back.
"""

from __future__ import annotations

import types
from collections import deque
from typing import Any, Self

from jupyter_dist.client.asking import answered, ask, asking
from jupyter_dist.client.blocking import begin, block
from jupyter_dist.client.calls import check_count, wait_limit
from jupyter_dist.client.front import Front
from jupyter_dist.client.shared import Shared
from jupyter_dist.errors import ClusterError, UsageError
from jupyter_dist.messages import AcquireLease, CountLeases, ReleaseLease


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
        return self._perform(self._acquire(wait_limit(timeout)))

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
