"""The nanny's end of the line to its guardian, without a guardian: that is the test."""

import asyncio
import contextlib
import os

import msgspec
import pytest

from jupyter_dist.ids import new_secret
from jupyter_dist.processes import guardian, guarding
from jupyter_dist.processes.config import ClusterIdentity, NannyConfig
from jupyter_dist.processes.guarding import Guarding
from jupyter_dist.processes.nursery import Pipes
from jupyter_dist.processes.will import Entries, Will
from jupyter_dist.settings import Settings
from tests.processes.nanny_host import eventually_async


def split(data):
    """Return the frames, each its kind and its body."""
    frames = []
    while data:
        end = 5 + int.from_bytes(data[1:5], "little")
        frames.append((data[:1], data[5:end]))
        data = data[end:]
    return frames


class Bench:
    """A `Guarding`, what follows it down its lines, and what it was told to hand on."""

    def __init__(self, monkeypatch, *, lease_s=3.0, broken=False):
        self.config = NannyConfig(
            identity=ClusterIdentity("try", "0123", "unix:/nowhere", new_secret()),
            host="here",
            workers=1,
            slots=1,
            memory_bytes_max=0,
            head=True,
            detached=True,
            folder="/nowhere",
            connection_file="/nowhere.json",
            settings=Settings(restart_burst_max=1, restart_wait_s_max=0.2, lease_s=lease_s),
        )
        self.epoch = 1
        self.lines = []  # of the guardians: (reading, writing)
        self.changes = 0
        self.broken = broken
        monkeypatch.setattr(guarding, "_spawn", self.spawn)
        monkeypatch.setattr(os, "waitpid", lambda pid, _options: (pid, 0))
        self.guarding = Guarding(self.config, (), self.make_will, self.note_change)

    def note_change(self):
        self.changes += 1

    def spawn(self, _config, _held):
        if self.broken:
            raise BlockingIOError("no more processes")
        return 100 + len(self.lines), self.open_line()

    def open_line(self):
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self.lines.append((theirs_in, theirs_out))
        return Pipes(ours_in, ours_out)

    def make_will(self):
        return Will(self.config, Entries(), pid=1, started_s=1.0, numbers=(0,), epoch=self.epoch, generation=0)

    def heard(self, index=-1, size=1_000_000):
        """Return the frames that a guardian can read by now."""
        return split(os.read(self.lines[index][0], size))

    def die(self):
        for end in self.lines[-1]:
            os.close(end)


@pytest.fixture
def run(monkeypatch):
    """Run a story with a bench in a loop."""

    def run(story, **options):
        async def main():
            bench = Bench(monkeypatch, **options)
            try:
                await story(bench)
            finally:
                bench.guarding.end()
                for ends in (*bench.lines, bench.guarding._line or ()):
                    for end in ends:
                        with contextlib.suppress(OSError):
                            os.close(end)

        asyncio.run(main())

    return run


def test_guardian_that_starts_is_told_the_will_and_the_waits_and_a_will_once(run):
    async def story(bench):
        bench.guarding.start()
        bench.guarding.tell()
        (kind, body), (second, waits) = bench.heard()
        assert (kind, second, waits) == (guardian.WILL, guardian.WAITS, b"0 0.2")
        assert msgspec.msgpack.decode(body, type=Will) == bench.make_will()
        bench.epoch = 2
        bench.guarding.tell()
        ((kind, body),) = bench.heard()
        assert msgspec.msgpack.decode(body, type=Will).epoch == 2
        bench.guarding.end()
        bench.guarding.end()
        bench.epoch = 3
        bench.guarding.tell()
        assert bench.heard() == [(guardian.OVER, b"")]

    run(story)


def test_guardian_that_ends_is_followed_and_told_all_again_until_it_was_too_often(run):
    async def story(bench):
        bench.guarding.start()
        for number in (1, 2):
            bench.die()
            await eventually_async(lambda: len(bench.lines) == number + 1)  # noqa: B023  # waited for here
            assert [kind for kind, _ in bench.heard()] == [guardian.WILL, guardian.WAITS]
            assert bench.guarding.pid == 100 + number
        bench.die()
        await eventually_async(lambda: bench.guarding.pid == 0)
        assert bench.changes == 5  # that it went and came, twice, and that it went

    run(story)


def test_guardian_that_cannot_be_started_is_tried_again(run):
    async def story(bench):
        bench.guarding.start()
        assert bench.guarding.pid == 0
        bench.broken = False
        await eventually_async(lambda: bench.guarding.pid == 100)

    run(story, broken=True)


def test_end_of_a_guardian_after_the_nannys_last_word_is_not_followed(run):
    async def story(bench):
        bench.guarding.start()
        bench.guarding.end()
        bench.die()
        await eventually_async(lambda: bench.guarding.pid == 0)
        assert (len(bench.lines), bench.changes) == (1, 0)

    run(story)


def test_guardian_that_does_not_read_is_told_all_later_and_nobody_waits(run):
    async def story(bench):
        bench.guarding.start()
        told = 2000
        for number in range(told):
            bench.epoch = number + 2
            bench.guarding.tell()
        heard = b""
        os.set_blocking(bench.lines[0][0], False)
        while bench.guarding._unsent:
            with contextlib.suppress(BlockingIOError):
                heard += os.read(bench.lines[0][0], 65536)
            await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard += os.read(bench.lines[0][0], 65536)
        wills = []
        for kind, body in split(heard):
            if kind == guardian.WILL:
                wills.append(msgspec.msgpack.decode(body, type=Will).epoch)
        assert wills == list(range(1, told + 2))

    run(story)


def test_nanny_that_follows_says_the_waits_anew_only_when_it_has_lived_for_a_while(run):
    async def story(bench):
        bench.guarding.adopt(77, bench.open_line())
        assert bench.guarding.pid == 77
        assert [kind for kind, _ in bench.heard()] == [guardian.WILL]
        heard = []

        def has_heard():
            os.set_blocking(bench.lines[0][0], False)
            with contextlib.suppress(BlockingIOError):
                heard.extend(bench.heard())
            return heard

        await eventually_async(has_heard)
        assert heard == [(guardian.WAITS, b"0 0.2")]

    run(story, lease_s=0.01)
