"""The feed: one WebSocket a page, on which it says what it watches and how often it wants to be told.

The page says ``{"watch": TOPIC, "interval_s": 1, "epoch": E, "after": N}``, with the epoch and the number of what it has, and
``{"unwatch": TOPIC}`` when that is hidden. It is told ``{"topic", "kind", "epoch", "from", "number", …}``: a snapshot, or
a delta from the number it has; when ``from`` is not what it has, it watches anew and is told what it missed. What is
said to a page waits until the page has taken what was said before, so a slow one gets fewer and larger messages.
"""

import asyncio
from typing import Any, cast

import msgspec
from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jupyter_dist.errors import UsageError
from jupyter_dist.server.handlers import API, RESOURCE
from jupyter_dist.server.hub import Hub, Topic
from jupyter_dist.settings import Settings

HUB = "jupyter_dist_hub"  # where the application's settings keep the hub
LIMITS = "jupyter_dist_settings"
ROUTE = f"{API}/feed"
MESSAGE_BYTES_MAX = 4096  # of what a page says
INTERVAL_S_MAX = 3600.0


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page says: one of ``watch`` and ``unwatch``."""

    watch: str = ""
    unwatch: str = ""
    interval_s: float = 1.0
    epoch: str = ""
    after: int = 0


class FeedHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """One page that listens."""

    auth_resource = RESOURCE

    def initialize(self) -> None:
        """Begin with nothing watched."""
        self._watching: dict[str, asyncio.Task[None]] = {}

    @property
    def max_message_size(self) -> int:
        """How long a message of a page may be."""
        return MESSAGE_BYTES_MAX

    @ws_authenticated
    @authorized(action="read")
    async def get(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # the decorators have no types
        """Let in who may read."""
        await super().get(*args, **kwargs)

    def get_compression_options(self) -> dict[str, Any]:
        """Compress: what is said repeats itself."""
        return {"compression_level": 1}

    def on_message(self, message: str | bytes) -> None:
        """Take what a page says; what makes no sense is answered, and changes nothing."""
        try:
            self._take(msgspec.json.decode(message, type=Said))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._refuse("", f"this makes no sense: {error}")
        except UsageError as error:
            self._refuse("", str(error))

    def on_close(self) -> None:
        """Listen to nothing any more."""
        for watching in self._watching.values():
            watching.cancel()

    def _take(self, said: Said) -> None:
        if bool(said.watch) == bool(said.unwatch):
            raise UsageError("say one of `watch` and `unwatch`")
        known = self._watching.pop(said.watch or said.unwatch, None)
        if known is not None:
            known.cancel()
        if said.unwatch:
            return
        limits = cast("Settings", self.settings[LIMITS])
        if len(self._watching) >= limits.feed_topics_max:
            raise UsageError(f"one page watches {limits.feed_topics_max} topics at most")
        interval_s = min(max(said.interval_s, limits.feed_interval_s_min), INTERVAL_S_MAX)
        hub = cast("Hub", self.settings[HUB])
        topic = hub.open(said.watch)
        telling = asyncio.create_task(self._tell(topic, said, interval_s), name=f"tell {said.watch[:80]}")
        telling.add_done_callback(lambda _: hub.close(said.watch))
        self._watching[said.watch] = telling

    async def _tell(self, topic: Topic, said: Said, interval_s: float) -> None:
        epoch, after, trouble = said.epoch, said.after, ""
        while True:
            news = topic.news(epoch, after) if topic.stream.number else None
            if topic.trouble != trouble:
                trouble = topic.trouble
                await self._say({"topic": said.watch, "kind": "trouble", "message": trouble})
            elif news is None:
                await topic.wait()
                continue
            if news is not None:
                epoch, after = news["epoch"], news["number"]
                await self._say({"topic": said.watch, **news})
            await asyncio.sleep(interval_s)

    async def _say(self, told: dict[str, Any]) -> None:
        try:
            await self.write_message(msgspec.json.encode(told))
        except (WebSocketClosedError, StreamClosedError):
            raise asyncio.CancelledError from None

    def _refuse(self, topic: str, words: str) -> None:
        if self.ws_connection is not None:
            self.write_message(msgspec.json.encode({"topic": topic, "kind": "error", "message": words}))
