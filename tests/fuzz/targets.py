"""The targets. Each takes bytes; what it raises is a bug. What a rule allows to be raised is caught here.

* ``frames``: a stream in pieces, to the reader of frames. It gives out what the same stream gives in one piece.
* ``codec``: one frame's bytes, to each side of each link. What is accepted is said again in the same bytes.
* ``connecting``, ``serving``: the handshake of either role. The other side's true frames come, changed or not, between
  others; who has not sent the true proof is never let in.
* ``connection``: a stream after the handshake, through frames and codec at once.
* ``scheduler``: messages the codecs let through, in any order and with any content, to the scheduler's machine: an
  authenticated peer that is wrong. It may be cut off; the tables stay in order.
* ``journal``: files of a journal that are damaged anyhow. What is recovered is true, or damage is told.
* ``records``: what a journal keeps, to the scheduler that reads it back.
"""

from __future__ import annotations

import atexit
import hmac
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from jupyter_dist.comm.links import (
    CALLER_SIDE,
    CLIENT_SIDE,
    HOLDER_SIDE,
    NANNY_SIDE,
    READER_SIDE,
    SCHEDULER_SIDE,
    WORKER_SIDE,
)
from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages.journal import RECORDS
from jupyter_dist.processes.journaling import _decode_kind
from jupyter_dist.protocol.auth import FRAME_BYTES, ROLES, ClientHandshake, Handshake, ServerHandshake
from jupyter_dist.protocol.codec import Codec
from jupyter_dist.protocol.connection import Connection
from jupyter_dist.protocol.framing import FrameReader
from jupyter_dist.settings import Settings
from tests.fuzz.feeds import Feed, patched
from tests.fuzz.wrong_peers import scheduler
from tests.storage.story import Story

FRAME_MAX = 100_000
OBJECT_MAX = 3_000_000
SETTINGS = Settings(frame_bytes_max=FRAME_MAX, object_bytes_max=OBJECT_MAX, heartbeat_s=1.0)
SECRET, CLUSTER = b"s" * 32, "fuzzed"
NONCES = (b"a" * 32, b"b" * 32)
SIDES: tuple[tuple[Codec, Codec], ...] = (  # who receives, and who sends that
    (SCHEDULER_SIDE["client"], CLIENT_SIDE),
    (SCHEDULER_SIDE["worker"], WORKER_SIDE),
    (SCHEDULER_SIDE["nanny"], NANNY_SIDE),
    (CLIENT_SIDE, SCHEDULER_SIDE["client"]),
    (WORKER_SIDE, SCHEDULER_SIDE["worker"]),
    (NANNY_SIDE, SCHEDULER_SIDE["nanny"]),
    (HOLDER_SIDE["peer"], READER_SIDE),
    (HOLDER_SIDE["client"], CALLER_SIDE),
    (READER_SIDE, HOLDER_SIDE["peer"]),
    (CALLER_SIDE, HOLDER_SIDE["client"]),
)
SERVED: dict[str, dict[str, Codec]] = {
    "client": dict(SCHEDULER_SIDE),
    "worker": dict(SCHEDULER_SIDE),
    "nanny": dict(SCHEDULER_SIDE),
    "peer": dict(HOLDER_SIDE),
}


def frames(data: bytes) -> None:
    """Read a stream of frames in pieces, and in one piece."""
    feed = Feed(data)
    pieces = feed.pieces()
    in_pieces, error = _read_frames(pieces)
    at_once, same_error = _read_frames([b"".join(pieces)])
    assert (in_pieces, error) == (at_once, same_error)
    assert sum(len(control) + sum(map(len, buffers)) for control, buffers in at_once) <= len(data)


def _read_frames(pieces: list[bytes]) -> tuple[list[tuple[bytes, list[bytes]]], str]:
    reader = FrameReader(FRAME_MAX, OBJECT_MAX)
    found = []
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                room = reader.get_buffer()
                count = min(len(room), len(view))
                assert count, "there is no room for what comes"
                room[:count] = view[:count]
                view = view[count:]
                for control, buffers in reader.received(count):
                    found.append((bytes(control), [bytes(buffer) for buffer in buffers]))  # those before an error count
    except ProtocolError as error:
        return found, str(error)
    return found, ""


def codec(data: bytes) -> None:
    """Decode one frame's bytes as one side of one link does."""
    feed = Feed(data)
    receiver, sender = SIDES[feed.byte() % len(SIDES)]
    try:
        messages = receiver.decode(feed.rest())
    except ProtocolError:
        return
    said = sender.encode(messages)
    assert sender.encode(receiver.decode(said)) == said


