"""What clients and tasks share by name, on a real cluster with two executors."""

import asyncio
import gc
import pickle
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from jupyter_dist import Event, Executor, Lock, Queue, Semaphore, Variable, default_executor
from jupyter_dist.client.waiting import Gate
from jupyter_dist.errors import (
    ClusterClosedError,
    CoordinationError,
    DatasetError,
    NoClusterError,
    PackingError,
    UsageError,
)
from tests.integration.conftest import wait_until


class Unloadable:
    """Can be packed and not loaded."""

    def __reduce__(self):
        return int, ("no number",)


def double(number):
    return 2 * number


def slow(path):
    while not Path(path).exists():
        time.sleep(0.005)
    return "done"


def count_up(info, lock, path):
    with Executor(info), lock:
        number = int(Path(path).read_text(encoding="utf-8"))
        time.sleep(0.002)
        Path(path).write_text(str(number + 1), encoding="utf-8")
    return default_is_open()


def default_is_open():
    try:
        return not default_executor().is_closed
    except NoClusterError:
        return False


@pytest.fixture
def other(executor):
    """Return a second executor on the same cluster, which is not the default."""
    other = Executor(executor.info, set_as_default=False)
    yield other
    other.close()


def held_by_cluster(executor, key):
    return key in {home.key for home in executor.perform(executor._homes_of(None))}


# -- locks and semaphores ----------------------------------------------------------------------------------------------


def test_lock_excludes_the_other_executor_until_it_is_released(executor, other):
    mine, theirs = Lock("exclusive", executor), Lock("exclusive", other)
    with mine as entered:
        assert entered is mine
        assert not theirs.acquire(timeout=0)
        assert not theirs.acquire(timeout=0.02)
        assert theirs.locked()
    assert theirs.acquire(timeout=5)
    theirs.release()
    assert not mine.locked()


def test_lock_of_one_name_excludes_threads_of_one_process(executor):
    total = [0]

    def add(_):
        with Lock("threads", executor):
            before = total[0]
            time.sleep(0.001)
            total[0] = before + 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert total == [24]


def test_lock_passed_to_tasks_excludes_them_from_each_other(executor, tmp_path):
    path = tmp_path / "count"
    path.write_text("0", encoding="utf-8")
    lock = Lock("tasks", executor)
    futures = [executor.submit(count_up, executor.info, lock, str(path), pure=False) for _ in range(8)]
    executor.gather(futures)
    assert path.read_text(encoding="utf-8") == "8"


def test_lock_is_free_when_its_holder_closes_or_is_collected(executor, other):
    lock = Lock("left", executor)
    Lock("left", other).acquire()  # collected at once: nobody could release it
    gc.collect()
    assert lock.acquire(timeout=5)
    lock.release()
    third = Executor(executor.info, set_as_default=False)
    held = Lock("left", third)
    assert held.acquire()
    third.close()
    assert lock.acquire(timeout=5)
    lock.release()
    with pytest.raises(ClusterClosedError):
        held.release()


def test_release_of_what_this_object_does_not_hold_is_refused(executor, other):
    lock, same = Lock("owned", executor), Lock("owned", executor)
    lock.acquire()
    for stranger in (same, Lock("owned", other)):
        with pytest.raises(UsageError, match="not held by this object"):
            stranger.release()
    lock.release()
    with pytest.raises(UsageError, match="only once"):
        lock.release()


def test_wait_that_is_interrupted_leaves_nothing_that_waits(executor):
    async def give_up():
        async with Executor(executor.info, asynchronous=True, set_as_default=False) as awaiting:
            lock = Lock("interrupted", awaiting)
            assert not await lock.acquire(timeout=0.01)
            waiting = asyncio.ensure_future(lock.acquire())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            holder.release()
            assert await asyncio.to_thread(Lock("interrupted", executor).acquire, 5)

    holder = Lock("interrupted", executor)
    holder.acquire()
    asyncio.run(give_up())


