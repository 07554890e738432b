"""Addresses: where a peer can be reached.

``unix:/absolute/path`` is a socket file, ``tcp://host:port`` a port of this host, ``inproc:name`` a server in the same
event loop. TCP carries no encryption here, so an address that other hosts could reach is refused, not warned about.
"""

import ipaddress
import os
from typing import NamedTuple

from jupyter_dist.errors import UsageError

UNIX_PATH_BYTES_MAX = 107  # of sockaddr_un, less its final zero
LOOPBACK_NAME = "localhost"


class UnixAddress(NamedTuple):
    """A socket file."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class TcpAddress(NamedTuple):
    """A port of this host; port 0 lets the system choose one when serving."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


class InprocAddress(NamedTuple):
    """A name within one event loop."""

    name: str

    def __str__(self) -> str:
        return f"inproc:{self.name}"


Address = UnixAddress | TcpAddress | InprocAddress


def parse_address(text: str) -> Address:
    """Return what an address says.

    Raises
    ------
    UsageError
        It is no address, its path is too long for a socket, or it is not of this host.
    """
    form, colon, rest = text.partition(":")
    if colon and form == "unix":
        return _parse_unix(rest)
    if colon and form == "tcp" and rest.startswith("//"):
        return _parse_tcp(rest.removeprefix("//"), text)
    if colon and form == "inproc" and rest:
        return InprocAddress(rest)
    raise UsageError(f"{text!r} is no address; addresses are unix:/path, tcp://host:port and inproc:name")


def _parse_unix(path: str) -> UnixAddress:
    if not path.startswith("/") or "\0" in path:
        raise UsageError(f"unix:{path!r} is no address: the path of a socket is absolute")
    length = len(os.fsencode(path))
    if length > UNIX_PATH_BYTES_MAX:
        raise UsageError(
            f"the socket path {path!r} has {length} bytes and the system allows {UNIX_PATH_BYTES_MAX}: "
            "choose a shorter folder (JUPYTER_RUNTIME_DIR) or a shorter name"
        )
    return UnixAddress(path)


def _parse_tcp(rest: str, text: str) -> TcpAddress:
    host, colon, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise UsageError(f"{text!r} is no address; a TCP address is tcp://host:port, with a port up to 65535")
    if not is_loopback(host):
        raise UsageError(
            f"{text} can be reached from other hosts, and this form of address carries no TLS: hosts are joined over "
            "TLS, which is not supported by this address form; use tcp://127.0.0.1:port or a unix socket"
        )
    return TcpAddress("127.0.0.1" if host == LOOPBACK_NAME else host, int(port))


def is_loopback(host: str) -> bool:
    """Return whether a host is this one, and reached by nobody else. Names are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == LOOPBACK_NAME
