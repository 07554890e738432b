"""The handshake: both sides prove that they know the cluster's secret before any other byte is looked at.

::

    connecting side                                    serving side
    HELLO      version, role, cluster, nonce a   ->
                                                 <-    CHALLENGE  nonce b, proof of the serving side
    PROOF      proof of the connecting side      ->
                                                 <-    CONFIRM

Every frame has one fixed layout of `FRAME_BYTES` bytes, in every version. A proof is an HMAC-SHA256 over the side, the
role, the cluster, the version and both nonces: it cannot be replayed, reflected or used for another role, and nobody
between the two can talk them down to something weaker, because there is nothing to choose. The key is derived from the
secret for each role. Instead of its next frame a side may answer REFUSED, which says no more than that, or VERSION,
which names the versions of both. Nonces are arguments.
"""

import enum
import hashlib
import struct
from collections.abc import Collection
from hmac import compare_digest, digest
from struct import pack
from typing import NamedTuple

from jupyter_dist.errors import AuthenticationError, ProtocolError, UsageError, VersionMismatchError
from jupyter_dist.messages.handshake import PROTOCOL_VERSION

ROLES = ("client", "worker", "nanny", "peer")
MAGIC = b"\x93JDIST\r\n"
NONCE_BYTES = 32
SECRET_BYTES_MIN = 16
LAYOUT = struct.Struct("<8sBBHH2x16s32s32s")
FRAME_BYTES = LAYOUT.size
NO_NONCE = bytes(32)
NO_PROOF = bytes(32)


class Kind(enum.IntEnum):
    """What a handshake frame says."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    CONFIRM = 4
    REFUSED = 5
    VERSION = 6


class HandshakeFrame(NamedTuple):
    """One frame, field by field. ``heard_version`` is the other side's, in a VERSION frame."""

    kind: Kind
    role: int
    version: int
    heard_version: int
    cluster: bytes
    nonce: bytes
    proof: bytes


def pack_frame(frame: HandshakeFrame) -> bytes:
    """Return a frame's bytes."""
    return LAYOUT.pack(MAGIC, *frame)


def unpack_frame(data: bytes) -> HandshakeFrame:
    """Return a frame from `FRAME_BYTES` bytes, or raise `ProtocolError`."""
    magic, kind, *fields = LAYOUT.unpack(data)
    if magic != MAGIC or kind not in Kind.__members__.values():
        raise ProtocolError("a stranger sent bytes that are no handshake of jupyter_dist")
    return HandshakeFrame(Kind(kind), *fields)


def cluster_digest(cluster: str) -> bytes:
    """Return what stands for a cluster's id on the wire."""
    return hashlib.sha256(cluster.encode("utf-8", "backslashreplace")).digest()[:16]


def role_key(secret: bytes, role: str) -> bytes:
    """Return the key that proves one role and no other."""
    return digest(secret, b"jupyter_dist handshake key|" + role.encode(), "sha256")


