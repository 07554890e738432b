"""Resources, restrictions and explanations on real clusters."""

import asyncio
import itertools
import os
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from jupyter_dist import Executor, LocalCluster, fire_and_forget, wait
from jupyter_dist.errors import ClusterClosedError, UsageError
from jupyter_dist.settings import load_settings
from tests.integration.conftest import wait_until

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def executor():
    """Two workers with two slots each and one GPU each."""
    with Executor(n_workers=2, threads_per_worker=2, resources={"GPU": 1}) as executor:
        executor.wait_for_workers(timeout=20)
        yield executor


def wait_for_file(path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.005)
    return path


def pid_when(path: str, _number: int) -> int:
    wait_for_file(path)
    return os.getpid()


def span(seconds: float, _number: int) -> tuple[int, float, float]:
    """Return on which process it ran, and when."""
    began_s = time.monotonic()
    time.sleep(seconds)
    return os.getpid(), began_s, time.monotonic()


def thread_name(_number: int) -> str:
    return threading.current_thread().name


def test_two_tasks_that_need_the_only_gpu_never_run_at_the_same_time(executor):
    futures = executor.map(span, [0.02] * 12, range(12), pure=False, resources={"GPU": 1})
    spans = sorted(executor.gather(futures))
    assert len({pid for pid, _, _ in spans}) == 2
    for (pid, _, ended_s), (next_pid, begins_s, _) in itertools.pairwise(spans):
        assert pid != next_pid or ended_s <= begins_s
    views = executor.snapshot().workers
    assert [view.resources for view in views] == [{"GPU": (1.0, 1.0)}] * 2


def test_resources_stay_declared_after_scale_and_restart(executor):
    executor.scale(3)
    executor.wait_for_workers(3, timeout=20)
    executor.restart()
    assert [view.resources for view in executor.snapshot().workers] == [{"GPU": (1.0, 1.0)}] * 3
    assert executor.submit(thread_name, 1, resources={"GPU": 1}).result(10)
    executor.scale(2)
    wait_until(lambda: len(executor.snapshot().workers) == 2, "two workers")


def test_every_way_to_submit_takes_resources(executor):
    pool = executor.as_concurrent(resources={"GPU": 0.5})
    assert pool.submit(thread_name, 2).result(10)
    assert executor.submit_task(thread_name, (3,), resources={"GPU": 0.5}).result(10)
    assert executor.get({"x": (thread_name, 1)}, "x", resources={"GPU": 1})


def test_each_call_of_a_map_runs_where_it_may(executor):
    futures = executor.map(span, [0.0] * 4, range(4), pure=False, workers=[{"worker-0"}, "worker-1"] * 2)
    pids = [pid for pid, _, _ in executor.gather(futures)]
    views = {view.name: view.pid for view in executor.snapshot().workers}
    assert pids == [views["worker-0"], views["worker-1"]] * 2


def test_refused_options_leave_nothing_on_the_cluster(executor):
    wait_until(lambda: not any(executor.snapshot().counts.values()), "what was dropped before is released")
    for bad in ({"GPU": 0}, {"GPU": -1}, {"": 1}):
        with pytest.raises(UsageError):
            executor.submit(thread_name, 4, resources=bad)
    with pytest.raises(TypeError):
        executor.map(thread_name, [5], resources="GPU")
    with pytest.raises(TypeError):
        executor.submit(thread_name, 4, resources={"GPU": "1"})
    with pytest.raises(UsageError):
        executor.submit(thread_name, 4, workers=[])
    with pytest.raises(UsageError, match="runs already"):
        Executor(executor.info, resources={"GPU": 1})
    with pytest.raises(UsageError):
        LocalCluster(1, resources={"GPU": 0})
    assert not any(executor.snapshot().counts.values())


def test_future_that_waits_for_ever_says_why(executor):
    gpus = executor.submit(thread_name, 6, resources={"GPU": 2})
    nowhere = executor.submit(thread_name, 7, workers="worker-9")
    made = executor.submit(str.upper, nowhere)
    assert "the most any has is GPU: 1" in str(gpus.explain())
    assert "only on worker-9" in str(nowhere.explain())
    told = executor.explain([made, gpus])
    assert [one.state for one in told] == ["waiting", "queued"]
    assert nowhere.key in str(told[0])
    assert "worker-9" in str(told[0])


