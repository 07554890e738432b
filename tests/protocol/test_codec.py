import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages import ErrorInfo, Fetch, FromWorker, TaskErred, TaskOutput, ToWorker, Withdrawn
from jupyter_dist.messages.observation import ClusterSnapshot
from jupyter_dist.messages.submission import Answer, ToClient
from jupyter_dist.messages.transfer import FromHolder, ToHolder
from jupyter_dist.protocol.codec import Codec

WORKER = Codec(sends=FromWorker, receives=ToWorker)
SCHEDULER = Codec(sends=ToWorker, receives=FromWorker)
HOLDER = Codec(sends=FromHolder, receives=ToHolder)


def test_messages_of_the_link_arrive_equal_and_in_order():
    messages = [TaskOutput("key", 1, "stdout", "hello"), Withdrawn((1, 2, 3))]
    assert SCHEDULER.decode(WORKER.encode(messages)) == messages


def test_link_of_one_message_type_decodes():
    assert HOLDER.decode(memoryview(HOLDER.encode([Fetch(1, "key")]))) == [Fetch(1, "key")]


@given(st.binary(max_size=300))
def test_garbage_raises_only_protocol_errors(data):
    with contextlib.suppress(ProtocolError):
        SCHEDULER.decode(data)


@given(st.recursive(st.none() | st.integers(-5, 130) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=6)))
def test_wrong_shapes_raise_only_protocol_errors(value):
    with contextlib.suppress(ProtocolError):
        SCHEDULER.decode(msgspec.msgpack.encode(value))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x90", id="no message"),
        pytest.param(SCHEDULER.encode([Withdrawn((1,))]) + b"\x00", id="bytes after it"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="length lied"),
        pytest.param(b"\x91\x92\x3e\xdd\x01\xff\xff\xff", id="inner length lied"),
        pytest.param(b"\x91" * 100_000, id="deep"),
        pytest.param(b"\x91\x92\x3e" + b"\x91" * 100_000, id="deep inside"),
        pytest.param(b"\x91\x95\x40\xa1\xff\x01\xa0\xa0", id="not utf-8"),
        pytest.param(msgspec.msgpack.encode([[99, 1]]), id="unknown tag"),
        pytest.param(HOLDER.encode([Fetch(1, "key")]), id="of another link"),
        pytest.param(msgspec.msgpack.encode([[62, ["1"]]]), id="wrong type"),
    ],
)
def test_bytes_that_are_no_message_raise(data):
    with pytest.raises(ProtocolError):
        SCHEDULER.decode(data)


def test_text_with_lone_surrogates_is_sent_escaped_and_harms_no_other():
    error = ErrorInfo("T", "\udc80", "ok")
    messages = [Withdrawn((1,)), TaskOutput("k", 1, "stdout", "caf\udce9"), TaskErred("k", 1, error, 0.0, 1.0)]
    first, second, third = SCHEDULER.decode(WORKER.encode(messages))
    assert first == messages[0]
    assert isinstance(second, TaskOutput)
    assert second.text == "caf\\udce9"
    assert isinstance(third, TaskErred)
    assert third.error.text == "\\udc80"


@pytest.mark.parametrize("attempt", [2**70, object()])
def test_message_without_a_form_on_the_wire_raises_and_is_named(attempt):
    with pytest.raises(ProtocolError, match="Withdrawn cannot be sent"):
        WORKER.encode([TaskOutput("k", 1, "s", "t"), Withdrawn((attempt,))])


def test_surrogates_are_escaped_in_mappings_too():
    codec = Codec(sends=ToClient, receives=ToClient)
    snapshot = ClusterSnapshot("c", 0.0, 0.0, 0, 0, (), {}, 0, 0, (), (), (), (), {"w\udc80": "n"})
    (answer,) = codec.decode(codec.encode([Answer(1, "", snapshot)]))
    assert isinstance(answer, Answer)
    assert answer.snapshot is not None
    assert answer.snapshot.nannies == {"w\\udc80": "n"}