def test_ctrl_c_strikes_a_wait_and_leaves_nothing_that_waits(executor, other):
    holder = Lock("struck", other)
    holder.acquire()

    main = threading.main_thread().ident or 0

    def strike():
        wait_until(lambda: sys._current_frames()[main].f_code is Gate.wait.__code__, "the main thread waits")
        signal.pthread_kill(main, signal.SIGINT)

    striker = threading.Thread(target=strike)
    striker.start()
    with pytest.raises(KeyboardInterrupt):
        Lock("struck", executor).acquire(timeout=30)
    striker.join()
    holder.release()
    assert Lock("struck", other).acquire(timeout=5)


def test_semaphore_lets_so_many_in(executor, other):
    mine, theirs = Semaphore(2, "two", executor), Semaphore(2, "two", other)
    with mine:
        assert theirs.acquire(timeout=5)
        assert theirs.get_value() == 2
        assert not mine.acquire(timeout=0)
        theirs.release()
        with pytest.raises(UsageError, match="max_leases=2, not 3"):
            Semaphore(3, "two", other).acquire()
    assert mine.get_value() == 0


# -- events, queues, variables -----------------------------------------------------------------------------------------


def test_event_lets_all_go_that_wait_for_it(executor, other):
    event, same = Event("go", executor), Event("go", other)
    assert not event.is_set()
    assert not event.wait(timeout=0.01)
    with ThreadPoolExecutor(3) as pool:
        waits = [pool.submit(one.wait, 10) for one in (event, same, event)]
        same.set()
        assert all(wait.result(10) for wait in waits)
    assert event.is_set()
    event.clear()
    assert not same.is_set()


def test_queue_passes_values_and_futures_between_executors(executor, other, tmp_path):
    putting, getting = Queue("things", executor=executor), Queue("things", executor=other)
    future = executor.submit(slow, str(tmp_path / "go"), pure=False)
    key = future.key
    putting.put({"future": [future], "array": da.ones(4, chunks=2)})
    putting.put(2)
    del future
    gc.collect()
    assert getting.qsize() == 2
    first = getting.get(timeout=10)
    (tmp_path / "go").touch()
    assert first["future"][0].result(10) == "done"
    assert first["future"][0].executor is other
    assert first["array"].sum().compute(scheduler="sync") == 4
    assert getting.get() == 2
    del first
    gc.collect()
    wait_until(lambda: not held_by_cluster(executor, key), "the result is let go")


def test_queue_that_is_full_or_empty_says_so_in_time(executor):
    queue = Queue("small", maxsize=2, executor=executor)
    for number in range(2):
        queue.put(number, timeout=5)
    with pytest.raises(TimeoutError, match="no room within"):
        queue.put(2, timeout=0.01)
    with pytest.raises(TimeoutError, match="did not have 3 values"):
        queue.get(timeout=0.01, batch=3)
    assert queue.get(batch=2) == [0, 1]
    assert queue.get(batch=True) == []
    with pytest.raises(TimeoutError, match="1 values within"):
        queue.get(timeout=0)


def test_queue_feeds_takers_in_threads_every_value_once(executor, other):
    queues = [Queue("fed", maxsize=3, executor=one) for one in (executor, other)]
    with ThreadPoolExecutor(6) as pool:
        taken = [pool.submit(lambda queue: [queue.get(30) for _ in range(25)], queues[n % 2]) for n in range(4)]
        for half in range(2):
            pool.submit(lambda half: [queues[half].put(half * 50 + n) for n in range(50)], half)
        values = [value for future in taken for value in future.result(30)]
    assert sorted(values) == list(range(100))


def test_value_that_cannot_be_loaded_is_out_of_the_queue(executor):
    queue = Queue("broken", executor=executor)
    queue.put(Unloadable())
    queue.put(2)
    with pytest.raises(ValueError, match="invalid literal") as raised:
        queue.get()
    assert "could not be loaded" in raised.value.__notes__[0]
    assert queue.get(5) == 2


