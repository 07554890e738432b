import asyncio
import re
import socket

import pytest

from jupyter_dist.comm.links import HOLDER_SIDE, WORKER_SIDE
from jupyter_dist.comm.serve import serve
from jupyter_dist.errors import AuthenticationError, ProtocolError, UsageError, VersionMismatchError
from jupyter_dist.messages import Fetch, NotFound
from jupyter_dist.protocol import auth, connection
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
    linked,
    serving,
    until,
)

pytestmark = [pytest.mark.parametrize("run", LOOPS)]


@pytest.mark.parametrize("form", ADDRESSES)
@pytest.mark.parametrize(
    "changes",
    [{"secret": b"t" * 32}, {"identity_cluster": "c2"}, {"role": "worker", "codec": WORKER_SIDE}],
    ids=["secret", "cluster", "role"],
)
def test_connecting_without_the_right_proof_fails_on_both_sides(run, form, changes, tmp_path, caplog):
    async def story():
        host, heard = Host(), Recorder()
        patient = Settings(handshake_s_max=600)  # no time has to run out
        async with serving(address_of(form, tmp_path), host, patient) as server:
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(AuthenticationError, match="authentication failed"):
                    await join(server.address, heard, patient, **changes)
            good = await join(server.address, Recorder())  # others are not harmed
            good.close()
            assert (await host.until_accepted()).channel is not None
            assert len(host.recorders) == 1
        assert heard.reasons == []

    run(story())
    assert "authentication failed" in caplog.text
    assert str(SECRET) not in caplog.text


@pytest.mark.parametrize("form", ADDRESSES)
def test_server_with_another_secret_is_not_trusted(run, form, tmp_path):
    async def story():
        server = await serve(
            address_of(form, tmp_path),
            cluster=CLUSTER,
            secret=b"t" * 32,
            codecs=HOLDER_SIDE,
            accept=Host().accept,
            settings=Settings(),
        )
        with pytest.raises(AuthenticationError, match="authentication failed"):
            await join(server.address, Recorder())
        await server.close()

    run(story())


def test_server_of_another_version_says_what_to_install(run, monkeypatch):
    class NewerServer(auth.ServerHandshake):
        def _on_frame(self, frame):
            self._outgoing += auth.pack_frame(frame._replace(kind=auth.Kind.VERSION, version=9, heard_version=1))
            raise VersionMismatchError("versions 9 and 1")

    monkeypatch.setattr(connection, "ServerHandshake", NewerServer)

    async def story():
        async with serving("inproc:newer", Host()) as server:
            with pytest.raises(VersionMismatchError, match=r"other side 9: install .*pip install"):
                await join(server.address, Recorder())

    run(story())


@pytest.mark.parametrize("form", ADDRESSES)
def test_connecting_where_nobody_serves_raises_an_os_error_that_names_the_address(run, form, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = {"tcp": f"tcp://127.0.0.1:{unused.getsockname()[1]}"}.get(form, address_of(form, tmp_path))
        with pytest.raises(ConnectionError, match=re.escape(address)):
            run(join(address, Recorder()))


def test_server_that_never_answers_is_given_up_in_time(run, tmp_path):
    async def story():
        mute = socket.socket(socket.AF_UNIX)
        mute.bind(str(tmp_path / "s"))
        mute.listen(1)
        with mute, pytest.raises(TimeoutError, match=r"did not answer within 0\.05 s"):
            await join(f"unix:{tmp_path}/s", Recorder(), Settings(handshake_s_max=0.05))

    run(story())


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 500])
def test_server_that_is_not_ours_raises(run, answer):
    async def story():
        async def other(reader, writer):
            await reader.read(10)
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(other, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        expected = ProtocolError if answer else ConnectionError
        with pytest.raises(expected, match="handshake"):
            await join(f"tcp://127.0.0.1:{port}", Recorder())
        server.close()
        await server.wait_closed()

    run(story())


def test_cancelled_attempt_leaves_nothing_behind(run, tmp_path):
    async def story():
        accepted = []

        async def mute(reader, writer):
            accepted.append(writer)
            await reader.read()
            await reader.read()
            writer.close()

        server = await asyncio.start_unix_server(mute, tmp_path / "s")
        attempt = asyncio.ensure_future(join(f"unix:{tmp_path}/s", Recorder()))
        await until(lambda: accepted)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await accepted[0].wait_closed()
        server.close()
        await server.wait_closed()

    run(story())


@pytest.mark.parametrize("form", ADDRESSES)
def test_messages_sent_at_once_by_the_server_are_heard_after_connect_returns(run, form, tmp_path):
    class Eager(Host):
        def accept(self, channel):
            channel.send(NotFound(1, "welcome", ""))
            return super().accept(channel)

    async def story():
        heard = Recorder()
        seen = []
        heard.react = lambda recorder, _: seen.append(recorder.channel)
        async with serving(address_of(form, tmp_path), Eager()) as server:
            channel = await join(server.address, heard)
            assert seen == []
            await heard.until_received(1)
            assert seen == [channel]
            channel.close()
            await heard.until_closed()

    run(story())


@pytest.mark.parametrize("form", ADDRESSES)
def test_many_connections_at_once_all_succeed(run, form, tmp_path):
    async def story():
        host = Host(lambda heard, message: heard.channel.send(NotFound(message.request, "", "")))
        async with serving(address_of(form, tmp_path), host) as server:
            heard = [Recorder() for _ in range(50)]
            channels = await asyncio.gather(*(join(server.address, recorder) for recorder in heard))
            for number, channel in enumerate(channels):
                channel.send(Fetch(number, "a"))
            for number, recorder in enumerate(heard):
                (answer,) = await recorder.until_received(1)
                assert answer.request == number
        for recorder in heard:
            assert await recorder.until_closed() == "the peer closed the connection"

    run(story())


def test_tcp_sends_without_delay(run, tmp_path):
    async def story():
        async with linked("tcp://127.0.0.1:0") as (near, _, far, _):
            for channel in (near, far):
                sock = channel._transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(story())


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:9", "tcp://0.0.0.0:9", "nonsense", "unix:/" + "x" * 107])
def test_connecting_to_what_is_no_address_is_refused(run, address):
    with pytest.raises(UsageError):
        run(join(address, Recorder()))
