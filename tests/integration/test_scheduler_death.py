"""A scheduler that dies, and everybody who goes on."""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import psutil

from jupyter_dist import as_completed
from tests.integration.conftest import wait_until

LARGE = 300_000  # bytes: more than rides in a message


def note(folder: str, number: int, seconds: float = 0.0, size: int = 0) -> tuple[int, bytes]:
    """Leave a mark for each run."""
    with Path(folder, str(number)).open("a", encoding="utf-8") as file:
        file.write("x")
    time.sleep(seconds)
    return number, bytes(size)


def total(parts: list[tuple[int, bytes]]) -> int:
    return sum(number for number, _ in parts)


def scheduler_of(executor) -> psutil.Process:
    """Return the scheduler's process: the one that listens at the cluster's address."""
    path = executor.info.address.removeprefix("unix:")
    found: list[psutil.Process] = []

    def look() -> bool:
        executor.snapshot()  # there is one, and it listens
        workers = {worker.pid for worker in executor.snapshot().workers}
        for process in psutil.Process(executor.info.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it ended between the list and the look
                if process.pid not in workers and path in {one.laddr for one in process.net_connections("unix")}:
                    found.append(process)
        return bool(found)

    wait_until(look, "a scheduler listens")
    return found[-1]


def kill_scheduler(executor) -> None:
    os.kill(scheduler_of(executor).pid, signal.SIGKILL)


def count_runs(folder: Path) -> dict[int, int]:
    return {int(path.name): len(path.read_text(encoding="utf-8")) for path in folder.iterdir()}


def test_scheduler_killed_everything_goes_on_and_nothing_runs_twice(own_executor, tmp_path):
    data = own_executor.scatter(bytes(range(256)) * 2000)
    done = own_executor.map(note, [str(tmp_path)] * 4, range(4), size=LARGE, pure=False)
    own_executor.gather(done)
    small = own_executor.submit(note, str(tmp_path), 4, pure=False)
    small.result()
    running = own_executor.map(note, [str(tmp_path)] * 6, range(5, 11), seconds=0.4, pure=False)
    late = own_executor.submit(total, [*done, *running], pure=False)
    wait_until(lambda: len(list(tmp_path.iterdir())) >= 7, "two run")
    kill_scheduler(own_executor)
    began_s = time.monotonic()
    after = own_executor.submit(total, [small, *running], pure=False)
    assert own_executor.snapshot().counts
    assert time.monotonic() - began_s < 10.0  # no time has to run out first
    assert late.result(timeout=20) == sum(range(4)) + sum(range(5, 11))
    assert after.result(timeout=20) == 4 + sum(range(5, 11))
    assert [number for number, _ in own_executor.gather(done)] == list(range(4))
    assert own_executor.submit(len, data).result(timeout=10) == 512_000
    assert count_runs(tmp_path) == dict.fromkeys(range(11), 1)


def test_scheduler_killed_again_and_again_in_the_middle_of_a_graph_answers_are_right(own_executor, tmp_path):
    rng = random.Random(7)
    leaves = own_executor.map(note, [str(tmp_path)] * 60, range(60), seconds=0.02, pure=False)
    sums = [own_executor.submit(total, leaves[index : index + 6], pure=False) for index in range(0, 60, 6)]
    top = own_executor.submit(sum, sums, pure=False)
    for _ in range(5):
        time.sleep(rng.uniform(0.0, 0.3))  # a moment of the test's own choosing, nothing is waited for
        kill_scheduler(own_executor)
        own_executor.snapshot()
    assert top.result(timeout=30) == sum(range(60))
    assert count_runs(tmp_path) == dict.fromkeys(range(60), 1)


def test_scheduler_killed_while_a_burst_is_submitted_none_is_lost(own_executor):
    futures = own_executor.map(abs, range(-5000, 0))
    kill_scheduler(own_executor)
    futures += own_executor.map(abs, range(-9000, -5000))
    assert sorted(own_executor.gather(futures)) == list(range(1, 9001))
    assert len(list(as_completed(futures))) == 9000


def test_scheduler_stopped_the_client_says_so_and_goes_on_when_it_does(own_executor, caplog):
    scheduler = scheduler_of(own_executor)
    future = own_executor.submit(abs, -3)
    future.result()
    scheduler.suspend()
    try:
        waiting = own_executor.submit(abs, -4)
        wait_until(lambda: "has been silent" in caplog.text, "it is said", timeout_s=20.0)
        assert "silent" in own_executor.session.trouble
        assert not waiting.done()
    finally:
        scheduler.resume()
    assert waiting.result(timeout=20) == 4
    wait_until(lambda: len(own_executor.snapshot().workers) == 2, "both workers are there")


def test_scheduler_killed_data_that_nobody_knows_of_any_more_is_removed(own_executor):
    store = own_executor.readers.store
    kept = own_executor.scatter(bytes(LARGE))
    (known,) = store.names()
    store.write([bytes(LARGE)])  # as a client does that dies before it has said so
    kill_scheduler(own_executor)
    wait_until(lambda: list(store.names()) == [known], "what is nobody's is removed", timeout_s=20.0)
    assert own_executor.submit(len, kept).result(timeout=10) == LARGE
    kept.release()
    wait_until(lambda: not store.names(), "the rest is freed")


def test_results_of_workers_that_left_outlive_the_scheduler(own_executor, tmp_path):
    done = own_executor.map(note, [str(tmp_path)] * 6, range(6), size=LARGE, pure=False)
    own_executor.gather(done)
    first, *others = sorted(worker.name for worker in own_executor.snapshot().workers)
    own_executor.retire_workers([first], remove=False)  # what it held is with the others
    kill_scheduler(own_executor)
    own_executor.wait_for_workers(len(others), timeout=20)
    assert own_executor.retire_workers(others, remove=False) == others  # and now in the object store
    kill_scheduler(own_executor)
    own_executor.scale(1)
    sums = own_executor.map(len, own_executor.gather(done))
    assert own_executor.gather(sums) == [2] * 6
    assert own_executor.gather(own_executor.map(len, [done[:3], done[3:]])) == [3, 3]
    assert count_runs(tmp_path) == dict.fromkeys(range(6), 1)
