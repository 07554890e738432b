"""Every door of a real cluster, and whoever should not come in: strangers, replayers, peers with a role of another link.

And the secret: nowhere that anybody but the processes themselves can look.
"""

import base64
import contextlib
import os
import pickle
import socket
import stat
import struct
from pathlib import Path

import msgspec
import psutil
import pytest

from jupyter_dist import Executor
from jupyter_dist.comm.links import CALLER_SIDE, CLIENT_SIDE, READER_SIDE
from jupyter_dist.errors import AuthenticationError
from jupyter_dist.launch.connection_file import connection_path
from jupyter_dist.launch.local import cluster_log
from jupyter_dist.messages import Fetch
from jupyter_dist.processes.vitals import session_members
from jupyter_dist.protocol.auth import FRAME_BYTES, ROLES, ClientHandshake
from jupyter_dist.protocol.connection import Connection
from jupyter_dist.settings import Settings
from tests.integration.conftest import wait_until

pytestmark = pytest.mark.process

LISTENING = 0x00010000  # a flag of /proc/net/unix
PATIENCE_S = 60.0
ATTACKS = 200
GROWTH_BYTES_MAX = 32 * 1024 * 1024
CODEC_OF = {"client": CLIENT_SIDE, "peer": READER_SIDE}


def inc(number: int) -> int:
    return number + 1


def look_around() -> dict[str, str]:
    """Return all a task can see of its process without looking into memory."""
    texts = {name: Path(f"/proc/self/{name}").read_bytes().decode(errors="replace") for name in ("cmdline", "comm")}
    parent = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().decode(errors="replace")
    return {**texts, "parent": parent, **os.environ}


def sockets_of(executor) -> list[str]:
    """Return the paths of the sockets at which this package serves."""
    return sorted(str(path) for path in Path(executor.info.folder).glob("*.sock"))


def listening_of(executor) -> list[str]:
    """Return the paths of all Unix sockets at which processes of the cluster listen."""
    inodes = set()
    for pid in session_members(executor.info.pid):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    paths = []
    for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()[1:]:
        _number, _count, _protocol, flags, _kind, _state, inode, *path = line.split()
        if inode in inodes and int(flags, 16) & LISTENING:
            paths.append(path[0] if path else "")
    return paths


def connect(path: str) -> socket.socket:
    stranger = socket.socket(socket.AF_UNIX)
    stranger.settimeout(PATIENCE_S)
    stranger.connect(path)
    return stranger


def read_end(stranger: socket.socket) -> bytes:
    """Return all that comes until the other side closes; it must close."""
    data = b""
    try:
        while piece := stranger.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def attack(path: str, data: bytes) -> bytes:
    """Say something to a door and return what it answers before it closes."""
    with connect(path) as stranger:
        with contextlib.suppress(ConnectionError):
            stranger.sendall(data)
        return read_end(stranger)


def come_in(executor, path: str, role: str) -> tuple[socket.socket, Connection, bytes]:
    """Prove the secret as a role; return what was said on the way as well."""
    info = executor.info
    connection = Connection.to_server(role, info.cluster, info.secret, os.urandom(32), CODEC_OF[role], Settings())
    peer = connect(path)
    said = b""
    while not connection.is_authenticated:
        words = connection.outgoing()
        said += words
        peer.sendall(words)
        heard = peer.recv(FRAME_BYTES)
        assert heard, "it was refused"
        assert list(connection.feed(heard)) == []
    return peer, connection, said


@pytest.fixture
def doors(executor):
    """Return the paths of all doors: the scheduler's and each worker's."""
    assert executor.submit(inc, 1).result(timeout=PATIENCE_S) == 2
    wait_until(lambda: len(sockets_of(executor)) == 3, "the scheduler and both workers serve", PATIENCE_S)
    return sockets_of(executor)


@pytest.fixture
def unharmed(executor):
    """Check that the cluster goes on afterwards, with the processes it had."""
    before = session_members(executor.info.pid)
    yield
    assert executor.submit(inc, 10).result(timeout=PATIENCE_S) == 11
    assert set(before) <= set(session_members(executor.info.pid))


