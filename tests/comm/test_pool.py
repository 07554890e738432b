import asyncio

import pytest

from jupyter_dist.comm.pool import Pool
from jupyter_dist.errors import ClusterClosedError
from jupyter_dist.messages import Fetch
from tests.comm.peers import Host, Recorder, join, serving


class Connector:
    """Connects, counts, and can be held back or made to fail."""

    def __init__(self):
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error = None

    async def __call__(self, address):
        self.asked.append(address)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await join(address, Recorder())


def story_of(story):
    async def whole():
        async with serving("inproc:a", Host()), serving("inproc:b", Host()), serving("inproc:c", Host()):
            connector = Connector()
            await story(connector)

    asyncio.run(whole())


def test_same_address_gets_the_same_channel():
    async def story(connector):
        pool = Pool(connector)
        first = await pool.get("inproc:a")
        assert await pool.get("inproc:a") is first
        assert await pool.get("inproc:b") is not first
        assert connector.asked == ["inproc:a", "inproc:b"]
        await pool.close()

    story_of(story)


def test_those_who_ask_at_once_share_one_attempt():
    async def story(connector):
        pool = Pool(connector)
        channels = await asyncio.gather(*(pool.get("inproc:a") for _ in range(10)))
        assert len(set(map(id, channels))) == 1
        assert connector.asked == ["inproc:a"]

    story_of(story)


def test_closed_channel_is_replaced():
    async def story(connector):
        pool = Pool(connector)
        first = await pool.get("inproc:a")
        first.abort("broken")
        second = await pool.get("inproc:a")
        assert second is not first
        assert not second.is_closed
        second.send(Fetch(1, "a"))

    story_of(story)


def test_failed_attempt_reaches_all_who_wait_and_the_next_tries_again():
    async def story(connector):
        pool = Pool(connector)
        connector.error = ConnectionError("down")
        results = await asyncio.gather(pool.get("inproc:a"), pool.get("inproc:a"), return_exceptions=True)
        assert [str(result) for result in results] == ["down", "down"]
        connector.error = None
        assert not (await pool.get("inproc:a")).is_closed
        assert len(connector.asked) == 2

    story_of(story)


def test_one_who_gives_up_does_not_take_it_from_the_others():
    async def story(connector):
        pool = Pool(connector)
        connector.gate.clear()
        one, other = (asyncio.ensure_future(pool.get("inproc:a")) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        connector.gate.set()
        assert not (await other).is_closed

    story_of(story)


def test_channel_asked_for_longest_ago_goes_when_there_are_too_many():
    async def story(connector):
        pool = Pool(connector, channels_max=2)
        a, b = await pool.get("inproc:a"), await pool.get("inproc:b")
        await pool.get("inproc:a")
        c = await pool.get("inproc:c")
        assert [a.is_closed, b.is_closed, c.is_closed] == [False, True, False]

    story_of(story)


def test_closed_pool_gives_nothing_and_leaves_nothing_open():
    async def story(connector):
        pool = Pool(connector)
        channel = await pool.get("inproc:a")
        connector.gate.clear()
        waiting = asyncio.ensure_future(pool.get("inproc:b"))
        await asyncio.sleep(0)
        await pool.close("over")
        assert channel.is_closed
        with pytest.raises(ClusterClosedError, match="inproc:b"):
            await waiting
        with pytest.raises(ClusterClosedError):
            await pool.get("inproc:a")

    story_of(story)


def test_closed_channels_make_room_first():
    async def story(connector):
        pool = Pool(connector, channels_max=2)
        a, b = await pool.get("inproc:a"), await pool.get("inproc:b")
        b.abort("broken")
        await pool.get("inproc:c")
        assert not a.is_closed

    story_of(story)
