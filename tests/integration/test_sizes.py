"""Very many values, empty ones, and ones on both sides of the bounds of numbers of 31 and 32 bits."""

import gc

import numpy as np
import psutil
import pytest

from jupyter_dist import Executor
from jupyter_dist.storage import places

MANY = 100_000
BOUND = 2**31
HUGE_BYTES = 2_200_000_000
SPARE_BYTES = 10_000_000_000  # what must be available before one object of that size is made, sent and held
PATIENCE_S = 300.0


def inc(number: int) -> int:
    return number + 1


def count(values: list[int]) -> int:
    return len(values)


def mark(nbytes: int, at: int) -> np.ndarray:
    """Return zeros with one 7 among them."""
    array = np.zeros(nbytes, dtype=np.uint8)
    array[at] = 7
    return array


def look(array: np.ndarray, at: int) -> tuple[int, int, int]:
    return array.nbytes, int(array[at]), int(array[::4096].sum() + array[at - 1])


def describe(value: object) -> tuple[str, int]:
    return type(value).__name__, len(value)  # type: ignore[arg-type]


def test_many_small_values_in_one_call_are_all_there_and_in_order(executor):
    pieces = executor.scatter(list(range(MANY)))
    assert len(pieces) == MANY
    assert executor.submit(count, pieces).result(PATIENCE_S) == MANY
    assert executor.gather(pieces[::1000]) == list(range(0, MANY, 1000))
    del pieces
    gc.collect()
    assert executor.gather(executor.map(inc, range(MANY))) == list(range(1, MANY + 1))


@pytest.mark.parametrize("value", [b"", "", [], {}, np.empty(0), np.empty((5, 0, 3)), bytearray()], ids=repr)
def test_values_of_no_length_travel_all_ways(executor, value):
    scattered = executor.scatter([value])[0]
    result = executor.submit(describe, scattered)
    assert result.result(PATIENCE_S) == (type(value).__name__, len(value))
    back = scattered.result(PATIENCE_S)
    assert type(back) is type(value)
    assert getattr(back, "shape", len(back)) == getattr(value, "shape", len(value))


def test_no_memory_to_share_the_disk_takes_its_place(monkeypatch):
    monkeypatch.setattr(places, "MEMORY_BYTES_MIN", 1 << 62)
    with Executor(n_workers=1) as executor:
        assert len(executor.info.objects) == 1
        scattered = executor.scatter([mark(5_000_000, 4_999_999)])[0]
        assert executor.submit(look, scattered, 4_999_999).result(PATIENCE_S) == (5_000_000, 7, 0)
        made = executor.submit(mark, 5_000_000, 3)
        assert look(made.result(PATIENCE_S), 3) == (5_000_000, 7, 0)


@pytest.mark.skipif(psutil.virtual_memory().available < SPARE_BYTES, reason="too little memory for an object of 2.2 GB")
@pytest.mark.parametrize("way", ["scattered", "returned"])
def test_object_beyond_31_bits_is_right_to_its_last_byte(way):
    at = BOUND + 5
    with Executor(n_workers=1) as executor:
        if way == "scattered":
            future = executor.scatter([mark(HUGE_BYTES, at)])[0]
        else:
            future = executor.submit(mark, HUGE_BYTES, at)
        assert executor.submit(look, future, at).result(PATIENCE_S) == (HUGE_BYTES, 7, 0)
        assert look(future.result(PATIENCE_S), at) == (HUGE_BYTES, 7, 0)
