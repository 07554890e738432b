"""The part of an Executor that changes its cluster: its workers, and its end."""

from __future__ import annotations

import math
from typing import Any

from jupyter_dist.client.calls import check_count
from jupyter_dist.client.feed import wait_for_workers
from jupyter_dist.client.front import Front
from jupyter_dist.client.waiting import check_wait
from jupyter_dist.errors import UsageError
from jupyter_dist.launch.host import count_cores
from jupyter_dist.messages import AdaptCluster, RestartCluster, ScaleCluster, StopAdapting

WAIT_COUNT_MAX = 1_000_000
INTERVAL_S_MIN = 0.05


def check_interval(value: object) -> float:
    """Return the seconds between two looks at the load; UsageError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not INTERVAL_S_MIN <= value < math.inf:
        raise UsageError(f"interval={value!r}: give seconds, {INTERVAL_S_MIN} or more")
    return float(value)


class Steering(Front):
    """What an Executor can have its cluster do as a whole."""

    def restart(self) -> Any:
        """Kill and replace every worker, whatever it is doing, and forget every task: all futures are cancelled.

        Raises
        ------
        ClusterError
            Not all workers came back in time, or the nanny of a host is silent, which is not waited for. What the text
            says of the futures is so all the same.
        """
        return self.perform(self._restart())

    async def _restart(self) -> None:
        await self.ask(RestartCluster)

    def scale(self, workers: int) -> Any:
        """Have the cluster keep so many workers, and not `adapt` any more; returns at once.

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

    def adapt(self, minimum: int = 1, maximum: int | None = None, *, interval: float = 1.0, wait_count: int = 3) -> Any:
        """Have the cluster scale itself by its load from now on; returns at once. `scale` and `stop_adapting` end it.

        More workers are started when the tasks that wait are expected to take the present ones longer than a target
        time (the setting ``adapt_target_s``), but no more than have something to do. A worker ends when it is one too
        many, does nothing and holds no result: so results in use keep their workers.

        Parameters
        ----------
        minimum
            Workers that are kept in any case. With 0 the first task after a pause waits for a worker to start.
        maximum
            Workers at most; by default one for each core of this host, or ``minimum`` if that is more.
        interval
            Seconds from one look at the load to the next.
        wait_count
            Looks in a row that must find a worker too many before it is ended.

        Raises
        ------
        UsageError
            The bounds are no whole numbers from 0 (``maximum`` from 1), contradict each other, or are more than a
            cluster can have; or ``interval`` or ``wait_count`` is too small.
        ClusterClosedError
            The executor is closed.
        """
        check_count("minimum", minimum)
        most = max(minimum, count_cores()) if maximum is None else maximum
        check_count("maximum", most, least=max(1, minimum))
        check_count("wait_count", wait_count, least=1)
        if most > self.settings.workers_max or wait_count > WAIT_COUNT_MAX:
            bounds = f"maximum at most {self.settings.workers_max} and wait_count at most {WAIT_COUNT_MAX:,}"
            raise UsageError(f"maximum={most}, wait_count={wait_count}: choose {bounds}")
        return self.perform(self._adapt(minimum, most, check_interval(interval), wait_count))

    async def _adapt(self, minimum: int, maximum: int, interval_s: float, wait_count: int) -> None:
        await self.ask(lambda request: AdaptCluster(request, minimum, maximum, interval_s, wait_count))

    def stop_adapting(self) -> Any:
        """Have the cluster keep the workers it has now; as `scale` with their number. Does nothing if it has one.

        Raises
        ------
        ClusterClosedError
            The executor is closed.
        """
        return self.perform(self._stop_adapting())

    async def _stop_adapting(self) -> None:
        await self.ask(StopAdapting)

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
        ClusterClosedError
            The executor is closed, or was before they were there.
        """
        if n_workers is not None:
            check_count("n_workers", n_workers)
        check_wait(timeout)
        self.session.check_open()
        return self.perform(wait_for_workers(self.feed, n_workers, timeout, self.settings.watch_interval_s_min))
