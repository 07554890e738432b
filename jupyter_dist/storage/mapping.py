"""An object's file as read-only memory of this process.

A large file is mapped: no copy, and its pages are shared by all who map it. The views keep the mapping, and the mapping
keeps the pages also when the file is removed meanwhile. A small file is read, which costs less than to map it.

Before Python 3.13 each mapping keeps a descriptor open, of which a process has a thousand as a rule. So only so many
files are mapped at one time, and any more are read into memory of their own.
"""

from __future__ import annotations

import mmap
import os
import stat
import sys
import weakref

from jupyter_dist.storage.object_file import FIXED, UnreadableError, head_bytes, read_head

MAPPED_BYTES_MIN = 1024 * 1024
MAPPINGS_MAX = 256

_mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def load_object(descriptor: int) -> list[memoryview]:
    """Return the buffers of an open object, read-only.

    Raises
    ------
    UnreadableError
        It is damaged.
    OSError
        This process has no room for it.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("it is not a file")
    head = os.pread(descriptor, head_bytes(os.pread(descriptor, FIXED.size, 0)), 0)
    spans = read_head(head, status.st_size)
    memory = _load(descriptor, status.st_size)
    return [memory[start:stop] for start, stop in spans]


def _load(descriptor: int, size: int) -> memoryview:
    if size < MAPPED_BYTES_MIN:
        data = os.pread(descriptor, size, 0)
        if len(data) < size:
            raise UnreadableError("it was cut off while it was read")
        return memoryview(data)
    if sys.version_info >= (3, 13):
        return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ, trackfd=False))
    if len(_mappings) >= MAPPINGS_MAX:
        return _copy(descriptor, size)
    mapping = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
    _mappings.add(mapping)
    return memoryview(mapping)


def _copy(descriptor: int, size: int) -> memoryview:
    memory = memoryview(mmap.mmap(-1, size))
    done = 0
    while done < size:
        count = os.preadv(descriptor, [memory[done:]], done)
        if not count:
            raise UnreadableError("it was cut off while it was read")
        done += count
    return memory.toreadonly()
