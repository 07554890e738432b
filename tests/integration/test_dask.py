"""dask on a cluster: its own tests of a scheduler, and collections that equal the threaded scheduler's."""

import operator
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.utils_test import GetFunctionTestMixin

from jupyter_dist import Executor, Future, as_completed, wait
from jupyter_dist.errors import ClusterClosedError, PackingError, UsageError
from tests.integration.conftest import wait_until


@pytest.fixture(scope="module", autouse=True)
def place_of_dask(tmp_path_factory) -> Iterator[None]:
    """What dask would keep until the process ends: the threads it compares with, and the files of its shuffles."""
    with ThreadPoolExecutor(2) as pool, dask.config.set(pool=pool, temporary_directory=tmp_path_factory.mktemp("dask")):
        yield


def inc(number: int) -> int:
    return number + 1


def slow_inc(number: int) -> int:
    time.sleep(0.02)
    return number + 1


def draw() -> float:
    return random.random()


def fail(text: str) -> None:
    raise ValueError(text)


class TestGet(GetFunctionTestMixin):  # type: ignore[misc]  # dask's types are not read
    """dask's own tests of a `get` function, all of them."""

    get: Any = None

    @pytest.fixture(autouse=True)
    def _use(self, executor: Executor) -> None:
        self.get = executor.get


# -- graphs --------------------------------------------------------------------------------------------------------------


def test_get_without_sync_gives_futures_in_the_places_of_keys(executor):
    futures = executor.get({"a": 1, "b": (inc, "a")}, ["b", ["a"]], sync=False)
    assert isinstance(futures[0], Future)
    assert executor.gather(futures) == (2, (1,))


def test_get_the_same_names_with_other_meanings_computes_anew(executor):
    assert executor.get({"x": (inc, 1)}, "x") == 2
    held = executor.get({"x": (inc, 1)}, "x", sync=False)
    assert executor.get({"x": (inc, 10)}, "x") == 11
    assert held.result(10) == 2
    first, second = (executor.get({"x": (draw,)}, "x") for _ in range(2))
    assert first != second


def test_get_of_a_chain_of_aliases_gives_their_target(executor):
    graph = {"a": (inc, 1), "b": "a", "c": "b", "d": (inc, "c"), "e": 7, "f": "e"}
    assert executor.get(graph, ["a", "b", "c", "d", "f", "e"]) == (2, 2, 2, 3, 7, 7)


def test_get_with_keys_of_every_kind(executor):
    graph = {("x", 0): 1, ("x", 1): (inc, ("x", 0)), 5: (inc, ("x", 1)), 1.5: (inc, 5), b"k": (inc, 1.5)}
    assert executor.get(graph, [b"k", 5, ("x", 1)]) == (5, 3, 2)


def test_get_with_futures_in_the_graph_takes_their_results(executor):
    future = executor.submit(inc, 1)
    assert executor.get({"a": future, "b": (inc, "a")}, ["a", "b"]) == (2, 3)
    assert executor.get({"b": (sum, [future, 10])}, "b") == 12


def test_get_runs_tasks_in_the_order_of_dask(executor):
    graph: dict[Any, Any] = {("load", n): (slow_inc, n) for n in range(20)}
    graph |= {("use", n): (inc, ("load", n)) for n in range(20)}
    graph["all"] = (sum, [("use", n) for n in range(20)])
    assert executor.get(graph, "all") == sum(range(2, 22))
    events: list[Any] = []
    watching = executor.watch(lambda observation: events.extend(observation.events))
    wait_until(lambda: sum(event.label == "use" for event in events) >= 20, "the events are here")
    watching.close()
    labels = [event.label for event in events if event.label in ("load", "use") and event.kind == "finished"]
    assert labels.index("use") < 10


def test_get_leaves_nothing_on_the_cluster(executor):
    assert executor.get({f"x{n + 1}": (inc, f"x{n}") for n in range(100)} | {"x0": 0}, "x100") == 100
    wait_until(lambda: not executor.snapshot().counts["memory"], "all is released")


def test_error_of_a_task_is_raised_with_the_users_frames(executor):
    with pytest.raises(ValueError, match="deep") as caught:
        executor.get({"a": (fail, "deep"), "b": (inc, "a")}, "b")
    assert caught.traceback[-1].name == "fail"


