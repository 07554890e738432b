"""Strangers at a real scheduler's door: they are turned away, and nobody else notices."""

import asyncio
import os
import socket

import msgspec
import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import AuthenticationError


def inc(number: int) -> int:
    return number + 1


def test_wrong_secret_is_refused_and_the_cluster_goes_on(executor):
    stranger = msgspec.structs.replace(executor.info, secret=bytes(32))
    with pytest.raises(AuthenticationError):
        Executor(stranger)
    assert executor.submit(inc, 1).result(10) == 2


@pytest.mark.parametrize("garbage", [os.urandom(4096), b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 96, b"\xff" * 100_000])
def test_garbage_on_the_socket_closes_that_connection_alone(executor, garbage):
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(10)
        stranger.connect(executor.info.address.removeprefix("unix:"))
        try:
            stranger.sendall(garbage)
            while stranger.recv(4096):
                pass
        except ConnectionError:
            pass  # closed while we still sent: as good
    assert executor.submit(inc, 10).result(10) == 11


def test_a_hundred_silent_strangers_do_not_keep_a_client_out(executor):
    strangers = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    try:
        for stranger in strangers:
            stranger.connect(executor.info.address.removeprefix("unix:"))
        assert executor.submit(inc, 20).result(10) == 21
    finally:
        for stranger in strangers:
            stranger.close()
    with Executor(executor.info) as other:
        assert other.submit(inc, 30).result(10) == 31


def test_results_are_awaited_beside_a_users_own_loop(executor):
    async def both() -> list[int]:
        return await asyncio.gather(*(executor.submit(inc, number) for number in range(5)))

    assert asyncio.run(both()) == [1, 2, 3, 4, 5]