def test_future_is_explained_from_its_beginning_to_its_end(executor, tmp_path):
    path = tmp_path / "go"
    future = executor.submit(wait_for_file, str(path), pure=False, resources={"GPU": 1})
    wait_until(lambda: "it runs on worker-" in str(future.explain()), "it runs")
    path.touch()
    assert future.result(10)
    assert future.explain().state == "memory"
    failed = executor.submit(int, "x")
    wait([failed], timeout=10)
    assert "ValueError" in str(failed.explain())
    future.cancel()
    waiting = executor.submit(thread_name, 8, workers="worker-9")
    waiting.cancel()
    assert waiting.explain().state == "cancelled"


def test_future_of_a_closed_executor_is_explained_here(executor):
    other = Executor(executor.info)
    done, pending = other.submit(thread_name, 9), other.submit(thread_name, 10, workers="worker-9")
    done.result(10)
    with pytest.raises(UsageError, match="another executor"):
        executor.explain(done)
    other.close()
    assert "in this process" in str(done.explain())
    assert "shut down" in str(pending.explain())
    with pytest.raises(ClusterClosedError):
        other.snapshot()


def test_asynchronous_executor_explains_too(executor):
    async def explain() -> tuple[str, list[str]]:
        async with Executor(executor.info, asynchronous=True) as other:
            future = other.submit(thread_name, 11, workers="worker-9")
            told = str(await future.explain()), [one.state for one in await other.explain([future])]
            future.cancel()
            return told

    text, states = asyncio.run(explain())
    assert "worker-9" in text
    assert states == ["queued"]


def write_later(folder: str, number: int) -> None:
    while not (Path(folder) / "go").exists():
        time.sleep(0.005)
    (Path(folder) / f"done-{number}").touch()


def test_forgotten_tasks_run_to_their_end_after_the_session_was_closed(executor, tmp_path):
    other = Executor(executor.info)
    futures = other.map(write_later, [str(tmp_path)] * 6, range(6))
    fire_and_forget({"all": futures, "again": [futures[0]]})
    del futures
    other.close()
    (tmp_path / "go").touch()
    wait_until(lambda: len(list(tmp_path.glob("done-*"))) == 6, "all have run")
    wait_until(lambda: not any(executor.snapshot().counts.values()), "all was released")


def test_cluster_that_ends_with_its_executor_ends_after_forgotten_tasks(tmp_path):
    with Executor(n_workers=1) as own:
        fire_and_forget(own.submit(write_later, str(tmp_path), 0))
        (tmp_path / "go").touch()
    assert (tmp_path / "done-0").exists()


def test_what_cannot_be_kept_is_refused(executor):
    future = executor.submit(thread_name, 12, workers="worker-9")
    for wrong in (5, "f", [future, None], iter([future])):
        with pytest.raises(TypeError):
            fire_and_forget(wrong)
    with Executor(executor.info) as other, pytest.raises(UsageError, match="another executor"):
        other.fire_and_forget(future)
    future.cancel()
    with pytest.raises(CancelledError):
        fire_and_forget(future)
    with pytest.raises(ClusterClosedError):
        other.fire_and_forget([])
    fire_and_forget([])


def test_cluster_scales_itself_and_no_result_is_lost_by_it(tmp_path):
    with Executor(n_workers=1, settings=load_settings(adapt_target_s=0.05)) as own:
        own.adapt(minimum=0, maximum=3, interval=0.1, wait_count=2)
        futures = own.map(pid_when, [str(tmp_path / "go")] * 12, range(12), pure=False)
        large = own.submit(bytes, 300_000)
        wait_until(lambda: len(own.snapshot().workers) == 3, "as many workers as are worth it", 30)
        wait_until(lambda: sum(view.running for view in own.snapshot().workers) == 3, "each has something to do", 30)
        (tmp_path / "go").touch()
        assert len(set(own.gather(futures))) == 3
        wait([large], timeout=10)
        wait_until(lambda: len(own.snapshot().workers) == 1, "only the one that holds a result")
        assert own.snapshot().adapting.maximum == 3
        assert len(large.result(10)) == 300_000
        large.release()
        wait_until(lambda: not own.snapshot().workers, "none is needed")
        assert own.submit(thread_name, 1).result(20)
        own.scale(2)
        own.wait_for_workers(2, timeout=20)
        assert own.snapshot().adapting is None


def test_bounds_that_are_none_are_refused(executor):
    for wrong in (
        {"minimum": -1},
        {"minimum": 1.5},
        {"minimum": 3, "maximum": 2},
        {"minimum": 0, "maximum": 0},
        {"maximum": 10**9},
        {"interval": 0},
        {"interval": "1"},
        {"wait_count": 0},
    ):
        with pytest.raises(UsageError):
            executor.adapt(**wrong)
    assert executor.snapshot().adapting is None
    executor.stop_adapting()
