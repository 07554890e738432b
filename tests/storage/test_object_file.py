import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.protocol.framing import BUFFERS_MAX
from jupyter_dist.storage.object_file import ALIGNMENT, FIXED, MAGIC, UnreadableError, file_pieces, place, read_head

HUGE = [2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**32 + 1, 2**40]


def joined(buffers):
    return b"".join(file_pieces(buffers))


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20))
def test_file_pieces_of_any_buffers_are_found_again_where_the_head_says(buffers):
    data = joined(buffers)
    spans = read_head(data, len(data))
    assert [data[start:stop] for start, stop in spans] == buffers
    assert all(start % ALIGNMENT == 0 for start, _stop in spans)


@given(st.lists(st.sampled_from(HUGE) | st.integers(0, 2**34), min_size=1, max_size=5))
def test_place_beyond_two_and_four_gibibytes_keeps_buffers_apart_and_aligned(lengths):
    offsets, end = place(lengths)
    head = joined([b""] * len(lengths))[: FIXED.size]
    head += b"".join(length.to_bytes(8, "little") for length in lengths)
    assert read_head(head, end) == [(at, at + size) for at, size in zip(offsets, lengths, strict=True)]
    stops = [FIXED.size + 8 * len(lengths), *(at + size for at, size in zip(offsets, lengths, strict=True))]
    assert all(before <= at < before + ALIGNMENT for before, at in zip(stops, offsets, strict=False))
    assert end == stops[-1]


@given(st.binary(max_size=64), st.integers(0, 2**20))
def test_read_head_of_anything_else_is_unreadable(data, size):
    with pytest.raises(UnreadableError):
        read_head(data, size)


@pytest.mark.parametrize("count", [0, BUFFERS_MAX + 1, 2**64 - 1])
def test_read_head_with_an_absurd_count_is_unreadable(count):
    with pytest.raises(UnreadableError, match="buffers"):
        read_head(FIXED.pack(MAGIC, count), 16)


@given(st.data())
def test_read_head_of_a_file_cut_anywhere_is_unreadable(data):
    whole = joined([b"stream", b"x" * 100])
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(UnreadableError):
        read_head(whole[:cut], cut)
