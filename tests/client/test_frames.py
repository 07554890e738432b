from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

from jupyter_dist import as_completed
from jupyter_dist.client import frames
from jupyter_dist.errors import InvariantError
from tests.client.quiet import QuietCluster


def names(error: BaseException) -> list[str]:
    return [entry.name for entry in traceback.extract_tb(error.__traceback__)]


def files(error: BaseException) -> list[str]:
    return [entry.filename for entry in traceback.extract_tb(error.__traceback__)]


WAITS: dict[str, Callable[[QuietCluster, Any], Any]] = {
    "result": lambda _, f: f.result(0.01),
    "exception": lambda _, f: f.exception(0.01),
    "traceback": lambda _, f: f.traceback(0.01),
    "as_completed": lambda _, f: list(as_completed([f], timeout=0.01)),
    "batches": lambda _, f: list(as_completed([f], timeout=0.01).batches()),
    "next_batch": lambda _, f: as_completed([f], timeout=0.01).next_batch(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_time_that_is_over_shows_the_users_call_alone(quiet, wait):
    future = quiet.executor.submit(abs, -1)
    with pytest.raises(TimeoutError) as caught:
        WAITS[wait](quiet, future)
    assert set(files(caught.value)) == {__file__}


def test_cancelled_future_shows_the_users_call_alone(quiet):
    future = quiet.executor.submit(abs, -1)
    future.cancel()
    for wait in (
        future.result,
        lambda: quiet.executor.gather([future]),
        lambda: list(quiet.executor.gather(iter([future]))),
    ):
        with pytest.raises(CancelledError) as caught:
            wait()
        assert set(files(caught.value)) == {__file__}


READS: dict[str, Callable[[QuietCluster, Any], Any]] = {
    "gather": lambda q, source: q.executor.gather(source),
    "map": lambda q, source: q.executor.map(abs, source),
    "scatter": lambda q, source: q.executor.scatter(source),
}


@pytest.mark.parametrize("read", READS)
def test_error_of_the_users_own_iterator_keeps_its_frames(quiet, read):
    def broken() -> Any:
        yield from ()
        raise LookupError("mine")

    with pytest.raises(LookupError) as caught:
        list(READS[read](quiet, broken()))
    assert names(caught.value)[-1] == "broken"
    assert set(files(caught.value)) == {__file__}


@pytest.mark.parametrize("kind", [InvariantError, AttributeError])
def test_bug_of_ours_keeps_our_frames(quiet, kind, monkeypatch):
    def fail(*_args: object) -> None:
        raise kind("a bug")

    monkeypatch.setattr(frames, "BETWEEN", (*frames.BETWEEN, __file__))
    future = quiet.executor.submit(abs, -1)
    quiet.finish(future, 1)
    monkeypatch.setattr("jupyter_dist.client.future._raise_failure", fail)
    with pytest.raises(kind) as caught:
        future.result()
    assert any("jupyter_dist" in name for name in files(caught.value))
