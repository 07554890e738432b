"""Which arguments of a `joblib.Parallel` call are sent once."""

import numpy as np

from jupyter_dist.client.joblib_backend import SHARED_BYTES_MIN, Call, SharedArguments, call_each, size_of


class NotingExecutor:
    """Takes scattered data."""

    def __init__(self) -> None:
        self.scattered: list[object] = []

    def scatter(self, data: list[object]) -> list[str]:
        self.scattered.extend(data)
        return [f"future {len(self.scattered)}"]


def make_shared() -> tuple[SharedArguments, NotingExecutor]:
    executor = NotingExecutor()
    return SharedArguments(executor), executor  # type: ignore[arg-type]  # all it needs of one


def make_call(*args: object, **kwargs: object) -> Call:
    return len, args, kwargs


def test_large_argument_goes_by_value_first_and_is_scattered_once_then():
    shared, executor = make_shared()
    array = np.zeros(SHARED_BYTES_MIN)
    assert shared.replace_in(make_call(array, 1))[1][0] is array
    assert shared.replace_in(make_call(array, 2))[1:] == (("future 1", 2), {})
    assert shared.replace_in(make_call(x=array))[1:] == ((), {"x": "future 1"})
    assert len(executor.scattered) == 1


def test_small_argument_always_goes_by_value():
    shared, executor = make_shared()
    array = np.zeros(10)
    for _ in range(3):
        assert shared.replace_in(make_call(array))[1][0] is array
    assert executor.scattered == []


def test_argument_that_is_gone_is_forgotten_with_its_identity():
    shared, _ = make_shared()
    for _ in range(20):
        shared.replace_in(make_call(np.zeros(SHARED_BYTES_MIN)))
    assert (shared._seen, shared._sent) == ({}, {})


def test_argument_without_weak_references_goes_by_value():
    shared, executor = make_shared()
    data = bytes(SHARED_BYTES_MIN)
    for _ in range(3):
        assert shared.replace_in(make_call(data))[1][0] is data
    assert executor.scattered == []


def test_size_of_an_object_is_never_an_error():
    class Odd:
        nbytes = "many"

    assert size_of(Odd()) < SHARED_BYTES_MIN
    assert size_of(np.zeros(1000)) == 8000


def test_batch_of_calls_gives_their_results_in_order():
    assert call_each([(pow, (2, 3), {}), (int, ("ff",), {"base": 16})], nesting_level=1) == [8, 255]
