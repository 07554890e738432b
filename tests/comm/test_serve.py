import asyncio
import os
import resource
import socket
import stat

import pytest

from jupyter_dist.comm.serve import StrangerLog, bind_unix
from jupyter_dist.errors import UsageError
from jupyter_dist.messages import Fetch, NotFound
from jupyter_dist.protocol.auth import FRAME_BYTES, ClientHandshake
from jupyter_dist.settings import Settings
from tests.comm.peers import (
    ADDRESSES,
    CLUSTER,
    LOOPS,
    PATIENCE_S,
    SECRET,
    Host,
    Recorder,
    address_of,
    join,
    serving,
    until,
)

pytestmark = [pytest.mark.parametrize("run", LOOPS)]
SOCKETS = ["unix", "tcp"]


async def stranger(server):
    """Connect without a word; return the streams."""
    if server.address.startswith("unix:"):
        return await asyncio.open_unix_connection(server.address.removeprefix("unix:"))
    return await asyncio.open_connection("127.0.0.1", int(server.address.rpartition(":")[2]))


async def read_end(reader) -> bytes:
    """Return what comes until the other side closes, by end of stream or by a reset."""
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while block := await reader.read(1000):
                data += block
        except ConnectionError:
            pass
    return data


async def assert_serves(server, host: Host) -> None:
    before = len(host.recorders)
    heard = Recorder()
    channel = await join(server.address, heard)
    await host.until_accepted(before + 1)
    channel.close()
    await heard.until_closed()
    await host.recorders[before].until_closed()


@pytest.mark.parametrize("form", SOCKETS)
@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x80\x05]\x94.",
        b"\xff" * 100_000,
        bytes(96),
        b"\x93JDIST\r\n" + b"\xff" * 88,
    ],
    ids=["http", "pickle", "long", "zeros", "magic and garbage"],
)
def test_garbage_is_cut_off_at_once_and_alone(run, form, data, tmp_path, caplog):
    async def story():
        host = Host()
        async with serving(address_of(form, tmp_path), host, Settings(handshake_s_max=600)) as server:
            reader, writer = await stranger(server)
            writer.write(data)
            answer = await read_end(reader)
            assert len(answer) <= FRAME_BYTES
            writer.close()
            await assert_serves(server, host)
            assert len(host.recorders) == 1

    run(story())
    assert "a connection was refused" in caplog.text


@pytest.mark.parametrize("form", SOCKETS)
@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES])
def test_slow_handshake_is_closed_when_its_time_is_over(run, form, size, tmp_path, caplog):
    async def story():
        host = Host()
        limit_s = 1.0 if size == FRAME_BYTES else 0.1  # time enough for the one frame that is answered
        async with serving(address_of(form, tmp_path), host, Settings(handshake_s_max=limit_s)) as server:
            reader, writer = await stranger(server)
            writer.write(ClientHandshake("peer", CLUSTER, SECRET, b"n" * 32).outgoing()[:size])
            assert len(await read_end(reader)) == (FRAME_BYTES if size == FRAME_BYTES else 0)
            writer.close()
            await until(lambda: not server._strangers)

    run(story())
    assert "handshake_s_max" in caplog.text


@pytest.mark.parametrize("form", SOCKETS)
def test_bytes_trickling_in_do_not_prolong_the_handshake(run, form, tmp_path):
    async def story():
        async with serving(address_of(form, tmp_path), Host(), Settings(handshake_s_max=0.1)) as server:
            reader, writer = await stranger(server)
            hello = ClientHandshake("peer", CLUSTER, SECRET, b"n" * 32).outgoing()
            ended = asyncio.ensure_future(read_end(reader))
            for byte in hello * 10:
                if ended.done():
                    break
                writer.write(bytes((byte,)))
                await asyncio.wait([ended], timeout=0.01)
            assert await ended == b""
            writer.close()

    run(story())


