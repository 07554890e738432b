"""The pipes between a nanny and its launcher, without a process."""

import asyncio
import contextlib
import os

import msgspec
import pytest

from jupyter_dist.errors import ProtocolError
from jupyter_dist.processes.config import ClusterIdentity, NannyConfig
from jupyter_dist.processes.launcher_line import (
    CONFIG_BYTES_MAX,
    LENGTH,
    RELEASE,
    LauncherLine,
    Progress,
    encode_config,
    read_config,
)
from jupyter_dist.processes.nursery import Pipes

CONFIG = NannyConfig(
    identity=ClusterIdentity("try", "id", "unix:/nowhere", b"s" * 32),
    host="here",
    workers=2,
    slots=1,
    memory_bytes_max=0,
    head=True,
    detached=True,
    folder="/nowhere",
    connection_file="/nowhere.json",
)


@pytest.fixture
def pipes():
    """Return the nanny's ends and the launcher's: (nanny, writing, reading)."""
    reading, launcher_writing = os.pipe()
    launcher_reading, writing = os.pipe()
    yield Pipes(reading, writing), launcher_writing, launcher_reading
    for descriptor in (reading, writing, launcher_reading, launcher_writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_config_goes_through_whole(pipes):
    nanny, writing, _reading = pipes
    os.write(writing, encode_config(CONFIG) + RELEASE)
    assert read_config(nanny.reading) == CONFIG
    assert os.read(nanny.reading, 9) == RELEASE


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EOFError),
        (b"\x01", EOFError),
        (encode_config(CONFIG)[:-1], EOFError),
        (LENGTH.pack(CONFIG_BYTES_MAX + 1), ProtocolError),
        (LENGTH.pack(3) + b"\xc1\xc1\xc1", ProtocolError),
        (LENGTH.pack(1) + b"\x80", ProtocolError),
    ],
)
def test_config_that_is_none_is_refused(pipes, data, error):
    nanny, writing, _reading = pipes
    os.write(writing, data)
    os.close(writing)
    with pytest.raises(error):
        read_config(nanny.reading)


def test_report_ends_with_ready(pipes):
    nanny, _writing, reading = pipes
    line = LauncherLine(nanny, is_detached=True, on_gone=pytest.fail)
    for phase in ("scheduler up", "ready", "too late"):
        line.report(Progress(phase=phase))
    lines = os.read(reading, 1000).splitlines()
    assert [msgspec.json.decode(text) for text in lines] == [{"phase": "scheduler up"}, {"phase": "ready"}]
    assert os.read(reading, 1) == b""


def test_report_to_nobody_harms_nothing(pipes):
    nanny, _writing, reading = pipes
    line = LauncherLine(nanny, is_detached=True, on_gone=pytest.fail)
    os.close(reading)
    line.report(Progress(phase="scheduler up"))
    line.report(Progress(error="it failed", log="why"))


@pytest.mark.parametrize(
    ("is_detached", "data", "is_told"),
    [(False, b"", True), (True, b"", True), (False, RELEASE, True), (True, RELEASE, False)],
)
def test_end_of_the_pipe_is_told_unless_a_detached_one_was_released(pipes, is_detached, data, is_told):
    nanny, writing, _reading = pipes

    async def story():
        gone = asyncio.Event()
        line = LauncherLine(nanny, is_detached=is_detached, on_gone=gone.set)
        line.watch(asyncio.get_running_loop())
        os.write(writing, data)
        os.close(writing)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), 20.0 if is_told else 0.05)
        return gone.is_set()

    assert asyncio.run(story()) is is_told
