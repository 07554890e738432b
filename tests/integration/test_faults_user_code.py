"""Tasks that change the process they run in, fork it, leave things behind, or use it up: the cluster stays right.

All run on one worker, one after the other: what an earlier one broke is broken for the later ones too.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import logging
import multiprocessing
import os
import pathlib
import pickle
import resource
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import WorkerCrashedError
from tests.integration.conftest import wait_until

pytestmark = pytest.mark.process

WORKER = "worker-0"


def fail(*_arguments: Any, **_options: Any) -> None:
    raise RuntimeError("broken by a task")


def break_clocks() -> None:
    time.time = time.sleep = fail  # type: ignore[assignment]


def break_clocks_otherwise() -> None:
    time.time = lambda: "noon"  # type: ignore[assignment, return-value]


def break_pickles() -> None:
    pickle.dumps = pickle.loads = fail  # type: ignore[assignment]
    cloudpickle.dumps = cloudpickle.loads = cloudpickle.CloudPickler = fail


def break_process_functions() -> None:
    os.getpid = os.urandom = fail  # type: ignore[assignment]


def break_packing() -> None:
    struct.pack = struct.unpack = fail  # type: ignore[assignment]


def break_tracebacks() -> None:
    traceback.TracebackException = traceback.extract_tb = fail  # type: ignore[assignment, misc]


def break_logging() -> None:
    logging.Logger.handle = logging.Logger._log = fail  # type: ignore[method-assign]


def break_sockets() -> None:
    socket.setdefaulttimeout(1e-5)
    socket.create_connection = fail  # type: ignore[assignment]


def break_surroundings(folder: str) -> None:
    Path(folder).mkdir()
    os.chdir(folder)
    pathlib.Path(folder).rmdir()
    os.environ.clear()
    os.umask(0o777)
    sys.path.clear()


def break_streams() -> None:
    sys.stdout = sys.stderr = None
    for descriptor in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def break_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)


SABOTAGE = (
    break_clocks,
    break_clocks_otherwise,
    break_pickles,
    break_process_functions,
    break_packing,
    break_tracebacks,
    break_logging,
    break_sockets,
    break_surroundings,
    break_streams,
    break_signals,
)


@pytest.fixture(scope="module")
def lone_executor() -> Any:
    with Executor(n_workers=1) as executor:
        yield executor


def pid_of(executor: Executor) -> int:
    """Return the process of the one worker."""
    return executor.snapshot().workers[0].pid


def wait_until_replaced(executor: Executor, before: int) -> None:
    def is_replaced() -> bool:
        return [worker.pid for worker in executor.snapshot().workers] not in ([], [before])

    wait_until(is_replaced, "the worker is replaced")


def renew(executor: Executor) -> None:
    """Have a worker that nobody has broken."""
    executor.restart()
    executor.wait_for_workers(1, timeout=10)


def raise_own() -> None:
    raise ValueError("the user's own")


def use(executor: Executor) -> None:
    """Have the worker do one of each, and compare with what is right, though it may end meanwhile."""
    large = executor.submit(bytes, 300_000, pure=False)
    length = executor.submit(len, large, pure=False)
    error = executor.submit(raise_own, pure=False)
    small = executor.submit(abs, -1, pure=False)
    assert (small.result(10), length.result(10), len(large.result(10))) == (1, 300_000, 300_000)
    assert "the user's own" in str(error.exception(10))
    assert executor.run(abs, -2) == {WORKER: 2}


def test_task_that_breaks_what_all_code_uses_leaves_its_worker_well_and_a_restart_cleans_it(lone_executor, tmp_path):
    renew(lone_executor)
    before = pid_of(lone_executor)
    for sabotage in SABOTAGE:
        arguments = (str(tmp_path / "gone"),) if sabotage is break_surroundings else ()
        lone_executor.submit(sabotage, *arguments, pure=False).result(10)
        use(lone_executor)
        assert pid_of(lone_executor) == before, sabotage.__name__
    lone_executor.restart()
    assert lone_executor.submit(time.time, pure=False).result(10) > 0
    assert pid_of(lone_executor) != before


def break_locks() -> None:
    threading.RLock = threading.Lock = threading.Condition = threading.Thread.start = fail  # type: ignore[assignment, method-assign, misc]


def break_the_loop() -> None:
    asyncio.events.Handle._run = fail  # type: ignore[method-assign]
    os.open = os.read = os.close = fail  # type: ignore[assignment]


def end_the_slot() -> None:
    sys.modules["jupyter_dist.processes.slots"].wall_clock = fail  # type: ignore[attr-defined]


@pytest.mark.parametrize("sabotage", [break_locks, break_the_loop, end_the_slot])
def test_task_that_breaks_what_its_worker_cannot_do_without_has_it_replaced(lone_executor, sabotage):
    renew(lone_executor)
    before = pid_of(lone_executor)
    future = lone_executor.submit(sabotage, pure=False)
    with contextlib.suppress(WorkerCrashedError):  # it was seen to end its worker twice
        assert future.result(20) is None
    use(lone_executor)
    wait_until_replaced(lone_executor, before)
    use(lone_executor)


def double(number: int) -> int:
    return 2 * number


def use_processes(method: str) -> list[int]:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        return list(pool.map(abs, range(-5, 0)))


def fork_and_exit(code: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_processes_that_a_task_starts_do_their_work_and_their_end_is_not_their_workers(lone_executor):
    renew(lone_executor)
    before = pid_of(lone_executor)
    for method in ("fork", "spawn"):
        assert lone_executor.submit(use_processes, method, pure=False).result(30) == [5, 4, 3, 2, 1]
    assert lone_executor.submit(fork_and_exit, 3, pure=False).result(10) == 3
    use(lone_executor)
    assert pid_of(lone_executor) == before


def leave_behind() -> None:
    never = threading.Event()
    for is_daemon in (True, False):
        threading.Thread(target=never.wait, daemon=is_daemon).start()
    atexit.register(never.wait)


def test_threads_and_exit_hooks_left_behind_keep_neither_later_tasks_nor_the_workers_end(lone_executor):
    renew(lone_executor)
    before = pid_of(lone_executor)
    lone_executor.submit(leave_behind, pure=False).result(10)
    use(lone_executor)
    began_s = time.monotonic()
    lone_executor.restart()
    assert time.monotonic() - began_s < 5
    assert pid_of(lone_executor) != before


def take_memory() -> int:
    return len(bytes(1 << 60))


def limit_and_take_memory() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 32, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return len(bytes(1 << 34))


@pytest.mark.parametrize("take", [take_memory, limit_and_take_memory])
def test_memory_that_cannot_be_had_is_the_tasks_error(lone_executor, take: Callable[[], int]):
    renew(lone_executor)
    before = pid_of(lone_executor)
    with pytest.raises(MemoryError):
        lone_executor.submit(take, pure=False).result(10)
    use(lone_executor)
    assert pid_of(lone_executor) == before


KEPT: list[int] = []


def take_descriptors() -> int:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    kept = sys.modules[__name__].__dict__.setdefault("KEPT", []) if __name__ in sys.modules else KEPT
    with contextlib.suppress(OSError):
        while True:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    return len(kept)


def give_descriptors() -> None:
    for descriptor in range(3, 256):
        with contextlib.suppress(OSError):
            if Path(f"/proc/self/fd/{descriptor}").readlink() == Path("/dev/null"):
                os.close(descriptor)


def open_file() -> None:
    with pathlib.Path("/dev/zero").open("rb"):
        pass


def test_descriptors_that_a_task_used_up_are_errors_of_others_and_nothing_hangs(lone_executor):
    renew(lone_executor)
    assert lone_executor.submit(take_descriptors, pure=False).result(10) > 100
    with pytest.raises(OSError, match="Too many open files"):
        lone_executor.submit(open_file, pure=False).result(10)
    assert lone_executor.submit(abs, -1, pure=False).result(10) == 1
    lone_executor.submit(give_descriptors, pure=False).result(10)
    use(lone_executor)


def hold_the_lock(begun: str) -> int:
    Path(begun).touch()
    return sum(itertools.repeat(1, 10**12))  # C code that never lets go of Python's lock


def test_restart_of_a_worker_that_holds_pythons_lock_takes_no_longer(lone_executor, tmp_path):
    renew(lone_executor)
    before = pid_of(lone_executor)
    future = lone_executor.submit(hold_the_lock, str(tmp_path / "begun"), pure=False)
    wait_until((tmp_path / "begun").exists, "it runs")
    lone_executor.restart()
    assert future.status == "cancelled"
    assert pid_of(lone_executor) != before


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """Kills the worker that loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return kill_this_process, ()


def test_call_that_kills_its_worker_while_it_is_loaded_is_convicted_and_no_other(lone_executor):
    renew(lone_executor)
    poison = lone_executor.submit(len, [Deadly()], pure=False)
    others = [lone_executor.submit(abs, -number, pure=False) for number in range(20)]
    with pytest.raises(WorkerCrashedError, match="SIGKILL"):
        poison.result(20)
    assert lone_executor.gather(others) == list(range(20))
    lone_executor.wait_for_workers(1, timeout=10)
