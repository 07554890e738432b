"""A nanny in a process of its own, with stubs for children, and a scheduler that is the test."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from jupyter_dist.comm.links import SCHEDULER_SIDE
from jupyter_dist.comm.serve import serve
from jupyter_dist.ids import new_secret
from jupyter_dist.messages import Pulse, RegisterNanny, Welcome, WorkerDied
from jupyter_dist.processes.config import ClusterIdentity, NannyConfig
from jupyter_dist.processes.launcher_line import Progress, encode_config
from jupyter_dist.processes.vitals import read_stat, session_members
from jupyter_dist.settings import Settings
from jupyter_dist.storage import places
from jupyter_dist.storage.store import ObjectStore

ROOT = Path(__file__).parent.parent.parent
STUBS = "tests.processes.stub_entries"
CODE = f"""
import sys
from jupyter_dist.processes.nanny import Entries, main
main(Entries(
    scheduler="{STUBS}:" + sys.argv[1],
    worker="{STUBS}:" + sys.argv[2],
    preload=("jupyter_dist.processes.fork_server", "{STUBS}"),
))
"""


def is_alive(pid):
    return read_stat(pid).state != "gone"


def eventually(is_so, seconds=20.0, words="it did not come true"):
    """Poll until it is so and return what it returned; fail when it is not in time."""
    end_s = time.monotonic() + seconds
    while True:
        value = is_so()
        if value:
            return value
        assert time.monotonic() < end_s, words
        time.sleep(0.005)


async def eventually_async(is_so, seconds=20.0, words="it did not come true"):
    end_s = time.monotonic() + seconds
    while True:
        value = is_so()
        if value:
            return value
        assert time.monotonic() < end_s, words
        await asyncio.sleep(0.005)


class NannyHost:
    """A context that starts a nanny and leaves nothing of it behind."""

    def __init__(
        self, *, worker="quiet_worker", scheduler="welcoming_scheduler", head=True, workers=2, detached=False,
        memory_bytes_max=0, settings=None,
    ):  # fmt: skip
        self.folder = Path(tempfile.mkdtemp(prefix="jd-"))
        self.connection_file = Path(f"{self.folder}.json")
        self.identity = ClusterIdentity("try", "0123456789abcdef", f"unix:{self.folder}/scheduler.sock", new_secret())
        self.connection_file.write_text(self.identity.cluster)
        self.settings = settings or Settings(heartbeat_s=0.05)
        (self.folder / "logs").mkdir()
        self.objects = places.make_folders(self.folder)
        self.store = ObjectStore(self.objects)
        with (self.folder / "logs/nanny.log").open("ab") as log:
            self._start(scheduler, worker, log)
        config = NannyConfig(
            identity=self.identity,
            host="here",
            workers=workers,
            slots=2,
            memory_bytes_max=memory_bytes_max,
            head=head,
            detached=detached,
            folder=str(self.folder),
            connection_file=str(self.connection_file),
            settings=self.settings,
            objects=self.objects,
        )
        self.process.stdin.write(encode_config(config))

    def _start(self, scheduler, worker, log):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE, scheduler, worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
            bufsize=0,
        )
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for member in session_members(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()
        places.remove_memory(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.connection_file.unlink(missing_ok=True)

    def progress(self):
        """Return the next line to the launcher, None at its end."""
        line = self.process.stdout.readline()
        return msgspec.json.decode(line, type=Progress) if line else None

    def wait_ready(self):
        phases = []
        while (progress := self.progress()) is not None:
            assert not progress.error, progress
            phases.append(progress.phase)
        assert phases[-1] == "ready", phases
        return phases

    def members(self):
        """Return every process of the nanny's session."""
        return session_members(self.pid)

    def pid_of(self, name):
        """Return the process that was started last under this name."""
        return int(self.log("nanny").rpartition(f"{name} started, pid ")[2].split()[0])

    def log(self, name):
        return (self.folder / "logs" / f"{name}.log").read_text()


class TestScheduler:
    """The scheduler's end of a nanny's connection, in the test's own loop."""

    __test__ = False

    def __init__(self, host):
        self._host = host
        self.heard = []
        self.channels = []

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_error):
        await self.close()

    async def open(self):
        identity = self._host.identity
        self._server = await serve(
            identity.address,
            cluster=identity.cluster,
            secret=identity.secret,
            codecs=SCHEDULER_SIDE,
            accept=self._accept,
            settings=self._host.settings,
        )

    async def close(self):
        for channel in self.channels:
            channel.abort("the test closes it")
        self.channels.clear()
        await self._server.close()

    def _accept(self, channel):
        self.channels.append(channel)
        return self

    def received(self, messages, buffers):
        self.heard.extend((time.monotonic(), message) for message in messages)
        if any(isinstance(message, RegisterNanny) for message in messages):
            self.channels[-1].send(Welcome(1, 1, "try", "nanny-here", 0.05, 3.0, 0))

    def closed(self, reason):
        """The test sees it by what it no longer hears."""

    def send(self, message):
        self.channels[-1].send(message)

    def deaths(self):
        return [message.certificate for _at, message in self.heard if isinstance(message, WorkerDied)]

    def pulse(self):
        """Return the newest pulse, by worker."""
        pulses = [message for _at, message in self.heard if isinstance(message, Pulse)]
        return {worker.worker: worker for worker in pulses[-1].workers} if pulses else {}

    async def wait_workers(self, count, seconds=20.0):
        await eventually_async(lambda: len(self.pulse()) == count, seconds, f"not {count} workers: {self.pulse()}")
        return self.pulse()

    async def wait_deaths(self, count=1, seconds=20.0):
        await eventually_async(lambda: len(self.deaths()) >= count, seconds, f"not {count} deaths")
        return self.deaths()
