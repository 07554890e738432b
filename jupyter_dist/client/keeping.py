"""The part of an Executor that has tasks run to their end, whatever becomes of their futures."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from jupyter_dist.client import containers
from jupyter_dist.client.front import Front
from jupyter_dist.client.future import Future
from jupyter_dist.core.futures import Wish
from jupyter_dist.messages import KeepTasks


class Keeping(Front):
    """What an Executor does for futures that are fired and forgotten."""

    @property
    @abstractmethod
    def owns_cluster(self) -> bool:
        """Whether its cluster ends with it."""

    def fire_and_forget(self, futures: Any) -> None:
        """Do as `jupyter_dist.fire_and_forget`, for futures of this executor. Never blocks.

        Raises
        ------
        UsageError
            A future is of another executor.
        TypeError, CancelledError, ClusterClosedError
            As there.
        """
        containers.check_only_futures(futures)
        found = containers.futures_of(self, futures)
        self.session.check_open()
        for future in found:
            if future.cancelled():
                future.raise_failure()
        pending = {future.wish: future for future in found if not future.done()}
        if pending:
            self.session.say(KeepTasks(tuple(wish.key for wish in pending)))
        if self.owns_cluster:
            for wish, future in pending.items():
                self.session.watch(wish, _Holding(future))


class _Holding:
    """Holds a future until it is done, so that the end of an executor waits for it that ends its cluster."""

    def __init__(self, future: Future) -> None:
        self._future: Future | None = future

    def notify(self, wish: Wish) -> None:
        """Let it go."""
        if wish.is_settled:
            self._future = None


def fire_and_forget(futures: Any) -> None:
    """Have tasks run to their end, with all they need, also when their futures are dropped and their executors closed.

    What such a task returns is released at once when nobody has a future on it; an error is shown as any other. A task
    that is cancelled, or whose cluster is restarted or stopped, does not go on. A cluster that ends with its executor
    (``Executor(n_workers=…)``) ends after such tasks when the executor's `shutdown` waits, as it does by default.

    Parameters
    ----------
    futures
        A future, or any nesting of containers of futures, of one or several executors. What is done already is left as
        it is; a future that is given several times counts once.

    Raises
    ------
    TypeError
        There is something that is no future; nothing was kept.
    CancelledError
        A future was cancelled, or is of no executor here.
    ClusterClosedError
        An executor is closed.
    """
    containers.check_only_futures(futures)
    by_executor: dict[Any, list[Future]] = {}
    for future in containers.futures_in(futures):
        if future.cancelled():
            future.raise_failure()
        future.executor.session.check_open()
        by_executor.setdefault(future.executor, []).append(future)
    for executor, own in by_executor.items():
        executor.fire_and_forget(own)
