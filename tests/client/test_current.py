"""Which executor is meant when none is named, and what a pickled Future is bound to."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from jupyter_dist import Executor, Future, default_executor
from jupyter_dist.client import current
from jupyter_dist.errors import NoClusterError
from tests.client.quiet import QuietCluster


@pytest.fixture
def two() -> Iterator[tuple[QuietCluster, QuietCluster]]:
    clusters = QuietCluster(name="first"), QuietCluster(name="second")
    yield clusters
    for cluster in clusters:
        cluster.end()


def in_thread(function: object) -> object:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(function()))  # type: ignore[operator]
    thread.start()
    thread.join(10)
    return found[0]


def test_newest_open_executor_is_meant(two):
    first, second = two
    assert default_executor() is second.executor
    second.executor.shutdown()
    assert default_executor() is first.executor


def test_innermost_that_was_entered_is_meant_and_the_outer_again_after_it(two):
    first, second = two
    with first.executor.as_current():
        assert default_executor() is first.executor
        with second.executor.as_current(), first.executor.as_current():
            assert default_executor() is first.executor
        with second.executor.as_current():
            assert default_executor() is second.executor
        assert default_executor() is first.executor
    assert default_executor() is second.executor


def test_closed_executor_is_passed_over_although_it_was_entered(two):
    first, second = two
    with second.executor.as_current(), first.executor.as_current():
        first.executor.shutdown()
        assert default_executor() is second.executor


def test_executors_that_nobody_holds_are_not_known_any_more():
    gc.collect()
    before = len(current._known)
    for number in range(3):
        cluster = QuietCluster(name=f"forgotten-{number}")
        cluster.end()
        del cluster
    gc.collect()
    assert len(current._known) <= before


def test_error_inside_leaves_the_order_as_it_was(two):
    first, second = two
    with pytest.raises(LookupError), first.executor.as_current():
        raise LookupError
    assert default_executor() is second.executor


def test_what_was_entered_is_of_its_own_thread_alone(two):
    first, second = two
    with first.executor.as_current():
        assert in_thread(default_executor) is second.executor


def test_what_was_entered_is_of_its_own_asyncio_task_alone(two):
    first, second = two

    async def inside(executor: Executor, entered: asyncio.Barrier) -> object:
        with executor.as_current():
            await entered.wait()
            return default_executor()

    async def both() -> list[object]:
        barrier = asyncio.Barrier(2)
        tasks = [asyncio.create_task(inside(cluster.executor, barrier)) for cluster in (first, second)]
        found = [await task for task in tasks]
        return [*found, default_executor()]

    assert asyncio.run(both()) == [first.executor, second.executor, second.executor]


def test_task_that_is_made_inside_inherits_what_was_entered(two):
    first, _ = two

    async def make() -> object:
        with first.executor.as_current():
            task = asyncio.create_task(asyncio.to_thread(default_executor))
        return await task

    assert asyncio.run(make()) is first.executor


def test_executor_not_to_be_the_default_is_meant_only_inside():
    cluster = QuietCluster()
    current._defaults.discard(cluster.executor)
    with pytest.raises(NoClusterError, match="no Executor yet"):
        default_executor()
    with cluster.executor.as_current():
        assert default_executor() is cluster.executor
    cluster.end()


def test_pickled_future_is_bound_to_the_executor_and_holds_the_result(quiet):
    future = quiet.executor.submit(abs, -1)
    data = pickle.dumps({"deep": [future]})
    again: Future = pickle.loads(data)["deep"][0]
    assert again is not future
    assert (again.key, again.executor) == (future.key, quiet.executor)
    key = future.key
    del future
    assert quiet.released() == []
    quiet.finish(again, 1)
    assert again.result() == 1
    del again
    assert quiet.released() == [key]


def test_pickled_future_of_a_closed_executor_says_that_nobody_knows_it():
    cluster = QuietCluster()
    data = pickle.dumps(cluster.executor.submit(abs, -1))
    cluster.executor.shutdown(wait=False)
    again = pickle.loads(data)
    with pytest.raises(CancelledError, match="no open executor"):
        again.result()
    assert again.cancelled()
    assert not again.running()
    assert "no open executor" in repr(again)