@pytest.mark.parametrize("form", SOCKETS)
def test_strangers_over_the_limit_are_refused_newest_first(run, form, tmp_path, caplog):
    async def story():
        host = Host()
        settings = Settings(unauthenticated_max=8, handshake_s_max=600)
        async with serving(address_of(form, tmp_path), host, settings) as server:
            first = [await stranger(server) for _ in range(8)]
            more = [await stranger(server) for _ in range(5)]
            for reader, writer in more:
                assert await read_end(reader) == b""
                writer.close()
            assert len(server._strangers) == 8
            reader, writer = first.pop()
            writer.close()
            await until(lambda: len(server._strangers) < 8)
            await assert_serves(server, host)  # there is a place again
            for reader, writer in first:
                assert not reader.at_eof()
                writer.close()

    run(story())
    assert "others have not proved themselves" in caplog.text


@pytest.mark.parametrize("form", SOCKETS)
def test_authenticated_connections_do_not_count_as_strangers(run, form, tmp_path):
    async def story():
        host = Host()
        async with serving(address_of(form, tmp_path), host, Settings(unauthenticated_max=2)) as server:
            heard = [Recorder() for _ in range(6)]
            for recorder in heard:
                await join(server.address, recorder)
            await host.until_accepted(6)
            assert not server._strangers

    run(story())


def test_other_user_on_a_unix_socket_is_refused_unheard(run, tmp_path, monkeypatch, caplog):
    async def story():
        async with serving(address_of("unix", tmp_path), Host()) as server:
            monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
            reader, writer = await stranger(server)
            writer.write(ClientHandshake("peer", CLUSTER, SECRET, b"n" * 32).outgoing())
            assert await read_end(reader) == b""
            writer.close()

    run(story())
    assert "another user" in caplog.text


def test_socket_file_is_for_this_user_and_goes_with_the_server(run, tmp_path):
    async def story():
        before = os.umask(0)
        try:
            async with serving(address_of("unix", tmp_path), Host()):
                mode = (tmp_path / "s").stat().st_mode
                assert stat.S_ISSOCK(mode)
                assert stat.S_IMODE(mode) == 0o600
        finally:
            os.umask(before)
        assert list(tmp_path.iterdir()) == []

    run(story())


def test_socket_file_nobody_serves_is_replaced(run, tmp_path):
    async def story():
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "s"))
        host = Host()
        async with serving(address_of("unix", tmp_path), host) as server:
            await assert_serves(server, host)

    run(story())


def test_address_that_is_served_already_is_refused_and_the_first_goes_on(run, tmp_path):
    async def story():
        for form in ADDRESSES:
            host = Host()
            async with serving(address_of(form, tmp_path), host) as server:
                with pytest.raises((OSError, UsageError), match=r"already|in use"):
                    async with serving(server.address, Host()):
                        pass
                await assert_serves(server, host)

    run(story())


def test_file_that_is_no_socket_is_left_alone(run, tmp_path):
    (tmp_path / "s").write_text("precious")
    with pytest.raises(FileExistsError, match="no socket"):
        bind_unix(f"{tmp_path}/s")
    assert (tmp_path / "s").read_text() == "precious"


def test_socket_file_of_a_later_server_is_left_alone(run, tmp_path):
    async def story():
        async with serving(address_of("unix", tmp_path), Host()):
            (tmp_path / "s").unlink()
            later = bind_unix(f"{tmp_path}/s")
        assert (tmp_path / "s").exists()
        later.close()

    run(story())


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://192.168.0.1:0"])
def test_address_other_hosts_can_reach_is_not_served(run, address):
    async def story():
        async with serving(address, Host()):
            pass

    with pytest.raises(UsageError, match="TLS"):
        run(story())


@pytest.mark.parametrize("form", ADDRESSES)
def test_accept_that_fails_closes_that_connection_alone(run, form, tmp_path, caplog):
    class Picky(Host):
        def accept(self, channel):
            recorder = super().accept(channel)
            if len(self.recorders) == 1:
                raise ZeroDivisionError
            return recorder

    async def story():
        host = Picky()
        async with serving(address_of(form, tmp_path), host) as server:
            heard = Recorder()
            await join(server.address, heard)
            await heard.until_closed()
            await assert_serves(server, host)

    run(story())
    assert "was not accepted" in caplog.text


