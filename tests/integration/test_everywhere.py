"""What happens on every worker outside scheduling, and code that is never stale, on real clusters."""

import asyncio
import importlib
import os
import signal
import sys
import threading
import time
import traceback
import zipfile
from pathlib import Path

import psutil
import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import (
    ClusterClosedError,
    ClusterError,
    PackingError,
    RemoteError,
    ResultError,
    UsageError,
    WorkerGoneError,
)
from tests.integration.conftest import wait_until

HOLD_LOCK = """
import ctypes, os
def hold(path):
    pipe = os.open(path, os.O_RDWR)
    ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)  # a PyDLL keeps Python's lock
"""


def busy(path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.005)
    return "done"


def begin_and_be_busy(path: str) -> str:
    Path(path + ".begun").touch()
    return busy(path)


async def nap(path: str) -> str:
    while not await asyncio.to_thread(Path(path).exists):  # noqa: ASYNC110 - what it waits for is another process
        await asyncio.sleep(0.005)
    return "done"


def fail(text: str) -> None:
    raise ValueError(text)


def die_on(name: str, pids: dict[str, int]) -> int:
    if os.getpid() == pids[name]:
        time.sleep(0.2)
        os._exit(3)
    return os.getpid()


def stop_on(name: str, pids: dict[str, int]) -> int:
    if os.getpid() == pids[name]:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(60)  # this thread may go on for a moment
    return os.getpid()


def sign(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()


class Unpackable:
    def __reduce__(self):
        raise RuntimeError("not for export")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on this process's path, which workers do not have on theirs."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name, text):
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    importlib.invalidate_caches()
    return importlib.import_module(name)


def import_x(name):
    return importlib.import_module(name).X


# -- run -----------------------------------------------------------------------------------------------------------------


def test_run_answers_beside_tasks_that_hold_the_main_threads(executor, tmp_path):
    tasks = executor.map(busy, [str(tmp_path / "flag")] * 4, pure=False)
    pids = executor.run(os.getpid)
    assert pids == {view.name: view.pid for view in executor.snapshot().workers}
    assert not any(task.done() for task in tasks)
    (tmp_path / "flag").touch()
    assert executor.gather(tasks) == ["done"] * 4


def test_run_whose_executor_is_closed_meanwhile_says_so_and_blames_no_worker(executor, tmp_path):
    other = Executor(executor.info, set_as_default=False)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            other.run(begin_and_be_busy, str(tmp_path / "flag"), workers="worker-0")
        except ClusterError as error:
            errors.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    wait_until((tmp_path / "flag.begun").exists, "the worker has begun")
    other.shutdown(wait=False)
    runner.join(20)
    (tmp_path / "flag").touch()
    assert [type(error) for error in errors] == [ClusterClosedError]


def test_run_asks_only_the_workers_that_are_meant(executor):
    view = executor.snapshot().workers[0]
    for chosen in (view.name, view.address, [view.name]):
        assert executor.run(abs, -1, workers=chosen) == {view.name: 1}
    assert executor.run(abs, -1, workers=view.host).keys() == executor.ncores().keys()
    assert executor.run(abs, -1, workers=[]) == {}


def test_run_awaits_a_coroutine_function_and_passes_arguments(executor, tmp_path):
    (tmp_path / "flag").touch()
    assert set(executor.run(nap, str(tmp_path / "flag")).values()) == {"done"}
    assert set(executor.run(max, 1, 2, key=lambda x: -x).values()) == {1}
    large = executor.run(bytes, 300_000)
    assert {len(value) for value in large.values()} == {300_000}


def test_error_of_a_run_has_the_users_frames_and_the_workers_name(executor):
    with pytest.raises(ValueError, match="no") as caught:
        executor.run(fail, "no", workers="worker-1")
    assert "worker-1" in caught.value.__notes__[-1]
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "fail"
    remote = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if "processes" in frame.filename]
    assert not remote
    returned = executor.run(fail, "no", on_error="return")
    assert {str(error) for error in returned.values()} == {"no"}
    assert executor.run(fail, "no", on_error="ignore") == {}
    with pytest.raises((SystemExit, RemoteError)):
        executor.run(sys.exit, 3)


