"""The thread that spills: what becomes of an order, and in which order things happen."""

import asyncio
import functools
import logging

import pytest

from jupyter_dist.core.worker.effects import Live, StartSpill
from jupyter_dist.core.worker.events import MemorySeen, SpillEnded
from jupyter_dist.errors import StorageFullError
from jupyter_dist.processes.spilling import Spilling, trim_heap
from jupyter_dist.protocol.payload import pack_value
from jupyter_dist.storage.spill import SpillFolder


def story(tell):
    """Run a coroutine function as a test."""

    @functools.wraps(tell)
    def test(*args, **kwargs):
        asyncio.run(tell(*args, **kwargs))

    return test


NAMES = [f"{number:016x}" for number in range(9)]


class Bench:
    """A spilling thread, and what it told."""

    def __init__(self, folder, pack=lambda held: pack_value(held.value)):
        self.folder = folder
        self.told: asyncio.Queue[object] = asyncio.Queue()
        self.spilling = Spilling(asyncio.get_running_loop(), folder, pack, self._take)

    def _take(self, events):
        for event in events:
            self.told.put_nowait(event)

    async def next(self):
        async with asyncio.timeout(20):
            return await self.told.get()


def order(name, value="value"):
    return StartSpill(name, "key", Live(value, 10))


@story
async def test_spilled_value_is_there_and_told(tmp_path):
    bench = Bench(SpillFolder(tmp_path))
    bench.spilling.spill(order(NAMES[0]))
    assert await bench.next() == SpillEnded(NAMES[0])
    assert bench.folder.has(NAMES[0])
    bench.spilling.close()


@story
async def test_file_removed_after_its_order_is_gone_in_the_end(tmp_path):
    bench = Bench(SpillFolder(tmp_path))
    bench.spilling.spill(order(NAMES[0]))
    bench.spilling.remove([NAMES[0]])
    bench.spilling.spill(order(NAMES[1]))
    assert [await bench.next() for _ in range(2)] == [SpillEnded(NAMES[0]), SpillEnded(NAMES[1])]
    assert (bench.folder.has(NAMES[0]), bench.folder.has(NAMES[1])) == (False, True)
    bench.spilling.close()


@story
async def test_value_that_cannot_be_packed_is_told_as_unfit(tmp_path):
    bench = Bench(SpillFolder(tmp_path), lambda _held: "it is odd")
    bench.spilling.spill(order(NAMES[0]))
    assert await bench.next() == SpillEnded(NAMES[0], "it is odd", is_unfit=True)
    bench.spilling.close()


class FullFolder(SpillFolder):
    error: Exception = StorageFullError("7 bytes do not fit")

    def write(self, name, buffers):
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StorageFullError("7 bytes do not fit"), "7 bytes do not fit"),
        (MemoryError("none left"), "MemoryError: none left"),
    ],
)
@story
async def test_disk_that_fails_is_told_each_time_and_logged_once(tmp_path, caplog, error, words):
    folder = FullFolder(tmp_path)
    folder.error = error
    bench = Bench(folder)
    with caplog.at_level(logging.WARNING, logger="jupyter_dist.worker"):
        for name in NAMES[:3]:
            bench.spilling.spill(order(name))
        assert [await bench.next() for _ in range(3)] == [SpillEnded(name, words) for name in NAMES[:3]]
    assert len(caplog.records) == 1
    bench.spilling.close()


@story
async def test_relief_lets_go_of_values_and_looks_again(tmp_path):
    bench = Bench(SpillFolder(tmp_path))
    values = [object()]
    bench.spilling.relieve(values, collect=True)
    event = await bench.next()
    assert isinstance(event, MemorySeen)
    assert event.nbytes > 0
    assert not values
    bench.spilling.close()
    bench.spilling.remove([NAMES[0]])  # too late, and no harm


def test_trim_gives_freed_memory_back_or_does_nothing():
    trim_heap()
