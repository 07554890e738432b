import contextlib
import mmap
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.errors import ProtocolError
from jupyter_dist.protocol import framing
from jupyter_dist.protocol.framing import Buffer, FrameReader, allocate, frame_chunks

LIMITS = {"frame_bytes_max": 1 << 20, "object_bytes_max": 1 << 22}


def reader() -> FrameReader:
    return FrameReader(LIMITS["frame_bytes_max"], LIMITS["object_bytes_max"])


def frame(control: bytes, buffers: list[Buffer] | None = None) -> bytes:
    return b"".join(frame_chunks(control, buffers or [], **LIMITS))


def feed(parser: FrameReader, data: bytes) -> list[tuple[bytes, list[bytes]]]:
    frames = []
    while data:
        buffer = parser.get_buffer()
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        data = data[count:]
        frames += [(bytes(control), [bytes(b) for b in buffers]) for control, buffers in parser.received(count)]
    return frames


sizes = st.one_of(st.integers(0, 40), st.sampled_from([4000, 16 * 1024, 64 * 1024 - 8, 64 * 1024, 70_000, 300_000]))
contents = st.builds(lambda size, salt: bytes((salt,)) * size, sizes, st.integers(0, 255))
frames_lists = st.lists(st.tuples(contents, st.lists(contents, max_size=3)), max_size=4)


@given(frames_lists, st.lists(st.integers(1, 50_000), max_size=30), st.integers(10_000, 400_000))
def test_stream_split_anywhere_gives_same_frames(frames, cuts, rest):
    data = b"".join(frame(control, list(buffers)) for control, buffers in frames)
    parser = reader()
    got = []
    for cut in [*cuts, *([rest] * (len(data) // rest + 1))]:
        got += feed(parser, data[:cut])
        data = data[cut:]
    assert got == [(control, list(buffers)) for control, buffers in frames]


def test_stream_one_byte_at_a_time_gives_same_frames():
    parser = reader()
    data = frame(b"abc") + frame(b"d", [b"", b"xyz"]) + frame(b"")
    got = [found for byte in data for found in feed(parser, bytes((byte,)))]
    assert got == [(b"abc", []), (b"d", [b"", b"xyz"]), (b"", [])]


@given(st.binary(max_size=5000))
def test_garbage_raises_only_protocol_errors(data):
    parser = FrameReader(1000, 10_000)
    with contextlib.suppress(ProtocolError):
        feed(parser, data)


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<II", LIMITS["frame_bytes_max"] + 1, 0),
        struct.pack("<II", 0xFFFFFFFF, 0),
        struct.pack("<II", 1, framing.BUFFERS_MAX + 1),
        struct.pack("<IIQ", 0, 1, LIMITS["object_bytes_max"] + 1),
        struct.pack("<IIQ", 0, 1, 2**64 - 1),
        struct.pack("<IIQQ", 0, 2, 2**63, 2**63),
        struct.pack("<IIQQ", 0, 2, LIMITS["object_bytes_max"], 1),
    ],
)
def test_head_over_a_limit_raises_before_the_body_comes(head):
    with pytest.raises(ProtocolError, match="limit"):
        feed(reader(), head)


def test_frame_at_the_limits_is_read():
    parser = FrameReader(LIMITS["frame_bytes_max"], LIMITS["object_bytes_max"])
    control, buffer = b"c" * LIMITS["frame_bytes_max"], b"b" * LIMITS["object_bytes_max"]
    assert feed(parser, frame(control, [buffer])) == [(control, [buffer])]


def test_most_buffers_are_read():
    buffers: list[Buffer] = [b"x"] * framing.BUFFERS_MAX
    assert feed(reader(), frame(b"c", buffers)) == [(b"c", buffers)]


@pytest.mark.parametrize(
    ("control", "buffers"),
    [(b"c" * (LIMITS["frame_bytes_max"] + 1), []), (b"", [bytes(1 << 22), b"x"]), (b"", [b""] * 65537)],
)
def test_sending_over_a_limit_raises(control, buffers):
    with pytest.raises(ProtocolError, match="limit"):
        frame(control, buffers)


def test_sending_buffers_does_not_copy_them():
    big = bytearray(100_000)
    chunks = frame_chunks(b"c", [big], **LIMITS)
    big[5] = 7
    assert memoryview(chunks[-1])[5] == 7


def test_sending_typed_memoryview_counts_bytes():
    view = memoryview(struct.pack("<4d", 1, 2, 3, 4)).cast("d", (2, 2))
    assert feed(reader(), frame(b"", [view]))[0][1] == [view.tobytes()]  # type: ignore[list-item]  # of numbers, as arrays are


def test_large_buffer_is_read_where_it_stays():
    parser = reader()
    size = 3_000_000
    assert feed(parser, struct.pack("<IIQ", 1, 1, size) + b"c") == []
    target = parser.get_buffer()
    assert len(target) == size
    target[:] = b"y" * size
    ((_control, (buffer,)),) = parser.received(size)
    target[0] = 1
    assert buffer[0] == 1
    assert not buffer.readonly


def test_buffers_start_on_aligned_addresses():
    parser = reader()
    lengths = [3, 5000, 100]
    feed(parser, struct.pack("<II3Q", 0, 3, *lengths))
    views = parser._parts[2:]
    whole = memoryview(views[0].obj)
    starts = []
    for view in views:
        view[0] = 1
        starts.append(bytes(whole).index(1))
        view[0] = 0
    assert [start % framing.ALIGNMENT for start in starts] == [0, 0, 0]


def test_received_buffers_outlive_the_reader():
    parser = reader()
    data = frame(b"c", [b"keep" * 1000])
    buffer = parser.get_buffer()
    buffer[: len(data)] = data
    ((_control, (kept,)),) = parser.received(len(data))
    feed(parser, frame(b"z" * 60_000))
    assert kept == b"keep" * 1000


def test_announced_memory_is_not_touched_before_it_comes():
    resident = _resident_bytes()
    parser = FrameReader(1 << 20, 1 << 34)
    feed(parser, struct.pack("<IIQ", 0, 1, 1 << 33))
    assert _resident_bytes() - resident < 50_000_000


def test_memory_that_cannot_be_had_raises_protocol_error():
    with pytest.raises(ProtocolError, match="no memory"):
        allocate(1 << 62)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
