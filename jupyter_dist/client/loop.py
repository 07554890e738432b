"""The one background thread in which all sessions of this process do their input and output.

It is a daemon with an event loop of its own: a kernel's loop may block for as long as it likes. A forked child has the
object but not the thread; it is told so instead of hanging.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from jupyter_dist.client.pausing import wait_here
from jupyter_dist.client.waiting import Gate
from jupyter_dist.comm.event_loop import new_event_loop
from jupyter_dist.errors import ClusterClosedError

T = TypeVar("T")

FORKED = "this process was forked from the one that made the Executor: make a new Executor here"


class LoopThread:
    """An event loop that runs in a daemon thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name="jupyter_dist-io", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def is_here(self) -> bool:
        """Whether the caller runs in this thread, where blocking would wait for itself."""
        return threading.get_ident() == self._thread.ident

    def check(self) -> None:
        """Raise ClusterClosedError in a forked child and in the thread itself."""
        if os.getpid() != self.pid:
            raise ClusterClosedError(FORKED)
        if self.is_here():
            raise ClusterClosedError("a blocking call in the I/O thread would wait for itself: use the awaitable form")

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine in the thread and return its result.

        Raises
        ------
        TimeoutError
            It took longer than ``timeout`` seconds.
        """
        try:
            self.check()
        except ClusterClosedError:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return self._result(future, timeout)
        except BaseException:
            future.cancel()
            raise

    @staticmethod
    def _result(future: concurrent.futures.Future[T], timeout: float | None) -> T:
        gate = Gate()
        future.add_done_callback(lambda _: gate.open())
        wait_here(gate, timeout)
        return future.result(0)


_lock = threading.Lock()
_thread: LoopThread | None = None


def loop_thread() -> LoopThread:
    """Return this process's loop thread, started when first asked for."""
    global _thread  # noqa: PLW0603 - one a process, by purpose
    with _lock:
        if _thread is None or os.getpid() != _thread.pid:
            _thread = LoopThread()
        return _thread
