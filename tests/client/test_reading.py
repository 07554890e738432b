"""A client's connections to workers: had while they last, and dropped with their worker."""

import asyncio

import pytest

from jupyter_dist.client.reading import HolderLostError, Readers
from jupyter_dist.core.worker.effects import Live
from jupyter_dist.processes.config import ClusterIdentity
from jupyter_dist.processes.exchange import Exchange
from jupyter_dist.settings import Settings
from tests.comm.peers import until
from tests.launch.test_connection_file import SECRET, make_info

IDENTITY = ClusterIdentity("try", "0123456789abcdef", "", SECRET)


async def open_worker(address):
    exchange = Exchange(IDENTITY, Settings(), {"k": Live(7, 1)}.get, lambda _events: None)
    await exchange.open(address)
    return exchange


def test_connection_is_made_once_and_dropped_when_its_worker_ends(tmp_path):
    async def story():
        readers, address = Readers(make_info(), Settings()), f"unix:{tmp_path}/w"
        for _ in range(2):  # the second worker has the address of the first
            worker = await open_worker(address)
            await asyncio.gather(*(readers.fetch(address, "k") for _ in range(3)))
            assert list(readers._opening) == [address]
            await worker.close()
            await until(lambda: not readers._opening)
        readers.close()

    asyncio.run(story())


def test_connection_that_cannot_be_made_is_an_error_for_all_who_asked_and_leaves_nothing(tmp_path):
    async def story():
        readers, address = Readers(make_info(), Settings()), f"unix:{tmp_path}/nobody"
        asked = [asyncio.ensure_future(readers.fetch(address, "k")) for _ in range(2)]
        given_up = asyncio.ensure_future(readers.fetch(f"{address}-2", "k"))
        await asyncio.sleep(0)
        given_up.cancel()  # nobody hears why it failed, and nobody needs to
        for one in asked:
            with pytest.raises(HolderLostError):
                await one
        await until(lambda: not readers._opening)

    asyncio.run(story())


def test_connections_that_are_closed_by_the_client_are_dropped(tmp_path):
    async def story():
        readers = Readers(make_info(), Settings())
        workers = [await open_worker(f"unix:{tmp_path}/{number}") for number in range(3)]
        for worker in workers:
            await readers.fetch(worker.address, "k")
        readers.close()
        assert not readers._opening
        for worker in workers:
            await worker.close()

    asyncio.run(story())
