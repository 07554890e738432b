"""A future of `concurrent.futures` whose task runs on a cluster.

Its outcome is set as it arrived, in the I/O thread, and loaded by whoever asks for it first: loading runs the user's
code. Done callbacks never run in the I/O thread, so a callback may wait for other futures.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

from jupyter_dist.client.callbacks import run_later
from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.loop import loop_thread
from jupyter_dist.client.pausing import wait_here
from jupyter_dist.client.waiting import Gate
from jupyter_dist.core.futures import UNLOADED
from jupyter_dist.processes import inside

_keeping = threading.Lock()  # two threads that load the same outcome get the same object


class PackedError(Exception):
    """A task's exception that is still packed. Nobody catches it: it holds the place of the real one until it is asked for."""

    def __init__(self, load: Callable[[], BaseException]) -> None:
        super().__init__()
        self.load = load


class ConcurrentFuture(concurrent.futures.Future[Any]):
    """The result of a call, now or later. Made by `ConcurrentExecutor`.

    Its result is set to a function that loads the value, its exception to a `PackedError`.

    Attributes
    ----------
    key : str
        The name of the task in the cluster.
    """

    def __init__(self, key: str, withdraw: Callable[[ConcurrentFuture], bool]) -> None:
        super().__init__()
        self.key = key
        self._withdraw = withdraw
        self._value: Any = UNLOADED
        self._problem: BaseException | None = None

    def cancel(self) -> bool:
        """Give the call up if it has not been handed to the cluster; return whether it is cancelled now."""
        if self._withdraw(self):
            super().cancel()
            self.set_running_or_notify_cancel()
        return self.cancelled()

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, or raise what the call raised. As `concurrent.futures.Future.result`."""
        __tracebackhide__ = True
        problem = self.exception(timeout)
        if problem is None:
            return self._value
        try:
            raise problem
        except BaseException as error:
            hide_frames(error)
            raise
        finally:
            del problem, self  # the exception's traceback would keep itself alive

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised, or None. As `concurrent.futures.Future.exception`."""
        __tracebackhide__ = True
        packed = self._await(timeout)
        if self._value is UNLOADED and self._problem is None:
            value, problem = self._load(packed)
            with _keeping:
                if self._value is UNLOADED and self._problem is None:
                    self._value, self._problem = value, problem
        return self._problem

    def take(self, timeout: float | None = None) -> Any:
        """Return the result as `result` does, and do not keep it."""
        __tracebackhide__ = True
        value, problem = self._load(self._await(timeout))
        if problem is None:
            return value
        try:
            raise problem
        finally:
            del problem, self

    def _await(self, timeout: float | None) -> BaseException | None:
        """Do as `exception` of the base; inside a task, give its slot away while it waits."""
        if inside.runner() is None or self.done():
            return super().exception(timeout)
        gate = Gate()
        super().add_done_callback(lambda _: gate.open())
        wait_here(gate, timeout)
        return super().exception(0)

    def _load(self, packed: BaseException | None) -> tuple[Any, BaseException | None]:
        if packed is not None:
            return UNLOADED, packed.load() if isinstance(packed, PackedError) else packed
        load = super().result()
        try:
            return load(), None
        except Exception as problem:  # noqa: BLE001 - it is raised by `result` and returned by `exception`
            return UNLOADED, problem

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[Any]], object]) -> None:
        """Call a function with this future once it is done, at once if it is."""
        super().add_done_callback(_Callback(fn))

    def __repr__(self) -> str:
        state = (
            "cancelled" if self.cancelled() else "done" if self.done() else "running" if self.running() else "queued"
        )
        return f"<ConcurrentFuture {self.key}: {state}>"


class _Callback:
    """A user's callback, which is kept out of the I/O thread."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[concurrent.futures.Future[Any]], object]) -> None:
        self._function = function

    def __call__(self, future: concurrent.futures.Future[Any]) -> None:
        function = self._function
        if loop_thread().is_here():
            run_later(lambda: function(future))
        else:
            function(future)
