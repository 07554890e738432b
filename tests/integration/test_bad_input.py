"""What makes no sense, on a real cluster: nothing of it is left there, and the session goes on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from jupyter_dist import Executor, as_completed, wait
from jupyter_dist.errors import ClusterError
from tests.client.wrong_calls import WRONG
from tests.integration.conftest import wait_until


def inc(number: int) -> int:
    return number + 1


def wait_for_file(path: str) -> str:
    while not Path(path).exists():
        pass
    return "seen"


@pytest.fixture
def clean(executor: Executor) -> Iterator[Executor]:
    """The shared executor; at the end of the test its cluster holds nothing, and it can work."""
    yield executor
    gc.collect()
    wait_until(lambda: not any(executor.snapshot().counts.values()), "nothing is left on the cluster")
    assert executor.submit(inc, 1).result(10) == 2


def test_every_wrong_call_leaves_the_session_as_it_was(clean):
    for name, call, kind, _words in WRONG:
        with pytest.raises(kind):
            call(clean)
        assert not clean.is_closed, name
    assert clean.submit(inc, 41).result(10) == 42


@pytest.mark.parametrize("key", ["k" * 1_000_000, "ключ-鍵-🔑", "new\nline", "\x00", "../../etc", "a/b"])
def test_strange_key_is_as_good_as_any(clean, key):
    future = clean.submit(bytes, 100_000, key=key)
    dependent = clean.submit(len, future, key=key + "-length")
    assert dependent.result(20) == 100_000
    assert len(future.result(10)) == 100_000
    assert list(clean.who_has([future])) == [key]
    assert key in clean.nbytes(summary=False)
    assert future.cancel() is False


def test_more_workers_than_may_be_is_refused_by_the_cluster(clean):
    with pytest.raises(ClusterError, match="cannot scale to"):
        clean.scale(100_000)
    with pytest.raises(TimeoutError, match="2 workers are there"):
        clean.wait_for_workers(3, timeout=0.2)


def test_other_workers_may_run_it_only_when_they_are_allowed_to(clean):
    bound = clean.submit(inc, 10, workers="worker-9")
    free = clean.submit(inc, 11, workers=["worker-9"], allow_other_workers=True)
    chosen = clean.submit(inc, 12, workers={"worker-1", "worker-9"})
    assert (free.result(10), chosen.result(10)) == (12, 13)
    assert wait([bound], timeout=0.1).not_done == {bound}
    assert bound.cancel()


def test_dependent_of_a_cancelled_future_is_cancelled_at_once_and_says_why(clean, tmp_path):
    running = clean.submit(wait_for_file, str(tmp_path / "never"), key="running")
    dependents = [clean.submit(len, running, key="first")]
    dependents.append(clean.submit(inc, dependents[0], key="second"))
    clean.cancel(running, force=True)
    with pytest.raises(CancelledError, match="running was cancelled: cancelled by its user"):
        running.result(0)
    for dependent in dependents:
        with pytest.raises(CancelledError, match="it needs running, cancelled by its user"):
            dependent.result(10)
    with pytest.raises(CancelledError, match="by its user"):
        clean.submit(len, running)


def test_futures_after_a_restart_are_cancelled_and_say_so(clean):
    finished, erred = clean.submit(inc, 1), clean.submit(inc, "text")
    nowhere = clean.submit(inc, 2, workers="worker-9")
    wait([finished, erred], timeout=10)
    clean.restart()
    for future in (finished, erred, nowhere):
        assert future.status == "cancelled"
        with pytest.raises(CancelledError, match="restart"):
            future.result(0)
        with pytest.raises(CancelledError, match="restart"):
            clean.submit(inc, future)
        assert future.cancel()
        future.retry()
        assert future.status == "cancelled"
    assert clean.gather([finished, erred], errors="skip") == []
    assert clean.who_has([finished]) == {}
    assert len(list(as_completed([finished, erred, nowhere]))) == 3
    again = clean.submit(inc, 1)
    assert again.result(10) == 2
