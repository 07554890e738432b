import asyncio
import contextlib
import pickle
import tempfile
import threading
from pathlib import Path
from typing import Any

import cloudpickle

from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.links import READER_SIDE
from jupyter_dist.core.worker.effects import Copied, Held, Live, Spilled, StartFetch, StartStore
from jupyter_dist.core.worker.events import Arrived, FetchFailed, SpillLost, StoreEnded
from jupyter_dist.messages import Fetch, Found
from jupyter_dist.processes import exchange as exchange_module
from jupyter_dist.processes.config import ClusterIdentity
from jupyter_dist.processes.exchange import Exchange
from jupyter_dist.protocol.payload import unpack_value
from jupyter_dist.settings import Settings
from jupyter_dist.storage.shared import ObjectFolder
from jupyter_dist.storage.spill import SpillFolder
from jupyter_dist.storage.store import ObjectStore

IDENTITY = ClusterIdentity("test", "c0ffee", "", b"s" * 32)
PATIENCE_S = 20


class Side:
    """One worker's exchange, what it holds and what became of its fetches."""

    def __init__(self, scratch):
        self.held: dict[str, Held] = {}
        self.spilled = SpillFolder(scratch)
        self.events = []
        self._news = asyncio.Event()
        self.exchange = Exchange(
            IDENTITY, Settings(object_bytes_max=1_000_000), self.held.get, self._deliver, spilled=self.spilled
        )

    def _deliver(self, events):
        self.events.extend(events)
        self._news.set()

    async def next(self):
        async with asyncio.timeout(PATIENCE_S):
            while not self.events:
                self._news.clear()
                await self._news.wait()
        return self.events.pop(0)

    async def fetch(self, request, key, holder):
        self.exchange.fetch(StartFetch(request, key, holder))
        return await self.next()


@contextlib.asynccontextmanager
async def two_sides(folder):
    sides = Side(folder), Side(folder)
    for name, side in zip("ab", sides, strict=True):
        await side.exchange.open(f"unix:{folder}/{name}")
    try:
        yield sides
    finally:
        for side in sides:
            await side.exchange.close()


def story(tell):
    """Run a coroutine function of two sides as a test."""

    def test(tmp_path):
        async def run():
            async with two_sides(tmp_path) as (holder, reader):
                await tell(holder, reader)

        asyncio.run(run())

    test.__name__ = tell.__name__
    return test


@story
async def test_fetch_held_value_arrives_as_buffers(holder, reader):
    holder.held["k"] = Live([1, pickle.PickleBuffer(b"x" * 100_000)], 100_000)
    event = await reader.fetch(1, "k", holder.exchange.address)
    assert isinstance(event, Arrived)
    assert (event.request, event.key, len(event.buffers)) == (1, "k", 2)
    value: Any = unpack_value(event.buffers)
    assert (value[0], bytes(value[1])) == (1, b"x" * 100_000)


@story
async def test_fetch_unknown_key_fails_with_a_reason(holder, reader):
    event = await reader.fetch(1, "k", holder.exchange.address)
    assert event == FetchFailed(1, "k", "it is not held here")


class Exploding:
    def __reduce__(self):
        raise SystemExit("no")


@story
async def test_fetch_value_that_cannot_be_packed_fails_alone(holder, reader):
    holder.held["bad"] = Live(Exploding(), 1)
    holder.held["good"] = Live(5, 1)
    event = await reader.fetch(1, "bad", holder.exchange.address)
    assert isinstance(event, FetchFailed)
    assert "SystemExit: no" in event.reason
    assert isinstance(await reader.fetch(2, "good", holder.exchange.address), Arrived)


@story
async def test_fetch_value_over_the_limit_fails_alone(holder, reader):
    holder.held["big"] = Live(bytearray(2_000_000), 2_000_000)
    holder.held["good"] = Live(5, 1)
    assert isinstance(await reader.fetch(1, "big", holder.exchange.address), FetchFailed)
    assert isinstance(await reader.fetch(2, "good", holder.exchange.address), Arrived)


@story
async def test_fetch_from_nobody_fails(holder, reader):
    event = await reader.fetch(1, "k", "unix:/nowhere/at/all")
    assert isinstance(event, FetchFailed)
    event = await reader.fetch(2, "k", "no address")
    assert isinstance(event, FetchFailed)


@story
async def test_fetch_from_holder_that_goes_away_fails_and_can_be_repeated_elsewhere(holder, reader):
    go, entered = threading.Event(), threading.Event()

    class Slow:
        def __reduce__(self):
            entered.set()
            go.wait(PATIENCE_S)
            return int, ()

    holder.held["k"] = Live(Slow(), 1)
    reader.held["k"] = Live(7, 1)
    reader.exchange.fetch(StartFetch(1, "k", holder.exchange.address))
    await asyncio.to_thread(entered.wait, PATIENCE_S)
    await holder.exchange.close()
    assert isinstance(await reader.next(), FetchFailed)
    go.set()
    assert isinstance(await reader.fetch(2, "k", reader.exchange.address), Arrived)


