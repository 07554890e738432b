import asyncio
import logging
import os

import pytest

from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages import Fetch, Found, NotFound
from jupyter_dist.settings import Settings
from tests.comm.peers import ADDRESSES, LOOPS, Recorder, address_of, linked

pytestmark = [pytest.mark.parametrize("run", LOOPS), pytest.mark.parametrize("form", ADDRESSES)]
MIB = 1024 * 1024


def test_messages_of_one_turn_arrive_as_one_frame_in_order(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, _, _, far_heard):
            near.send(Fetch(1, "a"))
            near.send(Fetch(2, "b"), Fetch(3, "c"))
            near.send_all(Fetch(number, "d") for number in (4, 5))
            await far_heard.until_received(5)
            assert len(far_heard.frames) == 1
            assert [message.request for message in far_heard.messages] == [1, 2, 3, 4, 5]

    run(story())


def test_buffers_and_messages_keep_their_order(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (_, near_heard, far, _):
            far.send(NotFound(1, "a", ""))
            far.send_buffers(Found(2, "b"), [b"x", bytes(2 * MIB), b""])
            far.send(NotFound(3, "c", ""))
            far.send_buffers(Found(4, "d"), [])
            messages = await near_heard.until_received(4)
            assert [message.request for message in messages] == [1, 2, 3, 4]
            assert [list(map(len, buffers)) for _, buffers in near_heard.frames] == [[], [1, 2 * MIB, 0], [], []]

    run(story())


def test_64_megabytes_travel_both_ways_at_once(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, far, far_heard):
            block = os.urandom(MIB) * 64
            near.send_buffers(Fetch(1, "a"), [b"head", block])
            far.send_buffers(Found(1, "a"), [b"head", block])
            await near_heard.until_received(1)
            await far_heard.until_received(1)
            for heard in (near_heard, far_heard):
                ((_, buffers),) = heard.frames
                assert [bytes(buffers[0]), buffers[1] == block] == [b"head", True]
            assert near.unsent_bytes == far.unsent_bytes == 0

    run(story())


def test_close_sends_what_is_unsent_first(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, _, far_heard):
            near.send_buffers(Fetch(1, "a"), [bytes(20 * MIB)])
            near.send(Fetch(2, "b"))
            near.close("enough")
            near.send(Fetch(3, "never"))
            near.send_buffers(Fetch(4, "never"), [b"x"])
            assert near.is_closed
            assert near_heard.reasons == []  # the receiver is not called from within
            assert await far_heard.until_closed() == "the peer closed the connection"
            assert [message.request for message in far_heard.messages] == [1, 2]
            assert await near_heard.until_closed() == "enough"

    run(story())


def test_nothing_is_received_after_close(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, far, far_heard):
            far.send(NotFound(1, "a", ""))
            near.close()
            assert await near_heard.until_closed() == "this side closed the connection"
            await far_heard.until_closed()
            assert near_heard.messages == []
            assert far.is_closed

    run(story())


def test_abort_closes_both_ends_once(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, far, far_heard):
            near.abort("fenced")
            near.abort("again")
            near.close("and again")
            assert await near_heard.until_closed() == "fenced"
            await far_heard.until_closed()
            far.send(NotFound(1, "a", ""))
            await far.drain()
            assert len(near_heard.reasons) == len(far_heard.reasons) == 1

    run(story())


def test_receiver_that_closes_within_a_read_hears_no_more(run, form, tmp_path):
    def react(heard: Recorder, message: object) -> None:
        assert heard.channel is not None
        heard.channel.abort("had enough")

    async def story():
        async with linked(address_of(form, tmp_path), react=react) as (near, near_heard, _, far_heard):
            for number in range(5):
                near.send_buffers(Fetch(number, "a"), [])
            assert await far_heard.until_closed() == "had enough"
            assert len(far_heard.messages) == 1
            await near_heard.until_closed()

    run(story())


def test_receiver_that_fails_closes_its_connection_alone(run, form, tmp_path, caplog):
    def react(heard: Recorder, message: Fetch) -> None:
        if message.key == "bad":
            raise ZeroDivisionError

    async def story():
        async with linked(address_of(form, tmp_path), react=react) as (near, near_heard, _, far_heard):
            near.send(Fetch(1, "bad"))
            assert await far_heard.until_closed() == "the receiver failed: ZeroDivisionError"
            await near_heard.until_closed()

    run(story())
    assert "its receiver failed" in caplog.text


def test_receiver_may_refuse_a_message_out_of_order(run, form, tmp_path, caplog):
    def react(heard: Recorder, message: Fetch) -> None:
        raise ProtocolError("not now")

    async def story():
        async with linked(address_of(form, tmp_path), react=react) as (near, near_heard, _, far_heard):
            near.send(Fetch(1, "a"))
            assert await far_heard.until_closed() == "protocol error: not now"
            await near_heard.until_closed()

    run(story())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_message_of_another_link_closes_with_a_protocol_error(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, _, far_heard):
            near.send(NotFound(1, "a", "a reader never says so"))
            assert (await far_heard.until_closed()).startswith("protocol error: a peer sent what is no message")
            await near_heard.until_closed()

    run(story())


def test_frame_over_the_receivers_limit_closes_with_a_protocol_error(run, form, tmp_path):
    settings = Settings(object_bytes_max=1000)

    async def story():
        async with linked(address_of(form, tmp_path), settings) as (near, near_heard, far, far_heard):
            with pytest.raises(ProtocolError, match="object_bytes_max"):
                near.send_buffers(Fetch(1, "a"), [bytes(1001)])
            near._connection._settings = Settings()
            near.send_buffers(Fetch(2, "a"), [bytes(1001)])
            assert "object_bytes_max=1000" in await far_heard.until_closed()
            await near_heard.until_closed()
            assert far.is_closed

    run(story())


def test_too_large_object_is_refused_and_the_channel_goes_on(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path), Settings(object_bytes_max=1000)) as (near, _, _, far_heard):
            near.send(Fetch(1, "a"))
            with pytest.raises(ProtocolError):
                near.send_buffers(Fetch(2, "a"), [bytes(1001)])
            near.send(Fetch(3, "a"))
            messages = await far_heard.until_received(2)
            assert [message.request for message in messages] == [1, 3]

    run(story())


