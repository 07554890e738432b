"""A nanny or its guardian dies; real processes, with stubs for what the nanny keeps."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_dist.messages import KeepObjects, SetWorkers
from jupyter_dist.processes import guardian
from jupyter_dist.processes.vitals import private_bytes
from jupyter_dist.settings import Settings
from jupyter_dist.storage.hold import is_held
from tests.processes.guarded_host import GuardedHost, kill
from tests.processes.nanny_host import TestScheduler, eventually, eventually_async, is_alive

pytestmark = pytest.mark.process

BOTH = ("worker-0", "worker-1")


def epoch_of(host):
    path = host.folder / "epoch"
    return path.read_text() if path.exists() else ""


def test_nanny_killed_another_follows_and_the_cluster_is_whole():
    with GuardedHost().launch() as host:
        first, guard = host.pid, host.listed("guardian_pid")
        host.wait_workers(BOTH)
        before = host.members()
        name, _size = host.store.write([bytes(100_000)])
        leavings = [path for kind in ("scratch", "pages") for path in (host.folder / kind).iterdir()]
        leavings += host.folder.glob("worker-*.sock")
        assert len(leavings) >= 4
        second = host.kill("pid")
        eventually(lambda: epoch_of(host) == "2", words="no scheduler of the next epoch")
        host.wait_workers(BOTH)
        eventually(lambda: not any(path.exists() for path in leavings), words=f"not all were removed: {leavings}")
        assert not any(map(is_alive, before))
        assert host.store.names() == [name]
        assert host.listed("guardian_pid") == guard
        assert is_held(host.folder)
        assert is_held(Path(host.objects[0]))
        assert host.listed("secret") == "none"  # whatever else was in the file is still there
        assert host.listed("other") == [1]
        kill(second, signal.SIGTERM)
        host.assert_gone(first, second, guard)


def test_nanny_killed_again_and_again_each_is_followed():
    with GuardedHost().launch() as host:
        nannies = [host.pid]
        for number in range(3):
            nannies.append(host.kill("pid"))
            eventually(lambda epoch=str(number + 2): epoch_of(host) == epoch, words="no next epoch")
            host.wait_workers(BOTH)
        assert len(set(nannies)) == 4
        guard = host.listed("guardian_pid")
        kill(nannies[-1], signal.SIGTERM)
        host.assert_gone(*nannies, guard)


def test_guardian_killed_the_nanny_has_another_and_nothing_else_changes():
    with GuardedHost().launch() as host:
        host.wait_workers(BOTH)
        members = set(host.members())
        first = host.listed("guardian_pid")
        second = host.kill("guardian_pid")
        assert not is_alive(first)
        assert set(host.members()) - {second} == members
        assert epoch_of(host) == "1"
        third = host.kill("pid")  # the new one does its work as well
        host.wait_workers(BOTH)
        assert host.listed("guardian_pid") == second
        fourth = host.kill("guardian_pid")  # and this nanny has another as the first had
        kill(third, signal.SIGTERM)
        host.assert_gone(host.pid, second, third, fourth)


def test_nanny_and_guardian_killed_together_no_process_is_left():
    with GuardedHost().launch() as host:
        members = host.members()
        pids = host.kill_both()
        eventually(lambda: not any(map(is_alive, [*members, *pids])), words="a process lives")
        assert not is_held(host.folder)  # so whoever looks for clusters sweeps it


def test_nanny_killed_what_its_tasks_started_is_ended_with_it():
    with GuardedHost(worker="forking_worker", workers=1).launch() as host:
        note = host.folder / "scratch" / "worker-0.child"
        child = int(eventually(lambda: note.exists() and note.read_text()))
        host.kill("pid")
        eventually(lambda: not is_alive(child), words="a task's child lives")
        host.wait_workers(["worker-0"])


def test_nanny_killed_before_it_was_let_go_is_not_followed_and_leaves_nothing():
    with GuardedHost() as host:
        while (progress := host.progress()).phase != "ready":
            assert not progress.error
        members = host.members()
        host.process.kill()
        host.process.wait(30)
        host.assert_gone(progress.guardian, *members)


def test_nanny_whose_connection_file_is_gone_is_not_followed_and_leaves_nothing():
    with GuardedHost().launch() as host:
        guard = host.listed("guardian_pid")
        host.connection_file.unlink()
        host.process.kill()
        host.assert_gone(host.pid, guard)


def test_nanny_killed_while_it_stops_is_not_followed_and_leaves_nothing():
    with GuardedHost(scheduler="stubborn_scheduler", settings=Settings(stop_s_max=60.0)).launch() as host:
        guard = host.listed("guardian_pid")
        host.wait_workers(BOTH)
        kill(host.pid, signal.SIGTERM)
        eventually(lambda: "stopping: this nanny was sent SIGTERM" in host.log("nanny"))
        kill(host.pid, signal.SIGKILL)
        host.assert_gone(host.pid, guard)


def test_nanny_that_dies_each_time_is_given_up_after_some_and_leaves_nothing():
    settings = Settings(restart_burst_max=1, restart_wait_s_max=0.2)
    with GuardedHost(settings=settings).launch() as host:
        guard, nannies = host.listed("guardian_pid"), [host.pid]
        nannies.extend(host.kill("pid") for _ in range(2))
        kill(nannies[-1], signal.SIGKILL)
        host.assert_gone(*nannies, guard)


def test_guardian_that_dies_each_time_is_given_up_after_some_and_the_nanny_lives_on():
    settings = Settings(restart_burst_max=1, restart_wait_s_max=0.2)
    with GuardedHost(settings=settings).launch() as host:
        host.wait_workers(BOTH)
        for _ in range(2):
            host.kill("guardian_pid")
        kill(host.listed("guardian_pid"), signal.SIGKILL)
        eventually(lambda: "no guardian lives" in host.log("nanny"))
        eventually(lambda: host.listed("guardian_pid") == 0, words="the file names a guardian")
        assert is_alive(host.pid)
        kill(host.pid, signal.SIGTERM)
        host.assert_gone(host.pid)


def test_nanny_killed_after_scaling_its_follower_keeps_as_many_and_removes_what_is_nobodys():
    async def story():
        with GuardedHost(head=False, workers=1) as host:
            async with TestScheduler(host) as scheduler:
                await asyncio.to_thread(host.launch)
                scheduler.send(SetWorkers(2))
                await scheduler.wait_workers(2)
                kept, _size = host.store.write([bytes(100_000)])
                host.store.write([bytes(100_000)])
                await asyncio.to_thread(host.kill, "pid")
                scheduler.heard.clear()
                assert {*await scheduler.wait_workers(2)} == {*BOTH}
                scheduler.send(KeepObjects((kept,), ""))
                await eventually_async(lambda: host.store.names() == [kept])

    asyncio.run(story())


def test_guardian_occupies_little():
    with GuardedHost().launch() as host:
        guard = host.listed("guardian_pid")
        eventually(lambda: b"guardian.py" in Path(f"/proc/{guard}/cmdline").read_bytes())
        assert private_bytes(guard) < 6_000_000
        environment = Path(f"/proc/{guard}/cmdline").read_bytes()
        assert host.identity.secret not in environment
        assert host.identity.secret.hex().encode() not in environment


def test_guardian_loads_next_to_nothing():
    code = f"import sys; sys.argv = ['']; exec(compile(open({guardian.__file__!r}).read(), 'g', 'exec'), {{'__name__': 'g'}})"
    listing = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{code}; print(*sys.modules)"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"enum", "socket", "re", "pathlib", "typing", "jupyter_dist"} & set(listing)


class Line:
    """A guardian in this process, and a nanny's end of its line."""

    def __init__(self, tmp_path, *, is_listed=True):
        reading, self.writing = os.pipe()
        self.reading, writing = os.pipe()
        self.file = tmp_path / "try.json"
        if is_listed:
            self.file.write_text('{"cluster": "0123"}')
        self.guardian = guardian.Guardian(reading, writing, str(tmp_path / "none"), str(self.file), "0123")

    def say(self, *frames):
        for kind, body in frames:
            data = kind + len(body).to_bytes(4, "little") + body
            for index in range(0, len(data), 3):  # in pieces
                os.write(self.writing, data[index : index + 3])

    def end(self):
        os.close(self.writing)
        os.close(self.reading)


