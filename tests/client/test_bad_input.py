"""Calls that make no sense: refused at once, by a specific error, and nothing of them is said to the cluster."""

from __future__ import annotations

import asyncio
import gc
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from jupyter_dist import Executor, Future, LocalCluster, as_completed, wait
from jupyter_dist.errors import ClusterClosedError, PackingError, UsageError
from jupyter_dist.messages import Cancel, RetryKeys
from tests.client.quiet import QuietCluster, cluster_info

SURROGATE = "\ud800"
TOO_LARGE = 2**70


def inc(number: int) -> int:
    return number + 1


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


Call = Callable[[Executor], Any]

WRONG: list[tuple[str, Call, type[Exception], str]] = [
    ("submit nothing callable", lambda e: e.submit(3), TypeError, "cannot be called"),
    ("submit key of no text", lambda e: e.submit(inc, 1, key=3), TypeError, "key"),
    ("submit key of bytes", lambda e: e.submit(inc, 1, key=b"k"), TypeError, "key"),
    ("submit empty key", lambda e: e.submit(inc, 1, key=""), TypeError, "not empty"),
    ("submit half a character", lambda e: e.submit(inc, 1, key=SURROGATE), UsageError, "surrogates"),
    ("submit pure of no bool", lambda e: e.submit(inc, 1, pure="yes"), TypeError, "pure"),
    ("submit retries below 0", lambda e: e.submit(inc, 1, retries=-1), UsageError, "retries"),
    ("submit retries of no number", lambda e: e.submit(inc, 1, retries="3"), UsageError, "retries"),
    ("submit retries True", lambda e: e.submit(inc, 1, retries=True), UsageError, "retries"),
    ("submit too many retries", lambda e: e.submit(inc, 1, retries=TOO_LARGE), UsageError, "retries"),
    ("submit priority of no whole number", lambda e: e.submit(inc, 1, priority=1.5), UsageError, "priority"),
    ("submit priority of text", lambda e: e.submit(inc, 1, priority="high"), UsageError, "priority"),
    ("submit priority too low", lambda e: e.submit(inc, 1, priority=-TOO_LARGE), UsageError, "priority"),
    ("submit timeout 0", lambda e: e.submit(inc, 1, timeout=0), UsageError, "timeout"),
    ("submit timeout of text", lambda e: e.submit(inc, 1, timeout="1 s"), UsageError, "timeout"),
    ("submit timeout for ever", lambda e: e.submit(inc, 1, timeout=float("inf")), UsageError, "timeout"),
    ("submit others beside none", lambda e: e.submit(inc, 1, allow_other_workers=True), UsageError, "workers"),
    (
        "submit others of no bool",
        lambda e: e.submit(inc, 1, workers="worker-0", allow_other_workers="yes"),
        TypeError,
        "allow_other_workers",
    ),
    ("submit workers of no text", lambda e: e.submit(inc, 1, workers=3), TypeError, "names, hosts or addresses"),
    (
        "submit what cannot be pickled",
        lambda e: e.submit(inc, (number for number in range(0))),
        PackingError,
        "argument 0",
    ),
    ("submit_task nothing callable", lambda e: e.submit_task("f"), TypeError, "cannot be called"),
    ("submit_task priority of text", lambda e: e.submit_task(inc, (1,), priority="high"), UsageError, "priority"),
    ("map nothing callable", lambda e: e.map(None, [1]), TypeError, "cannot be called"),
    ("map no iterables", lambda e: e.map(inc), UsageError, "at least one iterable"),
    ("map what cannot be walked", lambda e: e.map(inc, 3), TypeError, "iter"),
    ("map queue beside list", lambda e: e.map(inc, queue.Queue(), [1]), TypeError, "queue"),
    ("map too few keys", lambda e: e.map(inc, [1, 2], key=["a"]), UsageError, "1 keys for 2 calls"),
    ("map key of no text", lambda e: e.map(inc, [1, 2], key=["a", 2]), TypeError, "key"),
    ("map empty key", lambda e: e.map(inc, [1], key=""), TypeError, "not empty"),
    ("map maxsize 0", lambda e: e.map(inc, iter([1]), maxsize=0), UsageError, "maxsize"),
    ("map sets of workers", lambda e: e.map(inc, [1], workers=[["a"], ["b"]]), UsageError, "sets of workers"),
    (
        "map one that cannot be pickled",
        lambda e: e.map(inc, [1, (number for number in range(0))]),
        PackingError,
        "argument 0",
    ),
    ("gather errors", lambda e: e.gather([], errors="x"), UsageError, "'raise' or 'skip'"),
    ("gather maxsize below 0", lambda e: e.gather([], maxsize=-1), UsageError, "maxsize"),
    ("scatter broadcast", lambda e: e.scatter([1], broadcast="all"), UsageError, "broadcast"),
    ("scatter broadcast below 1", lambda e: e.scatter([1], broadcast=-1), UsageError, "broadcast"),
    ("scatter maxsize", lambda e: e.scatter(queue.Queue(), maxsize=0), UsageError, "maxsize"),
    ("scatter key of no text", lambda e: e.scatter({"a": 1, 2: 2}), TypeError, "key"),
    ("cancel a number", lambda e: e.cancel(3), TypeError, "give futures"),
    ("cancel None", lambda e: e.cancel(None), TypeError, "give futures"),
    ("cancel a key", lambda e: e.cancel("inc-1"), TypeError, "give futures"),
    ("cancel keys", lambda e: e.cancel(["inc-1"]), TypeError, "no future"),
    ("cancel force of no bool", lambda e: e.cancel([], force="yes"), TypeError, "force"),
    ("retry a number", lambda e: e.retry(3), TypeError, "give futures"),
    ("who_has keys", lambda e: e.who_has(["inc-1"]), TypeError, "no future"),
    ("nbytes of no keys", lambda e: e.nbytes([3]), TypeError, "key"),
    ("nbytes of a number", lambda e: e.nbytes(3), TypeError, "keys"),
    ("scale below 0", lambda e: e.scale(-1), UsageError, "workers"),
    ("scale text", lambda e: e.scale("3"), UsageError, "workers"),
    ("scale no whole number", lambda e: e.scale(1.5), UsageError, "workers"),
    ("wait_for_workers below 0", lambda e: e.wait_for_workers(-1), UsageError, "n_workers"),
    ("wait_for_workers of text", lambda e: e.wait_for_workers("2"), UsageError, "n_workers"),
    ("wait_for_workers timeout", lambda e: e.wait_for_workers(1, timeout="soon"), TypeError, "timeout"),
    ("watch nothing callable", lambda e: e.watch(3), TypeError, "called"),
    ("watch interval", lambda e: e.watch(print, interval_s=-1), UsageError, "interval_s"),
    ("wait for a number", lambda _: wait(3), TypeError, "give futures"),
    ("wait for keys", lambda _: wait(["inc-1"]), TypeError, "not a Future"),
    ("wait until", lambda _: wait([], return_when="SOON"), UsageError, "return_when"),
    ("wait timeout", lambda _: wait([], timeout="1"), TypeError, "timeout"),
    ("as_completed of a number", lambda _: as_completed(3), TypeError, "give futures"),
    ("as_completed of keys", lambda _: as_completed(["inc-1"]), TypeError, "not a Future"),
    ("as_completed timeout", lambda _: as_completed([], timeout="1"), TypeError, "timeout"),
    ("as_concurrent workers", lambda e: e.as_concurrent(0), UsageError, "max_workers"),
    ("start twice with address and n_workers", lambda e: Executor(e.info, n_workers=1), UsageError, "not both"),
    ("executor on a number", lambda _: Executor(3), TypeError, "connects to"),
    ("executor with no name", lambda e: Executor(e.info, name=3, start=False), TypeError, "name"),
    ("cluster of no workers", lambda _: LocalCluster(0), UsageError, "at least one"),
    ("cluster of text workers", lambda _: LocalCluster("2"), UsageError, "at least one"),
    ("cluster of no threads", lambda _: LocalCluster(1, 0), UsageError, "threads"),
    ("cluster of half a thread", lambda _: LocalCluster(1, 1.5), UsageError, "threads"),
    ("cluster memory", lambda _: LocalCluster(1, memory_limit="much"), UsageError, "memory"),
    ("cluster name", lambda _: LocalCluster(1, name="../x"), UsageError, "name"),
]


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


