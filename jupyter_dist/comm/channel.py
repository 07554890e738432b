"""A channel: one authenticated connection in one event loop, and the receiver that hears it.

`Channel.send` only collects. What was collected in one turn of the loop leaves at the end of it as one frame: an idle
link has no added latency and a busy one batches by itself. All methods are called from the loop's thread alone. None of
them calls the receiver before it returns, and after a channel is closed they do nothing.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from jupyter_dist.comm.outbox import Outbox
from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages.base import Message
from jupyter_dist.protocol.connection import Connection, Delivery
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.settings import Settings

LOG = logging.getLogger("jupyter_dist.comm")


class Receiver(Protocol):
    """Hears one channel. An exception in it closes that channel alone; any but a `ProtocolError` is logged."""

    def received(self, messages: list[Message], buffers: list[memoryview]) -> None:
        """Take the messages of one frame. There are buffers only with exactly one message; they are the receiver's."""

    def closed(self, reason: str) -> None:
        """Take note that the channel is gone. Called exactly once; nothing is received afterwards."""


class Channel:
    """One authenticated connection. It is made by `connect` and by `serve`.

    Attributes
    ----------
    role : str
        The role the connecting side proved.
    is_closed : bool
        Whether this side has closed it or it is gone: nothing is received and what is sent is dropped.
    """

    __slots__ = (
        "_connection",
        "_is_told",
        "_loop",
        "_messages",
        "_outbox",
        "_reason",
        "_receiver",
        "_settings",
        "_timer",
        "_transport",
        "is_closed",
        "role",
    )

    def __init__(
        self, connection: Connection, transport: asyncio.Transport, outbox: Outbox, settings: Settings
    ) -> None:
        self.role = connection.role
        self.is_closed = False
        self._connection = connection
        self._transport = transport
        self._outbox = outbox
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._messages: list[Message] = []
        self._receiver: Receiver | None = None
        self._reason = ""  # why this side closed it
        self._is_told = False  # the receiver knows that it is closed
        self._timer: asyncio.TimerHandle | None = None  # looks whether the peer reads what is unsent

    def __repr__(self) -> str:
        return f"<Channel of a {self.role}{', closed' if self.is_closed else ''}>"

    @property
    def unsent_bytes(self) -> int:
        """Bytes that have left `send` and not this process; messages of this very turn are not counted yet."""
        return self._outbox.unsent_bytes

    def send(self, *messages: Message) -> None:
        """Send messages, in order, at the end of this turn of the loop."""
        self.send_all(messages)

    def send_all(self, messages: Iterable[Message]) -> None:
        """Send messages, in order, at the end of this turn of the loop."""
        if self.is_closed:
            return
        if not self._messages:
            self._loop.call_soon(self._flush)
        self._messages.extend(messages)

    def send_buffers(self, message: Message, buffers: Sequence[Buffer]) -> None:
        """Send one message with buffers, after what was sent before. Large buffers are not copied.

        The buffers must not change until they are sent.

        Raises
        ------
        ProtocolError
            The buffers or the message are over a limit. Nothing was sent and the channel is unharmed.
        """
        if self.is_closed:
            return
        chunks = self._connection.encode_with_buffers(message, buffers)
        self._flush()
        self._outbox.write(chunks, bulk=True)

    async def drain(self) -> None:
        """Wait while more than ``settings.outbox_bytes_max`` is unsent. Returns at once when the channel is gone."""
        self._flush()
        await self._outbox.wait_for_room()

    def close(self, reason: str = "") -> None:
        """Send what is unsent, then close. A peer that does not read it in time is cut off."""
        if self.is_closed:
            return
        self._flush()
        self._stop(reason or "this side closed the connection")
        self._outbox.close()
        self._watch_progress(self._settings.stop_s_max)

    def abort(self, reason: str) -> None:
        """Close at once. What is unsent is lost."""
        self._stop(reason)
        self._transport.abort()

    def start(self, receiver: Receiver) -> None:
        """Begin to tell a receiver what comes. For the wire below."""
        self._receiver = receiver

    def deliver(self, deliveries: Iterable[Delivery]) -> None:
        """Hand on what came, until the channel is closed. For the wire below."""
        try:
            for messages, buffers in deliveries:
                if self.is_closed or self._receiver is None:
                    return
                self._receiver.received(messages, buffers)
        except ProtocolError as error:
            self.abort(f"protocol error: {error}")
        except Exception as error:
            LOG.exception("%r: its receiver failed; the connection is closed", self)
            self.abort(f"the receiver failed: {type(error).__name__}")

    def lost(self, reason: str) -> None:
        """Take note that the transport is gone. For the wire below."""
        self._stop(reason)
        self._outbox.give_up()
        if self._timer is not None:
            self._timer.cancel()
        if self._is_told or self._receiver is None:
            return
        self._is_told = True
        try:
            self._receiver.closed(self._reason)
        except Exception:
            LOG.exception("%r: its receiver failed when it was told that it is closed", self)

    def _stop(self, reason: str) -> None:
        self._reason = self._reason or reason
        self.is_closed = True
        self._messages.clear()

    def _flush(self) -> None:
        messages = self._messages
        if not messages:
            return
        self._messages = []
        try:
            self._outbox.write(self._connection.encode(messages))
        except ProtocolError as error:
            LOG.exception("%r: a message of this side cannot be sent; the connection is closed", self)
            self.abort(f"protocol error of this side: {error}")
            return
        if self._outbox.control_bytes > self._settings.unread_bytes_max:
            self._watch_progress(self._settings.lease_s)

    def _watch_progress(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._check_progress, self.unsent_bytes)

    def _check_progress(self, unsent_bytes_before: int) -> None:
        self._timer = None
        has_stalled = self.unsent_bytes >= unsent_bytes_before
        if self.is_closed and has_stalled:
            self.abort("")  # the reason is there already
        elif self.is_closed:
            self._watch_progress(self._settings.stop_s_max)
        elif self._outbox.control_bytes > self._settings.unread_bytes_max:
            if has_stalled:
                self.abort(f"the peer does not read: {unsent_bytes_before} bytes are unsent (unread_bytes_max)")
            else:
                self._watch_progress(self._settings.lease_s)
