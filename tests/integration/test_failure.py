"""Workers that die, hang and are restarted under a real executor."""

import os
import signal
import time
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import ClusterClosedError, WorkerCrashedError
from jupyter_dist.messages import WorkerView
from tests.integration.conftest import assert_gone, wait_until


def inc(number: int) -> int:
    return number + 1


def nap(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


def die_by_signal() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def die_by_exit() -> None:
    os._exit(3)


def spin() -> None:
    while True:
        pass


def note_and_wait(folder: str, number: int) -> int:
    """Leave a mark for each run, and end when the folder has a file named go."""
    Path(folder, f"{number}-{os.getpid()}").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.005)
    return number


def test_worker_killed_while_it_runs_a_task_the_task_runs_elsewhere(own_executor, tmp_path):
    futures = [own_executor.submit(note_and_wait, str(tmp_path), number) for number in range(2)]
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "both run")
    victim = own_executor.snapshot().workers[0]
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 3, "the lost one runs again")
    (tmp_path / "go").touch()
    assert own_executor.gather(futures) == [0, 1]

    def successors() -> list[WorkerView]:
        return [w for w in own_executor.snapshot().workers if w.name == victim.name and w.pid != victim.pid]

    wait_until(lambda: bool(successors()), "the worker is replaced")
    [again] = successors()
    assert again.restarts == 1
    assert "SIGKILL" in again.last_death


def test_worker_killed_with_a_large_result_it_is_made_again(own_executor):
    future = own_executor.submit(bytes, 1_000_000)
    dependent = own_executor.submit(len, future)
    assert dependent.result(10) == 1_000_000
    holder = next(worker for worker in own_executor.snapshot().workers if worker.held)
    os.kill(holder.pid, signal.SIGKILL)
    assert len(future.result(20)) == 1_000_000


@pytest.mark.parametrize(("deadly", "word"), [(die_by_signal, "SIGSEGV"), (die_by_exit, "code 3")])
def test_task_that_kills_its_worker_errs_and_no_innocent_does(own_executor, deadly, word):
    innocents = own_executor.map(nap, range(40), [0.01] * 40)
    poison = own_executor.submit(deadly)
    more = own_executor.map(nap, range(40, 80), [0.01] * 40)
    with pytest.raises(WorkerCrashedError, match=word) as caught:
        poison.result(30)
    assert len(caught.value.certificates) == 2
    dependent = own_executor.submit(inc, poison)
    with pytest.raises(WorkerCrashedError):
        dependent.result(10)
    assert own_executor.gather([*innocents, *more]) == list(range(80))
    assert sum(worker.restarts for worker in own_executor.snapshot().workers) <= 2


def test_worker_stopped_is_given_up_after_the_lease_and_replaced(own_executor):
    victim = own_executor.snapshot().workers[0]
    os.kill(victim.pid, signal.SIGSTOP)
    began = time.monotonic()
    futures = own_executor.map(inc, range(50))
    assert own_executor.gather(futures) == list(range(1, 51))
    assert time.monotonic() - began < own_executor.settings.lease_s + 10
    wait_until(lambda: victim.pid not in {w.pid for w in own_executor.snapshot().workers}, "it is replaced")


@pytest.mark.parametrize("state", ["idle", "spinning", "stopped"])
def test_restart_cancels_everything_and_brings_fresh_workers(own_executor, state):
    finished = own_executor.submit(inc, 1)
    assert finished.result(10) == 2
    pending = [own_executor.submit(spin, pure=False) for _ in range(2)] if state == "spinning" else []
    before = {worker.name: worker.pid for worker in own_executor.snapshot().workers}
    if state == "stopped":
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
    own_executor.restart()
    after = {worker.name: worker.pid for worker in own_executor.snapshot().workers}
    assert after.keys() == before.keys() == own_executor.nannies.keys()
    assert not set(after.values()) & set(before.values())
    assert all(future.status == "cancelled" for future in (finished, *pending))
    with pytest.raises(CancelledError, match="restarted"):
        finished.result()
    assert not any(own_executor.snapshot().counts.values())
    assert own_executor.submit(inc, 1).result(10) == 2
    assert finished.status == "cancelled"


def test_scale_up_and_down_changes_the_workers(own_executor):
    own_executor.scale(3)
    wait_until(lambda: len(own_executor.snapshot().workers) == 3, "the third is there")
    assert len(set(own_executor.gather([own_executor.submit(os.getpid, pure=False) for _ in range(30)]))) > 1
    own_executor.scale(1)
    wait_until(lambda: len(own_executor.snapshot().workers) == 1, "one is left")
    assert own_executor.submit(inc, 1).result(10) == 2


def test_shutdown_leaves_no_process_and_no_file(tmp_path):
    executor = Executor(n_workers=1)
    nanny = psutil.Process(executor.info.pid)
    processes = [nanny, *nanny.children(recursive=True)]
    folder = Path(executor.info.folder)
    future = executor.submit(inc, 1)
    assert future.result(10) == 2
    pending = executor.submit(spin)
    executor.shutdown(cancel_futures=True)
    executor.shutdown()
    assert_gone(processes)
    assert not folder.exists()
    assert future.result() == 2
    with pytest.raises(CancelledError, match="shut down"):
        pending.result()
    with pytest.raises(ClusterClosedError, match="shut down"):
        executor.submit(inc, 2)


def test_nanny_killed_pending_futures_say_so_at_once(own_executor):
    pending = own_executor.submit(nap, 1, 60)
    own_executor.snapshot()
    os.kill(own_executor.info.pid, signal.SIGKILL)
    with pytest.raises(CancelledError, match=r"connection .* lost"):
        pending.result(10)
    with pytest.raises(ClusterClosedError):
        own_executor.submit(inc, 1)
