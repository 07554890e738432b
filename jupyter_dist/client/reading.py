"""Reading values that are too large to ride in a message: from the host's object store, or a worker that holds them."""

from __future__ import annotations

import asyncio

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import READER_SIDE
from jupyter_dist.errors import ProtocolError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import STORE, Fetch, Found, Message
from jupyter_dist.settings import Settings
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.store import ObjectStore


class HolderLostError(Exception):
    """A holder did not have what it was said to hold, or is gone. Never leaves this floor."""


class Reader:
    """One connection to one holder, and the answers awaited on it."""

    channel: Channel  # set once it is connected

    def __init__(self) -> None:
        self._awaited: dict[int, asyncio.Future[list[memoryview]]] = {}
        self._last = 0

    async def fetch(self, key: str) -> list[memoryview]:
        """Return the buffers of a result. Raises HolderLostError."""
        self._last += 1
        awaited: asyncio.Future[list[memoryview]] = asyncio.get_running_loop().create_future()
        self._awaited[self._last] = awaited
        self.channel.send(Fetch(self._last, key))
        return await awaited

    def received(self, messages: list[Message], buffers: list[memoryview]) -> None:
        """Take an answer."""
        for message in messages:
            awaited = self._awaited.pop(getattr(message, "request", 0), None)
            if awaited is None or awaited.done():
                continue
            if isinstance(message, Found):
                awaited.set_result(buffers)
            else:
                awaited.set_exception(HolderLostError(getattr(message, "reason", "")))

    def closed(self, reason: str) -> None:
        """Take the end of the connection."""
        for awaited in self._awaited.values():
            if not awaited.done():
                awaited.set_exception(HolderLostError(reason))
        self._awaited.clear()


class Readers:
    """All connections of one client to holders, one for each; made when first needed, dropped when closed.

    Attributes
    ----------
    store : ObjectStore
        That of this host.
    """

    def __init__(self, info: ClusterInfo, settings: Settings) -> None:
        self._info = info
        self._settings = settings
        self.store = ObjectStore(info.objects)
        self._opening: dict[str, asyncio.Task[Reader]] = {}

    async def fetch(self, address: str, key: str) -> list[memoryview]:
        """Return the buffers of a result from a holder. Raises HolderLostError."""
        if address.startswith(STORE):
            return self._map(address.removeprefix(STORE))
        opening = self._opening.get(address)
        if opening is None or _is_over(opening):
            opening = self._opening[address] = asyncio.ensure_future(self._open(address))
        try:
            reader = await asyncio.shield(opening)
        except (OSError, ProtocolError) as error:
            raise HolderLostError(str(error)) from error
        return await reader.fetch(key)

    def _map(self, name: str) -> list[memoryview]:
        try:
            return self.store.read(name)
        except UnreadableError as error:
            raise HolderLostError(str(error)) from error

    async def _open(self, address: str) -> Reader:
        reader = Reader()
        reader.channel = await connect(
            address,
            role="client",
            identity_cluster=self._info.cluster,
            secret=self._info.secret,
            codec=READER_SIDE,
            receiver=reader,
            settings=self._settings,
        )
        return reader

    def close(self) -> None:
        """Close all connections."""
        for opening in self._opening.values():
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().channel.close("the client closes")
            else:
                opening.cancel()
        self._opening.clear()


def _is_over(opening: asyncio.Task[Reader]) -> bool:
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or opening.result().channel.is_closed
