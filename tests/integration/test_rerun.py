"""Tasks that must not run twice, with real processes that die: before they begin, in them, after them, and with the scheduler.

Each task leaves a mark for each run. Whatever dies, there is one mark at most; and where nothing has to be lost, nothing is.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import DataLostError, WorkerCrashedError
from jupyter_dist.launch import local
from tests.integration.conftest import wait_until
from tests.integration.crash_points import FOLDER
from tests.integration.test_crash_matrix import PATIENCE_S, CrashingNanny, check_whole, kill_a_worker, wait_for_death
from tests.integration.test_scheduler_death import kill_scheduler
from tests.thorough import IS_THOROUGH

pytestmark = [pytest.mark.process, pytest.mark.slow]

LARGE = 300_000  # bytes: more than rides in a message
PARTS = 6

NOT_BEGUN = ("worker-hears-AssignTask", "worker-took-AssignTask")
ENDED = ("worker-hears-Ended", "worker-took-Ended", "worker-said-TaskFinished")
SCHEDULER = (
    "scheduler-hears-Submit",
    "scheduler-took-Submit",
    "scheduler-writing",
    "scheduler-written",
    "scheduler-said-AssignTask",
    "scheduler-hears-TaskFinished",
    "scheduler-took-TaskFinished",
    "scheduler-said-KeyFinished",
    "scheduler-said-Kept",
)
PAIRS = (
    ("worker-hears-AssignTask", "scheduler-said-AssignTask"),
    ("worker-began", "scheduler-said-AssignTask"),
    ("worker-hears-Ended", "scheduler-written"),
    ("worker-said-TaskFinished", "scheduler-hears-TaskFinished"),
    ("worker-said-TaskFinished", "scheduler-took-TaskFinished"),
)


def mark(folder: str, number: int, size: int = 0, seconds: float = 0.0) -> tuple[int, bytes]:
    """Leave a mark for each run."""
    with Path(folder, str(number)).open("a", encoding="utf-8") as file:
        file.write("x")
    time.sleep(seconds)
    return number, bytes(size)


def mark_and_wait(folder: str, number: int) -> int:
    """Leave a mark for each run, and end when the folder has a file named go."""
    with Path(folder, str(number)).open("a", encoding="utf-8") as file:
        file.write("x")
    while not Path(folder, "go").exists():
        time.sleep(0.005)
    return number


def total(parts: list[tuple[int, bytes]]) -> int:
    return sum(number for number, _ in parts)


def count_marks(folder: Path) -> dict[str, int]:
    return {path.name: len(path.read_text(encoding="utf-8")) for path in folder.iterdir() if path.name != "go"}


def worker_of(executor, future) -> int:
    """Return the process that runs a task, or holds its result."""
    names = {worker.name: worker.pid for worker in executor.snapshot().workers}
    found: list[str] = []

    def look() -> bool:
        running = [name for name, keys in executor.processing().items() if future.key in keys]
        found[:] = running or list(executor.who_has([future])[future.key])
        return bool(found)

    wait_until(look, "a worker has it")
    return names[found[0]]


# -- a worker --------------------------------------------------------------------------------------------------------


def test_worker_killed_in_a_task_it_errs_at_once_and_runs_again_when_that_is_asked_for(own_executor, tmp_path):
    future = own_executor.submit(mark_and_wait, str(tmp_path), 1, rerun="never")
    dependent = own_executor.submit(abs, future)
    wait_until(lambda: count_marks(tmp_path) == {"1": 1}, "it runs")
    os.kill(worker_of(own_executor, future), signal.SIGKILL)
    for one in (future, dependent):
        with pytest.raises(WorkerCrashedError, match=r'is not run twice \(rerun="never"\).*SIGKILL') as caught:
            one.result(PATIENCE_S)
        assert len(caught.value.certificates) == 1
    assert count_marks(tmp_path) == {"1": 1}
    (tmp_path / "go").touch()
    own_executor.retry(dependent)
    assert dependent.result(PATIENCE_S) == 1
    assert count_marks(tmp_path) == {"1": 2}


def test_worker_stopped_in_a_task_it_may_have_begun(own_executor, tmp_path):
    future = own_executor.submit(mark_and_wait, str(tmp_path), 1, rerun="never")
    wait_until(lambda: count_marks(tmp_path) == {"1": 1}, "it runs")
    os.kill(worker_of(own_executor, future), signal.SIGSTOP)
    with pytest.raises(DataLostError, match="may have begun on worker-"):
        future.result(PATIENCE_S)
    assert count_marks(tmp_path) == {"1": 1}


def test_worker_killed_that_alone_held_a_result_it_and_what_needs_it_errs(own_executor, tmp_path):
    future = own_executor.submit(mark, str(tmp_path), 1, LARGE, rerun="never")
    small = own_executor.submit(mark, str(tmp_path), 2, rerun="never")
    assert len(future.result(PATIENCE_S)[1]) == LARGE
    assert small.result(PATIENCE_S)[0] == 2
    os.kill(worker_of(own_executor, future), signal.SIGKILL)
    late = own_executor.submit(total, [future, small], pure=False)
    with pytest.raises(DataLostError, match=r"it ran on worker-.*its result is gone"):
        late.result(PATIENCE_S)
    assert own_executor.submit(total, [small], pure=False).result(PATIENCE_S) == 2  # kept by the scheduler
    assert count_marks(tmp_path) == {"1": 1, "2": 1}


def test_worker_asked_to_leave_ends_what_it_runs_and_nothing_is_lost(own_executor, tmp_path):
    futures = own_executor.map(mark, [str(tmp_path)] * PARTS, range(PARTS), size=LARGE, seconds=0.2, rerun="never")
    wait_until(lambda: len(count_marks(tmp_path)) >= 2, "two run")
    kill_a_worker(own_executor, signal.SIGTERM)
    assert total(own_executor.gather(futures)) == sum(range(PARTS))
    assert count_marks(tmp_path) == {str(number): 1 for number in range(PARTS)}


# -- the scheduler ---------------------------------------------------------------------------------------------------


def test_scheduler_killed_while_they_run_each_runs_once_and_none_is_lost(own_executor, tmp_path):
    futures = own_executor.map(mark, [str(tmp_path)] * PARTS, range(PARTS), size=LARGE, seconds=0.3, rerun="never")
    wait_until(lambda: len(count_marks(tmp_path)) >= 3, "some ran, and some run")
    kill_scheduler(own_executor)
    assert total(own_executor.gather(futures)) == sum(range(PARTS))
    assert count_marks(tmp_path) == {str(number): 1 for number in range(PARTS)}


def test_scheduler_and_worker_killed_while_a_task_runs_it_errs(own_executor, tmp_path):
    future = own_executor.submit(mark_and_wait, str(tmp_path), 1, rerun="never")
    wait_until(lambda: count_marks(tmp_path) == {"1": 1}, "it runs")
    victim = worker_of(own_executor, future)
    kill_scheduler(own_executor)
    os.kill(victim, signal.SIGKILL)
    with pytest.raises((DataLostError, WorkerCrashedError), match='rerun="never"'):
        future.result(PATIENCE_S)
    assert count_marks(tmp_path) == {"1": 1}


# -- each step -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return tmp_path_factory.mktemp("points")


@pytest.fixture(scope="module")
def crashing(points):
    """An executor on a cluster whose processes die where a test says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(points))
        patch.setattr(local, "NannyProcess", CrashingNanny)
        executor = Executor(n_workers=2)
    executor.wait_for_workers(timeout=PATIENCE_S)
    yield executor
    executor.shutdown(cancel_futures=True)