class Handshake:
    """What both sides share: bytes come in through `get_buffer` and `received`, and leave through `outgoing`.

    Attributes
    ----------
    role : str
        The role of the connecting side; on the serving side empty until it was proved.
    is_done : bool
        Whether both sides have proved themselves.
    """

    side = b""

    def __init__(self, cluster: str, secret: bytes, nonce: bytes) -> None:
        if len(secret) < SECRET_BYTES_MIN or len(nonce) != NONCE_BYTES:
            raise UsageError(f"a secret has at least {SECRET_BYTES_MIN} bytes and a nonce exactly {NONCE_BYTES}")
        self.role = ""
        self.is_done = False
        self._secret = secret
        self._cluster = cluster_digest(cluster)
        self._nonce = nonce
        self._received = bytearray(FRAME_BYTES)
        self._count = 0
        self._outgoing = bytearray()

    def get_buffer(self) -> memoryview:
        """Return where the next bytes shall be written: never more than the rest of one frame."""
        return memoryview(self._received)[self._count :]

    def received(self, count: int) -> None:
        """Take note of bytes written to the last buffer.

        Raises
        ------
        AuthenticationError
            The other side did not prove itself, or refused this one.
        VersionMismatchError
            The other side speaks another version.
        ProtocolError
            The bytes are no handshake, or come out of order.
        """
        self._count += count
        seen = min(self._count, len(MAGIC))
        if self._received[:seen] != MAGIC[:seen]:
            raise ProtocolError("a stranger sent bytes that are no handshake of jupyter_dist")
        if self._count < FRAME_BYTES:
            return
        self._count = 0
        frame = unpack_frame(bytes(self._received))
        if frame.kind is Kind.REFUSED:
            raise AuthenticationError(self._failed("the other side refused this one"))
        if frame.version != PROTOCOL_VERSION or frame.kind is Kind.VERSION:
            self._on_version(frame)
        self._on_frame(frame)

    def outgoing(self) -> bytes:
        """Return what is to be sent now, also after an error, and forget it."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def _on_frame(self, frame: HandshakeFrame) -> None:
        raise NotImplementedError

    def _on_version(self, frame: HandshakeFrame) -> None:
        if frame.kind is Kind.VERSION and frame.version == PROTOCOL_VERSION:
            raise ProtocolError("a peer claims another protocol version and speaks this one")
        if frame.kind is not Kind.VERSION:
            self._say(Kind.VERSION, heard_version=frame.version)
        raise VersionMismatchError(
            f"this side speaks protocol version {PROTOCOL_VERSION} and the other side {frame.version}: install the same "
            f"version of jupyter_dist in both environments (pip install --upgrade jupyter_dist in the one with "
            f"{min(frame.version, PROTOCOL_VERSION)}) and start the cluster again"
        )

    def _say(
        self, kind: Kind, *, role: int = 0, heard_version: int = 0, nonce: bytes = NO_NONCE, proof: bytes = NO_PROOF
    ) -> None:
        frame = HandshakeFrame(kind, role, PROTOCOL_VERSION, heard_version, self._cluster, nonce, proof)
        self._outgoing += pack_frame(frame)

    def _proof(self, side: bytes, role: str, nonce_a: bytes, nonce_b: bytes) -> bytes:
        parts = (side, role.encode(), self._cluster, pack("<H", PROTOCOL_VERSION), nonce_a, nonce_b)
        return digest(role_key(self._secret, role), b"|".join(parts), "sha256")

    def _refuse(self) -> AuthenticationError:
        self._say(Kind.REFUSED)
        return AuthenticationError(self._failed("the other side did not prove that it knows this cluster's secret"))

    def _failed(self, what: str) -> str:
        return f"authentication failed: {what}; its connection file may be of another cluster, or of one that is gone"

    def _unexpected(self, frame: HandshakeFrame) -> ProtocolError:
        return ProtocolError(f"a peer sent {frame.kind.name} where the handshake has no place for it")


class ClientHandshake(Handshake):
    """The connecting side. Its first frame is in `outgoing` from the start."""

    def __init__(self, role: str, cluster: str, secret: bytes, nonce: bytes) -> None:
        super().__init__(cluster, secret, nonce)
        if role not in ROLES:
            raise UsageError(f"there is no role {role!r}; roles are {', '.join(ROLES)}")
        self.role = role
        self._proved = False  # the serving side has proved itself
        self._say(Kind.HELLO, role=ROLES.index(role) + 1, nonce=nonce)

    def _on_frame(self, frame: HandshakeFrame) -> None:
        if frame.kind is Kind.CHALLENGE and not self._proved:
            self._on_challenge(frame)
        elif frame.kind is Kind.CONFIRM and self._proved:
            self.is_done = True
        else:
            raise self._unexpected(frame)

    def _on_challenge(self, frame: HandshakeFrame) -> None:
        expected = self._proof(b"serving", self.role, self._nonce, frame.nonce)
        if not compare_digest(expected, frame.proof) or frame.nonce == self._nonce:
            raise self._refuse()
        self._proved = True
        self._say(Kind.PROOF, proof=self._proof(b"connecting", self.role, self._nonce, frame.nonce))


class ServerHandshake(Handshake):
    """The serving side. It accepts the roles it is given."""

    def __init__(self, roles: Collection[str], cluster: str, secret: bytes, nonce: bytes) -> None:
        super().__init__(cluster, secret, nonce)
        self._roles = roles
        self._claimed = ""  # the role the other side says it has
        self._heard_nonce = b""

    def _on_frame(self, frame: HandshakeFrame) -> None:
        if frame.kind is Kind.HELLO and not self._claimed:
            self._on_hello(frame)
        elif frame.kind is Kind.PROOF and self._claimed:
            self._on_proof(frame)
        else:
            raise self._unexpected(frame)

    def _on_hello(self, frame: HandshakeFrame) -> None:
        role = ROLES[frame.role - 1] if 1 <= frame.role <= len(ROLES) else ""
        same_cluster = compare_digest(frame.cluster, self._cluster)
        if role not in self._roles or not same_cluster or frame.nonce == self._nonce:
            raise self._refuse()
        self._claimed = role
        self._heard_nonce = frame.nonce
        self._say(
            Kind.CHALLENGE, nonce=self._nonce, proof=self._proof(b"serving", role, self._heard_nonce, self._nonce)
        )

    def _on_proof(self, frame: HandshakeFrame) -> None:
        expected = self._proof(b"connecting", self._claimed, self._heard_nonce, self._nonce)
        if not compare_digest(expected, frame.proof):
            raise self._refuse()
        self.role = self._claimed
        self.is_done = True
        self._say(Kind.CONFIRM)
