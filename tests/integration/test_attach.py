"""A process is killed with futures in every state; another one attaches and has them all, and nothing ran twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_dist import Executor, LocalCluster
from jupyter_dist.errors import ClusterClosedError, SessionConnectedError, UsageError
from tests.integration.conftest import wait_until

ITEMS = 100_000

SCRIPT = """
import os, sys, time
import numpy as np
from jupyter_dist import Executor
from jupyter_dist.settings import Settings

cluster, folder, name, linger_s, end = sys.argv[1:]

def note(what, result, gate=""):
    with open(os.path.join(folder, "log"), "a") as log:
        print(what, file=log)
    while gate and not os.path.exists(os.path.join(folder, gate)):
        time.sleep(0.01)
    return result() if callable(result) else result

executor = Executor(cluster, name=name, settings=Settings(linger_script_s=float(linger_s)))
call = executor.submit
futures = {
    "small": call(note, "small", 1),
    "large": call(note, "large", lambda: np.arange(100_000)),
    "wrong": call(note, "wrong", lambda: 1 / 0),
    "data": executor.scatter(np.ones(100_000)),
}
unnamed = call(note, "unnamed", 5, key="no-name")
for future in (*futures.values(), unnamed):
    future.exception()
futures["runs"] = call(note, "runs", 2, "gate", workers=["worker-0"])
futures["also"] = call(note, "also", 3, "gate", workers=["worker-1"])
futures["pending"] = call(sum, [futures["runs"], futures["also"], futures["small"]])
executor.name_futures(futures)
while len(open(os.path.join(folder, "log")).read().split()) < 6:
    time.sleep(0.01)