def test_variable_is_waited_for_and_keeps_its_future(executor, other):
    variable, same = Variable("best", executor), Variable("best", other)
    with pytest.raises(TimeoutError, match="no value within"):
        same.get(timeout=0.01)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(same.get, 10)
        variable.set(executor.submit(double, 21))
        assert waits.result(10).result(10) == 42
    gc.collect()
    assert same.get().result(10) == 42
    variable.set("other")
    assert same.get() == "other"
    same.delete()
    with pytest.raises(TimeoutError):
        variable.get(timeout=0)


def test_asynchronous_executor_awaits_all_of_it(executor):
    async def use():
        async with Executor(executor.info, asynchronous=True, set_as_default=False) as awaiting:
            lock, queue = Lock(executor=awaiting), Queue(executor=awaiting)
            async with lock:
                assert await lock.locked()
                with pytest.raises(UsageError, match="async with"), lock:
                    pass
            getting = asyncio.ensure_future(queue.get())
            await queue.put(awaiting.submit(double, 4))
            assert await (await getting) == 8
            with pytest.raises(TimeoutError):
                await queue.get(timeout=0.01)
            event = Event(executor=awaiting)
            await event.set()
            assert await event.wait()
            await awaiting.publish_dataset([1], name="awaited")
            assert await awaiting.get_dataset("awaited") == [1]
            await awaiting.unpublish_dataset("awaited")

    asyncio.run(use())


# -- datasets ----------------------------------------------------------------------------------------------------------


def test_dataset_outlives_the_session_that_published_it(executor, other):
    third = Executor(executor.info, set_as_default=False)
    array = third.persist(da.arange(10, chunks=5))
    futures = third.map(double, range(3), pure=False)
    scattered = third.scatter(np.arange(100_000))
    third.publish_dataset({"doubled": futures, "more": (scattered,)}, name="numbers")
    third.publish_dataset(array=array, plain=5)
    keys = [future.key for future in futures]
    third.close()
    del futures, scattered, array
    assert other.list_datasets() == ("array", "numbers", "plain")
    found = other.get_dataset("numbers")
    assert other.gather(found["doubled"]) == [0, 2, 4]
    assert found["more"][0].result(10).sum() == np.arange(100_000).sum()
    assert other.compute(other.get_dataset("array").sum(), sync=True) == 45
    assert [future.executor is other for future in found["doubled"]] == [True] * 3
    del found
    for name in other.list_datasets():
        executor.unpublish_dataset(name)
    gc.collect()
    wait_until(lambda: not any(held_by_cluster(executor, key) for key in keys), "the results are let go")


def test_dataset_of_a_known_name_is_an_error_unless_it_is_to_be_replaced(executor, other):
    executor.publish_dataset(1, 2, name="one")
    assert other.get_dataset("one") == (1, 2)
    with pytest.raises(DatasetError, match="'one' is there already"):
        other.publish_dataset(two=2, one=1)
    assert other.list_datasets() == ("one",)
    other.publish_dataset(one="new", override=True)
    assert executor.get_dataset("one") == "new"
    executor.unpublish_dataset("one")
    with pytest.raises(KeyError, match="no dataset 'one'"):
        executor.unpublish_dataset("one")
    with pytest.raises(KeyError, match="list_datasets"):
        executor.get_dataset("one")
    assert executor.get_dataset("one", default=None) is None


