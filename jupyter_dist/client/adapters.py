"""The Executor as other libraries' executor or scheduler: `concurrent.futures`, joblib, dask.

joblib and dask are optional: what needs them is a module of its own, loaded when it is first asked for, so that nothing
here imports them.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, Protocol

from jupyter_dist.client.announcing import announce
from jupyter_dist.client.calls import check_count, check_flag, make_options
from jupyter_dist.client.concurrent import ConcurrentExecutor
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.lane import Owner

JOBLIB_BACKEND = "jupyter_dist"


class Executing(Owner, Protocol):
    """What the adapters need of an Executor."""

    def gather(self, futures: Any, errors: str = "raise") -> Any:
        """Return the results of futures in the nesting they are in."""

    def get(self, dsk: Any, keys: Any, sync: bool = True, **options: Any) -> Any:
        """Compute keys of a dask graph."""


class Adapters:
    """What an Executor is to other libraries. It has no state of its own."""

    def as_concurrent(
        self: Owner,
        max_workers: int | None = None,
        *,
        pure: bool = False,
        workers: str | Iterable[str] | None = None,
        allow_other_workers: bool = False,
        retries: int = 0,
        priority: int = 0,
        resources: Mapping[str, float] | None = None,
    ) -> ConcurrentExecutor:
        """Return this cluster as an executor of `concurrent.futures`, for code that asks for one.

        Its futures work with `concurrent.futures.wait` and `as_completed`, `asyncio.wrap_future` and
        `loop.run_in_executor`. Shutting it down leaves this Executor and the cluster as they are.

        Parameters
        ----------
        max_workers
            How many of its calls may be in the cluster at a time; by default as many as keep all slots busy.
        pure
            Whether the same call gives the same result, and may run once for all.
        workers, allow_other_workers, retries, priority, resources
            For all its calls, as `submit`.

        Raises
        ------
        UsageError
            ``max_workers`` is not positive, ``retries`` is negative, or as `submit`.
        ClusterClosedError
            The executor is closed.
        """
        check_count("retries", retries)
        options = make_options(workers, allow_other_workers, resources, retries=retries, priority=priority, pure=pure)
        self.session.check_open()
        pool = ConcurrentExecutor(self, options, max_workers)
        _pools.setdefault(self, weakref.WeakSet()).add(pool)
        return pool

    def get(self: Executing, dsk: Any, keys: Any, sync: bool = True, **options: Any) -> Any:
        """Compute keys of a dask graph: a scheduler for ``dask.compute(…, scheduler=executor.get)``.

        Parameters
        ----------
        dsk
            A graph: a dict, also with tasks written as tuples, a HighLevelGraph or an expression.
        keys
            A key, or nested lists of keys.
        sync
            Return the values, lists of keys as tuples; else futures in their places.
        **options
            ``workers``, ``allow_other_workers``, ``retries``, ``priority``, ``resources`` as `submit`, for all tasks.
            Annotations of dask of these names say more for their tasks. Others, of other schedulers, are ignored.

        Raises
        ------
        KeyError
            A key is not in the graph.
        PackingError
            A task cannot be pickled; nothing was sent.
        ImportError
            dask is not installed, or too old.
        Exception
            What a task raised.
        """
        __tracebackhide__ = True
        check_flag("sync", sync)
        futures = _dask().get(self, dsk, keys, options)
        try:
            return self.gather(futures) if sync else futures
        except BaseException as error:
            hide_frames(error)
            raise

    def __call__(self: Executing, dsk: Any, keys: Any, **options: Any) -> Any:
        """Do as `get`. An object that can be called is what dask accepts in ``scheduler=executor``."""
        __tracebackhide__ = True
        try:
            return self.get(dsk, keys, **options)
        except BaseException as error:
            hide_frames(error)
            raise

    def compute(
        self: Executing, collections: Any, sync: bool = False, optimize_graph: bool = True, **options: Any
    ) -> Any:
        """Compute dask collections: arrays, bags, dataframes, delayed values.

        Parameters
        ----------
        collections
            One collection, or a list, tuple or set; what is no collection is returned as it is.
        sync
            Return the values; else a future for each collection.
        optimize_graph
            Whether dask rewrites the graph before.
        **options
            As `get`.

        Raises
        ------
        PackingError, ImportError, Exception
            As `get`.
        """
        __tracebackhide__ = True
        check_flag("sync", sync)
        futures = _dask().compute(self, collections, optimize_graph, options)
        try:
            return self.gather(futures) if sync else futures
        except BaseException as error:
            hide_frames(error)
            raise

    def persist(self: Owner, collections: Any, optimize_graph: bool = True, **options: Any) -> Any:
        """Begin to compute dask collections, and return the same collections made of futures.

        Parameters
        ----------
        collections, optimize_graph, **options
            As `compute`.

        Raises
        ------
        TypeError
            Something is no collection.
        PackingError, ImportError
            As `get`.
        """
        return _dask().persist(self, collections, optimize_graph, options)


_pools: weakref.WeakKeyDictionary[Owner, weakref.WeakSet[ConcurrentExecutor]] = weakref.WeakKeyDictionary()


def shut_pools(owner: Owner, *, wait: bool, cancel_futures: bool) -> None:
    """Shut down what `as_concurrent` made of an executor."""
    for pool in tuple(_pools.get(owner, ())):
        pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def _dask() -> ModuleType:
    return _load("jupyter_dist.client.dask_graph", "dask", "2025.4")


def register_joblib() -> None:
    """Let joblib know the backend ``jupyter_dist``; where an Executor was made that is so already.

    Then ``with joblib.parallel_config(backend="jupyter_dist"):`` runs on the default Executor, or on the one given as
    ``executor=``.

    Raises
    ------
    ImportError
        joblib is not installed, or too old.
    """
    _load("jupyter_dist.client.joblib_backend", "joblib", "1.4").register(JOBLIB_BACKEND)


def announce_to_joblib() -> None:
    """Have joblib find the backend, without importing either."""
    announce(JOBLIB_BACKEND, register_joblib)


def _load(module: str, library: str, version: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this needs {library} {version} or newer, in this process and on the workers: {error}"
        ) from error
