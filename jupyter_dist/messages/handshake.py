"""The first messages after the secret was proved: who is there, and who it is from now on."""

from msgspec import field

from jupyter_dist.messages.base import Message

PROTOCOL_VERSION = 1


class RegisterWorker(Message, tag=1):
    """A worker's first message to the scheduler. ``address`` is where its results can be fetched."""

    name: str
    host: str
    pid: int
    address: str
    slots: int
    memory_bytes_max: int
    nanny: str
    python: str
    resources: dict[str, float] = field(default_factory=dict)  # what it declares to have besides slots


class RegisterNanny(Message, tag=2):
    """A nanny's first message to the scheduler. ``workers`` is how many it was started to keep alive."""

    name: str
    host: str
    pid: int
    workers: int


class OpenSession(Message, tag=3):
    """A client's first message. A session with a ``name`` can be resumed; ``kind`` is kernel, script or observer."""

    session: str
    kind: str
    name: str
    linger_s: float
    pid: int


class Welcome(Message, tag=4):
    """The scheduler's answer: under which incarnation and epoch the peer is heard from now on."""

    incarnation: int
    epoch: int
    cluster: str
    name: str  # the peer's name: the scheduler may have changed it to keep it unique
    heartbeat_s: float
    lease_s: float
    inline_bytes_max: int


class Refused(Message, tag=5):
    """The scheduler's answer to a peer it will not have, in words for a person."""

    reason: str
