"""The first messages after the secret was proved: who is there, and who it is from now on."""

from msgspec import field

from jupyter_dist.messages.base import Amount, Count, Message, Record, Seconds, Some

PROTOCOL_VERSION = 1


class HeldResult(Record):
    """A result a worker holds, and the attempt that made it."""

    key: str
    attempt: int
    nbytes: Count
    type_name: str


class RegisterWorker(Message, tag=1):
    """A worker's first message to the scheduler. ``address`` is where its results can be fetched.

    ``held`` and ``running`` (attempt, key) are what it has from before its last connection was lost; of what it runs
    some may have ended: that is said after the welcome. One that was stopped has an empty key. ``holding`` is what those
    that run take of the ``resources``; ``stopping`` are those that were interrupted and have not ended yet; ``spent`` are
    attempts of tasks that are not run twice that have ended here, as far as the scheduler may have forgotten it.
    """

    name: str
    host: str
    pid: int
    address: str
    slots: Some
    memory_bytes_max: Count
    nanny: str
    python: str
    held: tuple[HeldResult, ...] = ()
    running: tuple[tuple[int, str], ...] = ()
    resources: dict[str, Amount] = field(default_factory=dict)  # what it declares to have besides slots
    holding: tuple[tuple[int, tuple[tuple[str, Amount], ...]], ...] = ()
    stopping: tuple[int, ...] = ()
    spent: tuple[int, ...] = ()


class RegisterNanny(Message, tag=2):
    """A nanny's first message to the scheduler. ``workers`` is how many it was started to keep alive."""

    name: str
    host: str
    pid: int
    workers: Count


class OpenSession(Message, tag=3):
    """A client's first message. A session with a ``name`` can be resumed; ``kind`` is kernel, script or observer."""

    session: str
    kind: str
    name: str
    linger_s: Seconds
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
    received: int = 0  # how many messages of this client's session were taken, over all its connections


class Kept(Message, tag=6):
    """So many of your messages will not be forgotten, whoever dies: those after them say again to my successor."""

    received: int


class Refused(Message, tag=5):
    """The scheduler's answer to a peer it will not have, in words for a person."""

    reason: str
