"""The part of an Executor that tells what is where: workers, tasks, results, sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jupyter_dist.client import containers, inspection
from jupyter_dist.client.calls import check_keys, check_timeout, named_workers
from jupyter_dist.client.feed import Watching
from jupyter_dist.client.front import Front
from jupyter_dist.messages import DescribeTasks, Observation, TaskHome

Workers = str | Iterable[str] | None


class Inspecting(Front):
    """What an Executor tells of its cluster. Each answer is of one moment."""

    @property
    def nannies(self) -> Any:
        """The nanny of each worker, by the worker's name; right across restarts, because names stay."""
        return self.perform(self._nannies())

    async def _nannies(self) -> dict[str, str]:
        return dict((await self.describe()).nannies)

    def ncores(self, workers: Workers = None) -> Any:
        """Return how many tasks each worker runs at a time, by its name. UsageError for an unknown worker."""
        return self.perform(self._ncores(named_workers(workers)))

    async def _ncores(self, workers: Workers) -> dict[str, int]:
        return inspection.cores(await self.describe(), workers)

    def who_has(self, futures: Any = None) -> Any:
        """Return the workers that hold each result, by key; of all results when no futures are given.

        A small result is kept by the scheduler itself and has no holder.
        """
        return self.perform(self._who_has(futures))

    async def _who_has(self, futures: Any) -> dict[str, list[str]]:
        return {home.key: list(home.holders) for home in await self._homes(futures) if home.state == "memory"}

    def has_what(self, workers: Workers = None) -> Any:
        """Return the keys of the results each worker holds, by its name. UsageError for an unknown worker."""
        return self.perform(self._has_what(named_workers(workers)))

    async def _has_what(self, workers: Workers) -> dict[str, list[str]]:
        return inspection.held_by_worker(await self.describe(), await self._homes(None), workers)

    def processing(self, workers: Workers = None) -> Any:
        """Return the keys of the tasks each worker was given, by its name. UsageError for an unknown worker."""
        return self.perform(self._processing(named_workers(workers)))

    async def _processing(self, workers: Workers) -> dict[str, list[str]]:
        return inspection.processed_by_worker(await self.describe(), await self._homes(None), workers)

    def nbytes(self, keys: Iterable[str] | None = None, summary: bool = True) -> Any:
        """Return the sizes of results in memory in bytes, by key, or summed by function name.

        TypeError for what is no key.
        """
        wanted = None if keys is None else check_keys(keys)
        return self.perform(self._nbytes(wanted, summary=summary))

    async def _nbytes(self, keys: tuple[str, ...] | None, *, summary: bool) -> dict[str, int]:
        return inspection.bytes_by_key(await self._homes_of(keys), summary=summary)

    def scheduler_info(self) -> Any:
        """Return what is known of the scheduler and its workers, as a dict for a person or a tool."""
        return self.perform(self._scheduler_info())

    async def _scheduler_info(self) -> dict[str, Any]:
        return inspection.describe_cluster(await self.describe(), self.info.address)

    def snapshot(self) -> Any:
        """Return what the cluster is at this moment, a `ClusterSnapshot`: workers, counts, running tasks, errors."""
        return self.perform(self.describe())

    def watch(self, callback: Callable[[Observation], None], interval_s: float = 0.5) -> Watching:
        """Have a callback told what happens, at most once every ``interval_s`` seconds, from the I/O thread.

        The first observation has every task event the scheduler still knows. Close what is returned to stop.

        Raises
        ------
        TypeError
            ``callback`` cannot be called.
        UsageError
            ``interval_s`` is no time.
        ClusterClosedError
            The executor is closed.
        """
        if not callable(callback):
            raise TypeError(f"a watcher is a function that is called; a {type(callback).__name__} cannot be")
        check_timeout(interval_s, "interval_s")
        self.session.check_open()
        return self.feed.add(callback, interval_s)

    async def _homes(self, futures: Any) -> tuple[TaskHome, ...]:
        if futures is None:
            return await self._homes_of(None)
        return await self._homes_of(tuple(future.key for future in containers.futures_of(self, futures)))

    async def _homes_of(self, keys: tuple[str, ...] | None) -> tuple[TaskHome, ...]:
        """Return where tasks are: all for None, none for no keys."""
        if keys == ():
            return ()
        return (await self.ask(lambda request: DescribeTasks(request, keys or ()))).tasks