def test_result_of_a_run_that_cannot_be_packed_is_a_result_error(executor):
    with pytest.raises(ResultError, match="not for export"):
        executor.run(Unpackable)


def test_run_without_waiting_returns_at_once(executor, tmp_path):
    assert executor.run(sign, str(tmp_path), wait=False) is None
    pids = {str(view.pid) for view in executor.snapshot().workers}
    wait_until(lambda: {path.name for path in tmp_path.iterdir()} == pids, "both workers have run it")


def test_bad_calls_outside_scheduling_are_refused(executor):
    with pytest.raises(TypeError, match="cannot be called"):
        executor.run(5)
    with pytest.raises(UsageError, match="worker-0, worker-1"):
        executor.run(abs, 1, workers="worker-9")
    with pytest.raises(UsageError, match="on_error"):
        executor.run(abs, 1, on_error="what")
    with pytest.raises(TypeError, match="wait"):
        executor.run(abs, 1, wait=1)
    with pytest.raises(UsageError, match="no future"):
        executor.run(abs, [executor.submit(abs, -1)])
    with pytest.raises(PackingError):
        executor.run(abs, (item for item in ""))
    for timeout in (0, -1, "x", True):
        with pytest.raises(UsageError, match="timeout"):
            executor.stacks(timeout=timeout)
    with pytest.raises(UsageError, match="worker-9"):
        executor.stacks("worker-9")
    with pytest.raises(TypeError, match="a key is a text"):
        executor.call_stack(keys=[5])
    with Executor(executor.info) as other:
        foreign = other.submit(abs, -77)
        with pytest.raises(UsageError, match="another executor"):
            executor.call_stack(foreign)
    for ask in (lambda: other.run(abs, 1), other.stacks, other.call_stack, other.get_versions):
        with pytest.raises(ClusterClosedError):
            ask()
    with pytest.raises(ClusterClosedError):
        other.upload_file(__file__)


def test_worker_that_dies_while_it_is_asked_ends_the_wait_with_its_name(own_executor):
    pids = own_executor.run(os.getpid)
    outcome = own_executor.run(die_on, "worker-1", pids, on_error="return")
    assert outcome["worker-0"] == pids["worker-0"]
    assert isinstance(outcome["worker-1"], WorkerGoneError)
    wait_until(lambda: pids["worker-1"] not in own_executor.run(os.getpid, on_error="ignore").values(), "it is gone")
    wait_until(lambda: len(own_executor.run(os.getpid, on_error="ignore")) == 2, "another is there")
    pids = own_executor.run(os.getpid)
    with pytest.raises(WorkerGoneError, match="worker-0 was lost"):
        own_executor.run(die_on, "worker-0", pids)


def test_worker_that_is_stopped_while_it_is_asked_ends_the_wait_within_a_few_leases(own_executor):
    pids = own_executor.run(os.getpid)
    begin = time.monotonic()
    outcome = own_executor.run(stop_on, "worker-1", pids, on_error="return")
    assert isinstance(outcome["worker-1"], WorkerGoneError)
    assert outcome["worker-0"] == pids["worker-0"]
    assert time.monotonic() - begin < 15


def test_run_in_an_asynchronous_executor_is_awaited(executor):
    async def story():
        async with Executor(executor.info, asynchronous=True) as other:
            assert set((await other.run(abs, -1)).values()) == {1}
            assert await other.stacks() == {"worker-0": {}, "worker-1": {}}

    asyncio.run(story())


# -- stacks --------------------------------------------------------------------------------------------------------------


