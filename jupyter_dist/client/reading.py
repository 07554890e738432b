"""Straight to workers: values that are too large to ride in a message, and what a worker is asked beside its tasks.

A large value may be in the host's object store instead; then it is mapped from there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import CALLER_SIDE
from jupyter_dist.errors import ProtocolError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import STORE, Fetch, Found, Message
from jupyter_dist.settings import Settings
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.store import ObjectStore


class HolderLostError(Exception):
    """A holder did not have what it was said to hold, or is gone. Never leaves this floor."""


Reply = tuple[Message, list[memoryview]]  # what a worker answered, and the buffers beside it


class Reader:
    """One connection to one worker, and the answers awaited on it."""

    channel: Channel  # set once it is connected

    def __init__(self, on_closed: Callable[[], None]) -> None:
        self._on_closed = on_closed
        self._awaited: dict[int, asyncio.Future[Reply]] = {}
        self._last = 0

    async def ask(self, make: Callable[[int], Message]) -> Reply:
        """Send a request, made from its number, and return the answer. Raises HolderLostError."""
        if self.channel.is_closed:
            raise HolderLostError("the connection is closed")
        self._last += 1
        request = self._last
        awaited: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._awaited[request] = awaited
        self.channel.send(make(request))
        try:
            return await awaited
        finally:
            self._awaited.pop(request, None)

    def received(self, messages: list[Message], buffers: list[memoryview]) -> None:
        """Take an answer."""
        for message in messages:
            awaited = self._awaited.get(getattr(message, "request", 0))
            if awaited is not None and not awaited.done():
                awaited.set_result((message, buffers))

    def closed(self, reason: str) -> None:
        """Take the end of the connection."""
        for awaited in self._awaited.values():
            if not awaited.done():
                awaited.set_exception(HolderLostError(reason))
        self._on_closed()


class Readers:
    """All connections of one client to workers, one for each; made when first needed, dropped when closed.

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
        self._telling: set[asyncio.Task[None]] = set()

    async def fetch(self, address: str, key: str) -> list[memoryview]:
        """Return the buffers of a result from a holder. Raises HolderLostError."""
        if address.startswith(STORE):
            return self._map(address.removeprefix(STORE))
        reader = await self.reach(address)
        message, buffers = await reader.ask(lambda request: Fetch(request, key))
        if not isinstance(message, Found):
            raise HolderLostError(getattr(message, "reason", ""))
        return buffers

    async def reach(self, address: str) -> Reader:
        """Return the connection to a worker, made if there is none. Raises HolderLostError."""
        opening = self._opening.get(address)
        if opening is None or _is_over(opening):
            opening = self._opening[address] = asyncio.ensure_future(self._open(address))
            opening.add_done_callback(lambda _: self._forget(address))
        try:
            return await asyncio.shield(opening)
        except (OSError, ProtocolError) as error:
            raise HolderLostError(str(error)) from error

    def tell_soon(self, address: str, message: Message) -> None:
        """Send a worker a message that has no answer, as soon as it is reached. One that cannot be never gets it."""
        task = asyncio.ensure_future(self._tell(address, message))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, address: str, message: Message) -> None:
        with contextlib.suppress(HolderLostError):
            (await self.reach(address)).channel.send(message)

    def _map(self, name: str) -> list[memoryview]:
        try:
            return self.store.read(name)
        except UnreadableError as error:
            raise HolderLostError(str(error)) from error

    async def _open(self, address: str) -> Reader:
        reader = Reader(lambda: self._forget(address))
        reader.channel = await connect(
            address,
            role="client",
            identity_cluster=self._info.cluster,
            secret=self._info.secret,
            codec=CALLER_SIDE,
            receiver=reader,
            settings=self._settings,
        )
        return reader

    def _forget(self, address: str) -> None:
        """Drop a connection that is over: the address of a dead worker comes never again."""
        opening = self._opening.get(address)
        if opening is not None and _is_over(opening):
            del self._opening[address]

    def close(self) -> None:
        """Close all connections."""
        for telling in self._telling:
            telling.cancel()
        for opening in tuple(self._opening.values()):
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().channel.close("the client closes")
            else:
                opening.cancel()
        self._opening.clear()


def _is_over(opening: asyncio.Task[Reader]) -> bool:
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or opening.result().channel.is_closed
