"""A transport without a kernel: two protocols of one event loop, joined back to back.

For tests that want the real wire form, the real handshake and the real order of events, without sockets. Bytes are
copied as the kernel would. What one side writes the other reads in a later turn of the loop. Names are kept for each
loop, so tests do not meet.
"""

import asyncio
import weakref
from collections import deque
from collections.abc import Callable

from jupyter_dist.errors import UsageError

UNREAD_BYTES_MAX = 64 * 1024  # unless it is set
ProtocolFactory = Callable[[], asyncio.BufferedProtocol]
_SERVERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, ProtocolFactory]] = weakref.WeakKeyDictionary()


def listen(name: str, factory: ProtocolFactory) -> None:
    """Serve under a name in this loop: each connection gets a protocol of the factory's."""
    servers = _SERVERS.setdefault(asyncio.get_running_loop(), {})
    if name in servers:
        raise UsageError(f"inproc:{name} is served already; choose another name")
    servers[name] = factory


def stop_listening(name: str) -> None:
    """Serve no more under a name. Connections stay."""
    _SERVERS.get(asyncio.get_running_loop(), {}).pop(name, None)


def open_connection(name: str, protocol: asyncio.BufferedProtocol) -> None:
    """Join a protocol to a server of this loop."""
    factory = _SERVERS.get(asyncio.get_running_loop(), {}).get(name)
    if factory is None:
        raise ConnectionRefusedError(f"nothing serves inproc:{name} in this event loop")
    near, far = MemoryTransport(protocol), MemoryTransport(factory())
    near.join(far)
    far.join(near)


class MemoryTransport(asyncio.Transport):
    """One end. What it does to its protocol happens in later turns of the loop, as with a socket."""

    def __init__(self, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._peer = self
        self._incoming: deque[memoryview] = deque()
        self._incoming_bytes = 0
        self.unread_bytes_max = UNREAD_BYTES_MAX
        self._is_reading = True
        self._is_ended = False  # the other end writes no more
        self._is_closing = False
        self._has_paused_peer = False

    def join(self, peer: "MemoryTransport") -> None:
        """Set the other end, and begin."""
        self._peer = peer
        self._loop.call_soon(self._protocol.connection_made, self)

    @property
    def unread_bytes(self) -> int:
        """What has come and was not read."""
        return self._incoming_bytes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Put bytes where the other end reads them."""
        if not self._is_closing and self._peer.take(memoryview(bytes(data))):
            self._protocol.pause_writing()

    def take(self, data: memoryview) -> bool:
        """Accept what the other end wrote; return whether it shall pause."""
        self._incoming.append(data)
        self._incoming_bytes += len(data)
        self._loop.call_soon(self._read)
        is_first = self._incoming_bytes > self.unread_bytes_max and not self._has_paused_peer
        self._has_paused_peer |= is_first
        return is_first

    def go_on(self) -> None:
        """Accept that the other end has room again."""
        self._protocol.resume_writing()

    def end(self) -> None:
        """Accept that the other end writes no more."""
        self._is_ended = True
        self._loop.call_soon(self._read)

    def get_write_buffer_size(self) -> int:
        """Return how much the other end has not read."""
        return self._peer.unread_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how much the other end may leave unread before this end is asked to pause."""
        self._peer.unread_bytes_max = UNREAD_BYTES_MAX if high is None else high

    def is_reading(self) -> bool:
        """Return whether what comes is read."""
        return self._is_reading and not self._is_closing

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self._is_reading = True
        self._loop.call_soon(self._read)

    def is_closing(self) -> bool:
        """Return whether it closes or is closed."""
        return self._is_closing

    def close(self) -> None:
        """Close. The other end has what was written already."""
        if self._is_closing:
            return
        self._is_closing = True
        self._peer.end()
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close, and forget what has come."""
        self._incoming.clear()
        self._incoming_bytes = 0
        self.close()

    def _read(self) -> None:
        while self._incoming and self.is_reading():
            data = self._incoming.popleft()
            buffer = memoryview(self._protocol.get_buffer(len(data)))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            if count < len(data):
                self._incoming.appendleft(data[count:])
            self._incoming_bytes -= count
            self._protocol.buffer_updated(count)
        if self._has_paused_peer and self._incoming_bytes <= self.unread_bytes_max // 4:
            self._has_paused_peer = False
            self._loop.call_soon(self._peer.go_on)
        if self._is_ended and not self._incoming and self.is_reading():
            self._protocol.eof_received()
            self.close()
