"""One channel for each address, made when first asked for.

Whoever fetches from many peers asks the pool each time: a channel that was closed is replaced, and those who ask for the
same address at once wait for the same connection. When there are too many channels, the one asked for longest ago goes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from jupyter_dist.comm.channel import Channel
from jupyter_dist.errors import ClusterClosedError

CHANNELS_MAX = 256


class Pool:
    """Channels by address.

    Parameters
    ----------
    connector : callable
        Makes a channel to an address, with a receiver of the caller's choice. Its errors reach all who wait for it,
        and the next to ask tries again.
    channels_max : int
        The most channels kept open.
    """

    def __init__(self, connector: Callable[[str], Awaitable[Channel]], channels_max: int = CHANNELS_MAX) -> None:
        self._connector = connector
        self._channels_max = channels_max
        self._channels: OrderedDict[str, Channel] = OrderedDict()  # the one asked for longest ago first
        self._connecting: dict[str, asyncio.Task[Channel]] = {}
        self._is_closed = False

    async def get(self, address: str) -> Channel:
        """Return an open channel to an address.

        Raises
        ------
        ClusterClosedError
            The pool was closed.
        Exception
            Whatever the connector raises.
        """
        if self._is_closed:
            raise self._closed_error(address)
        channel = self._channels.get(address)
        if channel is not None and not channel.is_closed:
            self._channels.move_to_end(address)
            return channel
        task = self._connecting.get(address)
        if task is None:
            task = self._connecting[address] = asyncio.ensure_future(self._connect(address))
            task.add_done_callback(_take_note)
        try:
            return await asyncio.shield(task)  # one who gives up does not take it from the others
        except asyncio.CancelledError:
            asker = asyncio.current_task()
            if task.cancelled() and not (asker and asker.cancelling()):  # it was not the asker who was cancelled
                raise self._closed_error(address) from None
            raise

    async def close(self, reason: str = "") -> None:
        """Close every channel and every attempt at one. Nothing can be got afterwards."""
        self._is_closed = True
        attempts = tuple(self._connecting.values())
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)
        while self._channels:
            self._channels.popitem()[1].close(reason)

    def _closed_error(self, address: str) -> ClusterClosedError:
        return ClusterClosedError(f"there is no connection to {address}: this process is closing its connections")

    async def _connect(self, address: str) -> Channel:
        try:
            channel = await self._connector(address)
        finally:
            del self._connecting[address]
        self._channels.pop(address, None)
        self._channels[address] = channel
        self._make_room()
        return channel

    def _make_room(self) -> None:
        for address in [address for address, channel in self._channels.items() if channel.is_closed]:
            del self._channels[address]
        while len(self._channels) > self._channels_max:
            self._channels.popitem(last=False)[1].close("too many connections at once; this one was used longest ago")


def _take_note(task: asyncio.Task[Channel]) -> None:
    if not task.cancelled():
        task.exception()  # those who wait for it raise it; when all have given up nobody does, and nobody need know
