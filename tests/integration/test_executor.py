"""The Executor against a real cluster: what users rely on, each once."""

import asyncio
import functools
import gc
import operator
import os
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from jupyter_dist import Executor, as_completed, default_executor, wait
from jupyter_dist.errors import NoClusterError, PackingError, RemoteError, ResultError, UsageError
from tests.integration.conftest import wait_until


def inc(number: int) -> int:
    return number + 1


def add(left: int, right: int) -> int:
    return left + right


def fail(text: str) -> None:
    raise ValueError(text)


def wait_for_file(path: str) -> str:
    while not Path(path).read_bytes():
        time.sleep(0.005)
    return "seen"


class OnlyHereError(Exception):
    """An exception that cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("not for export")
        self.lock = threading.Lock()


def test_submit_a_call_gives_its_result(executor):
    assert executor.submit(inc, 1).result(10) == 2
    assert executor.submit(functools.partial(add, 1), right=3).result(10) == 4
    assert executor.submit(lambda: [1, {"a": (2,)}]).result(10) == [1, {"a": (2,)}]


def test_submit_the_same_pure_call_twice_runs_once(executor):
    first, second = executor.submit(time.time_ns), executor.submit(time.time_ns)
    assert first.key == second.key
    assert first.result(10) == second.result(10)


def test_submit_an_impure_call_twice_runs_twice(executor):
    first, second = (executor.submit(time.time_ns, pure=False) for _ in range(2))
    assert first.result(10) != second.result(10)


def test_submit_futures_nested_in_arguments_become_inputs(executor):
    one, two = executor.map(inc, [0, 1])
    nested = executor.submit(lambda data: data["a"][0] + sum(data["b"]), {"a": [one], "b": (two, 10)})
    assert nested.result(10) == 13


def test_map_and_a_tree_of_dependents_gives_the_sum(executor):
    layer = executor.map(inc, range(64))
    while len(layer) > 1:
        layer = [executor.submit(add, *pair) for pair in zip(layer[::2], layer[1::2], strict=True)]
    assert layer[0].result(20) == sum(range(1, 65))


def test_map_of_unequal_lists_stops_with_the_shortest(executor):
    assert executor.gather(executor.map(add, [1, 2, 3], [10, 20])) == [11, 22]


def test_map_of_an_endless_iterator_is_lazy(executor):
    endless = iter(int, 1)
    futures = executor.map(operator.neg, endless)
    assert next(futures).result(10) == 0
    futures.close()


def test_gather_nested_containers_keeps_their_shape(executor):
    one, two = executor.map(inc, [0, 1])
    assert executor.gather({"a": [one, (two,)], "b": {"c": one}, "d": 7}) == {"a": [1, (2,)], "b": {"c": 1}, "d": 7}


def test_gather_a_dicts_views_gives_lists(executor):
    futures = {"a": executor.submit(inc, 1), "b": executor.submit(inc, 2)}
    assert executor.gather(futures.values()) == [2, 3]
    assert executor.gather(futures.items()) == [("a", 2), ("b", 3)]


def test_gather_with_an_error_raises_it_or_skips_it(executor):
    futures = [executor.submit(inc, 5), executor.submit(fail, "gathered"), executor.submit(inc, 6)]
    with pytest.raises(ValueError, match="gathered"):
        executor.gather(futures)
    assert executor.gather(futures, errors="skip") == [6, 7]
    with pytest.raises(UsageError, match="skip"):
        executor.gather(futures, errors="ignore")


def test_error_of_a_task_is_raised_by_it_and_every_dependent_with_the_users_frames(executor):
    failed = executor.submit(fail, "deep")
    dependents = [executor.submit(inc, failed)]
    for _ in range(3):
        dependents.append(executor.submit(inc, dependents[-1]))
    for future in (failed, *dependents):
        with pytest.raises(ValueError, match="deep") as caught:
            future.result(10)
        assert caught.traceback[-1].name == "fail"
        assert isinstance(future.exception(), ValueError)
        assert future.status == "error"
    late = executor.submit(inc, dependents[-1])
    assert isinstance(late.exception(10), ValueError)


def test_error_that_cannot_be_pickled_keeps_its_name_text_and_traceback(executor):
    def raise_it() -> None:
        raise OnlyHereError

    with pytest.raises(RemoteError, match="OnlyHereError") as caught:
        executor.submit(raise_it).result(10)
    assert "not for export" in str(caught.value)


def test_result_that_cannot_be_pickled_errs_that_task_alone(executor):
    with pytest.raises(ResultError, match="lock"):
        executor.submit(threading.Lock).result(10)
    assert executor.submit(inc, 100).result(10) == 101


def test_argument_that_cannot_be_pickled_is_named_at_submit(executor):
    with pytest.raises(PackingError, match=r"argument 1 .*lock"):
        executor.submit(add, 1, threading.Lock())
    with pytest.raises(PackingError, match=r"right .*lock"):
        executor.submit(add, left=1, right=threading.Lock())
    lock = threading.Lock()

    def uses_lock() -> object:
        return lock

    with pytest.raises(PackingError, match="uses_lock"):
        executor.submit(uses_lock)
    assert not executor.snapshot().counts["processing"]


def test_argument_that_is_too_large_is_refused_with_the_call_that_mends_it(executor):
    with pytest.raises(PackingError, match="scatter"):
        executor.submit(len, bytes(executor.settings.argument_bytes_max + 1))


def test_call_that_makes_no_sense_is_refused(executor):
    with pytest.raises(TypeError, match="cannot be called"):
        executor.submit(3)
    with pytest.raises(ValueError, match="workers"):
        executor.submit(inc, 1, allow_other_workers=True)
    with pytest.raises(TypeError):
        executor.submit(inc, 1, workers="worker-0", allow_other_workers="yes")
    with pytest.raises(UsageError, match="retries"):
        executor.map(inc, [1], retries=-1)
    with pytest.raises(TypeError, match="key"):
        executor.submit(inc, 1, key=3)


def test_large_result_is_read_from_its_worker_and_by_other_tasks(executor):
    array = executor.submit(np.arange, 500_000)
    total = executor.submit(np.sum, array, pure=False)
    assert total.result(10) == 500_000 * 499_999 // 2
    assert array.result(10)[-1] == 499_999
    assert array.result() is array.result()


def test_scatter_containers_keep_their_shape(executor):
    listed = executor.scatter([1, np.ones(100_000)])
    assert executor.submit(lambda one, many: one + many.sum(), *listed).result(10) == 100_001
    named = executor.scatter({"x": 5})
    assert named["x"].key == "x"
    assert executor.submit(inc, named["x"]).result(10) == 6
    assert executor.scatter("word").result(10) == "word"


def test_futures_dropped_are_released_on_the_cluster(executor):
    futures = executor.map(inc, range(1000, 1100))
    wait(futures, timeout=10)
    del futures
    gc.collect()
    wait_until(lambda: executor.snapshot().counts["memory"] == 0, "everything is released")


def test_wait_returns_done_and_not_done(executor, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    slow, fast = executor.submit(wait_for_file, str(gate)), executor.submit(inc, 2000)
    done, not_done = wait([slow, fast], return_when="FIRST_COMPLETED", timeout=10)
    assert (done, not_done) == ({fast}, {slow})
    assert wait([slow], timeout=0.01).not_done == {slow}
    with pytest.raises(TimeoutError):
        slow.result(timeout=0.01)
    gate.write_text("x")
    assert wait([slow, fast], timeout=10).done == {slow, fast}


def test_as_completed_yields_each_future_once_in_the_order_of_their_ends(executor, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    slow = executor.submit(wait_for_file, str(gate))
    seen = []
    for future in as_completed([slow, *executor.map(inc, range(3000, 3010))], timeout=20):
        seen.append(future)
        if len(seen) == 10:
            gate.write_text("x")
    assert seen[-1] is slow
    assert len(set(seen)) == 11
    pairs = dict(as_completed(executor.map(inc, [1, 2]), with_results=True))
    assert sorted(pairs.values()) == [2, 3]


def test_done_callback_is_called_once_and_may_use_the_executor(executor):
    results, ready = [], threading.Event()

    def note(future: object) -> None:
        results.append(executor.submit(inc, future).result(10))
        ready.set()

    future = executor.submit(inc, 4000)
    future.add_done_callback(note)
    assert ready.wait(10)
    assert results == [4002]


def test_future_can_be_awaited_in_any_loop(executor):
    async def compute() -> list[int]:
        return await asyncio.gather(executor.submit(inc, 1), executor.submit(inc, 2))

    assert asyncio.run(compute()) == [2, 3]


def test_cancel_a_running_task_by_force_frees_its_slot(executor, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    running = [executor.submit(wait_for_file, str(gate), pure=False) for _ in range(2)]
    dependent = executor.submit(len, running[0])
    wait_until(lambda: executor.snapshot().counts["processing"] == 2, "both run")
    executor.cancel(running, force=True)
    assert all(future.cancelled() for future in running)
    with pytest.raises(CancelledError, match="its user"):
        running[0].result()
    with pytest.raises(CancelledError):
        dependent.result(10)
    assert executor.submit(inc, 5000).result(10) == 5001


def test_output_of_a_task_is_kept_with_its_future(executor):
    def talk() -> int:
        print("hello")
        return 1

    future = executor.submit(talk)
    assert future.result(10) == 1
    assert future.output == "hello\n"


def test_many_threads_share_one_executor(executor):
    totals = []

    def work(start: int) -> None:
        totals.append(sum(executor.gather(executor.map(inc, range(start, start + 50)))))

    threads = [threading.Thread(target=work, args=(100 * index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(totals) == sorted(sum(range(s + 1, s + 51)) for s in range(0, 2000, 100))


def test_default_executor_is_the_newest_that_is_open(executor):
    assert default_executor() is executor
    with Executor(executor.info) as second:
        assert default_executor() is second
    assert default_executor() is executor


def test_executor_without_such_a_cluster_says_how_to_start_one():
    with pytest.raises(NoClusterError, match="start"):
        Executor("there-is-no-such-cluster")


def test_future_of_another_executor_is_refused_as_argument(executor):
    with Executor(executor.info) as other:
        foreign = other.submit(inc, 1)
        with pytest.raises(UsageError, match="another executor"):
            executor.submit(inc, foreign)


def test_repr_shows_no_secret(executor):
    shown = repr(executor) + repr(executor.info) + repr(executor.submit(inc, 1))
    assert executor.info.secret.hex() not in shown
    assert repr(executor.info.secret) not in shown


def test_executor_closed_while_results_arrive_leaves_no_session_behind(executor):
    for number in range(30):
        leaving = Executor(executor.info, name=f"leaving-{number}", set_as_default=False)
        futures = leaving.map(inc, range(50), pure=False)
        wait(futures[:number], timeout=10)
        leaving.close()
    wait_until(
        lambda: not [name for name in executor.snapshot().sessions if name.startswith("leaving")], "their sessions end"
    )


def test_shutdown_does_not_wait_for_a_future_that_was_dropped_a_moment_before(tmp_path):
    for _ in range(2):
        with Executor(n_workers=1) as executor:
            executor.submit(wait_for_file, str(tmp_path / "never"))


def test_workers_are_meant_by_name_host_or_address(executor):
    pids = executor.run(os.getpid)
    view = next(view for view in executor.snapshot().workers if view.name == "worker-1")
    by_one = ["worker-1", ["worker-1"], {view.address}, view.address, ("worker-1",), iter([view.address])]
    for workers in by_one:
        assert executor.submit(os.getpid, pure=False, workers=workers).result(10) == pids["worker-1"]
    for workers in (view.host, {view.host, "worker-0"}):
        assert executor.submit(os.getpid, pure=False, workers=workers).result(10) in pids.values()
    spread = executor.map(lambda _: os.getpid(), [1, 2], pure=False, workers=iter([{"worker-1"}, "worker-0"]))
    assert executor.gather(spread) == [pids["worker-1"], pids["worker-0"]]
