"""The asynchronous Executor does what the blocking one does: the same stories, told to both."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from jupyter_dist import Executor, as_completed, progress, wait
from jupyter_dist.errors import ClusterClosedError, NoClusterError, UsageError
from tests.integration.conftest import wait_until

Story = Callable[[Executor], Awaitable[None]]


def inc(number: int) -> int:
    return number + 1


def fail(text: str) -> None:
    raise ValueError(text)


def wait_for_file(path: str) -> str:
    while not Path(path).exists():
        pass
    return "seen"


async def had(value: Any) -> Any:
    """Return what a call gives: at once from a blocking executor, awaited from another."""
    return await value if hasattr(value, "__await__") else value


@pytest.fixture(params=["blocking", "asynchronous"])
def tell(request: pytest.FixtureRequest, executor: Executor) -> Callable[[Story], None]:
    """Run a story with an executor of one kind and the other."""

    async def run(story: Story) -> None:
        if request.param == "blocking":
            await story(executor)
            return
        async with Executor(executor.info, asynchronous=True, set_as_default=False) as asynchronous:
            await story(asynchronous)

    return lambda story: asyncio.run(asyncio.wait_for(run(story), 60))


def test_results_errors_and_dependents(tell):
    async def story(executor: Executor) -> None:
        future = executor.submit(inc, executor.submit(inc, 1))
        assert await had(future.result()) == 3
        assert await had(future.result(5)) == 3
        assert await had(future.exception()) is None
        failed = executor.submit(fail, "told")
        dependent = executor.submit(len, failed)
        for erred in (failed, dependent):
            with pytest.raises(ValueError, match="told"):
                await had(erred.result())
            assert str(await had(erred.exception())) == "told"
            assert (await had(erred.traceback())) is not None
        with pytest.raises(ValueError, match="told"):
            await failed
        assert await future == 3

    tell(story)


def test_gather_of_containers_iterators_and_with_errors(tell):
    async def story(executor: Executor) -> None:
        futures = executor.map(inc, range(10))
        assert await had(executor.gather({"a": futures[:2], "b": (futures[9], 7)})) == {"a": [1, 2], "b": (10, 7)}
        mixed = [futures[0], executor.submit(fail, "gathered"), futures[1]]
        with pytest.raises(ValueError, match="gathered"):
            await had(executor.gather(mixed))
        assert await had(executor.gather(mixed, errors="skip")) == [1, 2]
        endless = executor.map(inc, iter(int, 1), maxsize=3)
        found = executor.gather(future for future in endless)
        if executor.asynchronous:
            assert [await anext(found) for _ in range(3)] == [1, 1, 1]
            await found.aclose()
        else:
            assert [next(found) for _ in range(3)] == [1, 1, 1]
        assert await had(executor.gather([])) == []

    tell(story)


def test_wait_and_as_completed(tell, tmp_path):
    gate = tmp_path / "gate"

    async def story(executor: Executor) -> None:
        slow = executor.submit(wait_for_file, str(gate), pure=False)
        fast = executor.submit(inc, 10)
        done, not_done = await had(wait([slow, fast], return_when="FIRST_COMPLETED"))
        assert (done, not_done) == ({fast}, {slow})
        assert (await had(wait([slow], timeout=0.05))).not_done == {slow}
        with pytest.raises(TimeoutError):
            await had(slow.result(timeout=0.05))
        completed = as_completed([slow, fast], with_results=True)
        assert await anext(completed) == (fast, 11)
        gate.touch()
        assert [item async for item in completed] == [(slow, "seen")]
        assert [batch async for batch in as_completed([slow]).batches()] == [[slow]]
        with pytest.raises(ValueError, match="in time"):
            async for _ in as_completed([executor.submit(fail, "in time")], with_results=True):
                pass
        pairs = as_completed([executor.submit(fail, "given")], with_results=True, raise_errors=False)
        assert [type(error) async for _future, error in pairs] == [ValueError]
        gate.unlink()

    tell(story)


def test_cancel_and_retry(tell, tmp_path):
    path = tmp_path / "late"

    async def story(executor: Executor) -> None:
        running = executor.submit(wait_for_file, str(tmp_path / "never"), pure=False)
        executor.cancel(running, force=True)
        with pytest.raises(CancelledError, match="by its user"):
            await had(running.result())
        with pytest.raises(CancelledError, match="by its user"):
            await running
        failed = executor.submit(Path.read_text, path, pure=False)
        assert isinstance(await had(failed.exception()), FileNotFoundError)
        path.write_text("there")
        await had(failed.retry())
        assert await had(failed.result()) == "there"
        path.unlink()

    tell(story)


def test_what_is_where_and_scattered_data(tell):
    async def story(executor: Executor) -> None:
        [data] = await had(executor.scatter([b"x" * 200_000]))
        named = await had(executor.scatter({"asynchronous-name": 5}))
        assert await had(executor.submit(len, data).result()) == 200_000
        assert await had(executor.submit(inc, named["asynchronous-name"]).result()) == 6
        assert sorted(await had(executor.ncores())) == ["worker-0", "worker-1"]
        assert data.key in await had(executor.who_has([data]))
        assert (await had(executor.snapshot())).wanted == 2
        assert sorted(await had(executor.nannies)) == ["worker-0", "worker-1"]
        await had(executor.wait_for_workers(2, timeout=10))
        with pytest.raises(UsageError, match="worker-9"):
            await had(executor.ncores("worker-9"))

    tell(story)


def test_progress_in_text(tell, capsys):
    async def story(executor: Executor) -> None:
        await had(progress(executor.map(inc, range(100, 110)), notebook=False))
        assert "inc" in capsys.readouterr().out

    tell(story)


def test_many_coroutines_share_one_executor(tell):
    async def story(executor: Executor) -> None:
        async def one(start: int) -> int:
            futures = executor.map(inc, range(start, start + 20))
            return sum([await future for future in futures])

        totals = await asyncio.gather(*(one(100 * index) for index in range(20)))
        assert totals == [sum(range(start + 1, start + 21)) for start in range(0, 2000, 100)]

    tell(story)


def test_queues_in_and_out(tell):
    async def story(executor: Executor) -> None:
        numbers: queue.Queue[Any] = queue.Queue()
        results = executor.gather(executor.map(inc, numbers), errors="raise")
        for number in range(5):
            numbers.put(number)
        taken = [await asyncio.to_thread(results.get, timeout=10) for _ in range(5)]
        assert taken == [1, 2, 3, 4, 5]

    tell(story)


# -- the asynchronous one alone ----------------------------------------------------------------------------------------


def test_executor_is_started_by_await_and_ended_by_shutdown(executor):
    async def main() -> None:
        asynchronous = await Executor(executor.info, asynchronous=True)
        future = asynchronous.submit(inc, 1)
        assert await future == 2
        await asynchronous.shutdown()
        await asynchronous.shutdown()
        assert asynchronous.is_closed
        with pytest.raises(ClusterClosedError):
            asynchronous.submit(inc, 1)

    asyncio.run(main())


def test_executor_that_is_not_awaited_says_how_it_is_started(executor):
    asynchronous = Executor(executor.info, asynchronous=True)
    with pytest.raises(UsageError, match="await"):
        asynchronous.submit(inc, 1)
    with pytest.raises(UsageError, match="async with"):
        asynchronous.__enter__()
    with pytest.raises(NoClusterError, match="start"):
        asyncio.run(_start("there-is-no-such-cluster"))


async def _start(name: str) -> Executor:
    return await Executor(name, asynchronous=True)


def test_error_inside_the_block_does_not_wait_for_what_runs(executor, tmp_path):
    async def main() -> None:
        async with Executor(executor.info, asynchronous=True) as asynchronous:
            asynchronous.submit(wait_for_file, str(tmp_path / "never"))
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(asyncio.wait_for(main(), 10))
    wait_until(lambda: not executor.snapshot().counts["processing"], "what ran was given up")


def test_futures_are_awaited_in_loops_of_other_threads(executor):
    future = executor.submit(inc, 300)
    found: list[int] = []

    async def take() -> None:
        found.append(await future)

    threads = [threading.Thread(target=lambda: asyncio.run(take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [301] * 3


def test_cancelled_waiter_leaves_the_task_and_the_others_alone(executor, tmp_path):
    gate = tmp_path / "gate"

    async def main() -> None:
        async with Executor(executor.info, asynchronous=True) as asynchronous:
            future = asynchronous.submit(wait_for_file, str(gate))
            waiters = [asyncio.create_task(had(future.result())) for _ in range(2)]
            waiters.append(asyncio.create_task(had(asynchronous.gather([future]))))
            await asyncio.sleep(0)
            waiters[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiters[0]
            assert future.status == "pending"
            gate.touch()
            assert await asyncio.gather(*waiters[1:]) == ["seen", ["seen"]]
            assert not future.wish.watchers

    asyncio.run(asyncio.wait_for(main(), 30))


# -- queues and endless iterators --------------------------------------------------------------------------------------


def test_endless_queue_is_read_no_further_than_its_reader_allows(executor):
    source: queue.Queue[int] = queue.Queue()
    for number in range(100):
        source.put(number)
    futures = executor.map(inc, source, maxsize=3)
    wait_until(lambda: futures.qsize() == 3, "three are ahead")
    wait_until(lambda: source.qsize() == 96, "one more is in the thread's hand")
    assert [futures.get(timeout=10).result(10) for _ in range(100)] == list(range(1, 101))


def test_scatter_and_gather_of_queues_are_bounded_too(executor):
    source: queue.Queue[Any] = queue.Queue()
    for number in range(20):
        source.put(number)
    results = executor.gather(executor.map(inc, executor.scatter(source, maxsize=2), maxsize=2), maxsize=2)
    wait_until(lambda: results.qsize() == 2, "two results are ahead")
    wait_until(lambda: source.qsize() <= 11, "what stands between is full")
    assert source.qsize() >= 10
    assert [results.get(timeout=10) for _ in range(20)] == list(range(1, 21))


def test_error_in_a_queue_stands_in_its_place_and_a_wrong_item_too(executor):
    source: queue.Queue[Any] = queue.Queue()
    results = executor.gather(executor.map(inc, source))
    for item in (1, "text", 2):
        source.put(item)
    first, error, last = (results.get(timeout=10) for _ in range(3))
    assert (first, last) == (2, 3)
    assert isinstance(error, TypeError)


def test_queue_of_an_executor_that_closes_ends_with_why(executor):
    source: queue.Queue[Any] = queue.Queue()
    with Executor(executor.info) as other:
        futures = other.map(inc, source)
        results = other.gather(queue.Queue())
    assert isinstance(results.get(timeout=10), ClusterClosedError)
    assert isinstance(futures.get(timeout=10).exception(10), ClusterClosedError)