@pytest.mark.parametrize("ask", ["cancel", "retry", "who_has", "gather", "submit"])
def test_foreign_future_is_refused(executor, foreign, ask):
    method = getattr(executor, ask)
    with pytest.raises(UsageError, match="another executor"):
        method(inc, foreign) if ask == "submit" else method([foreign])
    assert foreign.status == "pending"


def test_empty_containers_are_fine_and_say_nothing(executor):
    assert executor.gather([]) == []
    assert executor.gather({"a": ()}) == {"a": ()}
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


def test_future_refuses_what_makes_no_sense(quiet):
    future = quiet.executor.submit(inc, 1)
    for method in (future.result, future.exception, future.traceback):
        with pytest.raises(TypeError, match="timeout"):
            method(timeout="soon")
        with pytest.raises(TimeoutError, match="not done within"):
            method(timeout=-1)
    with pytest.raises(TypeError, match="called"):
        future.add_done_callback(3)
    with pytest.raises(TypeError, match="force"):
        future.cancel(force=1)
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

ASKING: dict[str, Call] = {
    "submit": lambda e: e.submit(inc, 1),
    "submit_task": lambda e: e.submit_task(inc, (1,)),
    "map": lambda e: e.map(inc, [1]),
    "map of iterators": lambda e: e.map(inc, iter([1])),
    "map of queues": lambda e: e.map(inc, queue.Queue()),
    "scatter": lambda e: e.scatter([1]),
    "scatter of a dict": lambda e: e.scatter({"a": 1}),
    "retry": lambda e: e.retry([]),
    "restart": lambda e: e.restart(),
    "scale": lambda e: e.scale(1),
    "wait_for_workers": lambda e: e.wait_for_workers(1),
    "ncores": lambda e: e.ncores(),
    "nannies": lambda e: e.nannies,
    "who_has": lambda e: e.who_has(),
    "has_what": lambda e: e.has_what(),
    "processing": lambda e: e.processing(),
    "nbytes": lambda e: e.nbytes(),
    "scheduler_info": lambda e: e.scheduler_info(),
    "snapshot": lambda e: e.snapshot(),
    "watch": lambda e: e.watch(print),
    "as_concurrent": lambda e: e.as_concurrent(1),
    "stop_cluster": lambda e: e.stop_cluster(),
    "start": lambda e: e.start(),
}


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
