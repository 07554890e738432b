import asyncio

import pytest

from jupyter_dist.comm import inproc
from jupyter_dist.errors import UsageError


class Log(asyncio.BufferedProtocol):
    """Writes down what its transport does."""

    def __init__(self):
        self.events = []
        self.transport = None
        self.buffer = bytearray(10)

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.events.append(bytes(self.buffer[:nbytes]))

    def eof_received(self):
        self.events.append("eof")

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.events.append("lost")


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def joined(story):
    async def whole():
        near, far = Log(), Log()
        inproc.listen("name", lambda: far)
        inproc.open_connection("name", near)
        assert near.events == []  # nothing happens within the call
        await turns()
        await story(near, far)

    asyncio.run(whole())


def test_bytes_arrive_in_later_turns_in_pieces_that_fit():
    async def story(near, far):
        near.transport.write(b"0123456789abc")
        assert far.events == ["made"]
        await turns()
        assert far.events == ["made", b"0123456789", b"abc"]

    joined(story)


def test_close_lets_the_other_end_read_first():
    async def story(near, far):
        near.transport.write(b"last")
        near.transport.close()
        near.transport.write(b"never")
        await turns()
        assert near.events == ["made", "lost"]
        assert far.events == ["made", b"last", "eof", "lost"]

    joined(story)


def test_paused_reader_makes_the_writer_pause_until_it_reads():
    async def story(near, far):
        near.transport.set_write_buffer_limits(high=20)
        far.transport.pause_reading()
        near.transport.write(bytes(15))
        near.transport.write(bytes(15))
        await turns()
        assert near.events == ["made", "pause"]
        assert near.transport.get_write_buffer_size() == 30
        far.transport.resume_reading()
        await turns()
        assert near.events == ["made", "pause", "resume"]
        assert near.transport.get_write_buffer_size() == 0

    joined(story)


def test_name_is_served_once_and_only_in_its_loop():
    async def story(near, far):
        with pytest.raises(UsageError, match="already"):
            inproc.listen("name", Log)
        inproc.stop_listening("name")
        with pytest.raises(ConnectionRefusedError):
            inproc.open_connection("name", Log())

    joined(story)
    joined(story)  # the first loop's names are gone with it
