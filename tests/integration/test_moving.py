"""Results that move between workers, and workers that leave in order, on real clusters."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import ClusterClosedError, UsageError
from tests.integration.conftest import assert_gone, wait_until

LARGE = 300_000


def make(path: str, name: str) -> np.ndarray:
    """Return a large result, and note that it was made."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")
    return np.full(LARGE, len(name), dtype=np.uint8)


def runs(path: Path) -> list[str]:
    return sorted(path.read_text(encoding="utf-8").split())


def work_until(path: str, started: str) -> np.ndarray:
    Path(started).touch()
    while not Path(path).exists():
        time.sleep(0.005)
    return np.ones(LARGE, dtype=np.uint8)


def holders(executor: Executor, future) -> set[str]:
    return set(executor.who_has(future)[future.key])


def state_of(executor: Executor, name: str) -> str:
    """Return the worker's state, "gone" while there is no such worker."""
    return str(executor.scheduler_info()["workers"].get(name, {"state": "gone"})["state"])


def pid_of(executor: Executor, name: str) -> int:
    """Return the worker's process id, 0 while there is no such worker."""
    return int(executor.scheduler_info()["workers"].get(name, {"pid": 0})["pid"])


def test_replicate_copies_to_all_then_drops_to_one(executor, tmp_path):
    pending = executor.submit(make, str(tmp_path / "log"), "a", workers="worker-0")
    small = executor.submit(len, "abc")
    assert executor.replicate([pending, {"small": small}]) is None
    assert holders(executor, pending) == {"worker-0", "worker-1"}
    executor.replicate(pending, n=1)
    (left,) = holders(executor, pending)
    executor.replicate(pending, n=5, workers=["worker-0", "worker-1"], branching_factor=1)
    other = {"worker-0": "worker-1", "worker-1": "worker-0"}[left]
    total = executor.submit(np.sum, pending, workers=other)  # from the copy
    assert (total.result(20), pending.result(20)[0]) == (LARGE, 1)
    assert runs(tmp_path / "log") == ["a"]
    executor.replicate([])


def test_rebalance_spreads_and_everything_stays_readable(executor, tmp_path):
    names = ["x" * count for count in range(1, 9)]
    futures = [executor.submit(make, str(tmp_path / "log"), name, workers="worker-0") for name in names]
    executor.rebalance(futures)
    where = [holders(executor, future) for future in futures]
    assert sorted(len(of) for of in where) == [1] * 8
    assert sum(of == {"worker-0"} for of in where) == 4
    assert [int(value[0]) for value in executor.gather(futures)] == list(range(1, 9))
    assert runs(tmp_path / "log") == sorted(names)
    executor.rebalance([])
    executor.rebalance()


def test_retire_moves_what_only_that_worker_holds_and_is_not_replaced(own_executor, tmp_path):
    executor = own_executor
    kept = executor.submit(make, str(tmp_path / "log"), "kept", workers="worker-0")
    running = executor.submit(work_until, str(tmp_path / "go"), str(tmp_path / "begun"), workers="worker-0")
    wait_until((tmp_path / "begun").exists, "the task runs")
    process = psutil.Process(pid_of(executor, "worker-0"))
    behind = executor.submit(make, str(tmp_path / "log"), "behind", workers="worker-0", allow_other_workers=True)
    with ThreadPoolExecutor(1) as aside:
        retiring = aside.submit(executor.retire_workers, "worker-0", remove=False)
        wait_until(lambda: state_of(executor, "worker-0") == "retiring", "it retires")
        assert int(behind.result(20)[0]) == 6  # it was taken back
        (tmp_path / "go").touch()
        assert retiring.result(20) == ["worker-0"]
    assert_gone([process])
    assert executor.ncores() == {"worker-1": 1}
    assert executor.nannies.keys() == {"worker-1"}
    assert executor.snapshot().wanted == 1
    assert holders(executor, kept) == holders(executor, running) == {"worker-1"}
    assert (int(kept.result(20)[0]), int(running.result(20)[0])) == (4, 1)
    assert runs(tmp_path / "log") == ["behind", "kept"]


def test_retire_of_the_last_worker_keeps_its_results_in_the_store(own_executor, tmp_path):
    executor = own_executor
    futures = [executor.submit(make, str(tmp_path / "log"), "x" * count) for count in (1, 2, 3)]
    executor.gather(futures)
    del futures[0]
    late = executor.submit(make, str(tmp_path / "log"), "late")
    late.result(20)
    assert sorted(executor.retire_workers(n=2)) == ["worker-0", "worker-1"]
    assert executor.ncores() == {}
    total = executor.submit(np.sum, late)
    executor.scale(1)
    assert total.result(20) == 4 * LARGE
    assert [int(value[0]) for value in executor.gather([*futures, late])] == [2, 3, 4]
    assert runs(tmp_path / "log") == ["late", "x", "xx", "xxx"]


