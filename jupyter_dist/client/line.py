"""A session's connection with the scheduler, made anew when it is lost. Lives in the I/O loop.

A scheduler that dies comes back within a second, with all it knew; a connection may break for other reasons. As long as
the cluster's nanny lives, or there is a guardian who has another one start, and for ``reconnect_s_max`` at most, the
line looks for the scheduler again. It ends for good when the cluster says so, when its nanny is gone, or when the
scheduler will not have it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import CLIENT_SIDE
from jupyter_dist.errors import ClusterError, ProtocolError
from jupyter_dist.launch.connection_file import ClusterInfo, is_live, refresh
from jupyter_dist.messages import Message, OpenSession, Refused, Welcome
from jupyter_dist.settings import Settings

LOG = logging.getLogger("jupyter_dist.client")

RETRY_S = 0.02  # between two attempts to connect


class Owner(Protocol):
    """Whose line it is."""

    def welcomed(self, welcome: Welcome, *, is_first: bool) -> None:
        """Take note that there is a connection; nothing else was received on it yet."""

    def heard(self, messages: list[Message]) -> None:
        """Take messages."""

    def ended(self, reason: str) -> None:
        """Take note that there will be no connection any more."""


class Line:
    """The connection of one session.

    Attributes
    ----------
    is_open : bool
        Whether there is a connection, and the scheduler has welcomed this session on it.
    lost_reason : str
        Why there is none, while another is looked for.
    """

    def __init__(self, info: ClusterInfo, settings: Settings, opening: OpenSession, owner: Owner) -> None:
        self.is_open = False
        self.lost_reason = ""
        self._info = info
        self._settings = settings
        self._opening = opening
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._channel: Channel | None = None
        self._welcomed: asyncio.Future[None] = self._loop.create_future()
        self._was_open = False
        self._gone = asyncio.Event()  # there is no channel
        self._is_over = False
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect for the first time. A scheduler that another one just follows is waited for. Raises as `connect` does."""
        until_s = self._loop.time() + self._settings.start_s_max
        while True:
            try:
                return await self.connect()
            except ConnectionError:  # nobody serves, which is so between two of them
                if self._loop.time() >= until_s or not self._is_there():
                    raise
            await asyncio.sleep(RETRY_S)

    async def connect(self) -> None:
        """Connect and be welcomed.

        Raises
        ------
        OSError
            Nobody answers at the cluster's address.
        TimeoutError
            Somebody does, and says nothing.
        AuthenticationError
            The secret is wrong.
        ClusterError
            The scheduler refused, with its reason.
        """
        self._welcomed = self._loop.create_future()
        self._channel = await connect(
            self._info.address,
            role="client",
            identity_cluster=self._info.cluster,
            secret=self._info.secret,
            codec=CLIENT_SIDE,
            receiver=self,
            settings=self._settings,
        )
        self._gone.clear()
        self._channel.send(self._opening)
        async with asyncio.timeout(self._settings.handshake_s_max):
            await self._welcomed

    def send(self, messages: list[Message]) -> None:
        """Send messages on an open line."""
        if self._channel is not None:
            self._channel.send_all(messages)

    async def close(self, reason: str) -> None:
        """End it in order: when the scheduler has closed it, or a lease is over."""
        self._stop()
        if self._channel is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.lease_s):
                    await self._gone.wait()
        if self._channel is not None:
            self._channel.close(reason)

    def abort(self, reason: str) -> None:
        """End it at once."""
        self._stop()
        if self._channel is not None:
            self._channel.abort(reason)

    def _stop(self) -> None:
        self._is_over = True
        self.is_open = False
        if self._looking is not None:
            self._looking.cancel()
        if not self._welcomed.done():
            self._welcomed.cancel()

    # -- what the channel says ---------------------------------------------------------------------------------------

    def received(self, messages: list[Message], _buffers: list[memoryview]) -> None:
        """Take one frame."""
        if not self.is_open:
            messages = self._take_first(messages)
        if messages:
            self._owner.heard(messages)

    def _take_first(self, messages: list[Message]) -> list[Message]:
        """Take the scheduler's first words; return what came after them."""
        first, rest = messages[0], messages[1:]
        if self._welcomed.done():
            return []
        if isinstance(first, Welcome):
            self.is_open, is_first = True, not self._was_open
            self._was_open = True
            self.lost_reason = ""
            self._owner.welcomed(first, is_first=is_first)
            self._welcomed.set_result(None)
            return rest
        reason = first.reason if isinstance(first, Refused) else f"its first word was {type(first).__name__}"
        self._welcomed.set_exception(ClusterError(reason))
        return []

    def closed(self, reason: str) -> None:
        """Take the end of the channel."""
        self.is_open, self._channel = False, None
        self._gone.set()
        if not self._welcomed.done():
            self._welcomed.set_exception(ConnectionError(reason or "it closed the connection"))
            self._welcomed.exception()  # seen here: nobody may be waiting any more
        elif self._was_open and not self._is_over and (self._looking is None or self._looking.done()):
            self.lost_reason = reason or "it stopped"
            self._looking = asyncio.ensure_future(self._look())

    # -- looking for the scheduler again -----------------------------------------------------------------------------

    async def _look(self) -> None:
        """Connect again, or end."""
        lost, until_s = self.lost_reason, self._loop.time() + self._settings.reconnect_s_max
        is_there = True
        LOG.info("the connection to the cluster %r was lost: %s; looking for it", self._info.name, lost)
        while self._loop.time() < until_s and (is_there := self._is_there()):
            try:
                await self.connect()
            except (OSError, TimeoutError):
                if self._channel is not None:
                    self._channel.abort("it does not answer")
                await asyncio.sleep(RETRY_S)
            except (ProtocolError, ClusterError) as error:
                lost = str(error)
                break
            else:
                return
        if not self._is_over:
            self._is_over = True
            reason = lost if is_there else f"its nanny, process {self._info.pid}, has died, and the cluster with it"
            self._owner.ended(f"the connection to the cluster {self._info.name!r} was lost: {reason}")

    def _is_there(self) -> bool:
        """Whether the cluster lives, by what is known of it or else by what is known of it now."""
        if not is_live(self._info):
            self._info = refresh(self._info)
        return is_live(self._info)
