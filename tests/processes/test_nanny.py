"""One nanny, real processes: what it starts, what it tells, what it leaves behind."""

import asyncio
import contextlib
import functools
import os
import signal
import time
from pathlib import Path

import pytest

from jupyter_dist.messages import (
    EndWorkers,
    FreeObjects,
    KeepsWorkers,
    Pulse,
    RegisterNanny,
    ReplaceWorkers,
    SetWorkers,
    StopHost,
)
from jupyter_dist.processes.launcher_line import RELEASE
from jupyter_dist.processes.vitals import read_stat
from jupyter_dist.settings import Settings
from jupyter_dist.storage.hold import is_held
from tests.processes.nanny_host import NannyHost, TestScheduler, eventually, eventually_async, is_alive

pytestmark = pytest.mark.process


def assert_nothing_left(host):
    eventually(lambda: host.process.poll() is not None, words="the nanny lives")
    eventually(lambda: not host.members(), words="processes of its session live")
    assert not host.folder.exists()
    assert not host.connection_file.exists()


def test_start_with_two_workers_tells_its_phases():
    with NannyHost() as host:
        phases = host.wait_ready()
        assert phases[0] == "scheduler up"
        assert phases[-2:] == ["workers 2/2", "ready"]


@pytest.mark.parametrize("end", ["sigterm", "end of the pipe"])
def test_stop_leaves_no_process_socket_or_file(end):
    with NannyHost() as host:
        host.wait_ready()
        assert len(host.members()) >= 5  # nanny, tracker, fork server, scheduler, two workers
        if end == "sigterm":
            host.process.send_signal(signal.SIGTERM)
        else:
            host.process.stdin.close()
        assert_nothing_left(host)
        assert host.process.returncode == 0


def test_end_of_the_pipe_when_detached_and_released_changes_nothing():
    with NannyHost(detached=True) as host:
        host.wait_ready()
        host.process.stdin.write(RELEASE)
        host.process.stdin.close()
        epoch = (host.folder / "epoch").stat().st_mtime_ns
        worker = host.pid_of("worker-1")
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: host.pid_of("worker-1") != worker)  # it still does its work
        assert (host.folder / "epoch").stat().st_mtime_ns == epoch
        host.process.send_signal(signal.SIGTERM)
        assert_nothing_left(host)


def test_end_of_the_pipe_before_the_release_ends_a_detached_nanny():
    with NannyHost(detached=True) as host:
        host.wait_ready()
        host.process.stdin.close()
        assert_nothing_left(host)


@pytest.mark.parametrize("worker", ["quiet_worker", "spinning_worker"])
def test_nanny_killed_takes_everything_with_it(worker):
    with NannyHost(worker=worker) as host:
        host.wait_ready()
        members = host.members()
        host.process.kill()
        eventually(lambda: not any(map(is_alive, members)), words=f"not all of these ended: {members}")


def fork_server_of(host):
    for pid in host.members():
        with contextlib.suppress(OSError):  # it ended between the list and the look
            if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes() and os.getpgid(pid) == host.pid:
                return pid
    raise AssertionError("no fork server")


def test_fork_server_killed_everything_comes_back():
    with NannyHost() as host:
        host.wait_ready()
        before = set(host.members())
        os.kill(fork_server_of(host), signal.SIGKILL)
        eventually(lambda: len(set(host.members()) - before) >= 4, words="scheduler, server and workers are not back")
        assert is_alive(host.pid)


def test_scheduler_killed_comes_back_with_the_next_epoch():
    with NannyHost(workers=1) as host:
        host.wait_ready()
        os.kill(host.pid_of("scheduler"), signal.SIGKILL)
        eventually(lambda: (host.folder / "epoch").read_text() == "2", words="no second epoch")
        host.process.send_signal(signal.SIGTERM)
        assert_nothing_left(host)


def has_another(heard, pid):
    """Whether a pulse names another worker; what was heard after it is left out."""
    for index, (_at_s, message) in enumerate(heard):
        if isinstance(message, Pulse) and any(worker.pid != pid for worker in message.workers):
            del heard[index + 1 :]
            return True
    return False


