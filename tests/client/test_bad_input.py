"""Calls that make no sense: refused at once, by a specific error, and nothing of them is said to the cluster."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest

from jupyter_dist import Executor, Future, as_completed, wait
from jupyter_dist.errors import ClusterClosedError, UsageError
from jupyter_dist.messages import Cancel, RetryKeys, Watch
from tests.client.quiet import QuietCluster, cluster_info
from tests.client.wrong_calls import ASKING, FOREIGN, SURROGATE, WRONG, WRONG_OF_FUTURES, inc


@pytest.fixture
def executor(quiet: QuietCluster) -> Iterator[Executor]:
    """An executor to which nothing sensible is said in the test: at its end nothing may have been said."""
    yield quiet.executor
    gc.collect()
    assert quiet.settle() == []
    assert quiet.wishes() == 0


@pytest.fixture
def foreign() -> Iterator[Future]:
    """A future of another executor."""
    other = QuietCluster(name="other")
    yield other.executor.submit(inc, 1)
    other.end()


@pytest.mark.parametrize(("call", "kind", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_call_is_refused_at_once_and_nothing_is_said(executor, call, kind, words):
    with pytest.raises(kind, match=words):
        call(executor)


@pytest.mark.parametrize(("call", "kind", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_wrong_call_of_an_asynchronous_executor_is_refused_at_the_call(call, kind, words):
    cluster = QuietCluster(asynchronous=True)
    with pytest.raises(kind, match=words):
        call(cluster.executor)
    assert cluster.settle() == []
    cluster.end()


@pytest.mark.parametrize("ask", ["ncores", "has_what", "processing", "scatter"])
def test_unknown_worker_is_named_with_those_that_are_there(quiet, ask):
    method = getattr(quiet.executor, ask)
    with pytest.raises(UsageError, match=r"no worker 'worker-9'; there are: worker-0, worker-1"):
        method([1], workers="worker-9") if ask == "scatter" else method("worker-9")
    assert quiet.wishes() == 0


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_future_is_refused(executor, foreign, name):
    with pytest.raises(UsageError, match=r"another executor|waits for no future"):
        FOREIGN[name](executor, foreign)
    assert foreign.status == "pending"


def test_future_of_another_cluster_that_a_function_closes_over_is_refused(executor, foreign):
    box = SimpleNamespace(future=foreign)
    for call in (lambda: executor.submit(lambda: foreign), lambda: executor.map(len, [box])):
        with pytest.raises(UsageError, match="belongs to another cluster"):
            call()


def test_empty_containers_are_fine_and_say_nothing(executor):
    assert executor.gather([]) == []
    assert executor.gather({"a": ()}) == {"a": ()}
    assert executor.gather({}.values()) == []
    assert executor.map(inc, []) == []
    assert executor.scatter([]) == []
    assert executor.scatter({}) == {}
    assert executor.who_has([]) == {}
    assert executor.nbytes([]) == {}
    assert wait([]) == (set(), set())
    assert list(as_completed([])) == []
    executor.cancel([])
    executor.cancel({"a": []})
    executor.retry(())


@pytest.mark.parametrize("hide", [deque, lambda futures: np.array(futures, object)], ids=["deque", "array"])
def test_futures_in_a_container_that_is_not_looked_into_are_refused(quiet, hide):
    futures = quiet.executor.map(inc, range(2))
    for call in (quiet.executor.gather, quiet.executor.cancel, quiet.executor.retry):
        with pytest.raises(TypeError, match=r"futures are looked for in list.*(deque|ndarray): give a list"):
            call([1, (hide(futures),)])
    assert {future.status for future in futures} == {"pending"}


def test_dict_of_another_kind_stays_what_it_is(quiet):
    future = quiet.executor.submit(inc, 1)
    quiet.finish(future, 2)
    gathered = quiet.executor.gather([defaultdict(list, a=future), OrderedDict(b=future)])
    assert gathered == [{"a": 2}, {"b": 2}]
    assert [type(item) for item in gathered] == [defaultdict, OrderedDict]
    assert gathered[0]["new"] == []


def test_containers_without_futures_inside_what_is_gathered_are_values(quiet):
    values = [1, deque([2]), np.array(["x"], object), None]
    assert quiet.executor.gather(values)[:2] == values[:2]


def test_futures_in_any_iterable_are_cancelled_and_retried(quiet):
    executor = quiet.executor
    futures = dict(enumerate(executor.map(inc, range(4))))
    quiet.fail(futures[0], ValueError())
    executor.retry(future for future in futures.values())
    assert futures[0].status == "pending"
    executor.cancel(futures.values())
    assert {future.status for future in futures.values()} == {"cancelled"}
    said = quiet.settle()
    assert [message for message in said if isinstance(message, RetryKeys)] == [RetryKeys((futures[0].key,))]
    assert len([message for message in said if isinstance(message, Cancel)]) == 1


@pytest.mark.parametrize(
    ("call", "kind", "words"), [case[1:] for case in WRONG_OF_FUTURES], ids=[case[0] for case in WRONG_OF_FUTURES]
)
def test_future_refuses_what_makes_no_sense(quiet, call, kind, words):
    future = quiet.executor.submit(inc, 1)
    with pytest.raises(kind, match=words):
        call(future)
    assert future.status == "pending"
    assert not future.wish.watchers


@pytest.mark.parametrize("key", ["k" * 1_000_000, "ключ-鍵-🔑", "new\nline", "a key with spaces", "../../etc"])
def test_strange_but_textual_key_is_as_good_as_any(quiet, key):
    future = quiet.executor.submit(inc, 1, key=key)
    assert future.key == key
    assert quiet.submitted() == [key]
    quiet.finish(future, 2)
    assert future.result() == 2


def test_name_of_a_function_that_is_no_text_is_mended(quiet):
    function = lambda: 1  # noqa: E731 - it gets a name that `def` cannot give
    function.__name__ = SURROGATE
    assert quiet.executor.submit(function).label == "?"
    assert len(quiet.submitted()) == 1


# -- cancelled inputs --------------------------------------------------------------------------------------------------


def test_call_on_a_cancelled_future_raises_at_once_and_says_why(quiet):
    executor = quiet.executor
    first, second, third = executor.map(inc, range(3), key=["a", "b", "c"])
    executor.cancel(first)
    quiet.cancel(second, "the cluster was restarted")
    third.release()
    sent = len(quiet.submitted())
    for future, why in ((first, "a was cancelled: cancelled by its user"), (second, "restarted"), (third, "released")):
        with pytest.raises(CancelledError, match=why):
            executor.submit(inc, future)
        with pytest.raises(CancelledError, match=why):
            executor.map(inc, [[future]])
        with pytest.raises(CancelledError, match=why):
            executor.gather([future])
        with pytest.raises(CancelledError, match=why):
            future.result(0)
    assert len(quiet.submitted()) == sent


# -- closed, and not started -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ASKING)
def test_closed_executor_refuses_and_says_why(method):
    cluster = QuietCluster()
    cluster.executor.shutdown()
    said = len(cluster.settle())
    with pytest.raises(ClusterClosedError, match="was shut down"):
        ASKING[method](cluster.executor)
    assert len(cluster.settle()) == said


@pytest.mark.parametrize("method", ASKING)
def test_asynchronous_closed_executor_refuses_at_the_call(method):
    cluster = QuietCluster(asynchronous=True)

    async def close() -> None:
        await cluster.executor.shutdown()

    asyncio.run(close())
    with pytest.raises(ClusterClosedError, match="was shut down"):
        ASKING[method](cluster.executor)


@pytest.mark.parametrize("method", [name for name in ASKING if name != "start"])
def test_executor_that_is_not_started_says_how_to_start_it(method):
    executor = Executor(cluster_info(), start=False)
    with pytest.raises(UsageError, match="not started"):
        ASKING[method](executor)
    executor.close()


def test_submit_to_a_closed_executor_raises_what_the_standard_library_does():
    cluster = QuietCluster()
    cluster.executor.shutdown()
    with pytest.raises(RuntimeError, match="was shut down"):
        cluster.executor.submit(inc, 1)


def test_closed_executor_still_tells_what_is_here():
    cluster = QuietCluster()
    executor = cluster.executor
    done, erred, pending = executor.map(inc, range(3))
    cluster.finish(done, 1)
    cluster.fail(erred, ValueError("mine"))
    executor.shutdown(wait=False)
    assert executor.is_closed
    assert "was shut down" in executor.closed_reason
    assert done.result() == 1
    assert executor.gather([done]) == [1]
    assert isinstance(erred.exception(), ValueError)
    with pytest.raises(CancelledError, match="was shut down"):
        pending.result()
    with pytest.raises(CancelledError, match="was shut down"):
        executor.gather([pending])
    assert wait([done, erred, pending]).not_done == set()
    assert len(list(as_completed([done, erred, pending]))) == 3
    assert not pending.cancel() or pending.cancelled()
    executor.cancel([done, erred, pending])
    assert set(executor.futures) <= {done.key, erred.key}
    done.release()
    executor.shutdown()
    executor.close()


def test_wait_for_workers_that_will_not_come_ends_with_its_executor(quiet):
    outcomes: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def wait_for_nine() -> None:
        try:
            quiet.executor.wait_for_workers(9)
        except ClusterClosedError as error:
            outcomes.put(error)

    waiter = threading.Thread(target=wait_for_nine)
    waiter.start()
    quiet.wait_for(Watch)
    quiet.executor.shutdown()
    waiter.join(20)
    assert "was shut down" in str(outcomes.get(timeout=0))


def test_future_of_a_closed_executor_is_refused_by_another(quiet):
    other = QuietCluster(name="other")
    future = other.executor.submit(inc, 1)
    other.finish(future, 2)
    other.executor.shutdown()
    with pytest.raises(UsageError, match="another executor"):
        quiet.executor.submit(inc, future)
    with pytest.raises(UsageError, match="another executor"):
        quiet.executor.gather([future])
    assert quiet.submitted() == []
