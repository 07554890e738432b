import asyncio

from jupyter_dist.comm.outbox import PIECE_BYTES, Outbox


class FakeTransport(asyncio.Transport):
    """Takes so many bytes, then asks to pause."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.written: list[bytes] = []
        self.is_closed = False
        self.outbox: Outbox | None = None

    def write(self, data):
        self.written.append(bytes(data))
        self.room -= len(data)
        if self.room < 0 and self.outbox is not None:
            self.outbox.pause()

    def get_write_buffer_size(self):
        return max(0, -self.room)

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def close(self):
        self.is_closed = True

    def take(self, room: int) -> None:
        self.room = room
        assert self.outbox is not None
        self.outbox.resume()


def outbox(room: int, bytes_max: int = 100) -> tuple[Outbox, FakeTransport]:
    transport = FakeTransport(room)
    transport.outbox = Outbox(transport, bytes_max)
    return transport.outbox, transport


def test_chunk_with_room_is_written_as_it_is():
    box, transport = outbox(1000)
    box.write([b"abc", b"d"])
    assert transport.written == [b"abc", b"d"]
    assert box.unsent_bytes == 0


def test_large_chunk_is_written_in_pieces_while_there_is_room():
    box, transport = outbox(PIECE_BYTES + 1)
    box.write([bytes(5 * PIECE_BYTES)], bulk=True)
    assert [len(piece) for piece in transport.written] == [PIECE_BYTES] * 2
    assert box.unsent_bytes == 4 * PIECE_BYTES - 1
    assert box.control_bytes == 0


def test_order_is_kept_while_paused():
    box, transport = outbox(-1)
    transport.outbox = box
    box.pause()
    box.write([b"a"])
    box.write([b"b"], bulk=True)
    box.write([b"c"])
    assert transport.written == []
    assert box.control_bytes == 2
    transport.take(1000)
    assert b"".join(transport.written) == b"abc"
    assert box.control_bytes == 0


def test_close_waits_for_what_is_unsent():
    box, transport = outbox(1000)
    box.pause()
    box.write([b"a"])
    box.close()
    assert not transport.is_closed
    transport.take(1000)
    assert transport.is_closed
    assert transport.written == [b"a"]


def test_wait_for_room_ends_when_there_is_room():
    async def story():
        box, transport = outbox(0, bytes_max=10)
        box.pause()
        box.write([bytes(50)])
        waiters = [asyncio.ensure_future(box.wait_for_room()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(waiter.done() for waiter in waiters)
        transport.take(1000)
        async with asyncio.timeout(5):
            await asyncio.gather(*waiters)

    asyncio.run(story())


def test_wait_for_room_with_room_returns_at_once():
    async def story():
        box, _transport = outbox(1000)
        await box.wait_for_room()

    asyncio.run(story())


def test_wait_for_room_ends_when_it_is_given_up():
    async def story():
        box, _transport = outbox(-1000, bytes_max=10)
        box.pause()
        box.write([bytes(50)])
        waiter = asyncio.ensure_future(box.wait_for_room())
        await asyncio.sleep(0)
        box.give_up()
        async with asyncio.timeout(5):
            await waiter

    asyncio.run(story())


def test_cancelled_waiter_leaves_nothing_behind():
    async def story():
        box, _transport = outbox(-1000, bytes_max=10)
        waiter = asyncio.ensure_future(box.wait_for_room())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
        assert not box._waiters

    asyncio.run(story())
