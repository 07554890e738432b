"""Again and again: what is opened and closed, or restarted, many times is in the end as it was after the first times."""

import contextlib
import gc
import os
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from jupyter_dist import Executor
from tests import leaks
from tests.integration.conftest import wait_until

OPENINGS = 15
RESTARTS = 30
WARM = 4  # times until all is loaded, and every pool has its threads
SETTLED_S = 1.0
OWN_BYTES_MAX = 15_000  # of this process, that may be kept each time: tables of the interpreter grow in steps
FAMILY_BYTES_MAX = 3_000_000  # of another process, that may be kept in all: measured 200,000 in a hundred restarts


def work(executor: Executor) -> None:
    """Use every way on which a value comes to a task and back."""
    data = executor.scatter(np.ones(50_000))
    assert executor.submit(np.sum, data).result(30) == 50_000
    assert len(executor.submit(os.urandom, 300_000).result(30)) == 300_000
    assert executor.gather(executor.map(abs, range(-10, 0))) == list(range(10, 0, -1))


@contextlib.contextmanager
def little_kept(times: int) -> Iterator[None]:
    """Check that Python's own memory does not grow with the times something is done."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        gc.collect()
        kept, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(f"{kept:,} bytes kept")
    assert kept < times * OWN_BYTES_MAX


def shape_of(executor: Executor) -> object:
    """Return how much of each kind there is, of this process and of its cluster; None while processes come and go."""
    nanny = psutil.Process(executor.info.pid)
    here = Counter(kind for kind, _thing in leaks.Footprint.now().things)
    try:
        family = sorted(process.num_fds() for process in [nanny, *nanny.children(recursive=True)])
    except psutil.Error:
        return None
    folder = Path(executor.info.folder)
    files = Counter(str(path.relative_to(folder)).partition("/")[0].partition(".")[0] for path in folder.rglob("*"))
    objects = [len(list(Path(place).iterdir())) for place in executor.info.objects]
    return here, family, files, objects


def settled_shape_of(executor: Executor) -> object:
    """Return the shape when it has been the same for a while: who ends and who begins has done so."""
    found, since_s = None, time.monotonic()

    def is_settled() -> bool:
        nonlocal found, since_s
        if (shape := shape_of(executor)) != found:
            found, since_s = shape, time.monotonic()
        return found is not None and time.monotonic() - since_s > SETTLED_S

    wait_until(is_settled, "processes come and go no more", 60)
    return found


def memory_of(executor: Executor) -> dict[int, int]:
    """Return what each process of the cluster has for itself."""
    nanny = psutil.Process(executor.info.pid)
    found = {}
    for process in [nanny, *nanny.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            found[process.pid] = process.memory_full_info().uss
    return found


def open_and_close() -> None:
    with Executor(n_workers=1) as executor:
        work(executor)


def work_and_restart(executor: Executor) -> None:
    work(executor)
    cut_short = executor.map(time.sleep, [60] * 4, pure=False)
    executor.restart()
    assert {future.status for future in cut_short} == {"cancelled"}


@pytest.mark.slow
def test_clusters_opened_and_closed_again_and_again_leave_the_process_as_it_was():
    for _ in range(WARM):
        open_and_close()
    with leaks.none_left(), little_kept(OPENINGS):
        for _ in range(OPENINGS):
            open_and_close()


@pytest.mark.slow
def test_cluster_restarted_again_and_again_is_as_it_was(own_executor):
    for _ in range(WARM):
        work_and_restart(own_executor)
    before, memory = settled_shape_of(own_executor), memory_of(own_executor)
    with little_kept(RESTARTS):
        for _ in range(RESTARTS):
            work_and_restart(own_executor)
    assert settled_shape_of(own_executor) == before
    after = memory_of(own_executor)
    lasting = memory.keys() & after.keys()
    assert len(lasting) == 4  # nanny, tracker, fork server, scheduler
    assert max(after[pid] - memory[pid] for pid in lasting) < FAMILY_BYTES_MAX
