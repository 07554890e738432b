import pickle
import threading

import numpy as np
import pytest

from jupyter_dist.errors import PackingError, ProtocolError
from jupyter_dist.protocol.payload import pack_inline, pack_value, unpack_value


@pytest.mark.parametrize(
    "value",
    [None, True, 7, 1.5, "text", b"bytes", (1, [2, {"a": {3}}]), bytearray(b"x" * 10_000), range(5), int, print],
)
def test_value_comes_back_equal(value):
    assert unpack_value(pack_value(value)) == value
    assert unpack_value([pack_inline(value)]) == value


def test_closure_comes_back_working():
    factor = 3
    function = unpack_value(pack_value(lambda number: number * factor))
    assert callable(function)
    assert function(4) == 12


def test_large_array_travels_beside_the_stream_without_a_copy():
    array = np.arange(10_000.0)
    stream, raw = pack_value({"a": array})
    assert len(stream) < 1000
    array[0] = 5
    assert np.frombuffer(raw)[0] == 5
    loaded = unpack_value([stream, raw])
    assert isinstance(loaded, dict)
    assert np.shares_memory(loaded["a"], np.frombuffer(raw))


def test_small_arrays_stay_in_the_stream():
    arrays = [np.arange(3) for _ in range(1000)]
    (stream,) = pack_value(arrays)
    loaded = unpack_value([stream])
    assert np.array_equal(loaded, arrays)  # type: ignore[arg-type]  # a list of arrays
    loaded[0][0] = 9  # type: ignore[index]  # writable, as it was


def test_array_in_fortran_order_and_strided_one_come_back_equal():
    base = np.arange(20_000.0).reshape(100, 200)
    for array in (np.asfortranarray(base), base[:, ::2]):
        assert np.array_equal(unpack_value(pack_value(array)), array)  # type: ignore[arg-type]  # an array


def test_more_buffers_than_a_frame_holds_stay_in_the_stream(monkeypatch):
    monkeypatch.setattr("jupyter_dist.protocol.payload.BUFFERS_MAX", 4)
    arrays = [np.full(1000, number) for number in range(10)]
    buffers = pack_value(arrays)
    assert len(buffers) == 4
    assert np.array_equal(unpack_value(buffers), arrays)  # type: ignore[arg-type]  # a list of arrays


def test_unpicklable_value_raises_packing_error_that_names_it():
    for pack in (pack_value, pack_inline):
        with pytest.raises(PackingError, match="a lock cannot be pickled: TypeError"):
            pack(threading.Lock())


class Hostile:
    def __reduce__(self):
        raise HostileError


class HostileError(Exception):
    def __str__(self):
        raise RuntimeError


def test_value_whose_error_has_no_text_raises_packing_error():
    with pytest.raises(PackingError, match="a Hostile cannot be pickled: HostileError"):
        pack_value(Hostile())


def test_too_deep_value_raises_packing_error():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(PackingError, match="recursion"):
        pack_value(value)
    while value:  # freed level by level
        value = value.pop()  # type: ignore[assignment]  # each holds the next


def test_subclass_of_a_plain_type_is_packed_by_value():
    class Name(str):
        __slots__ = ()

    loaded = unpack_value(pack_value(Name("n")))
    assert type(loaded).__name__ == "Name"


def test_no_stream_is_an_error():
    with pytest.raises(ProtocolError, match="without a pickle stream"):
        unpack_value([])


def test_missing_buffers_are_an_error():
    stream, _raw = pack_value(np.zeros(1000))
    with pytest.raises(pickle.UnpicklingError):
        unpack_value([stream])


class Strided:
    def __reduce_ex__(self, protocol):
        return bytes, (pickle.PickleBuffer(memoryview(bytes(20_000))[::2]),)


def test_buffer_that_is_not_contiguous_raises_packing_error():
    with pytest.raises(PackingError, match="contiguous"):
        pack_value(Strided())