# -- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda e: Lock(5, e), TypeError),
        (lambda e: Lock("", e), TypeError),
        (lambda e: Lock("x" * 2000, e), UsageError),
        (lambda e: Lock("\ud800", e), UsageError),
        (lambda e: Lock("x", e.info), TypeError),
        (lambda e: Semaphore(0, executor=e), UsageError),
        (lambda e: Semaphore(True, executor=e), UsageError),
        (lambda e: Queue(maxsize=-1, executor=e), UsageError),
        (lambda e: Queue(executor=e).get(timeout=-1), UsageError),
        (lambda e: Queue(executor=e).get(timeout="1s"), UsageError),
        (lambda e: Queue(executor=e).get(batch=0), UsageError),
        (lambda e: Queue(executor=e).get(batch="2"), UsageError),
        (lambda e: Event(executor=e).wait(float("nan")), UsageError),
        (lambda e: Queue(executor=e).put(threading.Lock()), PackingError),
        (lambda e: Variable(executor=e).set(bytes(100_000)), PackingError),
        (lambda e: e.publish_dataset([1]), UsageError),
        (lambda e: e.publish_dataset(name="x"), UsageError),
        (lambda e: e.publish_dataset(), UsageError),
        (lambda e: e.publish_dataset(1, name=3), TypeError),
        (lambda e: e.get_dataset(3), TypeError),
        (lambda e: e.publish_dataset(big=bytes(20_000_000)), PackingError),
    ],
)
def test_call_that_makes_no_sense_is_refused_at_once(executor, make, error):
    with pytest.raises(error):
        make(executor)
    assert executor.list_datasets() == ()


def test_value_that_is_too_large_names_scatter(executor):
    with pytest.raises(PackingError, match=r"executor\.scatter") as raised:
        Queue(executor=executor).put(np.zeros(100_000))
    assert "SHARED_BYTES_MAX" in str(raised.value)


def test_future_that_is_foreign_or_cancelled_cannot_be_shared(executor, other):
    foreign = other.submit(double, 1)
    cancelled = executor.submit(time.sleep, 0.5, pure=False)
    cancelled.cancel()
    queue = Queue(executor=executor)
    for share in (queue.put, Variable(executor=executor).set, lambda value: executor.publish_dataset(value=value)):
        with pytest.raises(UsageError, match="another executor"):
            share([{"a": foreign}])
        with pytest.raises(CancelledError):
            share(cancelled)
    assert queue.qsize() == 0


def test_objects_of_a_closed_executor_say_so(executor):
    closed = Executor(executor.info, set_as_default=False)
    shared = [Lock(executor=closed), Event(executor=closed), Queue(executor=closed), Variable(executor=closed)]
    waits = ThreadPoolExecutor(1).submit(shared[2].get)
    closed.close()
    with pytest.raises(ClusterClosedError):
        waits.result(10)
    calls = (shared[0].acquire, shared[1].is_set, shared[2].get, shared[3].get, closed.list_datasets)
    for call in calls:
        with pytest.raises(ClusterClosedError):
            call()


def test_pickled_objects_mean_the_same_on_the_executor_there_is_for_their_cluster(executor, other):
    for shared in (Lock("p", other), Semaphore(3, "p", other), Queue("p", 4, other), Event("p", other)):
        again = pickle.loads(pickle.dumps(shared))
        assert (type(again), again.name, again._arguments()) == (type(shared), "p", shared._arguments())
        assert again.executor.info.cluster == executor.info.cluster
    strange = pickle.loads(pickle.dumps(shared))
    strange.move("another cluster")
    with pytest.raises(NoClusterError, match="no open Executor"):
        strange.set()


def test_restart_takes_everything_and_ends_every_wait_with_the_reason(own_executor):
    other = Executor(own_executor.info, set_as_default=False)
    lock, queue = Lock("restarted", own_executor), Queue("restarted", executor=other)
    lock.acquire()
    own_executor.publish_dataset(own_executor.submit(double, 3), name="restarted")
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(Lock("restarted", other).acquire), pool.submit(queue.get)]
        wait_until(lambda: own_executor.list_datasets() == ("restarted",), "it is published")
        wait_until(lambda: len(other.session._questions) == 2, "both wait")
        Variable("reached", other).set(1)  # what was asked before is with the scheduler by now
        own_executor.restart()
        for wait in waits:
            with pytest.raises(CoordinationError, match="restarted"):
                wait.result(20)
    assert other.list_datasets() == ()
    with pytest.raises(CoordinationError, match="not held any more"):
        lock.release()
    assert lock.acquire(timeout=5)
    other.close()
