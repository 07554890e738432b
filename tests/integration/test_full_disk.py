"""A scheduler that cannot write its journal any more: nothing stops, and everybody can see it."""

import resource
from pathlib import Path

import pytest

from jupyter_dist import Executor
from tests.integration.conftest import wait_until
from tests.integration.test_scheduler_death import scheduler_of

FULL_BYTES = 4096  # beyond its first page no file of the scheduler's grows: the system refuses as on a full disk
PATIENCE_S = 60.0


def inc(number: int) -> int:
    return number + 1


def fail(number: int) -> None:
    raise ValueError(number)


def test_journal_that_cannot_be_written_stops_nothing_and_shows(own_executor: Executor):
    executor = own_executor
    log = Path(executor.info.folder, "logs", "scheduler.log")
    kept = executor.map(inc, range(10))
    assert executor.gather(kept) == list(range(1, 11))
    assert executor.snapshot().trouble == ""
    scheduler_of(executor).rlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, resource.RLIM_INFINITY))
    numbers = executor.map(inc, range(2000))
    assert executor.gather(numbers) == list(range(1, 2001))
    wait_until(lambda: "journal" in executor.snapshot().trouble, "it is told", PATIENCE_S)
    wait_until(lambda: "The cluster works on" in log.read_text(encoding="utf-8"), "it is in the log", PATIENCE_S)
    with pytest.raises(ValueError, match="7"):
        executor.submit(fail, 7).result(PATIENCE_S)
    assert executor.gather(kept) == list(range(1, 11))
    del numbers
    executor.restart()
    assert executor.submit(inc, 1).result(PATIENCE_S) == 2
