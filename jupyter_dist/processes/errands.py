"""What clients have done on a worker beside its slots: calls outside scheduling, and looks at the slots' stacks.

Each errand has a thread of its own: the loop goes on, and a slot that is busy, the main thread among them, delays
nothing as long as it lets go of Python's lock. Only so many run at a time; one more is refused in words. A call is the
user's code from its loading to the packing of what it returned; whatever it raises is its answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import CoroutineType

from cloudpickle import loads

from jupyter_dist.comm.channel import Channel
from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages import ErrorInfo, Ran, ReadStacks, RunCall, RunningStack, Stacks
from jupyter_dist.processes.threads import start_thread
from jupyter_dist.protocol.exceptions import describe_exception, describe_result_error
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.protocol.payload import pack_value
from jupyter_dist.protocol.tracebacks import name_type

log = logging.getLogger("jupyter_dist.worker")

ERRANDS_MAX = 64

Answer = tuple[Ran | Stacks, list[Buffer]]


class Errands:
    """The errands of one worker. `take` is called from the loop.

    Parameters
    ----------
    read_stacks : callable
        Returns where the running tasks are; called from any thread.
    """

    def __init__(self, read_stacks: Callable[[], tuple[RunningStack, ...]]) -> None:
        self._read_stacks = read_stacks
        self._under_way = 0

    def take(self, channel: Channel, message: RunCall | ReadStacks) -> None:
        """Begin an errand; its answer goes to this channel."""
        if self._under_way >= ERRANDS_MAX:
            words = f"{ERRANDS_MAX} calls run here already outside scheduling: wait for some of them to end"
            channel.send(Ran(message.request, ErrorInfo("UsageError", words, "", kind="result")))
            return
        self._under_way += 1
        place = (asyncio.get_running_loop(), channel, message)
        start_thread("errand", self._go, *place)

    def _go(self, loop: asyncio.AbstractEventLoop, channel: Channel, message: RunCall | ReadStacks) -> None:
        outcome = self._run(message) if isinstance(message, RunCall) else self._look(message)
        try:
            loop.call_soon_threadsafe(self._answer, channel, outcome)
        except RuntimeError:
            log.debug("the loop has ended before an errand did")

    def _look(self, message: ReadStacks) -> Answer:
        return Stacks(message.request, self._read_stacks()), []

    @staticmethod
    def _run(message: RunCall) -> Answer:
        value: object = None
        try:
            function, args, kwargs = loads(message.call)
            value = function(*args, **kwargs)
            if type(value) is CoroutineType:
                value = asyncio.run(value)
        except BaseException as error:  # noqa: BLE001 - SystemExit and its like are the call's outcome, not the worker's
            return _failed(message, describe_exception(error, ""))
        if not message.request:
            return Ran(0), []
        try:
            return Ran(message.request), pack_value(value)
        except BaseException as error:  # noqa: BLE001 - a user's `__reduce__` may raise anything
            return _failed(message, describe_result_error(error, name_type(type(value)), "run"))

    def _answer(self, channel: Channel, answer: Answer) -> None:
        self._under_way -= 1
        message, buffers = answer
        if not message.request:
            return
        if not buffers:
            channel.send(message)
            return
        try:
            channel.send_buffers(message, buffers)
        except ProtocolError as error:  # larger than an object may be
            channel.send(Ran(message.request, describe_result_error(error, "result", "run")))


def _failed(message: RunCall, error: ErrorInfo) -> Answer:
    if not message.request:
        log.error("a call outside scheduling that nobody waits for raised:\n%s", error.traceback or error.text)
    return Ran(message.request, error), []