@pytest.mark.parametrize("form", ADDRESSES)
def test_closing_the_server_sends_what_is_unsent_and_ends_all(run, form, tmp_path):
    async def story():
        host, heard = Host(), Recorder()
        async with serving(address_of(form, tmp_path), host) as server:
            await join(server.address, heard)
            far = await host.until_accepted()
            far.channel.send(NotFound(1, "last words", ""))
            await server.close()
            assert await far.until_closed() == "the server was closed"
            await server.close()
            with pytest.raises(OSError, match="nobody to talk to"):
                await join(server.address, Recorder())
        await heard.until_closed()
        assert heard.messages == [NotFound(1, "last words", "")]

    run(story())


@pytest.mark.parametrize("form", SOCKETS)
def test_closing_the_server_cuts_strangers_off(run, form, tmp_path):
    async def story():
        async with serving(address_of(form, tmp_path), Host(), Settings(handshake_s_max=600)) as server:
            reader, writer = await stranger(server)
            await until(lambda: server._strangers)
        assert await read_end(reader) == b""
        writer.close()

    run(story())


@pytest.mark.parametrize("form", SOCKETS)
def test_garbage_after_the_handshake_harms_nobody_else(run, form, tmp_path):
    async def story():
        host, good, bad = Host(), Recorder(), Recorder()
        async with serving(address_of(form, tmp_path), host) as server:
            channel = await join(server.address, good)
            rogue = await join(server.address, bad)
            rogue._transport.write(b"\xff" * 1000)
            assert "over the limit" in await (await host.until_accepted(2)).until_closed()
            await bad.until_closed()
            channel.send(Fetch(1, "a"))
            await host.recorders[0].until_received(1)

    run(story())


def test_no_file_descriptors_left_does_not_stop_the_server_for_good(run, tmp_path, monkeypatch):
    """Accepting fails once with EMFILE; asyncio waits a second, uvloop drops that connection; both go on."""

    async def story():
        host = Host()
        async with serving(address_of("unix", tmp_path), host) as server:
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
            fillers = []
            try:
                while True:
                    fillers.append(os.dup(client.fileno()))
            except OSError:
                pass
            client.connect(str(tmp_path / "s"))
            for _ in range(20):
                await asyncio.sleep(0)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                os.close(filler)
            client.close()
            await assert_serves(server, host)

    run(story())


def test_strangers_cannot_fill_the_log(run, caplog):
    log = StrangerLog("unix:/s")
    for now in (0.0, 1.0, 2.0, 9.9, 11.0):
        log.refused(now, ConnectionError("why"))
    assert [record.getMessage() for record in caplog.records] == [
        "unix:/s: a connection was refused: why",
        "unix:/s: a connection was refused: why (and 3 more since the last such line)",
    ]


def test_socket_path_that_cannot_be_bound_leaves_nothing_open(run, tmp_path):
    with pytest.raises(FileNotFoundError):
        bind_unix(f"{tmp_path}/missing/s")


def test_listener_with_its_hands_full_counts_as_serving(run, tmp_path):
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(tmp_path / "s"))
        busy.listen(0)
        waiting.connect(str(tmp_path / "s"))
        with pytest.raises(FileExistsError, match="already"):
            bind_unix(f"{tmp_path}/s")


def test_connection_that_comes_while_the_server_closes_is_refused(run):
    async def story():
        host = Host()
        async with serving("inproc:late", host) as server:
            late = asyncio.ensure_future(join(server.address, Recorder()))
            await asyncio.sleep(0)  # it is on its way
            server._is_closing = True
            with pytest.raises(ConnectionError):
                await late
            assert host.recorders == []

    run(story())
