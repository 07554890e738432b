"""The part of an Executor that changes its cluster: its workers, and its end."""

from __future__ import annotations

from typing import Any

from jupyter_dist.client.calls import check_count
from jupyter_dist.client.feed import wait_for_workers
from jupyter_dist.client.front import Front
from jupyter_dist.client.waiting import check_wait
from jupyter_dist.messages import RestartCluster, ScaleCluster


class Steering(Front):
    """What an Executor can have its cluster do as a whole."""

    def restart(self) -> Any:
        """Kill and replace every worker, whatever it is doing, and forget every task: all futures are cancelled.

        Raises
        ------
        ClusterError
            Not all workers came back in time.
        """
        return self.perform(self._restart())

    async def _restart(self) -> None:
        await self.ask(RestartCluster)

    def scale(self, workers: int) -> Any:
        """Have the cluster keep so many workers; returns at once.

        Workers that are too many retire, those with least to do and least data first: what they run is waited for, and
        results only they hold are moved.

        Raises
        ------
        UsageError
            It is no number of workers.
        ClusterError
            The cluster cannot have so many.
        """
        check_count("workers", workers)
        return self.perform(self._scale(workers))

    async def _scale(self, workers: int) -> None:
        await self.ask(lambda request: ScaleCluster(request, workers))

    def wait_for_workers(self, n_workers: int | None = None, timeout: float | None = None) -> Any:
        """Wait until so many workers are there; by default as many as the cluster is to have.

        Tasks need not wait for this: they are queued until a worker is there.

        Raises
        ------
        TimeoutError
            They were not there in time; the text says how many were.
        UsageError
            It is no number of workers.
        TypeError
            ``timeout`` is no number of seconds.
        """
        if n_workers is not None:
            check_count("n_workers", n_workers)
        check_wait(timeout)
        self.session.check_open()
        return self.perform(wait_for_workers(self.feed, n_workers, timeout, self.settings.watch_interval_s_min))
