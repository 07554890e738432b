"""`Executor.as_concurrent`: what CPython's own tests (in the file beside this one) do not ask."""

import asyncio
import concurrent.futures
import gc
import itertools
import pathlib
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import ClusterClosedError, FutureCancelledError, PackingError, ResultError, UsageError
from tests.integration.conftest import wait_until

PROGRAM = """
import atexit, pathlib, sys, time
from jupyter_dist import Executor

def write_late(path):
    time.sleep(0.3)
    pathlib.Path(path).write_text("apple")

@atexit.register
def run_last():
    try:
        pool.submit(id, None)
    except RuntimeError as error:
        print(error)

executor = Executor(n_workers=1)
pool = executor.as_concurrent(max_workers=1)
for _ in range(3):
    pool.submit(write_late, sys.argv[1])
pool.submit(write_late, sys.argv[2])
"""


def inc(number: int) -> int:
    return number + 1


def wait_for_file(path: str) -> str:
    while not pathlib.Path(path).exists():
        time.sleep(0.005)
    return "seen"


def fail_because(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as error:
        raise ValueError("outer") from error


class OnlyThere:
    """A value that can be packed, but loaded in no process."""

    def __reduce__(self):
        return int, ("not a number",)


def test_submit_gives_futures_of_the_standard_library(executor):
    pool = executor.as_concurrent()
    assert isinstance(pool, concurrent.futures.Executor)
    futures = [pool.submit(inc, number) for number in range(20)]
    assert all(isinstance(future, concurrent.futures.Future) for future in futures)
    assert {future.result() for future in concurrent.futures.as_completed(futures, timeout=10)} == set(range(1, 21))
    assert concurrent.futures.wait(futures).not_done == set()


def test_submit_the_same_call_twice_runs_twice_unless_pure(executor):
    pool = executor.as_concurrent()
    assert pool.submit(time.time_ns).result(10) != pool.submit(time.time_ns).result(10)
    pure = executor.as_concurrent(pure=True)
    first, second = pure.submit(time.time_ns), pure.submit(time.time_ns)
    assert first.result(10) == second.result(10)


def test_submit_with_a_future_of_the_executor_takes_its_result(executor):
    assert executor.as_concurrent().submit(sum, [executor.submit(inc, 1), 10]).result(10) == 12


def test_result_that_is_large_is_fetched_once(executor):
    future = executor.as_concurrent().submit(np.arange, 500_000)
    assert future.result(10)[-1] == 499_999
    assert future.result() is future.result()


def test_result_that_cannot_be_loaded_here_is_the_futures_error(executor):
    future = executor.as_concurrent().submit(OnlyThere)
    with pytest.raises(ResultError, match="cannot be loaded here"):
        future.result(10)
    assert isinstance(future.exception(), ResultError)


def test_error_keeps_its_cause_and_the_users_frames(executor):
    future = executor.as_concurrent().submit(fail_because, "inner")
    with pytest.raises(ValueError, match="outer") as caught:
        future.result(10)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.traceback[-1].name == "fail_because"
    assert future.exception() is caught.value


def test_argument_that_cannot_be_pickled_is_named_at_submit(executor):
    with pytest.raises(PackingError, match="lock"):
        executor.as_concurrent().submit(inc, threading.Lock())


def test_cancel_takes_back_what_waits_and_not_what_runs(executor, tmp_path):
    pool = executor.as_concurrent(max_workers=1)
    running, queued, last = (pool.submit(wait_for_file, str(tmp_path / "go")) for _ in range(3))
    assert (running.running(), queued.running()) == (True, False)
    told: list[object] = []
    queued.add_done_callback(told.append)
    assert not running.cancel()
    assert queued.cancel()
    assert queued.cancel()
    assert told == [queued]
    assert concurrent.futures.wait([queued], timeout=0).done == {queued}
    with pytest.raises(concurrent.futures.CancelledError):
        queued.result()
    (tmp_path / "go").touch()
    assert (running.result(10), last.result(10)) == ("seen", "seen")
    assert not last.cancel()
    assert [repr(future).rpartition(": ")[2] for future in (running, queued)] == ["done>", "cancelled>"]


def test_cancel_by_an_asyncio_task_takes_the_call_back(executor, tmp_path):
    pool = executor.as_concurrent(max_workers=1)
    running, queued = (pool.submit(wait_for_file, str(tmp_path / "go")) for _ in range(2))

    async def give_up() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.wrap_future(queued)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert queued.cancelled()
    (tmp_path / "go").touch()
    assert running.result(10) == "seen"


def test_event_loops_run_functions_in_it(executor):
    async def compute() -> list[int]:
        loop, pool = asyncio.get_running_loop(), executor.as_concurrent()
        large = loop.run_in_executor(pool, np.arange, 200_000)
        small = [loop.run_in_executor(pool, inc, number) for number in range(5)]
        with pytest.raises(ValueError, match="outer"):
            await loop.run_in_executor(pool, fail_because, "x")
        return [*await asyncio.gather(*small), int((await large)[-1])]

    assert asyncio.run(compute()) == [1, 2, 3, 4, 5, 199_999]


def test_done_callback_may_wait_for_other_calls(executor):
    pool, results, ready = executor.as_concurrent(), [], threading.Event()

    def note(future: concurrent.futures.Future[int]) -> None:
        results.append(pool.submit(inc, future.result()).result(10))
        ready.set()

    pool.submit(inc, 1).add_done_callback(note)
    assert ready.wait(10)
    assert results == [3]


def test_map_takes_chunks_and_keeps_the_order(executor):
    pool = executor.as_concurrent()
    assert list(pool.map(pow, range(100), itertools.repeat(2), chunksize=7)) == [n * n for n in range(100)]
    assert list(pool.map(inc, [])) == []
    assert list(pool.map(inc, [], chunksize=3)) == []


def test_map_with_a_buffer_reads_an_endless_iterator_only_so_far(executor):
    read: list[int] = []

    def count() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    results = executor.as_concurrent().map(inc, count(), buffersize=4)
    assert len(read) == 4
    assert list(itertools.islice(results, 10)) == list(range(1, 11))
    assert len(read) == 14
    results.close()


def test_map_that_runs_out_of_time_gives_up_what_waits(executor, tmp_path):
    pool = executor.as_concurrent(max_workers=1)
    results = pool.map(wait_for_file, [str(tmp_path / "go")] * 3, timeout=0.05)
    with pytest.raises(TimeoutError):
        next(results)
    assert len(pool._lane._pending) + len(pool._lane._flights) == 1  # what runs
    (tmp_path / "go").touch()
    pool.shutdown()


def test_shutdown_waits_and_refuses_what_comes_later(executor):
    pool = executor.as_concurrent()
    futures = [pool.submit(time.sleep, 0.01) for _ in range(20)]
    pool.shutdown()
    assert all(future.done() for future in futures)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(inc, 1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.map(inc, [1])
    assert executor.submit(inc, 1).result(10) == 2


def test_shutdown_that_cancels_leaves_what_runs(executor, tmp_path):
    pool = executor.as_concurrent(max_workers=1)
    running, *queued = [pool.submit(wait_for_file, str(tmp_path / "go")) for _ in range(5)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in queued)
    (tmp_path / "go").touch()
    assert running.result(10) == "seen"


def test_pool_that_nobody_holds_finishes_its_calls_and_is_collected(executor):
    pool = executor.as_concurrent(max_workers=1)
    reference = weakref.ref(pool)
    futures = [pool.submit(inc, number) for number in range(50)]
    del pool
    gc.collect()
    assert reference() is None
    assert [future.result(10) for future in futures] == list(range(1, 51))


def test_results_are_not_kept_in_the_cluster(executor):
    pool = executor.as_concurrent()
    futures = [pool.submit(bytes, 200_000) for _ in range(5)]
    assert all(len(future.result(10)) == 200_000 for future in futures)
    wait_until(lambda: not executor.snapshot().counts["memory"], "the results are released")


def test_program_that_ends_waits_for_its_calls(tmp_path):
    marks = [tmp_path / "first", tmp_path / "last"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *marks], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "cannot schedule new futures after shutdown\n"
    assert [mark.read_text() for mark in marks] == ["apple", "apple"]


def test_calls_of_a_cluster_that_restarts_are_cancelled_and_say_why(own_executor, tmp_path):
    pool = own_executor.as_concurrent(max_workers=1)
    running, queued = (pool.submit(wait_for_file, str(tmp_path / "go")) for _ in range(2))
    wait_until(lambda: own_executor.snapshot().counts["processing"] == 1, "it runs")
    own_executor.restart()
    with pytest.raises(FutureCancelledError, match="restart"):
        running.result(10)
    (tmp_path / "go").touch()
    assert queued.result(20) == "seen"


def test_executor_that_ends_finishes_the_calls_of_its_pools():
    with Executor(n_workers=1) as executor:
        pool = executor.as_concurrent(max_workers=1)
        futures = [pool.submit(inc, number) for number in range(20)]
    assert [future.result() for future in futures] == list(range(1, 21))
    with pytest.raises(RuntimeError, match="cannot schedule new futures"):
        pool.submit(inc, 1)
    with pytest.raises(ClusterClosedError):
        executor.as_concurrent()


def test_pool_whose_cluster_is_gone_is_broken_and_says_why(own_executor, tmp_path):
    pool = own_executor.as_concurrent(max_workers=1)
    running, queued = (pool.submit(wait_for_file, str(tmp_path / "go")) for _ in range(2))
    own_executor.stop_cluster()
    for future in (running, queued):
        with pytest.raises(FutureCancelledError, match="cluster"):
            future.result(10)
    with pytest.raises(concurrent.futures.BrokenExecutor, match=r"cannot schedule new futures: .*cluster"):
        pool.submit(inc, 1)


def test_pool_uses_workers_that_come_later(own_executor):
    pool = own_executor.as_concurrent()
    assert pool._lane._slots == 2
    own_executor.scale(4)
    own_executor.wait_for_workers(4, timeout=20)
    futures = [pool.submit(time.sleep, 0.1) for _ in range(80)]
    wait_until(lambda: pool._lane._slots == 4, "it has seen them")
    pool.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)


@pytest.mark.parametrize("max_workers", [0, -1, 1.5, "2", True])
def test_pool_of_no_size_is_refused(executor, max_workers):
    with pytest.raises(UsageError, match="max_workers must be greater than 0"):
        executor.as_concurrent(max_workers)


def test_call_that_makes_no_sense_is_refused(executor):
    pool = executor.as_concurrent()
    with pytest.raises(TypeError, match="cannot be called"):
        pool.submit(3)
    with pytest.raises(TypeError, match="cannot be called"):
        pool.map(3, [1])
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(inc, [1], chunksize=0)
    with pytest.raises(ValueError, match="buffersize"):
        pool.map(inc, [1], buffersize=0)
    with pytest.raises(UsageError, match="retries"):
        executor.as_concurrent(retries=-1)
    with pytest.raises(UsageError, match="workers"):
        executor.as_concurrent(allow_other_workers=True)
