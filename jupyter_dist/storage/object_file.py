"""What is in the file of one object: a head, then the buffers of a packed value where they can be used in place.

The head is a magic number with the version of this layout, the number of buffers and the length of each, little-endian.
Each buffer begins at a multiple of 64 bytes, so that arrays over mapped memory are as good as fresh ones. The file ends
with its last buffer: its size says whether all of it is there. A buffer's bytes are not looked at again: a store in
memory has no other enemy than its owner, and a checksum would cost as much as the writing.

Offsets are Python's integers: nothing changes at 2 or 4 GiB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from jupyter_dist.protocol.framing import BUFFERS_MAX, Buffer

MAGIC = b"jdobj\x00\x00\x01"
FIXED = struct.Struct("<8sQ")
LENGTH_BYTES = 8
ALIGNMENT = 64
PADDING = bytes(ALIGNMENT)


class UnreadableError(Exception):
    """An object is not there, or damaged. Whoever names it in a message says that it is lost; never seen by users."""


def place(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Return where each buffer of these lengths begins, and where the file ends."""
    end = FIXED.size + LENGTH_BYTES * len(lengths)
    offsets = []
    for length in lengths:
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        offsets.append(offset)
        end = offset + length
    return offsets, end


def file_pieces(buffers: Sequence[Buffer]) -> Iterator[memoryview]:
    """Yield what a file is written from, in order and without holes. No buffer is copied."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    lengths = [view.nbytes for view in views]
    offsets, _end = place(lengths)
    head = FIXED.pack(MAGIC, len(views)) + struct.pack(f"<{len(views)}Q", *lengths)
    yield memoryview(head)
    end = len(head)
    for view, offset in zip(views, offsets, strict=True):
        yield memoryview(PADDING)[: offset - end]
        yield view
        end = offset + view.nbytes


def head_bytes(start: bytes) -> int:
    """Return the length of a head from its first bytes.

    Raises
    ------
    UnreadableError
        They are not the first bytes of an object.
    """
    if len(start) < FIXED.size:
        raise UnreadableError(f"it has only {len(start)} bytes")
    magic, count = FIXED.unpack_from(start)
    if magic != MAGIC:
        raise UnreadableError("it does not begin as an object does")
    if not 0 < count <= BUFFERS_MAX:
        raise UnreadableError(f"it claims to have {count} buffers")
    length: int = FIXED.size + LENGTH_BYTES * count
    return length


def read_head(head: bytes, file_bytes: int) -> list[tuple[int, int]]:
    """Return where the buffers of a file begin and end.

    Raises
    ------
    UnreadableError
        The file is cut off, or was never one of ours.
    """
    length = head_bytes(head)
    if len(head) < length:
        raise UnreadableError("its head is cut off")
    lengths = struct.unpack_from(f"<{(length - FIXED.size) // LENGTH_BYTES}Q", head, FIXED.size)
    offsets, end = place(lengths)
    if end != file_bytes:
        raise UnreadableError(f"it has {file_bytes:,} bytes and not {end:,}")
    return [(offset, offset + size) for offset, size in zip(offsets, lengths, strict=True)]
