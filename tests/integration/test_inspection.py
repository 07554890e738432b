"""Where things are, and trying again what erred, on a real cluster."""

from pathlib import Path

import pytest

from jupyter_dist import Executor, wait
from jupyter_dist.errors import ClusterClosedError, UsageError


def inc(number: int) -> int:
    return number + 1


def fail_unless(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def test_retry_of_a_dependent_tries_its_failed_input_again(executor, tmp_path):
    path = tmp_path / "late"
    failed = executor.submit(fail_unless, str(path))
    middle = executor.submit(str.title, failed)
    dependent = executor.submit(str.upper, middle)
    sibling = executor.submit(str.swapcase, failed)
    bystander = executor.submit(inc, 1)
    wait([dependent, sibling])
    assert isinstance(dependent.exception(10), FileNotFoundError)
    path.write_text("there", encoding="utf-8")
    executor.retry([dependent, bystander])
    assert dependent.result(10) == "THERE"
    assert failed.result(10) == "there"  # nobody goes on telling of an error that was made good
    assert (middle.result(10), sibling.result(10)) == ("There", "THERE")
    assert bystander.result(10) == 2


def test_retry_that_fails_again_errs_again(executor, tmp_path):
    failed = executor.submit(fail_unless, str(tmp_path / "never"))
    assert isinstance(failed.exception(10), FileNotFoundError)
    executor.retry(failed)
    assert isinstance(failed.exception(10), FileNotFoundError)
    executor.retry([])


def test_large_result_is_where_who_has_and_has_what_say(executor):
    large, small = executor.submit(bytes, 300_000), executor.submit(inc, 2)
    assert (len(large.result(10)), small.result(10)) == (300_000, 3)
    (holder,) = executor.who_has(large)[large.key]
    assert executor.who_has([small]) == {small.key: []}
    assert large.key in executor.who_has()
    assert large.key in executor.has_what(holder)[holder]
    assert executor.nbytes(summary=False)[large.key] >= 300_000
    assert executor.nbytes([large.key])["bytes"] >= 300_000
    assert executor.who_has([]) == {}
    assert executor.nbytes([]) == {}


def test_workers_are_told_with_their_cores(executor):
    assert executor.ncores() == {"worker-0": 1, "worker-1": 1}
    assert executor.ncores("worker-1") == {"worker-1": 1}
    assert executor.processing().keys() == executor.has_what().keys() == executor.ncores().keys()
    info = executor.scheduler_info()
    assert info["workers"]["worker-0"]["ncores"] == 1
    assert executor.info.secret.hex() not in repr(info)


def test_unknown_worker_or_foreign_future_is_refused(executor):
    for ask in (executor.ncores, executor.has_what, executor.processing):
        with pytest.raises(UsageError, match="worker-0, worker-1"):
            ask("worker-9")
    with Executor(executor.info) as other:
        foreign = other.submit(inc, 77)
        with pytest.raises(UsageError, match="another executor"):
            executor.who_has([foreign])
        with pytest.raises(UsageError, match="another executor"):
            executor.retry(foreign)
    with pytest.raises(ClusterClosedError):
        other.ncores()