def run_marked(executor, folder: Path) -> list[BaseException]:
    """Have tasks run that leave marks, and be told the right results; return the errors of those without."""
    futures = executor.map(mark, [str(folder)] * PARTS, range(PARTS), pure=False, rerun="never")
    errors = []
    for number, future in enumerate(futures):
        error = future.exception(PATIENCE_S)
        if error is None:
            assert future.result()[0] == number
        else:
            errors.append(error)
    assert max(count_marks(folder).values()) == 1
    return errors


def check_alive(executor) -> None:
    assert executor.gather(executor.map(abs, range(-20, 0))) == list(range(20, 0, -1))
    wait_until(lambda: len(executor.snapshot().workers) == 2, "both workers are there", PATIENCE_S)


@pytest.mark.parametrize("point", [*NOT_BEGUN, *SCHEDULER])
def test_process_killed_at_a_step_that_loses_nothing_each_runs_once(crashing, points, tmp_path, point):
    (points / point).touch()
    assert not run_marked(crashing, tmp_path)
    wait_for_death(points, point)
    check_whole(crashing, tmp_path, 0)


@pytest.mark.parametrize("point", ["worker-began", *ENDED])
def test_worker_killed_when_one_had_begun_that_errs_or_has_its_result(crashing, points, tmp_path, point):
    (points / point).touch()
    errors = run_marked(crashing, tmp_path)
    wait_for_death(points, point)
    assert [type(error) for error in errors] in ([], [DataLostError], [WorkerCrashedError])
    assert errors or point == "worker-said-TaskFinished"  # what was said before may have been heard
    check_alive(crashing)


@pytest.mark.parametrize(("first", "second"), PAIRS if IS_THOROUGH else PAIRS[::2])
def test_worker_and_scheduler_killed_at_a_step_each_none_runs_twice(crashing, points, tmp_path, first, second):
    (points / first).touch()
    (points / second).touch()
    errors = run_marked(crashing, tmp_path)
    wait_for_death(points, first, second)
    assert all(isinstance(error, DataLostError | WorkerCrashedError) for error in errors)
    check_alive(crashing)