def test_message_that_cannot_be_sent_closes_this_side_with_the_reason(run, form, tmp_path, caplog):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, _, _):
            near.send(Fetch(2**70, "a"))
            assert "Fetch cannot be sent" in await near_heard.until_closed()

    run(story())
    assert "cannot be sent" in caplog.text


def test_drain_waits_until_the_peer_has_read(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path), Settings(outbox_bytes_max=MIB)) as (near, _, far, far_heard):
            far._transport.pause_reading()
            for number in range(8):
                near.send_buffers(Fetch(number, "a"), [bytes(MIB)])
            near.send(Fetch(8, "a"))
            draining = asyncio.ensure_future(near.drain())
            for _ in range(50):
                await asyncio.sleep(0)
            assert not draining.done()
            assert near.unsent_bytes > MIB
            far._transport.resume_reading()
            await draining
            assert near.unsent_bytes <= MIB
            await far_heard.until_received(9)

    run(story())


def test_drain_returns_when_the_channel_is_gone(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path), Settings(outbox_bytes_max=10)) as (near, near_heard, far, _):
            far._transport.pause_reading()
            near.send_buffers(Fetch(1, "a"), [bytes(4 * MIB)])
            draining = asyncio.ensure_future(near.drain())
            await asyncio.sleep(0)
            near.abort("gone")
            await draining
            assert await near_heard.until_closed() == "gone"
            far._transport.resume_reading()

    run(story())


def test_peer_that_never_reads_is_cut_off_when_too_much_is_unsent(run, form, tmp_path):
    settings = Settings(unread_bytes_max=100_000, lease_s=0.05)

    async def story():
        async with linked(address_of(form, tmp_path), settings) as (near, near_heard, far, _):
            far._transport.pause_reading()
            for _ in range(400):
                near.send(Fetch(1, "a" * 50_000))
                await asyncio.sleep(0)
            assert "does not read" in await near_heard.until_closed()
            far._transport.resume_reading()

    run(story())


def test_slow_peer_that_reads_on_is_not_cut_off(run, form, tmp_path):
    settings = Settings(unread_bytes_max=100_000, lease_s=600)

    async def story():
        async with linked(address_of(form, tmp_path), settings) as (near, _, far, far_heard):
            far._transport.pause_reading()
            for _ in range(400):
                near.send(Fetch(1, "a" * 50_000))
                await asyncio.sleep(0)
            assert near._timer is not None
            before = near.unsent_bytes
            near._check_progress(before + 1)  # it has read one byte: it gets another lease
            assert not near.is_closed
            far._transport.resume_reading()
            await far_heard.until_received(400)
            await near.drain()
            near._check_progress(before)
            assert not near.is_closed

    run(story())


def test_closing_towards_a_peer_that_never_reads_ends(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path), Settings(stop_s_max=0.05)) as (near, near_heard, far, _):
            far._transport.pause_reading()
            near.send_buffers(Fetch(1, "a"), [bytes(16 * MIB)])
            near.close("bye")
            assert await near_heard.until_closed() == "bye"
            far._transport.resume_reading()

    run(story())


def test_many_small_messages_all_arrive(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, far, far_heard):
            for number in range(20_000):
                near.send(Fetch(number, "key"))
                far.send(NotFound(number, "key", "reason"))
                if number % 500 == 0:
                    await asyncio.sleep(0)
            messages = await far_heard.until_received(20_000)
            assert [message.request for message in messages] == list(range(20_000))
            await near_heard.until_received(20_000)

    run(story())


def test_repr_says_the_role_and_whether_it_is_closed(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path)) as (near, _, far, _):
            assert repr(far) == "<Channel of a peer>"
            near.close()
            assert repr(near) == "<Channel of a peer, closed>"

    run(story())


def test_receiver_that_fails_when_told_of_the_end_is_logged(run, form, tmp_path, caplog):
    class Failing(Recorder):
        def closed(self, reason):
            super().closed(reason)
            raise ZeroDivisionError

    async def story():
        async with linked(address_of(form, tmp_path)) as (near, near_heard, _, far_heard):
            near._receiver = failing = Failing()
            near.abort("over")
            assert await failing.until_closed() == "over"
            await far_heard.until_closed()
            near_heard.closed("stand-in")

    run(story())
    assert "failed when it was told that it is closed" in caplog.text


def test_closing_towards_a_peer_that_reads_slowly_is_given_more_time(run, form, tmp_path):
    async def story():
        async with linked(address_of(form, tmp_path), Settings(stop_s_max=600)) as (near, near_heard, far, far_heard):
            far._transport.pause_reading()
            near.send_buffers(Fetch(1, "a"), [bytes(16 * MIB)])
            near.close("bye")
            near._timer.cancel()
            near._check_progress(near.unsent_bytes + 1)
            assert near_heard.reasons == []
            far._transport.resume_reading()
            assert await near_heard.until_closed() == "bye"
            await far_heard.until_closed()
            assert len(far_heard.messages) == 1

    run(story())