@pytest.mark.parametrize(
    ("frames", "is_listed", "follows"),
    [
        ([(guardian.WILL, b"w"), (guardian.WAITS, b"0 0.5")], True, True),
        ([(guardian.WILL, b"w"), (guardian.WAITS, b"0")], False, False),
        ([(guardian.WILL, b"w"), (guardian.WAITS, b"")], True, False),
        ([(guardian.WILL, b"w")], True, False),
        ([(guardian.WAITS, b"0")], True, False),
        ([(guardian.WILL, b"w"), (guardian.WAITS, b"0"), (guardian.OVER, b"")], True, False),
    ],
)
def test_end_of_the_line_is_followed_if_there_is_all_it_needs(tmp_path, monkeypatch, frames, is_listed, follows):
    started = []
    line = Line(tmp_path, is_listed=is_listed)
    line.say(*frames)
    line.end()

    def start(code):
        started.append(code)
        line.file.unlink()
        line.guardian._reading, line.guardian._writing = os.pipe()
        os.close(line.guardian._writing)
        line.guardian._writing = os.dup(0)

    monkeypatch.setattr(line.guardian, "_start", start)
    line.guardian.run()
    assert started == ([guardian.FOLLOW] if follows else [])


def test_wait_before_a_follower_ends_when_the_cluster_is_not_listed_any_more(tmp_path, monkeypatch):
    line = Line(tmp_path)
    line.say((guardian.WILL, b"w"), (guardian.WAITS, b"7.5"))
    line.end()
    waited = []

    def wait(seconds):
        waited.append(seconds)
        line.file.unlink()

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(line.guardian, "_start", lambda _code: pytest.fail("it was followed"))
    line.guardian.run()
    assert waited == [7.5]
