"""Every step of the protocol at which a worker or the scheduler can die, with real processes.

Each time the same work is done: tasks with side effects and large results, tasks that fetch these from other workers, a
release. One process dies at the step that was armed, see `crash_points`. The answers are right, nobody is blamed, no side
effect happens more often than once and once more for the death, and the cluster is whole again.
"""

import contextlib
import functools
import os
import signal
from pathlib import Path

import pytest

from jupyter_dist import Executor
from jupyter_dist.launch import local
from jupyter_dist.launch.nanny_process import CODE, NannyProcess
from tests.integration.conftest import wait_until
from tests.integration.crash_points import FOLDER

pytestmark = [pytest.mark.process, pytest.mark.slow]

LARGE = 300_000  # bytes: more than rides in a message
PARTS = 6
BURST = 10_000
DEATHS_MAX = (
    10_000  # in a row right after a start: here it is the tests that kill, and nobody is to be started later for it
)
PATIENCE_S = 60.0  # no bound that is promised: who hangs is told from who is slow
CRASHING = CODE.replace("sys.argv[1])\n", "sys.argv[1], (*nursery.PRELOAD, 'tests.integration.crash_points'))\n", 1)

WORK = (
    "worker-hears-AssignTask",
    "worker-took-AssignTask",
    "worker-began",
    "worker-hears-Ended",
    "worker-took-Ended",
    "worker-said-TaskFinished",
    "worker-said-Fetch",
    "worker-hears-Fetch",
    "worker-half-sent",
    "worker-hears-Arrived",
    "worker-hears-FreeKeys",
    "scheduler-hears-Submit",
    "scheduler-took-Submit",
    "scheduler-said-AssignTask",
    "scheduler-hears-TaskFinished",
    "scheduler-took-TaskFinished",
    "scheduler-said-KeyFinished",
    "scheduler-hears-Release",
    "scheduler-took-Release",
    "scheduler-said-FreeKeys",
    "scheduler-writing",
    "scheduler-written",
    "scheduler-said-Kept",
)
PAIRS = [(one, other) for other in WORK if other.startswith("scheduler") for one in WORK if one.startswith("worker")]
BIRTH = (  # while a worker takes the place of another
    "worker-spawned",
    "worker-connected",
    "worker-authenticated",
    "worker-said-RegisterWorker",
    "worker-hears-Welcome",
    "scheduler-connected",
    "scheduler-authenticated",
    "scheduler-hears-WorkerDied",
    "scheduler-hears-RegisterWorker",
    "scheduler-took-RegisterWorker",
    "scheduler-said-Welcome",
)
REBIRTH = (  # while a scheduler takes the place of another
    "scheduler-spawned",
    "scheduler-hears-RegisterNanny",
    "scheduler-hears-OpenSession",
    "scheduler-hears-ClaimWishes",
    "worker-hears-Disconnected",
)
BURSTS = ("scheduler-written", "scheduler-hears-Submit", "scheduler-took-Submit")
LEAVING = ("worker-leaves", "worker-said-Leaving", "scheduler-hears-Leaving")


def note(folder: str, number: int, size: int) -> tuple[int, bytes]:
    """Leave a mark for each run."""
    with Path(folder, str(number)).open("a", encoding="utf-8") as file:
        file.write("x")
    return number, bytes(size)


def total(parts: list[tuple[int, bytes]]) -> int:
    return sum(number for number, _ in parts)


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return tmp_path_factory.mktemp("points")


