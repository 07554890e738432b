"""Results to and from other processes: a worker serves what it holds, and fetches what it needs.

Serving: a value is packed when it is asked for, in a thread, because packing runs a user's code and takes as long as
the value is large. One peer's requests are answered in order, the next one when the last has left: a slow reader keeps
one packed value in memory. Nothing packed is kept.

What a client asks beside results is done by `errands`.

Fetching: one channel for each holder. Which holder, how many at once and how long is the machine's to decide; here a
fetch only ends as `Arrived` or `FetchFailed`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import HOLDER_SIDE, READER_SIDE
from jupyter_dist.comm.pool import Pool
from jupyter_dist.comm.serve import Server, serve
from jupyter_dist.core.worker.effects import Copied, Held, Spilled, StartFetch, StartStore
from jupyter_dist.core.worker.events import Arrived, FetchFailed, SpillLost, StoreEnded
from jupyter_dist.errors import ProtocolError, StorageError
from jupyter_dist.messages import Fetch, Found, Message, NotFound, ReadStacks, RunCall, RunningStack
from jupyter_dist.processes.config import ClusterIdentity
from jupyter_dist.processes.errands import Errands
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.protocol.payload import pack_value
from jupyter_dist.protocol.tracebacks import name_type, say_exception
from jupyter_dist.settings import Settings
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.spill import SpillFolder
from jupyter_dist.storage.store import ObjectStore

REQUESTS_MAX = 100_000  # of one peer that wait for their turn
THREADS_MAX = 2

Fetching = Arrived | FetchFailed | StoreEnded | SpillLost


class Exchange:
    """A worker's data server and its fetches. It belongs to one event loop.

    Parameters
    ----------
    identity : ClusterIdentity
        What proves peers to each other.
    settings : Settings
        Limits.
    find_held : callable
        Returns the result held for a key, or None.
    deliver : callable
        Takes what became of fetches.
    read_stacks : callable, optional
        Returns where the running tasks are; called from any thread.
    spilled : SpillFolder, optional
        Where results are that are not in memory.
    """

    def __init__(
        self,
        identity: ClusterIdentity,
        settings: Settings,
        find_held: Callable[[str], Held | None],
        deliver: Callable[[Sequence[Fetching]], None],
        read_stacks: Callable[[], tuple[RunningStack, ...]] = tuple,
        spilled: SpillFolder | None = None,
    ) -> None:
        self.address = ""
        self.is_closing = False
        self.errands = Errands(read_stacks)
        self._identity = identity
        self._settings = settings
        self._find_held = find_held
        self._spilled = spilled
        self._deliver = deliver
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="packing")
        self._pool = Pool(self._connect)
        self._readers: dict[str, _Reader] = {}  # by address
        self._asking: dict[int, asyncio.Task[None]] = {}  # requests on their way to a holder
        self._storing: set[asyncio.Task[None]] = set()
        self._server: Server | None = None

    async def open(self, address: str) -> None:
        """Begin to serve."""
        identity = self._identity
        self._server = await serve(
            address,
            cluster=identity.cluster,
            secret=identity.secret,
            codecs=HOLDER_SIDE,
            accept=lambda channel: _Holder(self, channel),
            settings=self._settings,
        )
        self.address = self._server.address

    async def close(self) -> None:
        """Serve and fetch no more."""
        self.is_closing = True
        for task in [*self._asking.values(), *self._storing]:
            task.cancel()
        await self._pool.close("the worker ends")
        if self._server is not None:
            await self._server.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- fetching ----------------------------------------------------------------------------------------------------

    def fetch(self, wanted: StartFetch) -> None:
        """Ask a holder for a key."""
        self._asking[wanted.request] = asyncio.ensure_future(self._ask(wanted))

    def abandon(self, request: int) -> None:
        """Wait no longer for a fetch. Its answer, if one comes, is dropped."""
        task = self._asking.pop(request, None)
        if task is not None:
            task.cancel()
        for reader in self._readers.values():
            reader.waiting.pop(request, None)

    async def _ask(self, wanted: StartFetch) -> None:
        try:
            channel = await self._pool.get(wanted.holder)
        except Exception as error:  # noqa: BLE001 - whatever keeps us from this holder, the next one is asked
            self._deliver([FetchFailed(wanted.request, wanted.key, str(error))])
            return
        finally:
            self._asking.pop(wanted.request, None)
        self._readers[wanted.holder].waiting[wanted.request] = wanted.key
        channel.send(Fetch(wanted.request, wanted.key))

    async def _connect(self, address: str) -> Channel:
        reader = _Reader(self._deliver, lambda: self._drop_reader(address, reader))
        channel = await connect(
            address,
            role="peer",
            identity_cluster=self._identity.cluster,
            secret=self._identity.secret,
            codec=READER_SIDE,
            receiver=reader,
            settings=self._settings,
        )
        self._readers[address] = reader
        return channel

    def _drop_reader(self, address: str, reader: _Reader) -> None:
        if self._readers.get(address) is reader:
            del self._readers[address]

    # -- the object store --------------------------------------------------------------------------------------------

    def store(self, wanted: StartStore, objects: ObjectStore) -> None:
        """Write a held result to the host's object store, in a thread."""
        task = asyncio.ensure_future(self._store(wanted, objects))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _store(self, wanted: StartStore, objects: ObjectStore) -> None:
        loop = asyncio.get_running_loop()
        reason = await loop.run_in_executor(self._threads, self._write, wanted, objects)
        self._deliver([StoreEnded(wanted.copy, wanted.name, reason)])

    # -- serving -----------------------------------------------------------------------------------------------------

    async def answer(self, channel: Channel, request: Fetch) -> None:
        """Send a held result, or why not, and wait until it has left."""
        held = self._find_held(request.key)
        if held is None:
            channel.send(NotFound(request.request, request.key, "it is not held here"))
            return
        packed = await asyncio.get_running_loop().run_in_executor(self._threads, self.pack, held)
        if isinstance(packed, str):
            if isinstance(held, Spilled):
                self._deliver([SpillLost(request.key, held.name)])
            channel.send(NotFound(request.request, request.key, packed))
            return
        try:
            channel.send_buffers(Found(request.request, request.key), packed)
        except ProtocolError as error:  # larger than an object may be
            channel.send(NotFound(request.request, request.key, str(error)))
        await channel.drain()

    def discard(self, values: list[object]) -> None:
        """Let go of values in a thread: their `__del__` may do anything, and the loop must go on."""
        self._threads.submit(values.clear)

    def pack(self, held: Held) -> Sequence[Buffer] | str:
        """Return a result as it travels, or why it cannot; what was packed before is passed on as it is."""
        if isinstance(held, Copied):
            return held.buffers
        if isinstance(held, Spilled):
            return self._read_back(held)
        try:
            return pack_value(held.value)
        except BaseException as error:  # noqa: BLE001 - a user's `__reduce__` may raise anything
            return f"it cannot be packed any more: {name_type(type(error))}: {say_exception(error)}"

    def _read_back(self, held: Spilled) -> Sequence[Buffer] | str:
        if self._spilled is None:
            return "this worker has no disk"
        try:
            return self._spilled.read(held.name)
        except (UnreadableError, OSError) as error:
            return f"it cannot be read back from the disk: {error}"

    def _write(self, wanted: StartStore, objects: ObjectStore) -> str:
        """Write a result; return why it could not be, empty when it was."""
        packed = self.pack(wanted.held)
        if isinstance(packed, str):
            return packed
        try:
            objects.write(packed, wanted.name)
        except StorageError as error:
            return str(error)
        return ""