def test_graph_that_makes_no_sense_is_refused_and_nothing_is_sent(executor):
    before = executor.snapshot().finished
    with pytest.raises(KeyError, match="nowhere"):
        executor.get({"a": 1}, ["a", ["nowhere"]])
    with pytest.raises(TypeError, match="a dask graph is"):
        executor.get([("a", 1)], "a")
    with pytest.raises(PackingError, match="'b' cannot be pickled"):
        executor.get({"a": (inc, 1), "b": (inc, (i for i in range(3))), "c": (sum, ["a", "b"])}, "c")
    with pytest.raises(PackingError, match="smaller chunks"):
        executor.get({"a": (len, bytes(executor.settings.argument_bytes_max + 1))}, "a")
    with pytest.raises(UsageError, match="retries"):
        executor.get({"a": (inc, 1)}, "a", retries=-1)
    with Executor(executor.info) as other:
        foreign = other.submit(inc, 1)
        with pytest.raises(UsageError, match="another executor"):
            executor.get({"a": (inc, foreign)}, "a")
    with pytest.raises(ClusterClosedError):
        other.get({"a": (inc, 1)}, "a")
    assert executor.get({}, []) == ()
    assert executor.snapshot().finished - before <= 1


# -- collections ---------------------------------------------------------------------------------------------------------


def make_array() -> Any:
    numbers = da.random.default_rng(7).random((300, 300), chunks=(100, 100))
    return (numbers @ numbers.T).sum(axis=0) + numbers.mean(axis=1) - da.arange(300, chunks=100)


def make_bag() -> Any:
    return (
        db.from_sequence(range(200), npartitions=5)
        .filter(lambda n: n % 3)
        .map(inc)
        .frequencies()
        .map(operator.itemgetter(0))
    )


def make_frame() -> Any:
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"key": generator.integers(0, 9, 500), "x": generator.random(500), "y": ["a", "b"] * 250})
    return dd.from_pandas(frame, npartitions=4)


def make_delayed() -> Any:
    double = dask.delayed(lambda number: 2 * number)
    return dask.delayed(sum)([double(n) for n in range(10)]) + dask.delayed(len)({"a": double(1), "b": [double(2)]})


@pytest.mark.parametrize("how", ["get", "executor"])
def test_collections_equal_those_of_the_threaded_scheduler(executor, how):
    scheduler = executor.get if how == "get" else executor
    np.testing.assert_array_equal(make_array().compute(scheduler=scheduler), make_array().compute(scheduler="threads"))
    assert sorted(make_bag().compute(scheduler=scheduler)) == sorted(make_bag().compute(scheduler="threads"))
    assert make_delayed().compute(scheduler=scheduler) == make_delayed().compute(scheduler="threads") == 92
    for result in (
        make_frame().groupby("key").x.mean(),
        make_frame().merge(make_frame().groupby("y").x.sum().reset_index(), on="y"),
        make_frame().set_index("x").y,
    ):
        left, right = result.compute(scheduler=scheduler), result.compute(scheduler="threads")
        sorter = (
            (lambda r: r.sort_values(list(r.columns)).reset_index(drop=True))
            if left.ndim == 2
            else (lambda r: r.sort_index())
        )
        (pd.testing.assert_frame_equal if left.ndim == 2 else pd.testing.assert_series_equal)(
            sorter(left), sorter(right)
        )


def test_executor_is_the_scheduler_of_a_configuration(executor):
    with dask.config.set(scheduler=executor):
        assert dask.compute(make_delayed(), {"a": [make_delayed()]}) == (92, {"a": [92]})


def test_compute_gives_a_future_for_each_collection(executor):
    array, value = executor.compute([make_array(), make_delayed()])
    frame = executor.compute(make_frame().x.sum())
    assert isinstance(array, Future)
    np.testing.assert_array_equal(array.result(20), make_array().compute(scheduler="threads"))
    assert frame.result(20) == pytest.approx(make_frame().x.sum().compute(scheduler="threads"))
    assert value.result(20) == 92


def test_compute_with_sync_gives_values_and_leaves_other_things(executor):
    assert executor.compute(make_delayed(), sync=True) == 92
    assert executor.compute([make_delayed(), 7, "x", {"a": make_delayed()}], sync=True) == [92, 7, "x", {"a": 92}]
    assert executor.compute([]) == []
    assert executor.compute(7) == 7
    assert executor.compute({make_delayed()}, sync=True) == [92]