@pytest.fixture(scope="module")
def crashing(points):
    """An executor on a cluster whose processes die where a test says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(points))
        patch.setenv("JUPYTER_DIST_RESTART_BURST_MAX", str(DEATHS_MAX))
        patch.setattr(local, "NannyProcess", CrashingNanny)
        executor = Executor(n_workers=2)
    executor.wait_for_workers(timeout=PATIENCE_S)
    yield executor
    executor.shutdown(cancel_futures=True)


class CrashingNanny(NannyProcess):
    """A nanny whose fork server loads the crash points."""

    __init__ = functools.partialmethod(NannyProcess.__init__, code=CRASHING)


def pids_of(executor) -> dict[str, int]:
    return {worker.name: worker.pid for worker in executor.snapshot().workers}


def work(executor, folder: Path) -> None:
    """Do what passes by every step of work, and be told the right answers."""
    parts = executor.map(note, [str(folder)] * PARTS, range(PARTS), size=LARGE, pure=False)
    sums = executor.map(total, [parts] * 4, pure=False)
    top = executor.submit(sum, sums, pure=False)
    assert top.result(timeout=PATIENCE_S) == 4 * sum(range(PARTS))
    assert [number for number, _ in executor.gather(parts)] == list(range(PARTS))


def check_whole(executor, folder: Path, deaths: int) -> None:
    """Check that nothing is amiss afterwards."""
    assert executor.gather(executor.map(abs, range(-20, 0))) == list(range(20, 0, -1))
    wait_until(lambda: len(pids_of(executor)) == 2, "both workers are there", PATIENCE_S)
    assert not executor.snapshot().errors
    runs = {path.name: len(path.read_text(encoding="utf-8")) for path in folder.iterdir()}
    assert runs.keys() == {str(number) for number in range(PARTS)}
    assert max(runs.values()) <= 1 + deaths


def wait_for_death(points: Path, *names: str) -> None:
    wait_until(lambda: not any((points / name).exists() for name in names), f"somebody died at {names}", PATIENCE_S)


def kill_a_worker(executor, number: int = signal.SIGKILL) -> None:
    """Send a signal to a worker that lives."""

    def is_killed() -> bool:
        with contextlib.suppress(ProcessLookupError, ValueError):  # its end is not known yet, or there is none just now
            os.kill(min(pids_of(executor).values()), number)
            return True
        return False

    wait_until(is_killed, "there is a worker", PATIENCE_S)


@pytest.mark.parametrize("point", WORK)
def test_process_killed_at_a_step_of_work_answers_are_right(crashing, points, tmp_path, point):
    (points / point).touch()
    work(crashing, tmp_path)
    wait_for_death(points, point)
    check_whole(crashing, tmp_path, 1)


@pytest.mark.parametrize("point", BIRTH)
def test_process_killed_at_a_step_of_a_workers_birth_answers_are_right(crashing, points, tmp_path, point):
    (points / point).touch()
    kill_a_worker(crashing)
    work(crashing, tmp_path)
    wait_for_death(points, point)
    check_whole(crashing, tmp_path, 2)


@pytest.mark.parametrize("point", REBIRTH)
def test_process_killed_while_a_scheduler_comes_back_answers_are_right(crashing, points, tmp_path, point):
    (points / "scheduler-hears-Submit").touch()
    (points / point).touch()
    work(crashing, tmp_path)
    wait_for_death(points, point)
    check_whole(crashing, tmp_path, 2)


@pytest.mark.parametrize("point", LEAVING)
def test_process_killed_while_a_worker_leaves_answers_are_right(crashing, points, tmp_path, point):
    held = crashing.map(note, [str(tmp_path)] * PARTS, range(PARTS), size=LARGE, pure=False)
    crashing.gather(held)
    (points / point).touch()
    kill_a_worker(crashing, signal.SIGTERM)
    wait_for_death(points, point)
    assert crashing.submit(total, held, pure=False).result(timeout=PATIENCE_S) == sum(range(PARTS))
    check_whole(crashing, tmp_path, 1)


@pytest.mark.parametrize("point", BURSTS)
def test_scheduler_killed_in_the_middle_of_a_burst_no_task_is_lost(crashing, points, point):
    (points / point).touch()
    futures = crashing.map(abs, range(-BURST, 0), pure=False)
    assert crashing.gather(futures) == list(range(BURST, 0, -1))
    wait_for_death(points, point)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_worker_and_scheduler_killed_at_a_step_each_answers_are_right(crashing, points, tmp_path, first, second):
    (points / first).touch()
    (points / second).touch()
    work(crashing, tmp_path)
    wait_for_death(points, first, second)
    check_whole(crashing, tmp_path, 2)


@pytest.mark.parametrize("point", ["scheduler-hears-StopCluster", "scheduler-took-StopCluster"])
def test_scheduler_killed_while_it_is_told_to_stop_leaves_nothing(points, point):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(points))
        patch.setattr(local, "NannyProcess", CrashingNanny)
        executor = Executor(n_workers=1)
    executor.wait_for_workers(timeout=PATIENCE_S)
    folder = Path(executor.info.folder)
    (points / point).touch()
    executor.shutdown()
    wait_until(lambda: not folder.exists(), "the cluster's folder is gone", PATIENCE_S)
    (points / point).unlink(missing_ok=True)
