"""Serving at an address: strangers come in, authenticated channels come out.

A stranger gets little: a place among at most ``unauthenticated_max`` (who comes when all are taken is refused, so those
who hang on cannot be pushed out), ``handshake_s_max`` seconds, the bytes of one handshake frame at a time, and on a unix
socket nothing at all unless it belongs to this process's user. Whatever it does, one line in ten seconds is logged.
Running out of file descriptors is asyncio's to handle: it stops accepting for a second and goes on.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from os import urandom
from pathlib import Path

from jupyter_dist.comm import inproc
from jupyter_dist.comm.address import Address, InprocAddress, TcpAddress, UnixAddress, parse_address
from jupyter_dist.comm.channel import Channel, Receiver
from jupyter_dist.comm.wire import Wire
from jupyter_dist.errors import AuthenticationError
from jupyter_dist.protocol.auth import NONCE_BYTES
from jupyter_dist.protocol.codec import Codec
from jupyter_dist.protocol.connection import Connection
from jupyter_dist.settings import Settings

LOG = logging.getLogger("jupyter_dist.comm")
LOG_INTERVAL_S = 10.0
BACKLOG = 1024
CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid, as SO_PEERCRED tells them


async def serve(
    address: str,
    *,
    cluster: str,
    secret: bytes,
    codecs: Mapping[str, Codec],
    accept: Callable[[Channel], Receiver],
    settings: Settings,
) -> "Server":
    """Serve at an address until the server is closed.

    Parameters
    ----------
    address : str
        Where, see `jupyter_dist.comm.address`. The file of a socket nobody serves any more is replaced.
    cluster : str
        The id of the cluster both sides belong to.
    secret : bytes
        The secret of that cluster.
    codecs : mapping of str to Codec
        For each role that may come in, what this side sends and receives; see `jupyter_dist.comm.links`.
    accept : callable
        Called with each authenticated channel; returns its receiver.
    settings : Settings
        Limits.

    Raises
    ------
    OSError
        The address cannot be served; `FileExistsError` when somebody serves it already.
    UsageError
        It is no address, or one that other hosts could reach.
    """
    server = Server(parse_address(address), cluster, secret, codecs, accept, settings)
    await server.open()
    return server


class Server:
    """What `serve` returns.

    Attributes
    ----------
    address : str
        Where it serves: with the port the system chose.
    """

    def __init__(
        self,
        target: Address,
        cluster: str,
        secret: bytes,
        codecs: Mapping[str, Codec],
        accept: Callable[[Channel], Receiver],
        settings: Settings,
    ) -> None:
        self.address = str(target)
        self._target = target
        self._cluster = cluster
        self._secret = secret
        self._codecs = codecs
        self._accept = accept
        self._settings = settings
        self._log = StrangerLog(self.address)
        self._strangers: set[Wire] = set()  # have not proved themselves
        self._wires: set[Wire] = set()  # all of them
        self._listener: asyncio.Server | None = None
        self._socket_file: tuple[int, int] | None = None  # device and inode of ours
        self._is_closing = False
        self._is_empty = asyncio.Event()  # while closing: the last wire is gone

    def __repr__(self) -> str:
        return f"<Server at {self.address}>"

    async def open(self) -> None:
        """Begin to listen. `serve` does this."""
        loop = asyncio.get_running_loop()
        if isinstance(self._target, InprocAddress):
            inproc.listen(self._target.name, self._new_wire)
        elif isinstance(self._target, UnixAddress):
            listener = bind_unix(self._target.path)
            self._socket_file = _file_identity(self._target.path)
            self._listener = await loop.create_unix_server(self._new_wire, sock=listener, backlog=BACKLOG)
        else:
            host, port = self._target
            self._listener = await loop.create_server(self._new_wire, host, port, backlog=BACKLOG)
            self.address = str(TcpAddress(host, self._listener.sockets[0].getsockname()[1]))

    async def close(self) -> None:
        """Serve no more, close every channel after what is unsent, and return when all are gone."""
        self._is_closing = True
        self._stop_listening()
        for wire in tuple(self._wires):
            if wire.channel is not None:
                wire.channel.close("the server was closed")
            else:
                wire.fail(ConnectionError("the server was closed"))
        if self._wires:
            await self._is_empty.wait()

    def connected(self, wire: Wire, transport: asyncio.Transport) -> None:
        """Judge a stranger before it is heard. For the wire."""
        self._wires.add(wire)
        if self._is_closing:
            wire.fail(ConnectionError("the server was closed"))
        elif len(self._strangers) >= self._settings.unauthenticated_max:
            wire.fail(ConnectionError(f"{len(self._strangers)} others have not proved themselves yet"))
        elif not is_own_user(transport):
            wire.fail(AuthenticationError("it belongs to another user"))
        else:
            self._strangers.add(wire)

    def authenticated(self, wire: Wire) -> None:
        """Let a peer in that has proved itself. For the wire."""
        self._strangers.discard(wire)
        try:
            wire.open_channel(self._accept)
        except Exception:
            LOG.exception("%s: a channel was not accepted", self.address)
            if wire.channel is not None:
                wire.channel.abort("this side did not accept it")

    def lost(self, wire: Wire) -> None:
        """Forget a connection that is gone. For the wire."""
        self._strangers.discard(wire)
        self._wires.discard(wire)
        if wire.failure is not None and not self._is_closing:
            self._log.refused(asyncio.get_running_loop().time(), wire.failure)
        if self._is_closing and not self._wires:
            self._is_empty.set()

    def _new_wire(self) -> Wire:
        nonce = urandom(NONCE_BYTES)
        connection = Connection.to_client(self._cluster, self._secret, nonce, self._codecs, self._settings)
        return Wire(connection, self._settings, self)

    def _stop_listening(self) -> None:
        if isinstance(self._target, InprocAddress):
            inproc.stop_listening(self._target.name)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if isinstance(self._target, UnixAddress) and self._socket_file is not None:
            with contextlib.suppress(FileNotFoundError):
                if _file_identity(self._target.path) == self._socket_file:
                    Path(self._target.path).unlink()
            self._socket_file = None


class StrangerLog:
    """Says that connections failed before they were authenticated: one line an interval, however many."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._silent_until = 0.0
        self._unsaid = 0

    def refused(self, now: float, failure: Exception) -> None:
        """Log a failure, or count it when one was logged not long ago."""
        if now < self._silent_until:
            self._unsaid += 1
            return
        LOG.warning(
            "%s: a connection was refused: %s%s",
            self._address,
            failure,
            f" (and {self._unsaid} more since the last such line)" if self._unsaid else "",
        )
        self._silent_until = now + LOG_INTERVAL_S
        self._unsaid = 0


def bind_unix(path: str) -> socket.socket:
    """Return a socket bound to a path, its file for this user alone. A file nobody serves any more is replaced."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        Path(path).chmod(0o600)  # before it listens: until then nobody can connect
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is there and is no socket; remove it, or serve at another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            Path(path).unlink(missing_ok=True)
            return
        except BlockingIOError:  # it listens, and has its hands full
            pass
    raise FileExistsError(f"unix:{path} is served already by a running process")


def _file_identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def is_own_user(transport: asyncio.Transport) -> bool:
    """Return whether the other end of a unix socket is a process of this user; of other transports it is not known."""
    peer = transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _pid, uid, _gid = CREDENTIALS.unpack(credentials)
    return bool(uid == os.geteuid())
