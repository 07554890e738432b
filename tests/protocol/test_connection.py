import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.errors import AuthenticationError, ProtocolError
from jupyter_dist.messages import Fetch, Found, NotFound
from jupyter_dist.messages.transfer import FromHolder, ToHolder
from jupyter_dist.protocol.codec import Codec
from jupyter_dist.protocol.connection import Connection
from jupyter_dist.protocol.framing import frame_chunks
from jupyter_dist.settings import Settings

SECRET = b"s" * 32
READER, HOLDER = Codec(ToHolder, FromHolder), Codec(FromHolder, ToHolder)
SETTINGS = Settings(frame_bytes_max=1000, object_bytes_max=100_000)


def pair(secret: bytes = SECRET) -> tuple[Connection, Connection]:
    near = Connection.to_server("peer", "c", secret, b"a" * 32, READER, SETTINGS)
    far = Connection.to_client("c", SECRET, b"b" * 32, {"peer": HOLDER}, SETTINGS)
    return near, far


def joined() -> tuple[Connection, Connection]:
    near, far = pair()
    for sender, reader in ((near, far), (far, near), (near, far), (far, near)):
        assert list(reader.feed(sender.outgoing())) == []
    return near, far


def test_handshake_ends_with_both_sides_authenticated():
    near, far = joined()
    assert near.is_authenticated
    assert far.is_authenticated
    assert near.role == far.role == "peer"


def test_messages_flow_both_ways():
    near, far = joined()
    wire = b"".join(near.encode([Fetch(1, "a"), Fetch(2, "b")]))
    assert list(far.feed(wire)) == [([Fetch(1, "a"), Fetch(2, "b")], [])]
    wire = b"".join(far.encode_with_buffers(Found(1, "a"), [b"x", b"yy"]))
    ((messages, buffers),) = near.feed(wire)
    assert messages == [Found(1, "a")]
    assert buffers == [b"x", b"yy"]


def test_messages_sent_with_the_confirmation_are_received():
    near, far = pair()
    list(far.feed(near.outgoing()))
    list(near.feed(far.outgoing()))
    list(far.feed(near.outgoing()))
    wire = far.outgoing() + b"".join(far.encode([NotFound(1, "a", "gone")]))
    assert list(near.feed(wire)) == [([NotFound(1, "a", "gone")], [])]


def test_batch_larger_than_a_frame_is_split():
    near, far = joined()
    messages = [Fetch(number, "k" * 300) for number in range(20)]
    frames = list(far.feed(b"".join(near.encode(messages))))
    assert len(frames) > 5
    assert [message for frame, _buffers in frames for message in frame] == messages


def test_message_larger_than_a_frame_is_refused_here():
    near, _far = joined()
    with pytest.raises(ProtocolError, match="frame_bytes_max"):
        near.encode([Fetch(1, "k" * 2000)])


def test_buffers_beside_several_messages_are_an_error():
    _near, far = joined()
    control = READER.encode([Fetch(1, "a"), Fetch(2, "b")])
    wire = b"".join(frame_chunks(control, [b"x"], frame_bytes_max=1000, object_bytes_max=1000))
    with pytest.raises(ProtocolError, match="exactly one message"):
        list(far.feed(wire))


def test_frames_before_a_bad_one_are_delivered():
    near, far = joined()
    wire = b"".join([*near.encode([Fetch(1, "a")]), *frame_chunks(b"\xc1", frame_bytes_max=9, object_bytes_max=9)])
    deliveries = far.feed(wire)
    assert next(deliveries) == ([Fetch(1, "a")], [])
    with pytest.raises(ProtocolError):
        next(deliveries)


def test_messages_before_the_handshake_cannot_be_sent():
    near, _far = pair()
    with pytest.raises(ProtocolError, match="before the handshake"):
        near.encode([Fetch(1, "a")])


def test_wrong_secret_is_told_to_both_sides():
    near, far = pair(b"t" * 32)
    list(far.feed(near.outgoing()))
    with pytest.raises(AuthenticationError, match="authentication failed"):
        list(near.feed(far.outgoing()))
    with pytest.raises(AuthenticationError, match="authentication failed"):
        list(far.feed(near.outgoing()))


@given(st.binary(max_size=2000))
def test_garbage_after_the_handshake_raises_only_protocol_errors(data):
    _near, far = joined()
    with contextlib.suppress(ProtocolError):
        list(far.feed(data))


@given(st.lists(st.integers(1, 200), max_size=20))
def test_whole_conversation_split_anywhere_is_the_same(cuts):
    near, far = joined()
    wire = b"".join([*near.encode([Fetch(1, "a")]), *near.encode_with_buffers(Fetch(2, "b"), [b"z" * 700])])
    got = []
    for cut in [*cuts, len(wire)]:
        got += [(messages, [bytes(b) for b in buffers]) for messages, buffers in far.feed(wire[:cut])]
        wire = wire[cut:]
    assert got == [([Fetch(1, "a")], []), ([Fetch(2, "b")], [b"z" * 700])]


def test_stranger_costs_less_than_a_kilobyte():
    _near, far = pair()
    assert len(far.get_buffer()) <= 512
    assert far._reader is None
    with pytest.raises(ProtocolError):
        list(far.feed(os.urandom(512)))
