"""A task that is a coroutine, in an event loop of its own in the thread of its runner.

While the loop has nothing to do and a coroutine of it waits for something of the cluster, the task's slot is given to
another task. A loop that waits for anything else keeps it, as a call that blocks does: else as many of them would
begin as there are.

A loop that sleeps is roused for an interrupt; this ends the loop as Ctrl-C does, so the coroutines are cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import selectors
from collections.abc import Coroutine
from typing import Any

from jupyter_dist.processes import inside

PATIENCE_S = 0.001  # a shorter sleep keeps the slot

Events = list[tuple[selectors.SelectorKey, int]]


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns. Raises what it raises."""
    runner = inside.runner()
    if runner is None:
        return asyncio.run(coroutine)
    with asyncio.Runner(loop_factory=functools.partial(_new_loop, runner)) as own:
        runner.wake = functools.partial(rouse, own.get_loop())
        runner.has_loop = True
        try:
            return own.run(coroutine)
        finally:
            runner.has_loop = False
            runner.wake = None


def rouse(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop that sleeps look up. For another thread."""
    with contextlib.suppress(RuntimeError):  # it was closed just now
        loop.call_soon_threadsafe(_nothing)


def _nothing() -> None:
    """Be called."""


def _new_loop(runner: inside.Runner) -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(_Selector(runner))


class _Selector(selectors.DefaultSelector):
    """Sleeps for a loop, and gives the slot of its task away meanwhile."""

    def __init__(self, runner: inside.Runner) -> None:
        super().__init__()
        self._runner = runner

    def select(self, timeout: float | None = None) -> Events:
        """Wait for events, at most so many seconds."""
        runner = self._runner
        is_short = timeout is not None and timeout <= PATIENCE_S
        if is_short or not runner.awaiting or runner.has_seceded:
            return super().select(timeout)
        return super().select(PATIENCE_S) or self._select_aside(timeout)

    def _select_aside(self, timeout: float | None) -> Events:
        try:
            self._runner.step_aside()
            events = super().select(None if timeout is None else timeout - PATIENCE_S)
        except BaseException:
            self._runner.hurry_back()
            raise
        self._runner.step_back()
        return events