def serving(data: bytes) -> None:
    """Be the serving side of a handshake, towards anybody."""
    feed = Feed(data)
    role = ROLES[feed.byte() % len(ROLES)]
    handshake = ServerHandshake(SERVED[role].keys(), CLUSTER, SECRET, NONCES[1])
    _shake(handshake, ClientHandshake(role, CLUSTER, SECRET, NONCES[0]), feed)


def connecting(data: bytes) -> None:
    """Be the connecting side of a handshake, towards anybody."""
    feed = Feed(data)
    role = ROLES[feed.byte() % len(ROLES)]
    handshake = ClientHandshake(role, CLUSTER, SECRET, NONCES[0])
    _shake(handshake, ServerHandshake(SERVED[role].keys(), CLUSTER, SECRET, NONCES[1]), feed)


def _shake(near: Handshake, far: Handshake, feed: Feed) -> None:
    """Let a handshake hear true frames of the other side, changed ones, its own, and others."""
    heard, own = bytearray(), bytearray(near.outgoing())
    _answer(far, bytes(own))
    true = bytearray(far.outgoing())
    try:
        while feed and not near.is_done:
            kind = feed.byte() % 4
            if kind == 0:
                piece, true = bytes(true), bytearray()
            elif kind == 1:
                piece = patched(bytes(true[:FRAME_BYTES]), feed, 4)
            elif kind == 2:
                piece = bytes(own[-FRAME_BYTES:])
            else:
                piece = feed.take(feed.byte())
            heard += piece
            _hear(near, piece)
            said = near.outgoing()
            own += said
            _answer(far, said)
            true += far.outgoing()
    except ProtocolError:
        pass
    assert len(own) + len(near.outgoing()) <= 3 * FRAME_BYTES
    if near.is_done:
        proof = _true_proof(near)
        assert proof in bytes(heard), "it let somebody in without the proof"


def _hear(handshake: Handshake, data: bytes) -> None:
    while data and not handshake.is_done:
        room = handshake.get_buffer()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        data = data[count:]
        handshake.received(count)


def _answer(far: Handshake, said: bytes) -> None:
    """Let the true other side hear what was said; what it cannot make sense of ends it, as it would end a connection."""
    try:
        _hear(far, said)
    except ProtocolError:
        far.is_done = True


def _true_proof(near: Handshake) -> bytes:
    side = b"serving" if isinstance(near, ClientHandshake) else b"connecting"
    proof = near._proof(side, near.role, *NONCES)
    assert not hmac.compare_digest(proof, bytes(32))
    return proof


def connection(data: bytes) -> None:
    """Hear a stream as one side does after the handshake."""
    feed = Feed(data)
    role = ROLES[feed.byte() % len(ROLES)]
    served = SERVED[role]
    near = Connection.to_client(CLUSTER, SECRET, NONCES[1], served, SETTINGS)
    far = Connection.to_server(role, CLUSTER, SECRET, NONCES[0], served[role], SETTINGS)
    while not (near.is_authenticated and far.is_authenticated):
        list(near.feed(far.outgoing()))
        list(far.feed(near.outgoing()))
    try:
        for piece in feed.pieces():
            for messages, buffers in near.feed(piece):
                assert messages
                assert not buffers or len(messages) == 1
    except ProtocolError:
        pass


def journal(data: bytes) -> None:
    """Open the files of a journal after somebody wrote into them."""
    feed = Feed(data)
    story = _story()
    what = feed.byte()
    file, log = story.file, story.log
    if what % 8 == 0:
        file, log = feed.take(feed.byte()), feed.rest()
    else:
        if what & 1:
            file = patched(file, feed, 8)
        if what & 2:
            log = patched(log, feed, 8)
        if what & 4:
            log = log[: int.from_bytes(feed.take(3)) % (len(log) + 1)]
    story.check(file, None if what & 16 else log)


@cache
def _story() -> Story:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_fast_folder()))
    folder.chmod(0o700)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Story(folder)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def records(data: bytes) -> None:
    """Read what a record of the journal holds."""
    feed = Feed(data)
    kinds = sorted(RECORDS)
    kind = kinds[feed.byte() % len(kinds)]
    found = _decode_kind(kind, {"key": feed.rest()})
    assert found.keys() <= {"key"}


Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {
    target.__name__: target for target in (frames, codec, connecting, serving, connection, scheduler, journal, records)
}
COUNTS = dict.fromkeys(TARGETS, 2000) | {"journal": 200, "scheduler": 400}  # mutations in the normal run
