"""The nanny's line to the scheduler: connected again and again, because a scheduler may die and come back.

It registers first, and counts as connected from the scheduler's `Welcome` on. What must not be lost while there is no
scheduler (death certificates) waits here, the newest ``workers_max`` of them, and leaves first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import NANNY_SIDE
from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages import Message, Refused, RegisterNanny, Welcome
from jupyter_dist.processes.config import ClusterIdentity
from jupyter_dist.settings import Settings

LOG = logging.getLogger("jupyter_dist.nanny")
RETRY_S_MIN = 0.003
RETRY_S_MAX = 0.25
RETRY_SHARE = 0.02  # of the time already waited: quick while it comes up, cheap when it stays away
REFUSED_RETRY_S = 1.0


class SchedulerLine:
    """A connection that is kept up.

    Parameters
    ----------
    registration
        Returns what is said first on each connection.
    on_message
        Takes each message after the welcome.
    on_welcome
        Called when a scheduler has taken this nanny.
    """

    def __init__(
        self,
        identity: ClusterIdentity,
        settings: Settings,
        registration: Callable[[], RegisterNanny],
        on_message: Callable[[Message], None],
        on_welcome: Callable[[], None],
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._registration = registration
        self._on_message = on_message
        self._on_welcome = on_welcome
        self._channel: Channel | None = None
        self._is_welcome = False
        self._is_refused = False
        self._ended = asyncio.Event()
        self._kept: deque[Message] = deque(maxlen=settings.workers_max)
        self._failure = ""

    async def keep(self) -> None:
        """Connect, and connect again when the connection is lost, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            since_s = loop.time()
            while not await self._try_connect():
                waited_s = loop.time() - since_s
                await asyncio.sleep(min(max(RETRY_S_MIN, waited_s * RETRY_SHARE), RETRY_S_MAX))
            await self._ended.wait()
            if self._is_refused:
                await asyncio.sleep(REFUSED_RETRY_S)

    def send(self, message: Message) -> None:
        """Send a message that is worth something only now: dropped when there is no scheduler."""
        if self._channel is not None and self._is_welcome:
            self._channel.send(message)

    def send_surely(self, message: Message) -> None:
        """Send a message, at the latest to the next scheduler."""
        if self._channel is not None and self._is_welcome and not self._channel.is_closed:
            self._channel.send(message)
        else:
            self._kept.append(message)

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close("the nanny ends")

    def received(self, messages: list[Message], _buffers: list[memoryview]) -> None:
        """Take what the scheduler says."""
        for message in messages:
            match message:
                case Welcome():
                    self._begin()
                case Refused():
                    self._is_refused = True
                    LOG.error("the scheduler refused this nanny: %s", message.reason)
                    self.close()
                case _:
                    self._on_message(message)

    def closed(self, reason: str) -> None:
        """Take note that the connection is gone."""
        LOG.info("the connection to the scheduler is closed: %s", reason)
        self._channel = None
        self._is_welcome = False
        self._ended.set()

    def _begin(self) -> None:
        self._is_welcome = True
        self._failure = ""
        if self._channel is not None:
            self._channel.send_all(tuple(self._kept))
            self._kept.clear()
        self._on_welcome()

    async def _try_connect(self) -> bool:
        self._ended.clear()
        self._is_refused = False
        try:
            self._channel = await connect(
                self._identity.address,
                role="nanny",
                identity_cluster=self._identity.cluster,
                secret=self._identity.secret,
                codec=NANNY_SIDE,
                receiver=self,
                settings=self._settings,
            )
        except (OSError, ProtocolError) as error:
            self._log_failure(error)
            return False
        self._channel.send(self._registration())
        return True

    def _log_failure(self, error: Exception) -> None:
        """Log why there is no connection, once for each reason; that nobody listens yet is not worth a line."""
        text = str(error)
        if text != self._failure and isinstance(error, ProtocolError):
            LOG.warning("cannot connect to the scheduler: %s", text)
        self._failure = text
