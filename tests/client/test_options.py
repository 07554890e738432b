"""The options of a submission: what is kept of what a user gives, and what is refused at once."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_dist.client.calls import make_options
from jupyter_dist.client.mapping import Mapper, options_of_each
from jupyter_dist.errors import UsageError
from jupyter_dist.messages import FunctionBody, Submit, TaskOptions
from jupyter_dist.settings import Settings


def test_workers_and_resources_are_sorted_so_that_equal_options_are_equal():
    one = make_options({"w1", "w0"}, resources={"b": 1, "a": 2})
    assert one == make_options(["w0", "w1", "w0"], resources={"a": 2.0, "b": 1.0})
    assert (one.workers, one.resources) == (("w0", "w1"), (("a", 2.0), ("b", 1.0)))
    assert make_options("w0").workers == ("w0",)
    assert make_options(None) == make_options(None, resources={}) == TaskOptions()


@pytest.mark.parametrize("workers", [5, [5], {"w0": 1}.items(), [None], [["w0"]]])
def test_workers_that_are_no_texts_are_a_type_error(workers):
    with pytest.raises(TypeError):
        make_options(workers)


@pytest.mark.parametrize("workers", [[], (), set(), "", " ", ["w0", ""], "\udc80"])
def test_no_worker_at_all_is_refused(workers):
    with pytest.raises(UsageError):
        make_options(workers)


def test_others_beside_nobody_and_a_choice_that_is_none_are_refused():
    with pytest.raises(UsageError, match="workers"):
        make_options(None, True)
    with pytest.raises(TypeError):
        make_options("w0", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("resources", [{"GPU": 0}, {"GPU": -1}, {"": 1}])
def test_amounts_that_are_none_are_refused(resources):
    with pytest.raises(UsageError):
        make_options(None, resources=resources)


def test_rerun_never_is_an_option_of_the_task_and_contradicts_retries():
    assert make_options(None, rerun="never").once
    assert not make_options(None, rerun="always", retries=3).once
    with pytest.raises(ValueError, match="leave out one"):
        make_options(None, rerun="never", retries=1)


@pytest.mark.parametrize("rerun", ["", "Never", "once", None, False, 0, ["never"]])
def test_rerun_that_is_neither_is_refused(rerun):
    with pytest.raises(ValueError, match="choose 'always' or 'never'"):
        make_options(None, rerun=rerun)


# -- a set of workers for each call of a map


class Packs:
    """Stands for the executor of a map: keeps what is submitted."""

    settings = Settings()

    def __init__(self) -> None:
        self.submitted: list[tuple[TaskOptions, int]] = []


def mapper(owner: Any, workers: Any) -> Mapper:
    return Mapper(owner, FunctionBody("id", "f", b""), {}, options_of_each(workers, make_options), None)


def test_each_call_of_a_map_has_its_own_workers():
    options = options_of_each([{"w0"}, "w1", ["w1", "w0"], None], make_options)
    assert [one.workers for one in options] == [("w0",), ("w1",), ("w0", "w1"), ()]
    assert options_of_each(["w0", "w1"], make_options).workers == ("w0", "w1")


def test_map_of_an_iterator_with_too_few_sets_of_workers_says_so_at_its_place():
    lazy = mapper(Packs(), [{"w0"}, {"w1"}])._items((number,) for number in itertools.count())
    assert [next(lazy).options.workers, next(lazy).options.workers] == [("w0",), ("w1",)]
    with pytest.raises(UsageError, match="2 sets of workers"):
        next(lazy)
    exact = mapper(Packs(), [{"w0"}])._items([(1,)])
    assert len(list(exact)) == 1


def test_endless_iterators_of_workers_and_keys_are_read_with_each_call(quiet):
    executor = quiet.executor
    workers = itertools.cycle([{"w0"}, {"w1"}])
    keys = (f"k{index}" for index in itertools.count())
    lazy = executor.map(abs, itertools.count(), key=keys, workers=workers, maxsize=1)
    assert [next(lazy).key for _ in range(3)] == ["k0", "k1", "k2"]
    assert [future.key for future in executor.map(abs, [1, 2], key=keys, workers=workers)] == ["k3", "k4"]
    sent = [message for message in quiet.settle() if isinstance(message, Submit)]
    placed = {spec.key: message.options.workers for message in sent for spec in message.tasks}
    assert placed == {f"k{index}": (f"w{index % 2}",) for index in range(5)}
    with pytest.raises(UsageError, match="1 keys for more calls"):
        executor.map(abs, [1, 2], key=iter(["a"]))
    with pytest.raises(UsageError, match="1 sets of workers for more calls"):
        executor.map(abs, [1, 2], workers=iter([{"w0"}]))
    assert len(quiet.submitted()) == 5


def test_slow_iterator_gives_its_first_future_before_it_is_read_far_ahead(quiet, monkeypatch):
    monkeypatch.setattr("jupyter_dist.client.mapping.READ_S", 0.0)  # whatever takes any time is slow
    read: list[int] = []

    def source() -> Iterator[int]:
        for number in range(3):
            read.append(number)
            yield number

    lazy = quiet.executor.map(abs, source())
    next(lazy)
    assert read == [0]
    assert len(list(lazy)) == 2


def test_map_of_a_list_needs_a_set_of_workers_for_each_call():
    with pytest.raises(UsageError, match="1 sets of workers for 2 calls"):
        mapper(Packs(), [{"w0"}]).map(([1, 2],), 10)
