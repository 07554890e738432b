"""Whether the scheduler is silent: a client that waits for something says so, instead of waiting without a word.

While something is to come and nothing does, the scheduler is asked for a sign of life once a second. When none comes for
a lease, that is said once, in the log, where a notebook shows it under the cell; and once more when it is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from jupyter_dist.errors import ClusterClosedError, ClusterError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.messages import Answer, Message, Ping
from jupyter_dist.settings import Settings

LOG = logging.getLogger("jupyter_dist.client")

LOOKS = 3  # in a lease


class Owner(Protocol):
    """Whose scheduler it is."""

    info: ClusterInfo
    settings: Settings

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is to come."""

    def is_waiting(self) -> bool:
        """Whether something is to come."""

    async def ask(self, make: Callable[[int], Message]) -> Answer:
        """Ask the scheduler."""


class Silence:
    """How long one scheduler has said nothing. Lives in the I/O loop.

    Attributes
    ----------
    words : str
        That it is silent, for a person; empty while it is not.
    """

    def __init__(self, owner: Owner) -> None:
        self.words = ""
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Begin to look, if nobody does: something was said to the scheduler."""
        if self._timer is None:
            self._heard_s = max(self._heard_s, self._loop.time())
            self._timer = self._loop.call_later(self._owner.settings.lease_s / LOOKS, self._look)

    def end(self) -> None:
        """Take note that the scheduler said something."""
        self._heard_s = self._loop.time()
        if self.words:
            self.words = ""
            LOG.warning("the scheduler of the cluster %r answers again", self._owner.info.name)

    def _look(self) -> None:
        self._timer = None
        owner, settings = self._owner, self._owner.settings
        if owner.is_closed or not (owner.is_waiting() or self._asking):
            return
        self._timer = self._loop.call_later(settings.lease_s / LOOKS, self._look)
        silent_s = self._loop.time() - self._heard_s
        if silent_s >= settings.lease_s * (LOOKS - 1) / LOOKS and not self.words:
            name = owner.info.name
            self.words = f"the scheduler of the cluster {name!r} has been silent for {silent_s:.0f} s"
            LOG.warning("%s: it may be stopped or very busy; nothing is lost, this goes on when it does", self.words)
        elif silent_s >= settings.lease_s / LOOKS and self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        try:
            await self._owner.ask(Ping)
        except (ClusterClosedError, ClusterError):
            return
        finally:
            self._asking = None