def test_stacks_tell_where_running_code_is(executor, tmp_path):
    flag = str(tmp_path / "flag")
    plain, awaited = executor.submit(busy, flag, workers="worker-0"), executor.submit(nap, flag, workers="worker-1")
    wait_until(lambda: len(executor.call_stack()) == 2, "both run")
    told: list[str] = []

    def is_told(name, key, words):
        stacks = executor.stacks(name)[name]
        told.append(stacks.get(key, "") if isinstance(stacks, dict) else stacks)
        return words in told[-1]

    wait_until(lambda: is_told("worker-0", plain.key, "busy"), "it is in its loop")
    text = told[-1]
    assert "time.sleep(0.005)" in text or "while not Path" in text
    assert "jupyter_dist/processes" not in text
    wait_until(lambda: is_told("worker-1", awaited.key, "in nap"), "it waits in its loop")
    found = executor.call_stack(plain)
    assert found.keys() == {"worker-0"}
    assert "in busy" in found["worker-0"][plain.key][0]
    assert executor.call_stack(keys=[awaited.key]).keys() == {"worker-1"}
    assert executor.call_stack(keys=["nobody"]) == executor.call_stack([]) == {}
    Path(flag).touch()
    assert executor.gather([plain, awaited]) == ["done", "done"]


def test_worker_that_holds_pythons_lock_is_told_in_words(own_executor, folder):
    hold = write(folder, "holds_lock", HOLD_LOCK).hold
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    task = own_executor.submit(hold, str(pipe), workers="worker-0")
    wait_until(lambda: "holds Python's lock" in own_executor.stacks("worker-0", timeout=0.3)["worker-0"], "it is told")
    with pipe.open("r+b", buffering=0) as file:
        file.write(b"x")
        assert task.result(20) is None


# -- uploads -------------------------------------------------------------------------------------------------------------


def test_second_upload_replaces_the_first_in_tasks_that_imported_it(executor, tmp_path):
    path = tmp_path / "uploaded_a.py"
    for number in range(1, 5):
        path.write_text(f"X = {number}\n", encoding="utf-8")
        executor.upload_file(path)
        assert executor.gather([executor.submit(import_x, "uploaded_a", pure=False) for _ in range(4)]) == [number] * 4
        assert set(executor.run(import_x, "uploaded_a").values()) == {number}


