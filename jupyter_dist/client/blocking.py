"""Calls that wait, written once for threads and for event loops.

A call that waits is a coroutine which awaits *steps* and nothing else. A step can be performed by blocking the calling
thread, or be awaited in whatever loop runs: `perform` does the one or the other. So the awaitable form of a method is
its blocking form, and between its steps a call runs where its caller is: values are loaded in the user's thread, never
in the I/O thread.

A call does at once whatever it can do without waiting, in both forms: what is wrong with it is raised at the call, and
a call that needs no wait is done even if nobody awaits what it returned.
"""

from __future__ import annotations

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from jupyter_dist.client.frames import hide_frames
from jupyter_dist.client.loop import LoopThread
from jupyter_dist.client.pausing import awaiting, wait_here
from jupyter_dist.client.waiting import Gate

T = TypeVar("T")


class Step(ABC, Generic[T]):
    """One wait of a call."""

    def __await__(self) -> Generator[Step[T], T, T]:
        return (yield self)

    @abstractmethod
    def block(self) -> T:
        """Perform it, blocking this thread."""

    @abstractmethod
    async def wait(self) -> T:
        """Perform it in the running loop."""


class Opening(Step[bool]):
    """Wait until a gate is open; gives whether it was in time."""

    def __init__(self, gate: Gate, timeout: float | None = None) -> None:
        self._gate = gate
        self._timeout = timeout

    def block(self) -> bool:
        """Wait in this thread."""
        return wait_here(self._gate, self._timeout)

    async def wait(self) -> bool:
        """Wait in the running loop."""
        with awaiting():
            return await self._gate.wait_async(self._timeout)


class Remotely(Step[T]):
    """Run a coroutine function in the I/O thread; gives what it returns."""

    def __init__(
        self,
        thread: LoopThread,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        timeout: float | None = None,
    ) -> None:
        self._thread = thread
        self._start = functools.partial(function, *args)
        self._timeout = timeout

    def block(self) -> T:
        """Wait for it in this thread."""
        return self._thread.run(self._start(), self._timeout)

    async def wait(self) -> T:
        """Wait for it in the running loop; it ends with whoever waits."""
        running = asyncio.run_coroutine_threadsafe(self._start(), self._thread.loop)
        with awaiting():
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(running)


class Aside(Step[T]):
    """Call a function that blocks; for a loop in a thread beside it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function

    def block(self) -> T:
        """Call it here."""
        return self._function()

    async def wait(self) -> T:
        """Call it in another thread."""
        return await asyncio.to_thread(self._function)


class Ready(Generic[T]):
    """The outcome of a call that needed no wait. It may be awaited, and need not be."""

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        yield from ()
        return self._value


def perform(call: Coroutine[Any, Any, T], *, asynchronous: bool) -> Any:
    """Make a call in this thread and return its result; or begin it, and return an awaitable of the result."""
    __tracebackhide__ = True
    return begin(call) if asynchronous else block(call)


def block(call: Coroutine[Any, Any, T]) -> T:
    """Make a call, blocking this thread. Ctrl-C strikes it where it waits, and cancels nothing but the wait."""
    __tracebackhide__ = True
    advance: Callable[[], Step[Any]] = functools.partial(call.send, None)
    while True:
        try:
            step = advance()
        except StopIteration as stop:
            value: T = stop.value
            return value
        except RuntimeError as error:
            if isinstance(error.__cause__, StopIteration):  # a task's own: no coroutine lets that pass
                raise error.__cause__ from None
            raise
        try:
            advance = functools.partial(call.send, step.block())
        except BaseException as error:  # noqa: BLE001 - it is the call's
            advance = functools.partial(call.throw, error)


def begin(call: Coroutine[Any, Any, T]) -> Awaitable[T]:
    """Begin a call: do what needs no wait, and return an awaitable for the rest, in any loop."""
    __tracebackhide__ = True
    try:
        step: Step[Any] = call.send(None)
    except StopIteration as stop:
        return Ready(stop.value)
    return _go_on(call, step)


async def _go_on(call: Coroutine[Any, Any, T], step: Step[Any]) -> T:
    __tracebackhide__ = True
    while True:
        advance: Callable[[], Step[Any]]
        try:
            advance = functools.partial(call.send, await step.wait())
        except BaseException as error:  # noqa: BLE001 - it is the call's, a cancellation too
            advance = functools.partial(call.throw, error)
        try:
            step = advance()
        except StopIteration as stop:
            value: T = stop.value
            return value
        except BaseException as error:
            hide_frames(error)
            raise