def test_cluster_listens_on_nothing_but_sockets_in_its_own_closed_folders(executor, doors):
    paths = listening_of(executor)
    assert set(doors) <= set(paths)
    for path in map(Path, paths):
        assert path.is_absolute(), f"{path} is no file: anybody on this host can find it"
        assert not path.parent.stat().st_mode & 0o077, path
        assert path.parent.stat().st_uid == os.geteuid()
        assert path.is_relative_to(executor.info.folder)
    assert not any(stat.S_IMODE(Path(path).stat().st_mode) & 0o077 for path in doors)
    for pid in session_members(executor.info.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            assert psutil.Process(pid).net_connections("inet") == []


class Canary:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_bytes_of_strangers_are_answered_with_nothing_and_never_loaded(executor, doors, unharmed, tmp_path):
    canary = pickle.dumps(Canary(tmp_path / "loaded"))
    for path in doors:
        for data in (canary, struct.pack("<II", len(canary), 0) + canary, b"\x95" + canary, bytes(2**20)):
            assert attack(path, data) == b""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("role", ROLES)
def test_wrong_secret_is_refused_at_every_door_for_every_role(executor, doors, unharmed, role):
    for path in doors:
        hello = ClientHandshake(role, executor.info.cluster, os.urandom(32), os.urandom(32))
        with connect(path) as stranger:
            stranger.sendall(hello.outgoing())
            heard = stranger.recv(FRAME_BYTES)
            hello.get_buffer()[: len(heard)] = heard
            with pytest.raises(AuthenticationError, match="authentication failed"):
                hello.received(len(heard))
            with contextlib.suppress(ConnectionError):
                stranger.sendall(hello.outgoing() or bytes(FRAME_BYTES))
            assert len(read_end(stranger)) <= FRAME_BYTES


def test_role_of_another_link_is_refused_though_it_has_the_secret(executor, doors, unharmed):
    info = executor.info
    for path in doors:
        wrong = ("peer",) if path == info.address.removeprefix("unix:") else ("worker", "nanny")
        for role in wrong:
            hello = ClientHandshake(role, info.cluster, info.secret, os.urandom(32)).outgoing()
            answer = attack(path, hello)
            assert len(answer) == FRAME_BYTES  # that it is refused, and no challenge


def test_handshake_that_is_replayed_is_refused_at_every_door(executor, doors, unharmed):
    for path in doors:
        peer, _connection, said = come_in(executor, path, "client")
        peer.close()
        answers = attack(path, said)
        assert len(answers) <= 2 * FRAME_BYTES  # a challenge with another nonce, and that it is refused
        assert attack(path, said) != answers


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<II", 2**32 - 1, 0),
        struct.pack("<II", 10, 2**31),
        struct.pack("<IIQ", 1, 1, 2**63) + b"x",
        struct.pack("<II", 4, 0) + b"\xc1\xc1\xc1\xc1",
        struct.pack("<II", 1, 0) + b"\x90",
        struct.pack("<II", 60_000, 0) + b"\x91" * 60_000,
        struct.pack("<II", 3, 0) + msgspec.msgpack.encode([[250]]),
    ],
    ids=["oversize", "buffers", "overflow", "no messagepack", "empty", "deep", "unknown tag"],
)
def test_frame_that_is_none_costs_an_authenticated_peer_its_connection_alone(executor, doors, unharmed, data):
    for path in doors:
        peer, _connection, _said = come_in(executor, path, "client")
        with peer:
            peer.sendall(data)
            assert read_end(peer) == b""


def test_message_of_another_link_costs_a_peer_its_connection_alone(executor, doors, unharmed):
    peer, _connection, _said = come_in(executor, executor.info.address.removeprefix("unix:"), "client")
    control = READER_SIDE.encode([Fetch(1, "key")])
    with peer:
        peer.sendall(struct.pack("<II", len(control), 0) + control)
        assert read_end(peer) == b""
    assert CALLER_SIDE.encode([Fetch(1, "key")]) == control  # which a worker takes from a client


def test_many_strangers_cost_little_memory_and_few_lines(executor, doors, unharmed):
    processes = [psutil.Process(pid) for pid in session_members(executor.info.pid)]
    before = {process.pid: process.memory_info().rss for process in processes}
    lines = cluster_log(executor.info, 10_000).count("a connection was refused")
    for number in range(ATTACKS):
        attack(doors[number % len(doors)], os.urandom(64))
    grown = {process.pid: process.memory_info().rss - before[process.pid] for process in processes}
    assert max(grown.values()) < GROWTH_BYTES_MAX
    said = cluster_log(executor.info, 10_000).count("a connection was refused") - lines
    assert said <= len(doors) * 10  # at most one in ten seconds and for each door; not one for each of them


def forms_of(secret: bytes) -> set[str]:
    """Return the texts a secret could be found as."""
    encoded = base64.b64encode(secret).decode()
    return {secret.hex(), encoded, encoded.rstrip("="), base64.urlsafe_b64encode(secret).decode(), repr(secret)[2:-1]}


def test_secret_is_nowhere_that_others_can_look(executor, doors):
    info = executor.info
    with pytest.raises(AuthenticationError) as refused:
        Executor(msgspec.structs.replace(info, secret=bytes(32)))
    texts = {
        "a task": repr(executor.submit(look_around, pure=False).result(timeout=PATIENCE_S)),
        "repr": f"{executor!r} {info!r} {executor.submit(inc, 1)!r} {executor.snapshot()!r}",
        "html": executor._repr_html_(),
        "error": str(refused.value),
        "logs": cluster_log(info, 10_000),
    }
    for pid in session_members(info.pid):
        for name in ("cmdline", "environ", "comm"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                texts[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes().decode("latin-1")
    for form in forms_of(info.secret) | {info.secret.decode("latin-1")}:
        assert [place for place, text in texts.items() if form in text] == []


def test_connection_file_and_folders_are_closed_to_others(executor):
    file = connection_path(executor.info.name)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    folder = Path(executor.info.folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    opened = [path for path in folder.rglob("*") if path.lstat().st_mode & 0o077 and not path.is_symlink()]
    assert [path for path in opened if not any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents)] == []
    assert not any((folder / name).stat().st_mode & 0o077 for name in ("logs", "scratch", "pages"))
    journal = [path for path in folder.glob("journal*") if path.is_file()]
    assert journal
    assert not any(path.stat().st_mode & 0o077 for path in journal)
