"""Two ends of a link for tests: receivers that record, and a server with a client joined to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvloop

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import HOLDER_SIDE, READER_SIDE
from jupyter_dist.comm.serve import Server, serve
from jupyter_dist.messages.base import Message
from jupyter_dist.settings import Settings

SECRET = b"s" * 32
CLUSTER = "c1"
LOOPS = [asyncio.run, uvloop.run]
ADDRESSES = ["unix", "tcp", "inproc"]
PATIENCE_S = 20.0
React = Callable[["Recorder", Any], None]


class Recorder:
    """A receiver that keeps what it hears and lets a test wait for it."""

    def __init__(self, react: "React | None" = None) -> None:
        self.channel: Channel | None = None
        self.messages: list[Any] = []
        self.frames: list[tuple[list[Any], list[memoryview]]] = []
        self.reasons: list[str] = []
        self.react = react
        self._changed = asyncio.Event()

    def received(self, messages: list[Message], buffers: list[memoryview]) -> None:
        assert not self.reasons, "received after closed"
        self.frames.append((messages, buffers))
        for message in messages:
            self.messages.append(message)
            if self.react is not None:
                self.react(self, message)
        self._changed.set()

    def closed(self, reason: str) -> None:
        self.reasons.append(reason)
        self._changed.set()

    async def until(self, is_so: Callable[["Recorder"], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so(self):
                self._changed.clear()
                await self._changed.wait()

    async def until_received(self, count: int) -> list[Any]:
        await self.until(lambda recorder: len(recorder.messages) >= count)
        return self.messages

    async def until_closed(self) -> str:
        await self.until(lambda recorder: recorder.reasons)
        (reason,) = self.reasons
        return reason


class Host:
    """A server that accepts into recorders."""

    def __init__(self, react: React | None = None) -> None:
        self.recorders: list[Recorder] = []
        self.react = react
        self._accepted = asyncio.Event()

    def accept(self, channel: Channel) -> Recorder:
        recorder = Recorder(self.react)
        recorder.channel = channel
        self.recorders.append(recorder)
        self._accepted.set()
        return recorder

    async def until_accepted(self, count: int = 1) -> Recorder:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.recorders) < count:
                self._accepted.clear()
                await self._accepted.wait()
        return self.recorders[count - 1]


def address_of(form: str, folder: object) -> str:
    return {"unix": f"unix:{folder}/s", "tcp": "tcp://127.0.0.1:0", "inproc": "inproc:test"}[form]


async def until(is_so: Callable[[], object]) -> None:
    """Give the loop turns until something is so that nobody tells of."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - it is the state of the code under test, which sets no event
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(address: str, host: Host, settings: Settings | None = None) -> AsyncIterator[Server]:
    server = await serve(
        address,
        cluster=CLUSTER,
        secret=SECRET,
        codecs=HOLDER_SIDE,
        accept=host.accept,
        settings=settings or Settings(),
    )
    try:
        yield server
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await server.close()


async def join(address: str, recorder: Recorder, settings: Settings | None = None, **changes: object) -> Channel:
    options = {"role": "peer", "identity_cluster": CLUSTER, "secret": SECRET, "codec": READER_SIDE, **changes}
    channel = await connect(address, receiver=recorder, settings=settings or Settings(), **options)  # type: ignore[arg-type]  # a test may give wrong ones
    recorder.channel = channel
    return channel


@contextlib.asynccontextmanager
async def linked(
    address: str, settings: Settings | None = None, react: React | None = None
) -> AsyncIterator[tuple[Channel, Recorder, Channel, Recorder]]:
    """Yield the connecting side's channel and recorder, then the serving side's."""
    host, near = Host(react), Recorder()
    async with serving(address, host, settings) as server:
        channel = await join(server.address, near, settings)
        far = await host.until_accepted()
        assert far.channel is not None
        yield channel, near, far.channel, far
        channel.close()
        await near.until_closed()