def test_worker_killed_certificate_comes_before_its_replacement():
    async def story():
        with NannyHost(worker="busy_worker", head=False, workers=1) as host:
            async with TestScheduler(host) as scheduler:
                before = (await scheduler.wait_workers(1))["worker-0"]
                await eventually_async((host.folder / "pages/worker-0.1").exists)
                await eventually_async((host.folder / "worker-0.1.sock").exists)
                os.kill(before.pid, signal.SIGSEGV)
                await eventually_async(lambda: has_another(scheduler.heard, before.pid))
                [death] = scheduler.deaths()
                assert (death.worker, death.host, death.pid) == ("worker-0", "here", before.pid)
                assert (death.cause, death.exit_code) == ("signal", -signal.SIGSEGV)
                assert death.attempts == (7,)
                assert death.stack == "the stack"
                assert death.output == "the last line"
                assert "was killed by SIGSEGV" in death.words
                assert death.memory_bytes_peak > 1_000_000
                await eventually_async(lambda: not (host.folder / "scratch/worker-0.1").exists())
                await eventually_async(lambda: not (host.folder / "worker-0.1.sock").exists())

    asyncio.run(story())


def test_worker_that_forked_dies_with_its_children():
    async def story():
        with NannyHost(worker="forking_worker", head=False, workers=1) as host:
            async with TestScheduler(host) as scheduler:
                worker = (await scheduler.wait_workers(1))["worker-0"]
                note = host.folder / "scratch/worker-0.child"
                await eventually_async(lambda: note.exists() and note.read_text())
                child = int(note.read_text())
                assert is_alive(child)
                os.kill(worker.pid, signal.SIGKILL)
                await scheduler.wait_deaths()
                await eventually_async(lambda: not is_alive(child), words="the child of the dead worker lives")

    asyncio.run(story())


def test_shared_memory_that_tasks_left_is_removed_in_the_end():
    with NannyHost(worker="leaking_worker", workers=1) as host:
        host.wait_ready()
        name = eventually(lambda: (host.folder / "leak").exists() and (host.folder / "leak").read_text())
        shared = Path("/dev/shm") / name
        assert shared.exists()
        host.process.send_signal(signal.SIGTERM)
        assert_nothing_left(host)
        assert not shared.exists()


def test_set_workers_up_and_down_the_highest_go_first():
    async def story():
        with NannyHost(head=False, workers=2) as host:
            async with TestScheduler(host) as scheduler:
                await scheduler.wait_workers(2)
                scheduler.send(SetWorkers(4))
                before = await scheduler.wait_workers(4)
                scheduler.send(SetWorkers(1))
                after = await scheduler.wait_workers(1)
                assert after["worker-0"].pid == before["worker-0"].pid
                deaths = await scheduler.wait_deaths(3)
                assert {death.cause for death in deaths} == {"asked"}

    asyncio.run(story())


def test_end_workers_ends_those_named_and_says_how_many_are_left():
    async def story():
        with NannyHost(head=False, workers=3) as host:
            async with TestScheduler(host) as scheduler:
                await scheduler.wait_workers(3)
                scheduler.send(EndWorkers(("worker-0",), "retired"))
                after = await scheduler.wait_workers(2)
                assert set(after) == {"worker-1", "worker-2"}
                (death,) = await scheduler.wait_deaths(1)
                assert (death.cause, death.words.endswith("retired")) == ("asked", True)
                assert KeepsWorkers(2) in [message for _at_s, message in scheduler.heard]

    asyncio.run(story())


@pytest.mark.parametrize("state", ["idle", "stopped", "spinning"])
def test_replace_workers_replaces_each_at_once(state):
    async def story():
        worker = "spinning_worker" if state == "spinning" else "quiet_worker"
        with NannyHost(worker=worker, head=False, workers=2) as host:
            async with TestScheduler(host) as scheduler:
                before = await scheduler.wait_workers(2)
                if state == "stopped":
                    os.kill(before["worker-0"].pid, signal.SIGSTOP)
                    await eventually_async(lambda: scheduler.pulse()["worker-0"].state == "stopped")
                scheduler.send(ReplaceWorkers((), "the cluster was restarted"))
                deaths = await scheduler.wait_deaths(2)
                await eventually_async(
                    lambda: (
                        len(scheduler.pulse()) == 2
                        and not {w.pid for w in scheduler.pulse().values()} & {w.pid for w in before.values()}
                    )
                )
                assert {death.cause for death in deaths} == {"asked"}
                assert all("the cluster was restarted" in death.words for death in deaths)

    asyncio.run(story())


def test_pulse_tells_a_spinning_worker_is_busy():
    async def story():
        with NannyHost(worker="spinning_worker", head=False, workers=1) as host:
            async with TestScheduler(host) as scheduler:
                await scheduler.wait_workers(1)
                await eventually_async(
                    lambda: (
                        scheduler.pulse()["worker-0"].state == "running"
                        and scheduler.pulse()["worker-0"].cpu_percent > 10
                    )
                )
                assert scheduler.pulse()["worker-0"].memory_bytes > 1_000_000

    asyncio.run(story())


