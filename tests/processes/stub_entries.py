"""What a nanny under test starts instead of real workers and schedulers. Loaded by name in the forked processes."""

import asyncio
import os
import re
import signal
import socket
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from jupyter_dist.comm.links import SCHEDULER_SIDE
from jupyter_dist.comm.serve import serve
from jupyter_dist.messages import Welcome
from jupyter_dist.processes.config import SchedulerConfig, WorkerConfig
from jupyter_dist.storage.page import PageWriter


def _serve(config: WorkerConfig) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(config.address.removeprefix("unix:"))
    server.listen()
    return server


def quiet_worker(config: WorkerConfig) -> None:
    """Serve, and do nothing."""
    with _serve(config):
        while True:
            signal.pause()


def forking_worker(config: WorkerConfig) -> None:
    """Serve, and have a child that would outlive it."""
    (Path(config.scratch).parent / f"{config.name}.child").write_text("")
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    (Path(config.scratch).parent / f"{config.name}.child").write_text(str(child))
    quiet_worker(config)


def spinning_worker(config: WorkerConfig) -> None:
    """Serve, then hold the interpreter's lock inside C code for longer than any test lasts."""
    with _serve(config):
        re.match(r"(a+)+$", "a" * 64 + "b")


def busy_worker(config: WorkerConfig) -> None:
    """Serve, and say that attempt 7 is inside a user's code in the second slot."""
    page = PageWriter(config.page, 2)
    page.begin(1, 7)
    (Path(config.scratch) / "faulthandler.log").write_text("the stack\n")
    print("the last line")
    quiet_worker(config)


def leaking_worker(config: WorkerConfig) -> None:
    """Serve, and leave shared memory to whoever cleans up."""
    memory = SharedMemory(create=True, size=1000)
    note = Path(config.scratch).parent.parent / "leak"
    note.with_suffix(".new").write_text(memory.name)
    note.with_suffix(".new").rename(note)
    quiet_worker(config)


def failing_worker(_config: WorkerConfig) -> None:
    """Die before there is anything to connect to."""
    sys.stderr.write("ImportError: no module named 'preloaded'\n")
    sys.exit(3)


def greedy_worker(config: WorkerConfig) -> None:
    """Use 100 MB."""
    data = bytearray(os.urandom(1) * 100_000_000)
    quiet_worker(config)
    del data


def welcoming_scheduler(config: SchedulerConfig) -> None:
    """Let every nanny in and tell it nothing."""
    asyncio.run(_welcome(config))


class _Welcoming:
    def __init__(self, channel, epoch):
        self.channel = channel
        self.epoch = epoch

    def received(self, messages, buffers):
        if type(messages[0]).__name__ == "RegisterNanny":
            self.channel.send(Welcome(1, self.epoch, "stub", messages[0].name, 0.5, 3.0, 0))

    def closed(self, reason):
        """Nothing depends on it."""


async def _welcome(config: SchedulerConfig, *, is_stubborn: bool = False) -> None:
    stopped = asyncio.Event()
    if not is_stubborn:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    (Path(config.folder) / "epoch").write_text(str(config.epoch))
    server = await serve(
        config.identity.address,
        cluster=config.identity.cluster,
        secret=config.identity.secret,
        codecs=SCHEDULER_SIDE,
        accept=lambda channel: _Welcoming(channel, config.epoch),
        settings=config.settings,
    )
    await stopped.wait()
    await server.close()


def stubborn_scheduler(config: SchedulerConfig) -> None:
    """Let every nanny in, and do not end when asked."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_welcome(config, is_stubborn=True))
