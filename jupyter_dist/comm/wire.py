"""The asyncio protocol below a channel: the handshake, then bytes handed to the channel.

A wire lives from the first byte to the last. Until both sides have proved themselves it keeps its own deadline and
costs no more than the handshake's bytes. Then its owner opens the channel. If that never happens, the owner is told once
that the wire failed, and why.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from jupyter_dist.comm.channel import Channel, Receiver
from jupyter_dist.comm.outbox import Outbox
from jupyter_dist.errors import ProtocolError
from jupyter_dist.protocol.connection import Connection
from jupyter_dist.settings import Settings

PEER_CLOSED = "the peer closed the connection"


class WireOwner(Protocol):
    """Who makes wires, and hears of their three moments."""

    def connected(self, wire: "Wire", transport: asyncio.Transport) -> None:
        """Take note of the transport, before anything is read. The owner may let the wire fail."""

    def authenticated(self, wire: "Wire") -> None:
        """Take note that both sides have proved themselves. Nothing is read until the owner opens the channel."""

    def lost(self, wire: "Wire") -> None:
        """Take note that the transport is gone. If no channel was opened, `failure` says why."""


class Wire(asyncio.BufferedProtocol):
    """One connection of either side.

    Parameters
    ----------
    connection : Connection
        The protocol it speaks.
    settings : Settings
        For its limits.
    owner : WireOwner
        Is told when it is connected, authenticated and lost.

    Attributes
    ----------
    channel : Channel or None
        The channel, when it was opened.
    failure : Exception or None
        Why there is none and will be none.
    """

    def __init__(self, connection: Connection, settings: Settings, owner: WireOwner) -> None:
        self.channel: Channel | None = None
        self.failure: Exception | None = None
        self._connection = connection
        self._settings = settings
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._outbox: Outbox | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_lost = False

    @property
    def is_authenticated(self) -> bool:
        """Whether both sides have proved themselves."""
        return self._connection.is_authenticated

    @property
    def is_connected(self) -> bool:
        """Whether it has a transport that has not told its end."""
        return self._transport is not None and not self._is_lost

    def open_channel(self, accept: Callable[[Channel], Receiver]) -> Channel:
        """Return the channel over this wire, and let it begin to read. `accept` gives its receiver."""
        transport, outbox = self._transport, self._outbox
        if transport is None or outbox is None or not self.is_authenticated:
            raise ProtocolError("a channel cannot be opened before the handshake is over")
        self.channel = Channel(self._connection, transport, outbox, self._settings)
        self.channel.start(accept(self.channel))
        if not transport.is_closing():
            transport.resume_reading()
        return self.channel

    def fail(self, error: Exception) -> None:
        """Close a wire that has no channel yet. What the handshake has to say is still said."""
        self.failure = self.failure or error
        if self._transport is None:
            return
        outgoing = self._connection.outgoing()
        if outgoing:
            self._transport.write(outgoing)
            self._transport.close()
        else:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._outbox = Outbox(self._transport, self._settings.outbox_bytes_max)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._settings.handshake_s_max, self._on_deadline)
        self._owner.connected(self, self._transport)
        if self.failure is None:
            self._say()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the transport shall read to."""
        return self._connection.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of what the transport has read."""
        if self.channel is not None:
            self.channel.deliver(self._connection.received(nbytes))
        elif self.failure is None:
            self._on_handshake(nbytes)

    def eof_received(self) -> bool:
        """Let the transport close itself: nothing is said to a peer that has stopped listening."""
        return False

    def pause_writing(self) -> None:
        """Take note that the transport has enough."""
        if self._outbox is not None:
            self._outbox.pause()

    def resume_writing(self) -> None:
        """Take note that the transport has room."""
        if self._outbox is not None:
            self._outbox.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the channel, or whoever waits for one."""
        self._is_lost = True
        self._end_deadline()
        reason = PEER_CLOSED if exc is None else f"the connection broke: {exc}"
        if self.channel is not None:
            self.channel.lost(reason)
        elif self.failure is None:
            self.failure = ConnectionError(f"{reason} during the handshake")
        self._owner.lost(self)

    def _on_handshake(self, count: int) -> None:
        try:
            for _delivery in self._connection.received(count):
                pass
        except ProtocolError as error:
            self.fail(error)
            return
        self._say()
        if self.is_authenticated and self._transport is not None:
            self._end_deadline()
            self._transport.pause_reading()
            self._owner.authenticated(self)

    def _on_deadline(self) -> None:
        self.fail(TimeoutError(f"the handshake took longer than handshake_s_max={self._settings.handshake_s_max}"))

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _say(self) -> None:
        outgoing = self._connection.outgoing()
        if outgoing and self._transport is not None:
            self._transport.write(outgoing)