def test_worker_over_its_memory_limit_is_replaced():
    async def story():
        with NannyHost(worker="greedy_worker", head=False, workers=1, memory_bytes_max=80_000_000) as host:
            async with TestScheduler(host) as scheduler:
                [death, *_more] = await scheduler.wait_deaths()
                assert death.cause == "memory"
                assert "its limit is 80 MB" in death.words
                assert death.memory_bytes_peak > 80_000_000

    asyncio.run(story())


def test_scheduler_lost_the_nanny_registers_again_and_tells_what_happened_meanwhile():
    async def story():
        with NannyHost(head=False, workers=1) as host:
            scheduler = TestScheduler(host)
            await scheduler.open()
            worker = (await scheduler.wait_workers(1))["worker-0"]
            await scheduler.close()
            scheduler.heard.clear()
            os.kill(worker.pid, signal.SIGKILL)
            await eventually_async(lambda: "was killed by SIGKILL" in host.log("nanny"), words="not certified")
            await scheduler.open()
            [death] = await scheduler.wait_deaths()
            assert death.pid == worker.pid
            assert isinstance(scheduler.heard[0][1], RegisterNanny)
            await scheduler.close()

    asyncio.run(story())


def test_stop_host_ends_everything():
    async def story():
        with NannyHost(head=False, workers=1) as host:
            async with TestScheduler(host) as scheduler:
                await scheduler.wait_workers(1)
                scheduler.send(StopHost("the cluster was stopped"))
                await eventually_async(lambda: host.process.poll() is not None)
            assert_nothing_left(host)

    asyncio.run(story())


def test_restart_storm_at_the_start_fails_it_with_the_output():
    with NannyHost(worker="failing_worker", workers=1) as host:
        while not (progress := host.progress()).error:
            assert progress.phase == "scheduler up"
        assert "worker-0 died 5 times in a row" in progress.error
        assert "ImportError: no module named 'preloaded'" in progress.log
        assert_nothing_left(host)


def test_restart_storm_later_is_bounded_and_told():
    async def story():
        # a lease tells which deaths are early
        settings = Settings(heartbeat_s=0.05, restart_burst_max=2, restart_wait_s_max=60.0, lease_s=60.0)
        with NannyHost(worker="quiet_worker", head=False, workers=1, settings=settings) as host:
            async with TestScheduler(host) as scheduler:
                for count in range(1, 5):
                    worker = (await scheduler.wait_workers(1))["worker-0"]
                    os.kill(worker.pid, signal.SIGKILL)
                    await scheduler.wait_deaths(count)
                    await eventually_async(functools.partial(is_replaced, scheduler, worker.pid))
                times = [death.died_s for death in scheduler.deaths()]
                assert times[3] - times[2] >= 0.4 - 0.05  # the second wait: 0.2 s, doubled
                assert "worker-0 died 4 times in a row right after its start; next try in 0.8 s" in host.log("nanny")

    def is_replaced(scheduler, pid):
        return all(worker.pid != pid for worker in scheduler.pulse().values())

    asyncio.run(story())


def test_idle_nanny_costs_little():
    async def story():
        with NannyHost(head=False, workers=2, settings=Settings()) as host:
            async with TestScheduler(host) as scheduler:
                await scheduler.wait_workers(2)
                before, began_s = read_stat(host.pid).cpu_s, time.monotonic()
                await eventually_async(lambda: time.monotonic() - began_s > 5.0, 6.0)
                used = (read_stat(host.pid).cpu_s - before) / (time.monotonic() - began_s)
                assert used < 0.01  # measured 0.001; /proc counts in hundredths of a second

    asyncio.run(story())


def test_free_objects_removes_them_and_nothing_else():
    async def story():
        with NannyHost(head=False, workers=1) as host:
            freed, kept = (host.store.write([b"data"])[0] for _ in range(2))
            async with TestScheduler(host) as scheduler:
                await eventually_async(scheduler.pulse)
                scheduler.send(FreeObjects((freed, "../../etc/passwd", "0" * 16)))
                await eventually_async(lambda: host.store.names() == [kept])

    asyncio.run(story())


def test_end_of_a_nanny_removes_the_objects_it_held():
    with NannyHost() as host:
        host.wait_ready()
        host.store.write([b"data"])
        assert is_held(Path(host.objects[0])) or len(host.objects) == 1
        host.process.send_signal(signal.SIGTERM)
        assert_nothing_left(host)
        assert not any(Path(folder).exists() for folder in host.objects)


def test_death_of_the_scheduler_keeps_all_objects_for_the_next_one():
    with NannyHost() as host:
        host.wait_ready()
        name, _size = host.store.write([b"data"])
        before = host.pid_of("scheduler")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: host.pid_of("scheduler") != before, words="no other scheduler")
        assert host.store.names() == [name]
