"""Runs one pure machine in one asyncio loop: channels in, effects out, and the timer in between.

The driver gives each connection its number (the incarnation), keeps the clock, performs what the machine returns, and
comes back at the machine's deadline. It decides nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol

from jupyter_dist.comm.channel import Channel
from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.ledger import Change
from jupyter_dist.core.scheduler.machine import Event, SchedulerMachine
from jupyter_dist.core.scheduler.replay import Records
from jupyter_dist.messages import Message

log = logging.getLogger("jupyter_dist.scheduler")


class JournalPort(Protocol):
    """Where changes of the tables are written down."""

    def write(self, changes: Sequence[Change], number: int, is_awaited: bool) -> None:
        """Have changes written: later, or soon if somebody waits for it."""


class Peer:
    """The receiver of one channel: hands what arrives to the driver, under the channel's number."""

    def __init__(self, driver: "Driver", source: int) -> None:
        self.driver = driver
        self.source = source

    def received(self, messages: list[Message], _buffers: list[memoryview]) -> None:
        """Take one frame's messages."""
        self.driver.deliver(self.source, messages)

    def closed(self, reason: str) -> None:
        """Take the end of the channel."""
        self.driver.channels.pop(self.source, None)
        self.driver.deliver(self.source, [Disconnected(reason)])


class Driver:
    """Feeds a scheduler's machine and performs its effects."""

    def __init__(
        self, machine: SchedulerMachine, on_stop: Callable[[str], None], journal: JournalPort | None = None
    ) -> None:
        self.machine = machine
        self.journal = journal
        self.channels: dict[int, Channel] = {}
        self._on_stop = on_stop
        self._loop = asyncio.get_running_loop()
        self._sources = count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0  # when it fires: not every loop's handles tell
        self._is_stopped = False

    def accept(self, channel: Channel) -> Peer:
        """Take a new authenticated channel."""
        source = next(self._sources)
        self.channels[source] = channel
        return Peer(self, source)

    def deliver(self, source: int, events: Sequence[Event]) -> None:
        """Have the machine handle what came, and do what it says."""
        if not self._is_stopped:
            self._perform(self.machine.handle(source, events, self._loop.time()))

    def restore(self, records: Records) -> None:
        """Have the machine begin with what the scheduler before wrote down."""
        self._perform(self.machine.restore(records, self._loop.time()))

    def on_written(self, number: int) -> None:
        """Take note of what is on the disk."""
        if not self._is_stopped:
            self._perform(self.machine.written(number, self._loop.time()))

    def on_trouble(self, words: str) -> None:
        """Take note that nothing is written to the disk any more."""
        if not self._is_stopped:
            self.machine.on_trouble(words, self._loop.time())
            self._arm()

    def tick(self) -> None:
        """Have the machine do what time asks for."""
        self._timer = None
        if not self._is_stopped:
            self._perform(self.machine.tick(self._loop.time()))

    def _perform(self, effects: Effects) -> None:
        if effects.journal and self.journal is not None:
            self.journal.write(effects.journal, effects.number, effects.is_awaited)
        for source, messages in effects.sends.items():
            channel = self.channels.get(source)
            if channel is not None:
                channel.send_all(messages)
        for source, reason in effects.closes.items():
            channel = self.channels.get(source)
            if channel is not None:
                log.info("connection %d is closed: %s", source, reason)
                channel.close(reason)
        if effects.stop:
            self._is_stopped = True
            self._on_stop(effects.stop)
        else:
            self._arm()

    def _arm(self) -> None:
        """Set the timer to the machine's deadline; a timer that fires too early does no harm, so it is left."""
        due = self.machine.deadline()
        if due is None:
            return
        if self._timer is not None:
            if self._due_s <= due:
                return
            self._timer.cancel()
        self._due_s = due
        self._timer = self._loop.call_at(due, self.tick)