@story
async def test_fetch_abandoned_is_not_told(holder, reader):
    holder.held.update(a=Live(1, 1), b=Live(2, 1))
    for request, key in ((1, "a"), (2, "a"), (3, "b")):
        reader.exchange.fetch(StartFetch(request, key, holder.exchange.address))
    reader.exchange.abandon(1)  # on its way
    assert (await reader.next()).request == 2
    reader.exchange.abandon(2)  # nothing left to abandon
    assert (await reader.next()).key == "b"
    assert reader.events == []


@story
async def test_many_fetches_of_one_holder_use_one_connection_and_all_arrive(holder, reader):
    holder.held.update({f"k{n}": Live(bytearray(10_000), 10_000) for n in range(50)})
    for number in range(50):
        reader.exchange.fetch(StartFetch(number, f"k{number}", holder.exchange.address))
    found = [await reader.next() for _ in range(50)]
    assert {event.key for event in found} == set(holder.held)
    assert len(reader.exchange._readers) == 1


@story
async def test_discarded_value_is_let_go_in_a_thread(holder, reader):
    where, gone = [], threading.Event()

    class Chatty:
        def __del__(self):
            where.append(threading.current_thread().name)
            gone.set()

    holder.exchange.discard([Live(Chatty(), 1)])
    assert await asyncio.to_thread(gone.wait, PATIENCE_S)
    assert where[0].startswith("packing")


class Listener:
    def __init__(self):
        self.heard, self.reason, self.news = [], "", asyncio.Event()

    def received(self, messages, buffers):
        self.heard += [(message, list(buffers)) for message in messages]
        self.news.set()

    def closed(self, reason):
        self.reason = reason
        self.news.set()


@story
async def test_client_may_fetch_as_a_peer_may(holder, reader):
    holder.held["k"] = Live(5, 1)
    listener = Listener()
    channel = await connect(
        holder.exchange.address,
        role="client",
        identity_cluster=IDENTITY.cluster,
        secret=IDENTITY.secret,
        codec=READER_SIDE,
        receiver=listener,
        settings=Settings(),
    )
    channel.send(Fetch(9, "k"))
    async with asyncio.timeout(PATIENCE_S):
        await listener.news.wait()
    ((message, buffers),) = listener.heard
    assert message == Found(9, "k")
    assert cloudpickle.loads(buffers[0]) == 5
    channel.close()


@story
async def test_result_is_stored_as_it_is_or_as_it_came(holder, reader):
    del reader
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "objects")
        ObjectFolder(folder).make()
        objects = ObjectStore([str(folder)])
        results: list[Held] = [Live(list(range(50_000)), 1), Copied([b"stream", b"buffer"], 1)]
        for copy, held in enumerate(results, 1):
            holder.exchange.store(StartStore(copy, f"{copy:032x}", held), objects)
            assert await holder.next() == StoreEnded(copy, f"{copy:032x}")
        assert unpack_value(objects.read(f"{1:032x}")) == list(range(50_000))
        assert [bytes(buffer) for buffer in objects.read(f"{2:032x}")] == [b"stream", b"buffer"]
        holder.exchange.store(StartStore(3, f"{3:032x}", Live(Exploding(), 1)), objects)
        assert "cannot be packed" in (await holder.next()).reason
        holder.exchange.store(StartStore(4, f"{4:032x}", Live(1, 1)), ObjectStore([]))
        assert "no object store" in (await holder.next()).reason
        assert objects.names() == [f"{1:032x}", f"{2:032x}"]


@story
async def test_copy_is_served_as_it_came(holder, reader):
    holder.held["k"] = Copied([b"stream", b"buffer"], 12)
    arrived = await reader.fetch(1, "k", holder.exchange.address)
    assert [bytes(buffer) for buffer in arrived.buffers] == [b"stream", b"buffer"]


@story
async def test_spilled_result_is_served_and_stored_from_its_file(holder, reader):
    name = f"{1:016x}"
    holder.spilled.write(name, [b"stream", b"buffer" * 1000])
    holder.held["k"] = Spilled(name, 12, 1)
    arrived = await reader.fetch(1, "k", holder.exchange.address)
    assert [bytes(buffer) for buffer in arrived.buffers] == [b"stream", b"buffer" * 1000]
    assert [bytes(buffer) for buffer in holder.exchange.pack(holder.held["k"])] == [b"stream", b"buffer" * 1000]


@story
async def test_spilled_result_that_cannot_be_read_is_told_to_both_sides(holder, reader):
    name = f"{1:016x}"
    holder.held["k"] = Spilled(name, 12, 1)
    failed = await reader.fetch(1, "k", holder.exchange.address)
    assert isinstance(failed, FetchFailed)
    assert "cannot be read back from the disk" in failed.reason
    assert await holder.next() == SpillLost("k", name)


def test_peer_that_asks_for_too_much_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange_module, "REQUESTS_MAX", 10)

    async def run():
        async with two_sides(tmp_path) as (holder, reader):
            for number in range(20):
                reader.exchange.fetch(StartFetch(number, "k", holder.exchange.address))
            events = [await reader.next() for _ in range(20)]
            assert all(isinstance(event, FetchFailed) for event in events)

    asyncio.run(run())
