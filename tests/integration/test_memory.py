"""Workers with a memory limit, on real clusters: what does not fit is on the disk, and comes back as it was."""

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_dist import Executor, wait
from jupyter_dist.errors import StorageFullError, WorkerCrashedError
from jupyter_dist.messages import DeathCertificate
from jupyter_dist.processes.vitals import private_bytes
from jupyter_dist.storage.spill import FOLDER_NAME
from tests.integration.conftest import wait_until

LIMIT = 200_000_000
PIECE = 10_000_000  # bytes of one result
COUNT = 60  # of them: three times the limit
PATIENCE_S = 60.0  # a disk that others use as well


def make(log: str, number: int, nbytes: int = PIECE) -> np.ndarray:
    """Return a large result, and note that it was made."""
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{number}\n")
    return np.full(nbytes // 8, number, dtype=np.int64)


def runs(log: Path) -> list[int]:
    return sorted(map(int, log.read_text(encoding="utf-8").split()))


def total(array: np.ndarray) -> int:
    return int(array.sum())


def firsts(arrays: list[np.ndarray]) -> list[int]:
    return [int(array[0]) for array in arrays]


def inc(number: int) -> int:
    return number + 1


@contextlib.contextmanager
def limited(workers: int = 1) -> Iterator[Executor]:
    with Executor(n_workers=workers, memory_limit=LIMIT) as executor:
        executor.wait_for_workers(timeout=PATIENCE_S)
        yield executor


def files(executor: Executor) -> list[Path]:
    return list(Path(executor.info.folder, "scratch").glob(f"*/{FOLDER_NAME}/*"))


def spilled_bytes(executor: Executor) -> int:
    return sum(worker.spilled_bytes for worker in executor.snapshot().workers)


def limit_files() -> None:
    """Have the worker's disk take no file above 1 MB: the system refuses as it does when the disk is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))


def unlimit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_three_times_the_limit_is_held_by_spilling_and_nothing_is_made_twice(tmp_path):
    log = tmp_path / "log"
    with limited() as executor:
        (before,) = executor.snapshot().workers
        futures = executor.map(make, [str(log)] * COUNT, range(COUNT))
        wait(futures, timeout=PATIENCE_S)
        totals = executor.gather(executor.map(total, futures))  # each is read back on the worker
        assert totals == [number * PIECE // 8 for number in range(COUNT)]
        wait_until(lambda: spilled_bytes(executor) >= COUNT * PIECE - LIMIT, "most of it is on the disk", PATIENCE_S)
        assert executor.submit(firsts, futures).result(PATIENCE_S) == list(range(COUNT))  # all at once
        assert [int(array[-1]) for array in executor.gather(futures)] == list(range(COUNT))  # and by the client
        (worker,) = executor.snapshot().workers
        assert (worker.pid, worker.restarts) == (before.pid, 0)
        assert (worker.held, worker.held_bytes >= COUNT * PIECE) == (COUNT, True)
        assert runs(log) == list(range(COUNT))
        del futures
        wait_until(lambda: not files(executor), "the files of what nobody needs are removed", PATIENCE_S)


def test_spilled_results_travel_to_another_worker(tmp_path):
    log = tmp_path / "log"
    with limited(2) as executor:
        futures = executor.map(make, [str(log)] * 20, range(20), workers="worker-0")
        wait(futures, timeout=PATIENCE_S)
        wait_until(lambda: len(files(executor)) >= 5, "some are on the disk", PATIENCE_S)
        assert executor.gather(executor.map(total, futures, workers="worker-1")) == [
            number * PIECE // 8 for number in range(20)
        ]
        assert runs(log) == list(range(20))


@pytest.mark.parametrize("harm", ["removed", "damaged"])
def test_spilled_result_whose_file_is_harmed_is_made_again(tmp_path, harm):
    log = tmp_path / "log"
    with limited() as executor:
        futures = executor.map(make, [str(log)] * 20, range(20))
        wait(futures, timeout=PATIENCE_S)
        wait_until(lambda: len(files(executor)) >= 5, "some are on the disk", PATIENCE_S)
        (worker,) = executor.snapshot().workers
        for path in files(executor):
            if harm == "removed":
                path.unlink()
            else:
                with path.open("r+b") as file:
                    file.seek(PIECE // 2)
                    file.write(b"wrong")
        assert executor.gather(executor.map(total, futures)) == [number * PIECE // 8 for number in range(20)]
        assert [int(array[0]) for array in executor.gather(futures)] == list(range(20))
        assert len(runs(log)) > 20
        assert set(runs(log)) == set(range(20))
        assert executor.snapshot().workers[0].pid == worker.pid


def test_full_disk_makes_large_results_err_clearly_and_the_rest_goes_on(tmp_path):
    log = tmp_path / "log"
    with limited() as executor:
        executor.run(limit_files)
        futures = executor.map(make, [str(log)] * COUNT, range(COUNT))
        wait(futures, timeout=PATIENCE_S)
        kept = [future for future in futures if future.status == "finished"]
        erred = [future for future in futures if future.status == "error"]
        assert len(kept) + len(erred) == COUNT
        assert kept
        with pytest.raises(StorageFullError, match=rf"bytes\) cannot be kept: .*bytes do not fit into .*{FOLDER_NAME}"):
            erred[0].result()
        assert executor.submit(inc, 1).result(PATIENCE_S) == 2
        (worker,) = executor.snapshot().workers
        assert "cannot spill to its disk" in worker.trouble
        assert worker.restarts == 0
        assert all((future.result(PATIENCE_S) == int(future.result()[0])).all() for future in kept[:3])
        executor.run(unlimit_files)
        wait_until(lambda: not executor.snapshot().workers[0].trouble, "the disk is tried again", PATIENCE_S)
        executor.retry(erred)
        assert sorted(int(array[0]) for array in executor.gather(futures)) == list(range(COUNT))


HOARD: list[np.ndarray] = []


def hoard() -> str:
    """Leave something behind that is no result, and nobody else can free, until 90 % of the limit are in use."""
    while private_bytes(os.getpid()) < LIMIT * 9 // 10:
        HOARD.append(np.ones(1_000_000, dtype=np.uint8))
    return "kept"


def give_up_hoard() -> None:
    HOARD.clear()


def states(executor: Executor) -> list[str]:
    return [worker.state for worker in executor.snapshot().workers]


def test_worker_short_of_memory_is_paused_says_so_and_goes_on_when_it_has_some(monkeypatch):
    monkeypatch.setenv("JUPYTER_DIST_MEMORY_WAIT_S", "600")
    with limited() as executor:
        (before,) = executor.snapshot().workers
        assert executor.submit(hoard).result(PATIENCE_S) == "kept"
        wait_until(lambda: states(executor) == ["paused"], "it is paused", PATIENCE_S)
        waiting = executor.submit(inc, 1)
        explanation = str(waiting.explain())
        assert "worker-0 that may run it is paused until memory is free there" in explanation
        assert "it may use" in executor.snapshot().workers[0].trouble
        executor.run(give_up_hoard)
        assert waiting.result(PATIENCE_S) == 2
        (after,) = executor.snapshot().workers
        assert (after.pid, after.state, after.trouble) == (before.pid, "running", "")


def test_worker_that_can_free_nothing_is_replaced_in_order_and_the_queue_goes_on():
    with limited() as executor:
        (before,) = executor.snapshot().workers
        keeps = executor.submit(hoard)
        assert keeps.result(PATIENCE_S) == "kept"
        assert executor.submit(os.getpid, pure=False).result(PATIENCE_S)
        wait_until(lambda: before.pid not in {w.pid for w in executor.snapshot().workers}, "it is gone", PATIENCE_S)
        assert executor.submit(inc, 1).result(PATIENCE_S) == 2
        assert keeps.result() == "kept"


def devour(log: str) -> None:
    """Use more than the limit, and hold it."""
    with Path(log).open("a", encoding="utf-8") as file:
        file.write("1\n")
    hoards = []
    for _ in range(100):
        hoards.append(np.ones(LIMIT // 20, dtype=np.uint8))
        time.sleep(0.02)
    time.sleep(60)


def test_task_beyond_the_limit_errs_after_one_more_try_alone_with_the_sizes(tmp_path):
    log = tmp_path / "log"
    with limited(2) as executor:
        devourer = executor.submit(devour, str(log))
        numbers = executor.map(inc, range(50))
        with pytest.raises(WorkerCrashedError, match=r"want of memory.*its limit is 200 MB") as caught:
            devourer.result(PATIENCE_S)
        deaths = [death for death in caught.value.certificates if isinstance(death, DeathCertificate)]
        assert [death.cause for death in deaths] == ["memory", "memory"]
        assert runs(log) == [1, 1]
        assert executor.gather(numbers) == list(range(1, 51))
        wait_until(lambda: len(executor.snapshot().workers) == 2, "both are there again", PATIENCE_S)
        assert executor.submit(os.getpid).result(PATIENCE_S)