class _Holder:
    """The receiver of one peer that asks."""

    def __init__(self, exchange: Exchange, channel: Channel) -> None:
        self._exchange = exchange
        self._channel = channel
        self._requests: deque[Fetch] = deque()
        self._answering: asyncio.Task[None] | None = None

    def received(self, messages: list[Message], _buffers: list[memoryview]) -> None:
        for message in messages:
            if isinstance(message, Fetch):
                self._requests.append(message)
            elif isinstance(message, RunCall | ReadStacks):  # of a client: the codec of a peer has none
                self._exchange.errands.take(self._channel, message)
        if len(self._requests) > REQUESTS_MAX:
            self._channel.abort(f"the peer asks for more than {REQUESTS_MAX} results at once")
        elif self._requests and self._answering is None:
            self._answering = asyncio.ensure_future(self._answer_all())

    def closed(self, _reason: str) -> None:
        self._requests.clear()

    async def _answer_all(self) -> None:
        try:
            while self._requests:
                await self._exchange.answer(self._channel, self._requests.popleft())
        except Exception as error:  # noqa: BLE001 - who asked would wait for ever
            self._channel.abort("this worker cannot answer any more")
            if not self._exchange.is_closing:
                words = {"message": "a worker's exchange fails", "exception": error, "handle": None}
                asyncio.get_running_loop().call_exception_handler(words)
        self._answering = None


class _Reader:
    """The receiver of one holder that is asked."""

    def __init__(self, deliver: Callable[[Sequence[Fetching]], None], on_closed: Callable[[], None]) -> None:
        self.waiting: dict[int, str] = {}  # key by request
        self._deliver = deliver
        self._on_closed = on_closed

    def received(self, messages: list[Message], buffers: list[memoryview]) -> None:
        answers = (message for message in messages if isinstance(message, Found | NotFound))
        waited = [answer for answer in answers if self.waiting.pop(answer.request, None) == answer.key]
        if waited:
            self._deliver([_outcome_of(answer, buffers) for answer in waited])

    def closed(self, reason: str) -> None:
        self._on_closed()
        waiting, self.waiting = self.waiting, {}
        if waiting:
            self._deliver([FetchFailed(request, key, reason) for request, key in waiting.items()])


def _outcome_of(message: Found | NotFound, buffers: list[memoryview]) -> Fetching:
    if isinstance(message, NotFound):
        return FetchFailed(message.request, message.key, message.reason)
    return Arrived(message.request, message.key, buffers)
