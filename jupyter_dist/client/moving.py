"""The part of an Executor that says which workers hold what, and which workers leave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jupyter_dist.client import containers, inspection
from jupyter_dist.client.blocking import Remotely
from jupyter_dist.client.calls import check_count, check_timeout, named_workers
from jupyter_dist.client.front import Front
from jupyter_dist.client.future import Future
from jupyter_dist.client.rounds import look_around
from jupyter_dist.client.waiting import FAILED
from jupyter_dist.errors import UsageError
from jupyter_dist.messages import RebalanceKeys, ReplicateKeys, RestartWorkers, RetireWorkers

Workers = str | Iterable[str] | None


class Moving(Front):
    """What an Executor can have moved between workers, and how these leave in order."""

    def replicate(self, futures: Any, n: int | None = None, workers: Workers = None, branching_factor: int = 2) -> Any:
        """Have each result held by ``n`` workers, and return when it is so. Futures that are pending are waited for.

        Small results and large scattered data are everywhere already. Where more workers than ``n`` hold a result,
        those that hold most data drop theirs.

        Parameters
        ----------
        futures
            A future, or any nesting of containers of futures.
        n
            How many of these workers shall hold each; all of them for None, and when there are fewer.
        workers
            Names or hosts of the workers that are meant; all for None.
        branching_factor
            How many copies are made from one holder at a time.

        Raises
        ------
        UsageError
            ``n`` or ``branching_factor`` is not a number from 1, there is no such worker, or a future is of another
            executor.
        TypeError
            There is no future where one belongs.
        ClusterError
            A result could not be copied; the text says which and why.
        Exception
            As `Future.result`, when a future failed.
        ClusterClosedError
            The executor is closed.
        """
        if n is not None:
            check_count("n", n, least=1)
        check_count("branching_factor", branching_factor, least=1)
        self.session.check_open()
        return self.perform(self._replicate(self._own(futures), n or 0, named_workers(workers), branching_factor))

    async def _replicate(self, futures: list[Future], n: int, workers: Workers, branching: int) -> None:
        names = await self._names(workers)
        await self._settled(futures)
        keys = tuple(dict.fromkeys(future.key for future in futures))
        if keys and names != ():
            await self.ask(lambda request: ReplicateKeys(request, keys, n, names or (), branching))

    def rebalance(self, futures: Any = None, workers: Workers = None) -> Any:
        """Move results from the workers that hold most to those that hold least, until all hold about as much.

        A result is dropped where it was only after it is confirmed where it goes to, so that this is safe at any time.

        Parameters
        ----------
        futures
            What may be moved, pending futures when they are done; for None every result of the cluster.
        workers
            Names or hosts of the workers among which it may be moved; all for None.

        Raises
        ------
        UsageError, TypeError, ClusterError, Exception, ClusterClosedError
            As `replicate`.
        """
        self.session.check_open()
        return self.perform(self._rebalance(None if futures is None else self._own(futures), named_workers(workers)))

    async def _rebalance(self, futures: list[Future] | None, workers: Workers) -> None:
        names = await self._names(workers)
        await self._settled(futures or [])
        keys = tuple(dict.fromkeys(future.key for future in futures or ()))
        if (futures is None or keys) and names != ():
            await self.ask(lambda request: RebalanceKeys(request, keys, names or ()))

    def retire_workers(
        self, workers: Workers = None, n: int | None = None, close_workers: bool = True, remove: bool = True
    ) -> Any:
        """Have workers leave in order, and return their names.

        They are given nothing more, what they have not begun is taken back, what they run is waited for, and results
        only they hold are moved: to other workers, or into the host's shared memory. Their processes end, and no new
        ones take their places: the cluster is smaller afterwards.

        Parameters
        ----------
        workers
            Names or hosts of the workers.
        n
            How many, instead: those with least to do and least data.
        close_workers
            With False the processes stay, given nothing, for whoever ends them.
        remove
            Whether to return as soon as the cluster has forgotten the workers. With False only when their processes
            are known to have ended.

        Raises
        ------
        UsageError
            Neither or both of ``workers`` and ``n`` are given, there is no such worker, or there are not ``n``.
        TypeError
            A name is not a text, or a flag neither True nor False.
        ClusterError
            Results of a worker could not be saved, and it stays; the text says which and why.
        ClusterClosedError
            The executor is closed.
        """
        if (workers is None) == (n is None):
            raise UsageError("retire_workers needs either the names of workers or n, how many")
        if n is not None:
            check_count("n", n)
        for what, flag in (("close_workers", close_workers), ("remove", remove)):
            if not isinstance(flag, bool):
                raise TypeError(f"{what} is True or False, not {flag!r}")
        self.session.check_open()
        return self.perform(
            self._retire_workers(named_workers(workers), n or 0, ends=close_workers, until_gone=not remove)
        )

    async def _retire_workers(self, workers: Workers, n: int, *, ends: bool, until_gone: bool) -> list[str]:
        names = await self._names(workers)
        if names == () or not (names or n):
            return []
        answer = await self.ask(lambda request: RetireWorkers(request, names or (), n, ends, until_gone))
        return list(answer.names)

    def restart_workers(self, workers: Workers, timeout: float | None = None) -> Any:
        """Replace workers at once, whatever they do, and return when fresh ones of their names are there.

        What they ran runs again elsewhere; results only they held are made again, as after a worker's death.

        Parameters
        ----------
        workers
            Names or hosts of the workers.
        timeout
            Seconds to wait; by default as long as a cluster may take to come up.

        Raises
        ------
        UsageError
            There is no such worker, or the timeout is no time.
        TypeError
            A name is not a text.
        TimeoutError
            They were not there in time; the text says which.
        ClusterClosedError
            The executor is closed.
        """
        if workers is None:
            raise UsageError("restart_workers needs the names of workers; `restart` is for all, and forgets all tasks")
        timeout_s = check_timeout(timeout)
        self.session.check_open()
        return self.perform(self._restart_workers(named_workers(workers), timeout_s))

    async def _restart_workers(self, workers: Workers, timeout_s: float) -> None:
        names = await self._names(workers)
        if names:
            await self.ask(lambda request: RestartWorkers(request, names, timeout_s))

    def _own(self, futures: Any) -> list[Future]:
        """Return the futures in a nesting; TypeError when it is nothing that could hold one."""
        if not isinstance(futures, Future | list | tuple | set | frozenset | dict):
            raise TypeError(f"give futures, or a list of them, not a {type(futures).__name__}")
        return containers.futures_of(self, futures)

    async def _settled(self, futures: list[Future]) -> None:
        __tracebackhide__ = True
        await self.results.wait([future.wish for future in futures], stop_on=FAILED)
        for future in futures:
            if future.wish.status in FAILED:
                future.raise_failure()

    async def _names(self, workers: Workers) -> tuple[str, ...] | None:
        """Return the names of the workers that are meant; None when all are."""
        if workers is None:
            return None
        given = (workers,) if isinstance(workers, str) else tuple(workers)
        for name in given:
            if not isinstance(name, str):
                raise TypeError(f"a worker is named by a text, not by {name!r}")
        snapshot = await self.describe()
        if snapshot.recovering:  # they may be on their way back
            snapshot = await Remotely(self.loop, look_around, self.session)
        return tuple(inspection.chosen_workers(snapshot, given))
