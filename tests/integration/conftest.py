"""Real clusters: real processes, real sockets. Each test file shares one; whoever breaks it makes its own.

Nothing may be left behind: by a file when its cluster has ended, and by each test that uses no shared cluster.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from jupyter_dist import Executor
from tests import leaks


@pytest.fixture(scope="module", autouse=True)
def file_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with leaks.own_places(tmp_path_factory), leaks.none_left():
        yield


def shares_with_others(request: pytest.FixtureRequest) -> bool:
    """Whether a test uses a fixture that lasts for its file."""
    known = request.node._fixtureinfo.name2fixturedefs
    return any(found[-1].scope == "module" for name, found in known.items() if name != file_leaves_nothing.__name__)


@pytest.fixture(autouse=True)
def test_leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    if shares_with_others(request):
        yield  # what it has may be the shared cluster's: looked at when all of the file is over
        return
    with leaks.none_left():
        yield


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    """An executor on a cluster of its own with two workers, shared by a file; nothing of it may be left."""
    executor = Executor(n_workers=2)
    executor.wait_for_workers(timeout=30)
    nanny = psutil.Process(executor.info.pid)
    processes = [nanny, *nanny.children(recursive=True)]
    yield executor
    executor.shutdown(cancel_futures=True)
    assert_gone(processes)


@pytest.fixture
def own_executor() -> Iterator[Executor]:
    """An executor on a cluster that the test may break."""
    executor = Executor(n_workers=2)
    executor.wait_for_workers(timeout=30)
    yield executor
    executor.shutdown(cancel_futures=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    """Fail when one of these processes still runs after the time a cluster has to end."""
    deadline = time.monotonic() + 20.0
    while alive := alive_of(processes):
        assert time.monotonic() < deadline, f"not ended: {alive}"
        time.sleep(0.005)


def alive_of(processes: list[psutil.Process]) -> list[str]:
    """Return what those are that have not ended. When init buries its orphans is not for us to say."""
    alive = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            is_orphan = process.status() == psutil.STATUS_ZOMBIE and process.ppid() != os.getpid()
            if process.is_running() and not is_orphan:
                alive.append(f"{process.pid} {' '.join(process.cmdline())}")
    return alive


def wait_until(is_so: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    """Return when something is so; fail when it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.005)