def test_compute_equal_collections_shares_their_tasks(executor):
    numbers = da.random.default_rng(1).random((200, 200), chunks=(100, 100))
    first = executor.persist(numbers)
    held = set(executor.futures)
    second = executor.persist(numbers)
    assert set(executor.futures) <= held  # what others dropped may be gone by now
    np.testing.assert_array_equal(first.compute(scheduler=executor), second.compute(scheduler=executor))
    unequal = [executor.compute(dask.delayed(draw)()) for _ in range(2)]
    assert unequal[0].result(10) != unequal[1].result(10)


def test_persist_gives_collections_made_of_futures(executor):
    numbers = executor.persist(da.random.default_rng(2).random((200, 200), chunks=(100, 100)))
    blocks = [value for value in numbers.dask.values() if isinstance(value, Future)]
    assert len(blocks) == 4
    assert float(numbers.sum().compute(scheduler=executor)) == pytest.approx(
        sum(block.result().sum() for block in blocks)
    )
    assert executor.compute((numbers - numbers).sum(), sync=True) == 0
    frame = executor.persist(make_frame())
    bag, value = executor.persist([make_bag(), make_delayed()])
    pd.testing.assert_frame_equal(frame.compute(scheduler=executor), make_frame().compute(scheduler="threads"))
    assert frame.x.sum().compute(scheduler=executor) == pytest.approx(make_frame().x.sum().compute(scheduler="threads"))
    assert sorted(bag.compute(scheduler=executor)) == sorted(make_bag().compute(scheduler="threads"))
    assert (value + 1).compute(scheduler=executor) == 93


def test_collections_that_were_persisted_are_waited_for_and_come_as_they_are_done(executor):
    array, frame = executor.persist(da.ones((40, 40), chunks=20)), executor.persist(make_frame())
    assert wait(array, timeout=20).not_done == set()
    assert len(list(as_completed([array, frame], timeout=20))) == 4 + frame.npartitions
    assert wait([array, frame, executor.submit(inc, 1)], timeout=20).not_done == set()
    for collection in (da.ones(3), make_bag()):
        with pytest.raises(TypeError, match="persist it first"):
            wait(collection)


def test_persist_by_dask_goes_through_the_executor(executor):
    [array] = dask.persist(da.ones((50, 50), chunks=25), scheduler=executor.get)
    assert all(isinstance(value, Future) for value in array.dask.values())
    assert array.sum().compute(scheduler=executor) == 2500
    [again] = dask.persist(array + 1, scheduler=executor)
    assert again.sum().compute(scheduler=executor) == 5000


def test_delayed_of_a_future_takes_its_result(executor):
    future = executor.submit(inc, 1)
    assert dask.delayed(inc)(future).compute(scheduler=executor) == 3
    assert dask.delayed(sum)([future, dask.delayed(inc)(future), 10]).compute(scheduler=executor) == 15
    assert dask.delayed(len)({"a": {1: [future]}}).compute(scheduler=executor) == 1


def test_annotations_and_options_reach_their_tasks(executor, tmp_path):
    mark = tmp_path / "mark"

    def fail_once() -> str:
        if not mark.exists():
            mark.touch()
            raise ValueError("once")
        return "done"

    with dask.annotate(retries=1):
        value = dask.delayed(fail_once)()
    with dask.config.set({"optimization.fuse.active": False}):
        assert executor.compute(value, sync=True) == "done"
    mark.unlink()
    assert executor.compute(dask.delayed(fail_once)(), sync=True, retries=1) == "done"
    mark.unlink()
    assert dask.delayed(fail_once)().compute(scheduler=executor, retries=1) == "done"
    name = executor.snapshot().workers[0].name
    futures = executor.compute([dask.delayed(slow_inc)(n) for n in range(4)], workers=name)
    assert executor.gather(futures) == [1, 2, 3, 4]


def test_collections_that_make_no_sense_are_refused(executor):
    with pytest.raises(TypeError, match="is none"):
        executor.persist([make_delayed(), 3])
    with pytest.raises(UsageError, match="retrys"):
        executor.compute(make_delayed(), retrys=3)
    with pytest.raises(UsageError, match="workers"):
        executor.compute(make_delayed(), allow_other_workers=True)
    assert executor.persist([]) == []
