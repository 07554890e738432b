import typing

import pytest

from jupyter_dist import messages
from jupyter_dist.comm import links
from jupyter_dist.errors import ProtocolError
from jupyter_dist.protocol.auth import ROLES
from jupyter_dist.protocol.codec import Codec

PAIRS = [
    (links.CLIENT_SIDE, links.SCHEDULER_SIDE["client"]),
    (links.WORKER_SIDE, links.SCHEDULER_SIDE["worker"]),
    (links.NANNY_SIDE, links.SCHEDULER_SIDE["nanny"]),
    (links.READER_SIDE, links.HOLDER_SIDE["peer"]),
    (links.CALLER_SIDE, links.HOLDER_SIDE["client"]),
]


def types_of(union: object) -> set[object]:
    return set(typing.get_args(union)) or {union}


@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_what_one_side_sends_the_other_receives(near: Codec, far: Codec):
    assert near.sends == far.receives
    assert far.sends == near.receives


@pytest.mark.parametrize(("near", "far"), PAIRS)
def test_tags_of_a_link_and_direction_differ(near: Codec, far: Codec):
    for union in (near.sends, near.receives):
        tags = [kind.__struct_config__.tag for kind in types_of(union)]  # type: ignore[attr-defined]  # a struct's
        assert len(set(tags)) == len(tags)


def test_every_message_is_on_some_link():
    known = {kind for near, _far in PAIRS for union in (near.sends, near.receives) for kind in types_of(union)}
    defined = {kind for kind in messages.Message.__subclasses__() if kind.__module__.startswith("jupyter_dist.")}
    assert known == defined


def test_every_role_is_served_somewhere():
    assert {*links.SCHEDULER_SIDE, *links.HOLDER_SIDE} == set(ROLES)


def test_worker_cannot_speak_as_a_client():
    submit = links.CLIENT_SIDE.encode([messages.StopCluster(1)])
    with pytest.raises(ProtocolError):
        links.SCHEDULER_SIDE["worker"].decode(submit)


def test_peer_cannot_have_a_worker_run_anything():
    for ask in (messages.RunCall(1, b""), messages.ReadStacks(1)):
        frame = links.CALLER_SIDE.encode([ask])
        with pytest.raises(ProtocolError):
            links.HOLDER_SIDE["peer"].decode(frame)
