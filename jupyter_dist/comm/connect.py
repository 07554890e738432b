"""Connecting to a server at an address.

Two kinds of failure are told apart by their types: an `OSError` (nobody is there, or it does not answer) may be over
soon, and the caller may try again; a `ProtocolError` (wrong secret, other version) will not pass by itself.
"""

import asyncio
from os import urandom

from jupyter_dist.comm import inproc
from jupyter_dist.comm.address import Address, InprocAddress, UnixAddress, parse_address
from jupyter_dist.comm.channel import Channel, Receiver
from jupyter_dist.comm.wire import Wire
from jupyter_dist.errors import ProtocolError
from jupyter_dist.protocol.auth import NONCE_BYTES
from jupyter_dist.protocol.codec import Codec
from jupyter_dist.protocol.connection import Connection
from jupyter_dist.settings import Settings


async def connect(
    address: str,
    *,
    role: str,
    identity_cluster: str,
    secret: bytes,
    codec: Codec,
    receiver: Receiver,
    settings: Settings,
) -> Channel:
    """Connect, prove the role, and return the channel.

    The receiver hears nothing before this returns to its caller: not even that the channel is closed.

    Parameters
    ----------
    address : str
        Where the server is, see `jupyter_dist.comm.address`.
    role : str
        client, worker, nanny or peer.
    identity_cluster : str
        The id of the cluster both sides belong to.
    secret : bytes
        The secret of that cluster.
    codec : Codec
        What this side sends and receives, see `jupyter_dist.comm.links`.
    receiver : Receiver
        Hears the channel.
    settings : Settings
        Limits; all of it takes at most ``handshake_s_max`` seconds.

    Raises
    ------
    OSError
        Nobody serves there, or the server did not answer in time or closed the connection.
    AuthenticationError
        One side did not prove that it knows the secret.
    VersionMismatchError
        The two sides speak different versions.
    ProtocolError
        What answers there is no server of ours.
    UsageError
        It is no address.
    """
    target = parse_address(address)
    connection = Connection.to_server(role, identity_cluster, secret, urandom(NONCE_BYTES), codec, settings)
    attempt = Attempt(connection, settings)
    try:
        async with asyncio.timeout(settings.handshake_s_max):
            await _open_transport(target, attempt.wire)
            await attempt.answered
        return attempt.channel(receiver)
    except BaseException as error:
        await attempt.give_up()
        if isinstance(error, OSError | ProtocolError):
            raise _explained(error, address, settings) from error
        raise


async def _open_transport(target: Address, wire: Wire) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(target, UnixAddress):
        await loop.create_unix_connection(lambda: wire, target.path)
    elif isinstance(target, InprocAddress):
        inproc.open_connection(target.name, wire)
    else:
        await loop.create_connection(lambda: wire, target.host, target.port)  # both loops set TCP_NODELAY


def _explained(error: OSError | ProtocolError, address: str, settings: Settings) -> Exception:
    if isinstance(error, ProtocolError):
        return type(error)(f"{address}: {error}")
    if isinstance(error, TimeoutError):
        return TimeoutError(f"{address} did not answer within {settings.handshake_s_max} s")
    return ConnectionError(f"nobody to talk to at {address}: {error}")


class Attempt:
    """A wire on its way to a channel.

    Attributes
    ----------
    wire : Wire
        The wire.
    answered : asyncio.Future
        Done when both sides have proved themselves, or when it has failed.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self.wire = Wire(connection, settings, self)
        self.answered: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()

    def channel(self, receiver: Receiver) -> Channel:
        """Return the channel, or raise why there is none."""
        if self.wire.failure is not None:
            raise self.wire.failure
        return self.wire.open_channel(lambda _channel: receiver)

    async def give_up(self) -> None:
        """Close the wire, and return when nothing of it is left."""
        self.wire.fail(ConnectionError("the attempt was given up"))
        if self.wire.is_connected:
            await self._lost

    def connected(self, wire: Wire, transport: asyncio.Transport) -> None:
        """Do nothing: whom this side connects to is no stranger. For the wire."""

    def authenticated(self, wire: Wire) -> None:
        """Wake who waits for the answer. For the wire."""
        self._answer()

    def lost(self, wire: Wire) -> None:
        """Wake who waits for anything. For the wire."""
        self._answer()
        self._lost.set_result(None)

    def _answer(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)