print("ready", flush=True)
if end == "stay":
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster with two workers that outlives its clients, and ends with the tests, however these end."""
    with LocalCluster(2) as cluster, Executor(cluster, name="watcher") as executor:
        executor.wait_for_workers(timeout=20)
        yield cluster


@pytest.fixture
def executor(cluster, tmp_path) -> Iterator[Executor]:
    """A new kernel, so to speak: its session is named as that of the script."""
    executor = Executor(cluster, name="nb")
    yield executor
    (tmp_path / "gate").touch()
    executor.shutdown(cancel_futures=True)
    with Executor(cluster, name="watcher") as watcher:
        wait_until(lambda: not sum(watcher.snapshot().counts.values()), "nothing is left")


@contextlib.contextmanager
def script(cluster: LocalCluster, folder: Path, *, name: str = "nb", linger_s: float = 600.0, end: str = "stay") -> Any:
    """Run a script that has futures in every state and then stays, or ends in order; yields it when it has."""
    command = [sys.executable, "-c", SCRIPT, cluster.name, str(folder), name, str(linger_s), end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def die(executor: Executor, process: subprocess.Popen[str], *, name: str = "nb") -> None:
    process.kill()
    process.wait(10)
    wait_until(lambda: name in {lost.name for lost in executor.lost_sessions()}, "its session is lost")


def log_of(folder: Path) -> list[str]:
    return sorted((folder / "log").read_text().split())


ALL = ["also", "large", "runs", "small", "unnamed", "wrong"]


@pytest.mark.parametrize("end", ["killed", "in order"])
def test_attach_gets_futures_of_every_state_and_nothing_runs_twice(cluster, executor, tmp_path, end):
    with script(cluster, tmp_path, end="stay" if end == "killed" else end) as process:
        if end == "killed":
            die(executor, process)
        else:
            assert process.wait(60) == 0
            wait_until(executor.lost_sessions, "its session is lost")
        [lost] = executor.lost_sessions()
        assert (lost.name, lost.kind, lost.pid, lost.futures) == ("nb", "script", process.pid, 8)
        assert abs(lost.lost_s - time.time()) < 10
        assert 599 < lost.kept_until_s - lost.lost_s < 601
        states = {name: future.state for future in executor.lost_futures() for name in future.names}
        assert states == {
            "small": "memory",
            "large": "memory",
            "wrong": "erred",
            "data": "memory",
            "runs": "processing",
            "also": "processing",
            "pending": "waiting",
        }
        futures = executor.attach()
    assert list(futures) == ["small", "large", "wrong", "data", "no-name", "runs", "also", "pending"]
    assert {name: future.status for name, future in futures.items()} == {
        "small": "finished",
        "large": "finished",
        "wrong": "error",
        "data": "finished",
        "no-name": "finished",
        "runs": "pending",
        "also": "pending",
        "pending": "pending",
    }
    assert executor.lost_sessions() == []
    assert executor.attach() == {}
    assert (futures["small"].result(10), futures["no-name"].result(10)) == (1, 5)
    np.testing.assert_array_equal(futures["large"].result(10), np.arange(ITEMS))
    np.testing.assert_array_equal(futures["data"].result(10), np.ones(ITEMS))
    with pytest.raises(ZeroDivisionError):
        futures["wrong"].result(10)
    assert log_of(tmp_path) == ALL
    (tmp_path / "gate").touch()
    assert futures["pending"].result(10) == 6
    total = executor.submit(lambda array, data: int(array[-1] + data.sum()), futures["large"], futures["data"])
    assert total.result(10) == ITEMS - 1 + ITEMS
    assert log_of(tmp_path) == ALL


def test_attached_futures_are_lost_and_attached_again_by_the_next(cluster, executor, tmp_path):
    with script(cluster, tmp_path) as process:
        die(executor, process)
    program = (
        "import sys\nfrom jupyter_dist import Executor\nfrom jupyter_dist.settings import Settings\n"
        "executor = Executor(sys.argv[1], name='nb', settings=Settings(linger_script_s=600))\n"
        "futures = executor.attach()\nprint(len(futures), flush=True)\nimport os\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, cluster.name], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("8\n", -signal.SIGKILL)
    wait_until(lambda: [lost.futures for lost in executor.lost_sessions()] == [8], "it is lost again")
    futures = executor.attach()
    (tmp_path / "gate").touch()
    assert futures["pending"].result(10) == 6
    assert log_of(tmp_path) == ALL


def test_session_that_is_connected_is_not_robbed_and_it_is_said_by_whom(cluster, executor, tmp_path):
    with script(cluster, tmp_path) as process:
        with pytest.raises(
            SessionConnectedError, match=rf"a script with pid {process.pid} and 8 futures.*lost_sessions"
        ):
            executor.attach()
        assert executor.lost_sessions() == []
        assert not executor.futures
        with Executor(cluster, name="other") as other:
            assert other.attach() == {}
        die(executor, process)
    with Executor(cluster, name="other") as other:
        assert len(other.attach("nb")) == 8
    assert executor.attach() == {}
    (tmp_path / "gate").touch()


def test_two_executors_of_one_process_with_one_name_do_not_stand_in_each_others_way(cluster, executor):
    with Executor(cluster, name="nb") as twin:
        kept = twin.submit(sum, [1, 2])
        assert executor.attach() == {}
        assert kept.result(10) == 3


def test_future_that_is_known_already_is_shared_with_the_attached_one(cluster, executor, tmp_path):
    with script(cluster, tmp_path) as process:
        die(executor, process)
    own = executor.submit(int, 7, key="no-name")  # joins the task of the lost session
    assert own.result(10) == 5
    futures = executor.attach()
    assert futures["no-name"].wish is own.wish
    del own
    assert futures["no-name"].result(10) == 5
    (tmp_path / "gate").touch()


def test_linger_over_leaves_no_task_and_no_object(cluster, executor, tmp_path):
    def objects() -> list[Path]:
        return [path for folder in executor.info.objects for path in Path(folder).iterdir()]

    with script(cluster, tmp_path, linger_s=0.2) as process:
        assert objects()
        process.kill()
        process.wait(10)
    (tmp_path / "gate").touch()
    wait_until(lambda: not executor.lost_sessions() and not executor.who_has() and not objects(), "all is released")
    assert executor.attach() == {}
    assert sum(executor.snapshot().counts.values()) == 0


def test_asynchronous_executor_attaches_too(cluster, executor, tmp_path):
    with script(cluster, tmp_path) as process:
        die(executor, process)
    (tmp_path / "gate").touch()

    async def attach() -> int:
        async with Executor(cluster, name="nb", asynchronous=True) as new:
            assert len(await new.lost_sessions()) == 1
            assert len(await new.lost_futures()) == 8
            futures = await new.attach()
            return int(await futures["pending"])

    assert asyncio.run(attach()) == 6


def test_prints_from_before_the_attachment_are_told_and_those_after_it_heard(cluster, executor, tmp_path):
    program = (
        "import os, sys, time\nfrom jupyter_dist import Executor\nfrom jupyter_dist.settings import Settings\n"
        "executor = Executor(sys.argv[1], name='nb', settings=Settings(linger_script_s=600))\n"
        "def speak(folder):\n"
        "    print('before', flush=True)\n    open(folder + '/begun', 'w').close()\n"
        "    while not os.path.exists(folder + '/gate'): time.sleep(0.01)\n"
        "    print('after', flush=True)\n"
        "future = executor.submit_task(speak, (sys.argv[2],), on_output=lambda *_: os.kill(os.getpid(), 9))\n"
        "time.sleep(60)"
    )
    subprocess.run([sys.executable, "-c", program, cluster.name, str(tmp_path)], check=False, timeout=30)
    wait_until(executor.lost_sessions, "it is lost")
    [future] = executor.attach().values()
    (tmp_path / "gate").touch()
    assert future.result(10) is None
    assert future.output == "before\nafter\n"


# -- what makes no sense


def test_names_are_checked_before_anything_is_said(cluster, executor):
    future = executor.submit(sum, [1])
    with Executor(cluster, name="other") as other:
        foreign = other.submit(sum, [2])
        with pytest.raises(UsageError, match="another executor"):
            executor.name_futures({"x": future, "y": foreign})
    for names, words in (
        ([future], "dict of futures by name"),
        ({"": future}, "a name is a text"),
        ({1: future}, "a name is a text"),
        ({"x": 5}, "not of 5"),
    ):
        with pytest.raises(TypeError, match=words):
            executor.name_futures(names)
    with pytest.raises(UsageError, match="lone surrogates"):
        executor.name_futures({"\ud800": future})
    executor.name_futures({})
    future.cancel()
    released = executor.submit(sum, [3])
    released.release()
    executor.name_futures({"gone": future, "released": released})
    assert executor.submit(sum, [4]).result(10) == 4


@pytest.mark.parametrize("method", ["attach", "lost_futures"])
def test_name_to_attach_to_is_checked(cluster, executor, method):
    for name in ("", 5, b"nb"):
        with pytest.raises(TypeError, match="a name is a text"):
            getattr(executor, method)(name)
    with pytest.raises(UsageError, match="lone surrogates"):
        getattr(executor, method)("\ud800")
    executor.session_name = ""
    with pytest.raises(UsageError, match="no name of its own"):
        getattr(executor, method)()


def test_closed_executor_says_so(cluster):
    executor = Executor(cluster, name="nb")
    future = executor.submit(sum, [1])
    executor.shutdown()
    for call in (executor.attach, executor.lost_sessions, executor.lost_futures):
        with pytest.raises(ClusterClosedError):
            call()
    with pytest.raises(ClusterClosedError):
        executor.name_futures({"x": future})
