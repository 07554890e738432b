"""A worker's disk and what its process gives back to the system: one thread, one thing after another, beside the loop.

Packing a result runs a user's code and takes as long as the result is large; so does writing it, and so may letting go
of it. What became of it the loop hears as an event. What is decided here: nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import getpid

from jupyter_dist.core.worker.effects import Held, StartSpill
from jupyter_dist.core.worker.events import MemorySeen, SpillEnded
from jupyter_dist.errors import StorageError
from jupyter_dist.processes.vitals import private_bytes
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.storage.spill import SpillFolder

LOG = logging.getLogger("jupyter_dist.worker")


class Spilling:
    """Spills results, removes what was spilled, and gives free memory to the system. It belongs to one event loop.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Where events are delivered.
    folder : SpillFolder
        Where results go.
    pack : callable
        Returns the buffers of a held result, or in words why it cannot be packed.
    deliver : callable
        Takes what happened.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: SpillFolder,
        pack: Callable[[Held], Sequence[Buffer] | str],
        deliver: Callable[[Sequence[SpillEnded | MemorySeen]], None],
    ) -> None:
        self._loop = loop
        self._folder = folder
        self._pack = pack
        self._deliver = deliver
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spilling")
        self._is_failing = False

    def spill(self, order: StartSpill) -> None:
        """Write a held result."""
        self._submit(self._write, order)

    def remove(self, names: Sequence[str]) -> None:
        """Remove what was spilled."""
        self._submit(self._folder.remove, tuple(names))

    def relieve(self, values: list[object], *, collect: bool) -> None:
        """Let go of values, of garbage too if that is asked for, give what is free to the system, and look again."""
        self._submit(self._relieve, values, collect)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed
            self._thread.submit(work, *args)

    def _write(self, order: StartSpill) -> None:
        packed = self._pack(order.held)
        if isinstance(packed, str):
            LOG.warning("%s (%s bytes) stays in memory: %s", order.key, f"{order.held.nbytes:,}", packed)
            self._tell(SpillEnded(order.name, packed, is_unfit=True))
            return
        try:
            self._folder.write(order.name, packed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the value stays where it is, and that is told
            self._warn(error)
            self._tell(SpillEnded(order.name, describe_trouble(error)))
        else:
            self._is_failing = False
            self._tell(SpillEnded(order.name))

    def _warn(self, error: Exception) -> None:
        """Say once that nothing can be written."""
        if not self._is_failing:
            LOG.warning("results that take too much memory cannot be written to disk: %s", describe_trouble(error))
        self._is_failing = True

    def _relieve(self, values: list[object], collect: bool) -> None:
        values.clear()
        if collect:
            gc.collect()
        trim_heap()
        self._tell(MemorySeen(private_bytes(getpid())))

    def _tell(self, event: SpillEnded | MemorySeen) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._deliver, [event])


def describe_trouble(error: Exception) -> str:
    """Return in words why nothing could be written."""
    return str(error) if isinstance(error, StorageError) else f"{type(error).__name__}: {error}"


def trim_heap() -> None:
    """Give the free memory of the C library's heap back to the system, where it can be asked for that."""
    if _malloc_trim is not None:
        _malloc_trim(0)


def _find_malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it


_malloc_trim = _find_malloc_trim()
