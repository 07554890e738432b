"""Parties that fall silent for a while, or die while somebody looks: with a short lease, so that much fits into seconds."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from jupyter_dist import Executor, as_completed
from jupyter_dist.settings import Settings
from tests.integration.conftest import wait_until

pytestmark = pytest.mark.process

LEASE_S = 1.0


@pytest.fixture(scope="module")
def brisk() -> Iterator[Executor]:
    settings = Settings(lease_s=LEASE_S, heartbeat_s=0.1)
    with Executor(n_workers=2, settings=settings) as executor:
        executor.wait_for_workers(2, timeout=30)
        yield executor


def note(folder: str, number: int, seconds: float = 0.0) -> int:
    """Leave a trace of each run."""
    Path(folder, f"{number}-{time.monotonic_ns()}").touch()
    time.sleep(seconds)
    return number


def runs(folder: Path) -> Counter[str]:
    """Return how often each task began."""
    return Counter(path.name.partition("-")[0] for path in folder.iterdir())


def workers(executor: Executor) -> dict[str, int]:
    """Return the process of each worker."""
    return {worker.name: worker.pid for worker in executor.snapshot().workers}


def tree(executor: Executor) -> list[psutil.Process]:
    """Return all processes of the cluster, the nanny first."""
    nanny = psutil.Process(executor.info.pid)
    return [nanny, *nanny.children(recursive=True)]


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


def let_pass(leases: float) -> None:
    """Let so much of the time pass after which silence counts."""
    time.sleep(leases * LEASE_S)  # the time itself is what is tried here, no state


def test_all_processes_stopped_for_longer_than_the_lease_nobody_is_given_up(brisk, tmp_path):
    before = workers(brisk)
    futures = [brisk.submit(note, str(tmp_path), number, 0.3, pure=False) for number in range(6)]
    wait_until(lambda: runs(tmp_path), "some run")
    with stopped(tree(brisk)):  # a laptop that is closed, a container that is frozen
        let_pass(2.5)
    assert brisk.gather(futures) == list(range(6))
    assert workers(brisk) == before
    assert set(runs(tmp_path).values()) == {1}


def test_worker_silent_for_less_than_half_the_lease_is_not_noticed(brisk, tmp_path):
    before = workers(brisk)
    futures = [brisk.submit(note, str(tmp_path), number, 0.1, pure=False) for number in range(6)]
    with stopped([psutil.Process(before["worker-0"])]):
        let_pass(0.4)
    assert brisk.gather(futures) == list(range(6))
    assert workers(brisk) == before
    assert set(runs(tmp_path).values()) == {1}


def hold_the_lock(folder: str, number: int) -> int:
    """Compute in C code that does not let go of Python's lock, for two leases or more."""
    note(folder, number)
    end_s = time.monotonic() + 2.5 * LEASE_S
    while time.monotonic() < end_s:
        sum(itertools.repeat(1, 150_000_000))
    return number


def test_task_that_holds_pythons_lock_for_leases_runs_once_on_a_worker_that_lives(brisk, tmp_path):
    before = workers(brisk)
    future = brisk.submit(hold_the_lock, str(tmp_path), 1, pure=False)
    others = [brisk.submit(abs, -number, pure=False) for number in range(50)]
    assert brisk.gather(others) == list(range(50))
    assert future.result(60) == 1
    assert workers(brisk) == before
    assert runs(tmp_path) == {"1": 1}


def test_nanny_stopped_for_longer_than_the_lease_its_workers_work_on(brisk, tmp_path):
    before = workers(brisk)
    nanny = psutil.Process(brisk.info.pid)
    with stopped([nanny]):
        futures = [brisk.submit(note, str(tmp_path), number, 0.05, pure=False) for number in range(40)]
        assert brisk.gather(futures) == list(range(40))
        let_pass(1.5)
        assert brisk.submit(abs, -1, pure=False).result(10) == 1
    assert workers(brisk) == before
    assert set(runs(tmp_path).values()) == {1}


def test_kernel_blocked_in_c_code_for_leases_its_tasks_go_on_and_its_session_lives(brisk, tmp_path):
    futures = [brisk.submit(note, str(tmp_path), number, 0.1, pure=False) for number in range(20)]
    futures[0].result(10)
    ctypes.PyDLL(None).usleep(int(2.5 * LEASE_S * 1e6))  # nothing of this process runs meanwhile: it has Python's lock
    assert runs(tmp_path) == {str(number): 1 for number in range(20)}
    assert brisk.gather(futures) == list(range(20))


def test_worker_killed_while_results_are_awaited_each_comes_exactly_once(brisk, tmp_path):
    called: Counter[str] = Counter()
    futures = [brisk.submit(note, str(tmp_path), number, 0.05, pure=False) for number in range(40)]
    for future in futures:
        future.add_done_callback(lambda done: called.update([done.key]))
    victim = workers(brisk)["worker-1"]
    came: list[str] = []
    for future in as_completed(futures):
        came.append(future.key)
        if len(came) == 10:
            os.kill(victim, signal.SIGKILL)
    assert sorted(came) == sorted(future.key for future in futures)
    wait_until(lambda: len(called) == 40, "all callbacks ran")
    assert set(called.values()) == {1}
    assert sum(runs(tmp_path).values()) <= 41  # what ran on the worker that died, once more
    wait_until(lambda: len(brisk.snapshot().workers) == 2, "it is replaced")


def test_result_within_a_time_that_is_too_short_is_given_up_in_time(brisk, tmp_path):
    future = brisk.submit(note, str(tmp_path), 1, 1.0, pure=False)
    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        future.result(0.2)
    assert 0.2 <= time.monotonic() - began_s < 0.2 + 0.2 + 1.0  # the promise, and a machine that is busy
    assert future.result(10) == 1


def test_result_is_had_inside_a_running_loop_and_without_one(brisk):
    async def both() -> list[int]:
        future = brisk.submit(abs, -2, pure=False)
        return [future.result(10), await future]

    assert asyncio.run(both()) == [2, 2]
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(brisk.submit(abs, -3, pure=False).result(10)))
    thread.start()
    thread.join()
    assert found == [3]
    with pytest.raises(RuntimeError, match="loop"):
        brisk.submit(abs, -4, pure=False).__await__().send(None)