def test_upload_is_there_for_workers_that_come_later_and_after_a_restart(own_executor, tmp_path):
    (tmp_path / "uploaded_b.py").write_text("X = 'late'\n", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("uploaded_c/__init__.py", "X = 'zipped'\n")
    own_executor.upload_file(str(tmp_path / "uploaded_b.py"))
    own_executor.upload_file(str(tmp_path / "lib.zip"))
    own_executor.scale(3)
    own_executor.wait_for_workers(3, timeout=20)
    late = own_executor.submit(import_x, "uploaded_b", workers="worker-2")
    assert late.result(10) == "late"
    own_executor.restart()
    fresh = [own_executor.submit(import_x, "uploaded_c", workers=f"worker-{n}", key=f"c{n}") for n in range(3)]
    assert own_executor.gather(fresh) == ["zipped"] * 3
    own_executor.scale(2)


def test_upload_beside_a_busy_task_is_seen_by_the_next_one(executor, tmp_path):
    tasks = executor.map(busy, [str(tmp_path / "flag")] * 2, pure=False)
    (tmp_path / "uploaded_d.py").write_text("X = 'beside'\n", encoding="utf-8")
    executor.upload_file(tmp_path / "uploaded_d.py")
    after = executor.submit(import_x, "uploaded_d")
    (tmp_path / "flag").touch()
    assert after.result(10) == "beside"
    executor.gather(tasks)


def test_upload_that_cannot_be_imported_raises_what_it_raised(executor, tmp_path):
    path = tmp_path / "uploaded_e.py"
    path.write_text("def f():\n    return 1 / 0\nf()\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError) as caught:
        executor.upload_file(path)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames][-2:] == ["<module>", "f"]
    assert "worker-" in caught.value.__notes__[-1]
    path.write_text("X = 1\n", encoding="utf-8")
    executor.upload_file(path)
    assert executor.submit(import_x, "uploaded_e").result(10) == 1


def test_upload_that_would_replace_what_workers_run_on_is_refused(executor, tmp_path):
    (tmp_path / "msgspec.py").write_text("X = 1\n", encoding="utf-8")
    with pytest.raises((UsageError, ClusterError), match="itself runs on"):
        executor.upload_file(tmp_path / "msgspec.py")
    assert set(executor.run(abs, -1).values()) == {1}


def test_upload_goes_with_its_worker(own_executor, tmp_path):
    (tmp_path / "uploaded_f.py").write_text("X = __file__\n", encoding="utf-8")
    own_executor.upload_file(tmp_path / "uploaded_f.py")
    (place,) = own_executor.run(import_x, "uploaded_f", workers="worker-0").values()
    assert Path(place).exists()
    psutil.Process(own_executor.run(os.getpid)["worker-0"]).kill()
    wait_until(lambda: not Path(place).exists(), "its folder is gone")


# -- local modules -------------------------------------------------------------------------------------------------------


def test_edited_local_module_is_seen_by_the_next_call_of_any_kind(executor, folder):
    write(folder, "nearby_b", "X = 1\n")
    nearby = write(
        folder, "nearby_a", "from nearby_b import X\ndef f(_=0): return X\nclass C:\n    def m(self): return X\n"
    )
    kept = []
    for number in range(1, 4):
        (folder / "nearby_b.py").write_text(f"X = {number}\n", encoding="utf-8")
        kept.append(executor.submit(nearby.f))
        assert kept[-1].result(10) == number
        assert executor.gather(executor.map(nearby.f, range(4))) == [number] * 4
        assert set(executor.run(nearby.f).values()) == {number}
        assert executor.submit(lambda: nearby.f(0)).result(10) == number
        assert executor.submit(lambda c: c.m(), nearby.C()).result(10) == number
        assert executor.as_concurrent().submit(nearby.f).result(10) == number
    assert executor.gather(kept) == [1, 2, 3]
    modules = dict(executor.snapshot().workers[0].modules)
    assert {"nearby_a", "nearby_b"} <= modules.keys()
    assert len(modules["nearby_a"]) == 8


def test_result_of_a_class_that_is_replaced_meanwhile_is_not_lost(executor, folder, tmp_path):
    text = "import pathlib, time\nclass C:\n    x = {}\ndef f(flag):\n    while not pathlib.Path(flag).exists(): time.sleep(0.005)\n    return C()\n"
    nearby = write(folder, "nearby_c", text.format(1))
    first = executor.submit(nearby.f, str(tmp_path / "flag"))
    wait_until(lambda: any(first.key in stacks for stacks in executor.call_stack().values()), "it runs")
    (folder / "nearby_c.py").write_text(text.format(22), encoding="utf-8")
    second = executor.submit(nearby.f, str(tmp_path / "flag"))
    executor.run(nearby.C)
    (tmp_path / "flag").touch()
    assert first.result(10).x == 1
    assert type(second.result(10)) is nearby.C


def test_two_clients_with_different_files_of_one_name_get_their_own(executor, folder):
    first = write(folder, "nearby_d", "def f(): return 'first'\n")
    with Executor(executor.info, set_as_default=False) as other:
        assert executor.submit(first.f, pure=False).result(10) == "first"
        (folder / "nearby_d.py").write_text("def f(): return 'second'\n", encoding="utf-8")
        assert other.submit(first.f, pure=False).result(10) == "second"
        (folder / "nearby_d.py").write_text("def f(): return 'first'\n", encoding="utf-8")
        assert executor.submit(first.f, pure=False).result(10) == "first"


def test_versions_of_all_parties_are_told(executor):
    versions = executor.get_versions(check=True)
    assert versions["workers"] == dict.fromkeys(executor.ncores(), versions["client"])
    assert versions["scheduler"] == versions["client"]
    assert {"python", "jupyter_dist", "cloudpickle"} <= versions["client"].keys()