def test_scale_down_retires_and_loses_nothing(own_executor, tmp_path):
    executor = own_executor
    futures = [
        executor.submit(make, str(tmp_path / "log"), name, workers=where)
        for name, where in (("a", "worker-0"), ("bb", "worker-0"), ("ccc", "worker-1"))
    ]
    executor.gather(futures)
    del futures[0]
    executor.scale(1)
    wait_until(lambda: len(executor.ncores()) == 1, "one worker is left")
    value = executor.submit(lambda *arrays: [int(array[0]) for array in arrays], *futures)
    assert value.result(20) == [2, 3]
    assert runs(tmp_path / "log") == ["a", "bb", "ccc"]


def test_sigterm_lets_the_task_end_and_moves_results_first(own_executor, tmp_path):
    executor = own_executor
    kept = executor.submit(make, str(tmp_path / "log"), "kept", workers="worker-0")
    kept_value = kept.result(20)
    running = executor.submit(work_until, str(tmp_path / "go"), str(tmp_path / "begun"), workers="worker-0")
    wait_until((tmp_path / "begun").exists, "the task runs")
    pid = pid_of(executor, "worker-0")
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: state_of(executor, "worker-0") == "retiring", "it retires")
    (tmp_path / "go").touch()
    wait_until(lambda: pid_of(executor, "worker-0") not in (pid, 0), "another one is there")
    assert int(running.result(20)[0]) == 1
    assert executor.submit(np.sum, kept, workers="worker-1").result(20) == int(kept_value.sum())
    assert runs(tmp_path / "log") == ["kept"]


def test_restart_workers_replaces_one_that_hangs(own_executor, tmp_path):
    executor = own_executor
    pid = pid_of(executor, "worker-0")
    stuck = executor.submit(os.getpid, workers="worker-0")
    assert stuck.result(20) == pid
    lost = executor.submit(make, str(tmp_path / "log"), "lost", workers="worker-0", allow_other_workers=True)
    lost.result(20)
    os.kill(pid, signal.SIGSTOP)
    moved = executor.submit(make, str(tmp_path / "log"), "moved", workers="worker-0", allow_other_workers=True)
    executor.restart_workers("worker-0", timeout=20)
    assert pid_of(executor, "worker-0") != pid
    assert int(moved.result(20)[0]) == 5
    assert executor.submit(np.sum, lost).result(20) == 4 * LARGE
    assert executor.snapshot().erred == 0
    with pytest.raises(TimeoutError, match="worker-1"):
        executor.restart_workers(["worker-1"], timeout=1e-9)
    executor.wait_for_workers(2, timeout=20)
    executor.restart_workers([])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda e, f: e.replicate(f, n=0), UsageError, "n=0"),
        (lambda e, f: e.replicate(f, n=-1), UsageError, "n=-1"),
        (lambda e, f: e.replicate(f, n=1.5), UsageError, "n=1.5"),
        (lambda e, f: e.replicate(f, branching_factor=0), UsageError, "branching_factor=0"),
        (lambda e, f: e.replicate(f, workers="nobody"), UsageError, "worker-0, worker-1"),
        (lambda e, f: e.replicate(f, workers=[7]), TypeError, "named by a text"),
        (lambda e, f: e.replicate(f, workers=7), TypeError, "workers=7"),
        (lambda e, _f: e.replicate("abc"), TypeError, "a str"),
        (lambda e, _f: e.rebalance(7), TypeError, "an? int"),
        (lambda e, f: e.rebalance(f, workers=["nobody"]), UsageError, "nobody"),
        (lambda e, _f: e.retire_workers(), UsageError, "either"),
        (lambda e, _f: e.retire_workers("worker-0", n=1), UsageError, "either"),
        (lambda e, _f: e.retire_workers("nobody"), UsageError, "nobody"),
        (lambda e, _f: e.retire_workers(n=-1), UsageError, "n=-1"),
        (lambda e, _f: e.retire_workers(n=99), UsageError, "there are 2"),
        (lambda e, _f: e.retire_workers(n=0, remove=1), TypeError, "remove"),
        (lambda e, _f: e.restart_workers(None), UsageError, "names"),
        (lambda e, _f: e.restart_workers("nobody"), UsageError, "nobody"),
        (lambda e, _f: e.restart_workers("worker-0", timeout=-1), UsageError, "timeout=-1"),
    ],
)
def test_bad_call_is_refused_at_once_and_changes_nothing(executor, call, error, words):
    future = executor.submit(len, "abcd")
    future.result(20)
    with pytest.raises(error, match=words):
        call(executor, future)
    assert executor.ncores() == {"worker-0": 1, "worker-1": 1}


def test_failed_foreign_or_late_futures_are_refused(executor):
    failed = executor.submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        executor.replicate([failed])
    with Executor(executor.info) as other:
        foreign = other.submit(len, "foreign")
        for call in (executor.replicate, executor.rebalance):
            with pytest.raises(UsageError, match="another executor"):
                call([foreign])
    for late in (
        lambda: other.replicate([]),
        other.rebalance,
        lambda: other.retire_workers(n=0),
        lambda: other.restart_workers([]),
    ):
        with pytest.raises(ClusterClosedError):
            late()
    assert executor.retire_workers([]) == executor.retire_workers(n=0) == []
