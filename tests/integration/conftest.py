"""Real clusters: real processes, real sockets. Each test file shares one; whoever breaks it makes its own."""

import contextlib
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from jupyter_dist import Executor


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    """An executor on a cluster of its own with two workers, shared by a file; nothing of it may be left."""
    executor = Executor(n_workers=2)
    executor.wait_for_workers(timeout=20)
    nanny = psutil.Process(executor.info.pid)
    processes = [nanny, *nanny.children(recursive=True)]
    yield executor
    executor.shutdown(cancel_futures=True)
    assert_gone(processes)


@pytest.fixture
def own_executor() -> Iterator[Executor]:
    """An executor on a cluster that the test may break."""
    executor = Executor(n_workers=2)
    executor.wait_for_workers(timeout=20)
    yield executor
    executor.shutdown(cancel_futures=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    """Fail when one of these processes still runs after the time a cluster has to end."""
    _gone, alive = psutil.wait_procs(processes, timeout=5)
    left = []
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.append(process.cmdline())
    assert not left


def wait_until(is_so: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    """Return when something is so; fail when it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.005)
