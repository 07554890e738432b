"""A scripted scheduler, and real worker processes that believe in it."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec

from jupyter_dist.comm.links import SCHEDULER_SIDE
from jupyter_dist.comm.serve import serve
from jupyter_dist.messages import (
    AssignedTask,
    AssignTask,
    FunctionBody,
    RegisterWorker,
    TaskErred,
    TaskFinished,
    TaskInput,
    Welcome,
    WorkerSample,
)
from jupyter_dist.processes.config import ClusterIdentity, WorkerConfig
from jupyter_dist.settings import Settings

PATIENCE_S = 20.0
ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, msgspec
from jupyter_dist.processes.config import WorkerConfig
from jupyter_dist.processes.worker import main
main(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=WorkerConfig))
"""


class WorkerLink:
    """The scheduler's end of one worker's connection: everything it said, and a way to wait for more."""

    def __init__(self, channel, settings, *, samples=False):
        self.channel = channel
        self.settings = settings
        self.samples = samples
        self.heard: list[Any] = []
        self.register: RegisterWorker | None = None
        self.closed_because: str | None = None
        self._news = asyncio.Event()

    def received(self, messages, buffers):
        for message in messages:
            if isinstance(message, RegisterWorker):
                self.register = message
                self.channel.send(Welcome(1, 1, "c", message.name, 0.5, 3.0, self.settings.inline_bytes_max))
            elif self.samples or not isinstance(message, WorkerSample):
                self.heard.append(message)
        self._news.set()

    def closed(self, reason):
        self.closed_because = reason
        self._news.set()

    async def until(self, condition):
        """Wait until a condition on this link holds; return what it returned."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := condition()):
                self._news.clear()
                await self._news.wait()
        return found

    async def next(self, kind, attempt=None):
        """Return the first message of a kind (about an attempt), taken out of what was heard."""

        def find():
            for message in self.heard:
                if isinstance(message, kind) and attempt in {None, getattr(message, "attempt", None)}:
                    return message
            return None

        message = await self.until(find)
        self.heard.remove(message)
        return message

    async def ended(self, attempt):
        """Return how an attempt ended."""
        return await self.next((TaskFinished, TaskErred), attempt)

    def assign(self, attempt, function, *args, inputs=(), packed=None, key=None, **options):
        """Send a function and a task that calls it."""
        body = cloudpickle.dumps(function)
        name = f"f{hash(body)}"
        self.channel.send(FunctionBody(name, getattr(function, "__name__", "f"), body))
        arguments = cloudpickle.dumps((args, {})) if packed is None else packed
        task = AssignedTask(key or f"k{attempt}", attempt, name, arguments, tuple(inputs), **options)
        self.channel.send(AssignTask(task))

    async def run(self, attempt, function, *args, **options):
        """Assign a task and return how it ended."""
        self.assign(attempt, function, *args, **options)
        return await self.ended(attempt)


class Host:
    """A fake scheduler and its workers. ``async with Host(tmp_path) as host: link = await host.start("w0")``."""

    def __init__(self, folder, **changes):
        self.folder = Path(folder)
        self.settings = Settings(**changes)
        self.identity = ClusterIdentity("test", "c0ffee", f"unix:{self.folder}/s.sock", b"s" * 32)
        self.links: list[WorkerLink] = []
        self.processes: dict[str, subprocess.Popen] = {}
        self._arrived = asyncio.Event()
        self.samples = False

    async def __aenter__(self):
        await self.listen()
        return self

    async def listen(self):
        self.server = await serve(
            self.identity.address,
            cluster=self.identity.cluster,
            secret=self.identity.secret,
            codecs=SCHEDULER_SIDE,
            accept=self._accept,
            settings=self.settings,
        )

    async def __aexit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        await self.server.close()

    def _accept(self, channel):
        link = WorkerLink(channel, self.settings, samples=self.samples)
        self.links.append(link)
        self._arrived.set()
        return link

    def config(self, name, slots=1):
        scratch = self.folder / f"{name}.scratch"
        scratch.mkdir(exist_ok=True)
        return WorkerConfig(
            self.identity,
            name,
            "here",
            "n0",
            f"unix:{self.folder}/{name}.sock",
            slots,
            0,
            str(scratch),
            str(self.folder / f"{name}.page"),
            self.settings,
        )

    async def start(self, name="w0", slots=1):
        """Start a worker process and return its link once it is registered."""
        self._spawn(name, slots)
        return await self.link_of(name)

    def _spawn(self, name, slots):
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT
            )
        self.processes[name] = process
        with process.stdin:
            process.stdin.write(msgspec.msgpack.encode(self.config(name, slots)))

    async def link_of(self, name, after=0):
        """Return the link of a worker, the newest one beyond so many links."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for link in self.links[after:]:
                    if link.register is not None and link.register.name == name:
                        return link
                self._arrived.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), 0.01)

    def log(self, name="w0"):
        return (self.folder / f"{name}.log").read_text()

    async def exited(self, name="w0"):
        """Return the exit code of a worker that ends by itself."""
        return await asyncio.to_thread(self.processes[name].wait, PATIENCE_S)


def inline(key, value):
    """Return an input that comes inside the assignment."""
    packed = cloudpickle.dumps(value)
    return TaskInput(key, packed, len(packed))


def held(key, nbytes, *links):
    """Return an input that these workers hold."""
    return TaskInput(key, None, nbytes, tuple(link.register.address for link in links))
