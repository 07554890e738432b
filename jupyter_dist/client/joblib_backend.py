"""The joblib backend ``jupyter_dist``: `joblib.Parallel`, and all of scikit-learn, on a cluster.

Loaded by `adapters.register_joblib` alone, because it imports joblib. A batch of calls is one task. An array that several
calls take is sent once: by value with the first call, and from the second on as scattered data. Calls inside calls run
one after the other, as the cluster is busy with the outer ones.
"""

from __future__ import annotations

import sys
import traceback
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import joblib
from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, SequentialBackend, parallel_config

from jupyter_dist.client.concurrent import ConcurrentExecutor
from jupyter_dist.client.executor import Executor, default_executor
from jupyter_dist.client.future import Future
from jupyter_dist.client.lane import ask_slots
from jupyter_dist.client.packing import label_of
from jupyter_dist.errors import UsageError

SHARED_BYTES_MIN = 16 * 1024  # smaller arguments cost less to send again than to look up

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class ClusterBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """Runs `joblib.Parallel` on an Executor. joblib makes it.

    Parameters
    ----------
    executor : Executor, optional
        By default the default one, when work begins.
    nesting_level, **options
        joblib's own.

    Raises
    ------
    UsageError
        ``executor`` is no Executor.
    """

    MIN_IDEAL_BATCH_DURATION = 0.05  # seconds; a task costs far less than a millisecond here
    MAX_BATCH_DURATION = 0.5
    default_n_jobs = -1
    supports_retrieve_callback = True
    supports_inner_max_num_threads = False

    def __init__(self, executor: Executor | None = None, nesting_level: int | None = None, **options: Any) -> None:
        super().__init__(nesting_level=nesting_level, **options)
        if executor is not None and not isinstance(executor, Executor):
            raise UsageError(f"executor={executor!r}: give an Executor, or nothing for the default one")
        self._executor = executor
        self._pool: ConcurrentExecutor | None = None
        self._shared = SharedArguments(self.executor)

    @property
    def executor(self) -> Executor:
        """Where its calls run. Raises NoClusterError when there is none, UsageError when it is asynchronous."""
        if self._executor is None:
            self._executor = default_executor()
        if self._executor.asynchronous:
            raise UsageError("joblib waits for its results: give it an Executor that is not asynchronous")
        return self._executor

    def __reduce__(self) -> tuple[Any, ...]:
        return SequentialBackend, (self.nesting_level,)  # in a task the cluster is busy with the outer calls

    # -- sizes -------------------------------------------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many calls may run at a time: for -1 as many as the cluster has slots, for -2 one less."""
        if n_jobs == 0:
            raise UsageError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(ask_slots(self.executor) + 1 + n_jobs, 1)

    def configure(self, n_jobs: int | None = 1, parallel: Any = None, **_options: Any) -> int:
        """Get ready for calls; return how many run at a time."""
        self.parallel = parallel
        count = self.effective_n_jobs(n_jobs)
        self._pool = self.executor.as_concurrent(None if n_jobs == -1 else count)
        return count

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Return what `Parallel` uses inside a call: the calling thread."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    # -- calls -------------------------------------------------------------------------------------------------------

    def start_call(self) -> None:
        """Begin a `Parallel` call: nothing is shared with the one before, whose arrays may have changed since."""
        self._shared = SharedArguments(self.executor)

    def stop_call(self) -> None:
        """End a `Parallel` call: let its shared data go."""
        self._shared = SharedArguments(self.executor)

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> Any:
        """Have a batch of calls made, and a callback told of its future."""
        if self._pool is None:
            raise UsageError("this backend was not configured: `joblib.Parallel` does so")
        calls = [self._shared.replace_in(call) for call in func.items]
        future = self._pool.submit_labelled(label_of(calls[0][0]), call_each, calls, (self.nesting_level or 0) + 1)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def apply_async(self, func: Any, callback: Callable[[Any], object] | None = None) -> Any:
        """Do as `submit`; what joblib before 1.5 calls it."""
        return self.submit(func, callback)

    def retrieve_result_callback(self, out: Any) -> Any:
        """Return a batch's results, or raise what a call raised; joblib drops the traceback, so it is a note as well."""
        error = out.exception()
        if error is not None:
            lines = traceback.format_exception(error)
            error.add_note(f"\nOn the worker:\n{''.join(lines)}")
            raise error
        return out.result()

    # -- ends --------------------------------------------------------------------------------------------------------

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Give up all calls, stop those that run, and be ready for others if that is asked."""
        if self._pool is not None:
            self._pool.abort()
        if ensure_ready:
            self.configure(self.parallel.n_jobs, self.parallel)

    def terminate(self) -> None:
        """Take no more calls. The cluster stays."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


class SharedArguments:
    """Large arguments of one `Parallel` call that were seen before, by identity."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._seen: dict[int, weakref.ref[Any]] = {}
        self._sent: dict[int, Future] = {}

    def replace_in(self, call: Call) -> Call:
        """Return a call with its large arguments replaced by futures, where they were seen before."""
        function, args, kwargs = call
        return function, tuple(map(self._replace, args)), {name: self._replace(value) for name, value in kwargs.items()}

    def _replace(self, value: Any) -> Any:
        if size_of(value) < SHARED_BYTES_MIN:
            return value
        number = id(value)
        known = self._seen.get(number)
        if known is None or known() is not value:
            self._note(number, value)
            return value
        if number not in self._sent:
            [self._sent[number]] = self._executor.scatter([value])
        return self._sent[number]

    def _note(self, number: int, value: Any) -> None:
        """Remember a value for as long as it lives: its number may be another's afterwards."""

        def forget(_reference: weakref.ref[Any]) -> None:
            self._seen.pop(number, None)
            self._sent.pop(number, None)

        try:
            self._seen[number] = weakref.ref(value, forget)
        except TypeError:  # it has no weak references: it goes by value each time
            return


def size_of(value: Any) -> int:
    """Return about how many bytes an argument has: of arrays and frames what they hold."""
    nbytes = getattr(value, "nbytes", None)
    return nbytes if type(nbytes) is int else sys.getsizeof(value, 0)


def call_each(calls: Iterable[Call], nesting_level: int) -> list[Any]:
    """Make a batch of calls. Runs on a worker."""
    with parallel_config(backend=SequentialBackend(nesting_level=nesting_level), n_jobs=1):
        return [function(*args, **kwargs) for function, args, kwargs in calls]


def register(name: str) -> None:
    """Let joblib know the backend under a name."""
    joblib.register_parallel_backend(name, ClusterBackend)
