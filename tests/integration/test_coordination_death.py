"""A scheduler that is killed, and what clients share by name: whoever holds it keeps it, whoever waits waits on."""

import dataclasses
import threading
import time
from concurrent.futures import Future as Waiting
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from jupyter_dist import Event, Executor, Lock, Queue, Semaphore, Variable
from tests.integration.conftest import wait_until
from tests.integration.test_scheduler_death import kill_scheduler

PATIENCE_S = 30.0  # no bound that is promised: who hangs is told from who is slow
BACK_S = 10.0  # the same, where nothing has to run out first


def double(number):
    return 2 * number


async def go(executor):
    """End an executor's session without a word to the scheduler; in the loop, as all that touches a connection."""
    executor.session.abort("it is gone without a word")


def has_more(found: list, count: int) -> bool:
    return len(found) > count


@pytest.fixture(scope="module")
def other(executor):
    """Return a second executor on the same cluster, which is not the default."""
    other = Executor(executor.info, set_as_default=False)
    yield other
    other.close()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def wait_behind(pool, call, executor, count: int) -> Waiting:
    """Have a thread wait, and return when the scheduler has its request: what an executor says is heard in order."""
    waiting = pool.submit(call)
    wait_until(lambda: len(executor.session._questions) >= count, "it waits")
    Variable("heard", executor).set(None)
    return waiting


def test_lock_that_is_held_and_waited_for_goes_on_in_the_order_of_asking(executor, other, pool):
    lock, order = Lock("held", executor), []

    def take(executor, who):
        with Lock("held", executor):
            order.append(who)
            assert not Lock("held", executor).acquire(timeout=0)

    assert lock.acquire()
    waits = [
        wait_behind(pool, lambda: take(other, "first"), other, 1),
        wait_behind(pool, lambda: take(executor, "second"), executor, 1),
        wait_behind(pool, lambda: take(other, "third"), other, 2),
    ]
    kill_scheduler(executor)
    began_s = time.monotonic()
    assert Lock("held", other).locked()
    assert time.monotonic() - began_s < BACK_S
    assert not Lock("held", executor).acquire(timeout=0.05)
    assert not order
    lock.release()
    for wait in waits:
        wait.result(PATIENCE_S)
    assert order == ["first", "second", "third"]
    assert not lock.locked()


def test_lock_whose_holder_died_with_the_scheduler_is_free_when_its_session_is_over(executor):
    settings = dataclasses.replace(executor.settings, linger_script_s=0.5)
    holder = Executor(executor.info, set_as_default=False, settings=settings)
    lock, mine = Lock("left", holder), Lock("left", executor)
    assert lock.acquire()
    kill_scheduler(executor)
    holder.loop.run(go(holder))
    assert not mine.acquire(timeout=0)
    assert mine.acquire(timeout=PATIENCE_S)
    mine.release()
    holder.close()


def test_semaphore_gives_no_more_than_there_are(executor, other, pool):
    held, third = [Semaphore(2, "seats", one) for one in (executor, other)], Semaphore(2, "seats", other)
    assert all(one.acquire() for one in held)
    waiting = wait_behind(pool, third.acquire, other, 1)
    kill_scheduler(executor)
    assert held[0].get_value() == 2
    assert not waiting.done()
    held[0].release()
    assert waiting.result(PATIENCE_S)
    assert third.get_value() == 2
    held[1].release()
    third.release()


def test_queue_keeps_its_values_in_order_and_those_who_wait_at_either_end(executor, other, pool):
    future = executor.submit(double, 21)
    queue, full, empty = Queue("kept", executor=executor), Queue("full", 1, executor), Queue("empty", executor=other)
    for value in (1, {"answer": future}, 3):
        queue.put(value)
    future.release()
    full.put("in")
    puts = wait_behind(pool, lambda: full.put("waits"), executor, 1)
    takes = wait_behind(pool, lambda: empty.get(batch=2), other, 1)
    empty.put("a")
    kill_scheduler(executor)
    mine = Queue("kept", executor=other)
    assert mine.get(timeout=PATIENCE_S) == 1
    assert mine.get(timeout=PATIENCE_S)["answer"].result(timeout=PATIENCE_S) == 42
    assert mine.get(timeout=PATIENCE_S) == 3
    assert mine.qsize() == 0
    empty.put("b")
    assert takes.result(PATIENCE_S) == ["a", "b"]
    assert not puts.done()
    assert full.get() == "in"
    puts.result(PATIENCE_S)
    assert full.get() == "waits"


def test_values_by_name_are_there_and_those_who_wait_for_one_wait_on(executor, other, pool):
    kept = executor.submit(double, 4)
    Variable("best", executor).set(("of all", kept))
    executor.publish_dataset(kept, name="published")
    kept.release()
    Event("ready", executor).set()
    waits = [
        wait_behind(pool, lambda: Variable("late", other).get(), other, 1),
        wait_behind(pool, lambda: Event("late", other).wait(), other, 2),
    ]
    kill_scheduler(executor)
    assert Variable("best", other).get(timeout=PATIENCE_S)[1].result(timeout=PATIENCE_S) == 8
    assert Event("ready", other).is_set()
    assert other.list_datasets() == ("published",)
    assert other.get_dataset("published").result(timeout=PATIENCE_S) == 8
    Variable("late", executor).set("came")
    Event("late", executor).set()
    assert [wait.result(PATIENCE_S) for wait in waits] == ["came", True]
    executor.unpublish_dataset("published")


def test_values_that_pass_while_schedulers_are_killed_arrive_once_and_in_order(executor, other, pool):
    """Kills come at any moment: between what is said and written, between what is written and answered."""
    queue, mine, count, kills = Queue("stream", 8, executor), Queue("stream", executor=other), 3000, 3
    got: list[int] = []

    def put():
        for number in range(count):
            queue.put(number)

    def take():
        got.extend(mine.get(timeout=PATIENCE_S) for _ in range(count))

    putting, taking = pool.submit(put), pool.submit(take)
    for part in range(1, kills + 1):
        wait_until(partial(has_more, got, part * count // 5), "values pass", PATIENCE_S)
        kill_scheduler(executor)
    for end in (taking, putting):
        end.result(PATIENCE_S)
    assert got == list(range(count))
    assert queue.qsize() == 0


def test_lock_that_changes_hands_while_schedulers_are_killed_is_never_held_twice(executor, other, pool):
    inside: list[None] = []
    seen: list[None] = []
    is_over = threading.Event()

    def work(executor):
        lock = Lock("busy", executor)
        while not is_over.is_set():
            with lock:
                inside.append(None)
                assert len(inside) == 1
                inside.pop()
                seen.append(None)

    workers = [pool.submit(work, one) for one in (executor, other, executor, other)]
    for _ in range(3):
        wait_until(partial(has_more, seen, len(seen) + 200), "it changes hands", PATIENCE_S)
        kill_scheduler(executor)
    wait_until(partial(has_more, seen, len(seen) + 200), "it goes on", PATIENCE_S)
    is_over.set()
    for worker in workers:
        worker.result(PATIENCE_S)
