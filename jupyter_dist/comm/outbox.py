"""The sending half of a channel: bytes wait here until the transport has room.

The transport is given a piece at a time, so that what it copies stays small however large an object is; the rest stays
where it is. `Outbox` counts what is unsent, wakes those who wait for room, and closes the transport when all is gone.
It knows nothing of messages, and it is itself told by the transport's owner when to pause and to go on.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from jupyter_dist.protocol.framing import Buffer

PIECE_BYTES = 256 * 1024
TRANSPORT_BYTES_MAX = 256 * 1024  # what the transport may hold before it asks to pause


class Outbox:
    """Unsent bytes of one transport, in order.

    Parameters
    ----------
    transport : asyncio.Transport
        Where the bytes go. Its owner calls `pause` and `resume`.
    bytes_max : int
        `wait_for_room` waits while more than this is unsent.

    Attributes
    ----------
    control_bytes : int
        What waits here and is no bulk: it grows without end when a peer stops reading and nobody waits for room.
    """

    __slots__ = (
        "_bulk_bytes",
        "_bytes_max",
        "_is_closing",
        "_is_given_up",
        "_is_paused",
        "_queue",
        "_transport",
        "_waiters",
        "control_bytes",
    )

    def __init__(self, transport: asyncio.Transport, bytes_max: int) -> None:
        self.control_bytes = 0
        self._bulk_bytes = 0
        self._transport = transport
        self._bytes_max = bytes_max
        self._queue: deque[tuple[memoryview, bool]] = deque()  # a piece, and whether it is bulk
        self._is_paused = False
        self._is_closing = False
        self._is_given_up = False
        self._waiters: set[asyncio.Future[None]] = set()
        transport.set_write_buffer_limits(high=min(TRANSPORT_BYTES_MAX, bytes_max))

    @property
    def unsent_bytes(self) -> int:
        """Bytes that have not been handed to the operating system."""
        return self.control_bytes + self._bulk_bytes + self._transport.get_write_buffer_size()

    def write(self, chunks: Sequence[Buffer], *, bulk: bool = False) -> None:
        """Send these, after what was written before. They must not change until they are sent."""
        for chunk in chunks:
            if self._is_paused or self._queue or len(chunk) > PIECE_BYTES:
                self._append(memoryview(chunk), bulk)
            else:
                self._transport.write(chunk)

    async def wait_for_room(self) -> None:
        """Wait while more than ``bytes_max`` is unsent. Returns at once when the outbox is given up."""
        while self.unsent_bytes > self._bytes_max and not self._is_given_up:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def pause(self) -> None:
        """Take note that the transport has enough."""
        self._is_paused = True

    def resume(self) -> None:
        """Take note that the transport has room again."""
        self._is_paused = False
        self._pump()

    def close(self) -> None:
        """Close the transport as soon as all is written to it."""
        self._is_closing = True
        self._pump()

    def give_up(self) -> None:
        """Forget what is unsent, because the transport is gone, and wake everybody."""
        self._is_given_up = True
        self._queue.clear()
        self.control_bytes = self._bulk_bytes = 0
        self._wake()

    def _append(self, view: memoryview, bulk: bool) -> None:
        self._queue.append((view, bulk))
        self._count(len(view), bulk)
        self._pump()

    def _count(self, change: int, bulk: bool) -> None:
        if bulk:
            self._bulk_bytes += change
        else:
            self.control_bytes += change

    def _pump(self) -> None:
        while self._queue and not self._is_paused:
            view, bulk = self._queue.popleft()
            if len(view) > PIECE_BYTES:
                self._queue.appendleft((view[PIECE_BYTES:], bulk))
                view = view[:PIECE_BYTES]
            self._count(-len(view), bulk)
            self._transport.write(view)  # may pause
        if self._is_closing and not self._queue:
            self._transport.close()
        if self._waiters and self.unsent_bytes <= self._bytes_max:
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
