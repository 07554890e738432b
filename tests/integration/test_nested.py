"""Tasks that use the cluster that runs them: submit, wait, join, be struck, and lose their worker."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import threading
import time
import traceback

import pytest

import jupyter_dist
from jupyter_dist import Executor, as_completed, default_executor, get_executor, wait
from jupyter_dist.errors import ClusterClosedError, FutureCancelledError, TaskTimeoutError, UsageError
from jupyter_dist.settings import Settings
from tests.integration.conftest import wait_until
from tests.integration.test_scheduler_death import kill_scheduler

PATIENCE_S = 60


def inc(number):
    return number + 1


def sleep(seconds, *_names):
    time.sleep(seconds)
    return seconds


def nest(depth):
    return 1 + get_executor().submit(nest, depth - 1).result() if depth else 0


def parent(number, children=10):
    executor = get_executor()
    return sum(executor.gather(executor.map(inc, range(number * children, (number + 1) * children))))


@pytest.fixture
def single():
    """An executor on a cluster with one worker of one slot."""
    with Executor(n_workers=1) as executor:
        yield executor


# -- waiting -------------------------------------------------------------------------------------------------------------


def test_thousand_nested_tasks_finish_in_two_slots(executor):
    assert executor.submit(nest, 1000).result(PATIENCE_S) == 1000


def test_hundred_parents_of_ten_children_finish_in_two_slots(executor):
    assert sum(executor.gather(executor.map(parent, range(100)))) == sum(range(1, 1001))


def wait_in_all_ways():
    executor = get_executor()
    futures = executor.map(inc, range(5), pure=False)
    arrived = sorted(future.result() for future in as_completed(futures))
    done = wait(executor.map(inc, range(5), pure=False)).done
    with executor.as_concurrent() as pool:
        foreign = pool.submit(inc, 41).result()
        mapped = list(pool.map(inc, range(3)))
        pool.submit(sleep, 0.1)
    return arrived, len(done), foreign, mapped


def test_every_way_to_wait_gives_the_only_slot_away(single):
    assert single.submit(wait_in_all_ways).result(PATIENCE_S) == ([1, 2, 3, 4, 5], 5, 42, [1, 2, 3])


def watch_computing(folder, index):
    """Compute between waits, and note whether others do so at the same time."""
    executor = get_executor()
    most = 0
    for step in range(3):
        mark = folder / f"{index}-{step}"
        mark.touch()
        time.sleep(0.002)
        most = max(most, len(list(folder.iterdir())))
        mark.unlink()
        executor.submit(sleep, 0.005, index, step).result()
    return most


def test_no_more_tasks_compute_than_there_are_slots(single, tmp_path):
    found = single.gather(single.map(watch_computing, [tmp_path] * 10, range(10)))
    assert max(found) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_cancel_by_force_strikes_parents_that_wait_in_any_thread(tmp_path, threads):
    with Executor(n_workers=2, threads_per_worker=threads) as executor:
        paths = [tmp_path / str(number) for number in range(8)]
        # their children wait for workers that are not there, so nobody but the parents is in the way
        futures = executor.map(wait_for_nobody, paths)
        wait_until(lambda: all(path.exists() for path in paths), "all parents wait")
        executor.cancel(futures, force=True)
        ended = [path.with_suffix(".struck") for path in paths]
        wait_until(lambda: all(path.exists() for path in ended), "all are struck")
        assert executor.submit(inc, 1).result(PATIENCE_S) == 2


def wait_for_nobody(path):
    future = get_executor().submit(inc, str(path), workers="nobody")
    path.touch()
    try:
        future.result()
    except KeyboardInterrupt:
        path.with_suffix(".struck").touch()
        raise


def test_timeout_of_a_task_that_waits_is_kept(single, tmp_path):
    future = single.submit(wait_for_nobody, tmp_path / "x", timeout=0.3)
    with pytest.raises(TaskTimeoutError):
        future.result(PATIENCE_S)
    assert single.submit(inc, 1).result(PATIENCE_S) == 2


def test_wait_beyond_the_limit_is_an_error_in_that_task(tmp_path):
    with Executor(n_workers=1, settings=Settings(waiting_max=3)) as executor:
        futures = executor.map(wait_for_nobody, [tmp_path / str(number) for number in range(4)])
        error = next(as_completed(futures)).exception()
        assert type(error).__name__ == "WaitingLimitError"
        executor.cancel(futures, force=True)


# -- death ---------------------------------------------------------------------------------------------------------------


def nest_slowly(depth, folder):
    if not depth:
        (folder / "deepest").touch()
        wait_until((folder / "go").exists, "the word to go")
        return 0
    return 1 + get_executor().submit(nest_slowly, depth - 1, folder).result()


def test_killed_worker_whose_parents_wait_does_not_keep_anything_from_finishing(own_executor, tmp_path):
    future = own_executor.submit(nest_slowly, 40, tmp_path)
    wait_until((tmp_path / "deepest").exists, "the deepest runs")
    victim = next(iter(own_executor.scheduler_info()["workers"].values()))["pid"]
    os.kill(victim, signal.SIGKILL)
    (tmp_path / "go").touch()
    assert future.result(PATIENCE_S) == 40


def crash():
    ctypes.string_at(0)


def outlive():
    try:
        get_executor().submit(crash).result()
    except jupyter_dist.errors.WorkerCrashedError as error:
        return len(error.certificates)


def test_parent_on_the_only_worker_is_not_blamed_for_its_child(single):
    assert single.submit(outlive).result(PATIENCE_S) == 2


def nest_and_note(folder, depth):
    """Wait for one that waits for one, and leave a mark for each run."""
    with (folder / f"run-{depth}").open("a") as file:
        file.write("x")
    if not depth:
        (folder / "deepest").touch()
        wait_until((folder / "go").exists, "the word to go")
        return 0
    return 1 + get_executor().submit(nest_and_note, folder, depth - 1).result()


def test_scheduler_killed_while_parents_wait_in_the_only_slot_nothing_runs_twice(single, tmp_path):
    future = single.submit(nest_and_note, tmp_path, 10)
    wait_until((tmp_path / "deepest").exists, "the deepest runs")
    kill_scheduler(single)
    (tmp_path / "go").touch()
    assert future.result(PATIENCE_S) == 10
    assert [(tmp_path / f"run-{depth}").read_text() for depth in range(11)] == ["x"] * 11
    assert single.submit(nest, 5).result(PATIENCE_S) == 5


def begin_late(folder):
    (folder / "began").touch()
    wait_until((folder / "go").exists, "the word to go")
    return get_executor().submit(inc, 1).result()


def test_scheduler_killed_before_a_task_asks_for_the_cluster_does_not_fail_it(single, tmp_path):
    future = single.submit(begin_late, tmp_path)
    wait_until((tmp_path / "began").exists, "the task runs")
    kill_scheduler(single)
    (tmp_path / "go").touch()
    assert future.result(PATIENCE_S) == 2


# -- which executor, and futures that travel -----------------------------------------------------------------------------


def look_around():
    executor = get_executor()
    with executor as same:
        pass
    executor.shutdown()
    secret = executor.info.secret
    texts = repr((executor, executor.info, executor.session, jupyter_dist.client.inside.inside.host()))
    return (
        same is executor is default_executor(),
        executor.is_closed,
        executor.submit(inc, 1).result(),
        repr(secret) in texts or secret.hex() in texts,
    )


def test_task_has_one_executor_that_nobody_closes(executor):
    assert executor.submit(look_around).result(PATIENCE_S) == (True, False, 2, False)
    assert get_executor() is default_executor()


class Box:
    def __init__(self, future):
        self.future = future


def open_box(box):
    future = box.future
    return type(future).__name__, future.result()


def submit_closure(executor):
    closed_over = executor.submit(sleep, 0.1, "closure")
    return executor.submit(lambda: closed_over.result() * 2)


def test_future_inside_an_object_is_a_future_in_the_task_though_its_sender_lets_it_go(executor):
    made = [executor.submit(open_box, Box(executor.submit(sleep, 0.2, number, "box"))) for number in range(4)]
    assert executor.gather(made) == [("Future", 0.2)] * 4
    assert submit_closure(executor).result(PATIENCE_S) == 0.2


def test_future_inside_an_object_that_erred_is_told_by_its_result(executor):
    box = Box(executor.submit(inc, "text"))
    with pytest.raises(TypeError):
        executor.submit(open_box, box).result(PATIENCE_S)


def test_key_of_another_executor_can_be_joined(executor):
    future = executor.submit(sleep, 0.3, "join")
    executor.snapshot()  # the cluster knows the task by now,
    with Executor(executor.info) as other:
        joined = other.future(future.key)
        other.snapshot()  # and that another wants it: what two sessions say has no order
        future.release()
        assert joined.result(PATIENCE_S) == 0.3
        unknown = other.future("sleep-never")
        with pytest.raises(FutureCancelledError, match="does not know it"):
            unknown.result(PATIENCE_S)
        for bad in ("", None, 3):
            with pytest.raises(TypeError):
                other.future(bad)
    with pytest.raises(ClusterClosedError):
        other.future("x")


# -- coroutines ----------------------------------------------------------------------------------------------------------


async def await_children(count):
    executor = get_executor()
    futures = executor.map(inc, range(count), pure=False)
    gathered = await executor.gather(futures)
    return executor.asynchronous, gathered, await futures[0], await asyncio.gather(*futures)


async def nest_async(depth):
    return 1 + await get_executor().submit(nest_async, depth - 1) if depth else 0


def run_own_loop():
    return asyncio.run(await_children(2))


def test_coroutines_wait_for_their_children_in_the_only_slot(single):
    assert single.submit(await_children, 3).result(PATIENCE_S) == (True, [1, 2, 3], 1, [1, 2, 3])
    assert single.submit(nest_async, 30).result(PATIENCE_S) == 30
    assert single.submit(run_own_loop).result(PATIENCE_S) == (True, [1, 2], 1, [1, 2])


async def linger(path):
    try:
        path.touch()
        await asyncio.sleep(30)
    except (asyncio.CancelledError, KeyboardInterrupt):  # the latter before it sleeps
        path.with_suffix(".struck").touch()
        raise


def test_cancel_by_force_ends_coroutines_in_any_thread(tmp_path):
    with Executor(n_workers=1, threads_per_worker=2) as executor:
        paths = [tmp_path / name for name in ("a", "b")]
        futures = executor.map(linger, paths)
        wait_until(lambda: all(path.exists() for path in paths), "both run")
        executor.cancel(futures, force=True)
        wait_until(lambda: all(path.with_suffix(".struck").exists() for path in paths), "both are struck")
        with pytest.raises(TaskTimeoutError):
            executor.submit(linger, tmp_path / "c", timeout=0.2).result(PATIENCE_S)


async def fail():
    await asyncio.sleep(0)
    raise ValueError("no")


def pass_on():
    return get_executor().submit(fail).result()


async def count_up():
    yield 1


def frames_of(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_error_of_a_coroutine_has_frames_of_the_user_alone(executor):
    assert frames_of(executor.submit(fail).exception(PATIENCE_S)) == ["fail"]
    assert frames_of(executor.submit(pass_on).exception(PATIENCE_S)) == ["pass_on", "fail"]
    with pytest.raises(jupyter_dist.errors.ResultError, match="return a list of what it yields"):
        executor.submit(count_up).result(PATIENCE_S)


# -- other processes and threads -----------------------------------------------------------------------------------------


def say_what_works(pipe, future, executor):
    words = []
    for attempt in (get_executor, default_executor, future.result, lambda: executor.submit(inc, 1)):
        try:
            words.append(repr(attempt()))
        except (ClusterClosedError, FutureCancelledError) as error:
            words.append(f"{type(error).__name__}: {error}")
    pipe.send(words)


def fork_and_ask():
    executor = get_executor()
    future = executor.submit(inc, 1, workers="nobody")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=say_what_works, args=(theirs, future, executor))
    process.start()
    assert ours.poll(PATIENCE_S)
    words = ours.recv()
    process.join()
    return words, executor.submit(inc, 2).result()


def test_forked_child_of_a_task_is_told_that_it_has_no_cluster(executor):
    words, result = executor.submit(fork_and_ask).result(PATIENCE_S)
    assert result == 3
    assert all("forked from" in word for word in words), words
    kinds = ["ClusterClosedError", "ClusterClosedError", "FutureCancelledError", "ClusterClosedError"]
    assert [word.partition(":")[0] for word in words] == kinds


def use_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(get_executor().submit(inc, 1).result()))
    jupyter_dist.secede()
    thread.start()
    thread.join()
    jupyter_dist.rejoin()
    return found


def test_secede_lets_a_thread_of_a_task_wait_in_the_only_slot(single):
    assert single.submit(use_thread).result(PATIENCE_S) == [2]


def test_words_for_tasks_outside_of_one_are_refused():
    for word in (jupyter_dist.secede, jupyter_dist.rejoin):
        with pytest.raises(UsageError, match="for the thread of a task"):
            word()
    with pytest.raises(TypeError):
        get_executor(asynchronous="yes")
