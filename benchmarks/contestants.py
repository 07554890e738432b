"""Who takes part: each behind the same few methods.

``load`` imports, ``start`` starts, and nothing of a library is imported before: the import is measured too. What
differs between two libraries stays in here; what is measured is in `benchmarks.driver`.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, Protocol

Function = Callable[..., Any]


class Contestant(Protocol):
    """What a driver asks of a library."""

    def load(self) -> None:
        """Import the library."""

    def start(self, workers: int) -> None:
        """Start so many workers of one slot each."""

    def call(self, function: Function, argument: object) -> Any:
        """Run one task and return its result."""

    def map(self, function: Function, arguments: Sequence[object]) -> list[Any]:
        """Run one task for each argument and return the results."""

    def reduce(self, leaf: Function, pair: Function, arguments: Sequence[object]) -> Any:
        """Run a task for each argument, combine the results in pairs through futures; None: it has no such futures."""

    def stop(self) -> None:
        """End everything."""


class JupyterDist:
    """Our own package, as it comes."""

    def load(self) -> None:
        """Import the library."""
        self._make = importlib.import_module("jupyter_dist").Executor

    def start(self, workers: int) -> None:
        """Start so many workers of one slot each."""
        self._executor = self._make(n_workers=workers)

    def call(self, function: Function, argument: object) -> Any:
        """Run one task and return its result."""
        return self._executor.submit(function, argument).result()

    def map(self, function: Function, arguments: Sequence[object]) -> list[Any]:
        """Run one task for each argument and return the results."""
        results: list[Any] = self._executor.gather(self._executor.map(function, arguments))
        return results

    def reduce(self, leaf: Function, pair: Function, arguments: Sequence[object]) -> Any:
        """Run a task for each argument and combine the results in pairs."""
        level = self._executor.map(leaf, arguments)
        while len(level) > 1:
            level = self._executor.map(pair, level[::2], level[1::2])
        return level[0].result()

    def stop(self) -> None:
        """End everything."""
        self._executor.shutdown()


class Processes:
    """`concurrent.futures.ProcessPoolExecutor`: no scheduler, no recovery, nothing to install."""

    def load(self) -> None:
        """Import the library."""
        self._make = importlib.import_module("concurrent.futures").ProcessPoolExecutor

    def start(self, workers: int) -> None:
        """Start so many workers of one slot each."""
        self._pool = self._make(workers)

    def call(self, function: Function, argument: object) -> Any:
        """Run one task and return its result."""
        return self._pool.submit(function, argument).result()

    def map(self, function: Function, arguments: Sequence[object]) -> list[Any]:
        """Run one task for each argument and return the results."""
        return list(self._pool.map(function, arguments))

    def reduce(self, leaf: Function, pair: Function, arguments: Sequence[object]) -> Any:
        """Return None: a future of a pool is no argument."""
        return None

    def stop(self) -> None:
        """End everything."""
        self._pool.shutdown()


class Loky(Processes):
    """joblib's process pool, which survives a dead worker."""

    def load(self) -> None:
        """Import the library."""
        self._make = importlib.import_module("loky").ProcessPoolExecutor


class Distributed:
    """dask.distributed's local cluster, as it comes but for the dashboard's port."""

    pure: bool | None = None  # the library's own default

    def load(self) -> None:
        """Import the library."""
        self._library: Any = importlib.import_module("distributed")

    def start(self, workers: int) -> None:
        """Start so many workers of one slot each."""
        self._start(workers, dashboard_address="127.0.0.1:0")

    def _start(self, workers: int, **options: object) -> None:
        self._cluster = self._library.LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", processes=True, **options
        )
        self._client = self._library.Client(self._cluster)

    def call(self, function: Function, argument: object) -> Any:
        """Run one task and return its result."""
        return self._client.submit(function, argument, pure=self.pure).result()

    def map(self, function: Function, arguments: Sequence[object]) -> list[Any]:
        """Run one task for each argument and return the results."""
        results: list[Any] = self._client.gather(self._client.map(function, arguments, pure=self.pure))
        return results

    def reduce(self, leaf: Function, pair: Function, arguments: Sequence[object]) -> Any:
        """Run a task for each argument and combine the results in pairs."""
        level = self._client.map(leaf, arguments, pure=self.pure)
        while len(level) > 1:
            level = self._client.map(pair, level[::2], level[1::2], pure=self.pure)
        return level[0].result()

    def stop(self) -> None:
        """End everything."""
        self._client.close()
        self._cluster.close()


class TunedDistributed(Distributed):
    """dask.distributed with all we know that makes it faster at this.

    No dashboard, no profiling, no work stealing (equal tasks), all tasks sent ahead, keys not hashed, the fork server,
    and messages batched for 1 ms rather than 2 to 10, which is no setting of it but a change to its code.
    """

    pure = False

    def load(self) -> None:
        """Import the library."""
        super().load()
        importlib.import_module("dask").config.set(
            {
                "distributed.worker.multiprocessing-method": "forkserver",
                "distributed.worker.profile.enabled": False,
                "distributed.scheduler.work-stealing": False,
                "distributed.scheduler.worker-saturation": float("inf"),
                "distributed.scheduler.active-memory-manager.start": False,
                "distributed.diagnostics.computations.max-history": 0,
                "distributed.admin.system-monitor.gil.enabled": False,
            }
        )
        batched: Any = importlib.import_module("distributed.batched").BatchedSend
        as_it_was = batched.__init__

        def batch_for_1_ms(self: object, **others: object) -> None:
            as_it_was(self, **{**others, "interval": "1ms"})

        batched.__init__ = batch_for_1_ms

    def start(self, workers: int) -> None:
        """Start so many workers of one slot each."""
        self._start(workers, dashboard_address=None)


US = "jupyter_dist"
CONTESTANTS: dict[str, tuple[str, Callable[[], Contestant]]] = {  # name: the package it needs, and how it is made
    US: ("jupyter_dist", JupyterDist),
    "ProcessPool": ("concurrent.futures", Processes),
    "loky": ("loky", Loky),
    "distributed": ("distributed", Distributed),
    "distributed, tuned": ("distributed", TunedDistributed),
}


def is_installed(name: str) -> bool:
    """Tell whether a contestant can take part."""
    return importlib.util.find_spec(CONTESTANTS[name][0]) is not None
