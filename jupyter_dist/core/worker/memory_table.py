"""What a worker knows of its memory: the limit, what the process uses, which results are where. Decides nothing.

A result is *resident* while it could be spilled: it is in memory, not too small to be worth a file, and nothing has
shown that it cannot be written. The least recently used is first. Without a limit nothing is entered here at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from jupyter_dist.core.worker.effects import Copied, Held, InputValue, Live, Spilled, StartSpill
from jupyter_dist.settings import Settings

SPILL_BYTES_MIN = 4096  # less is not worth a file
HELD = (Live, Copied, Spilled)


class Memory:
    """The books of `jupyter_dist.core.worker.memory`, which alone changes what is below the line."""

    def __init__(self, settings: Settings, limit: int) -> None:
        self.limit = limit  # bytes; 0: none
        self.target_bytes = int(settings.memory_target * limit)
        self.spill_bytes = int(settings.memory_spill * limit)
        self.pause_bytes = int(settings.memory_pause * limit)
        self.resident: OrderedDict[str, int] = OrderedDict()
        self.resident_bytes = 0
        self.spilled: dict[str, int] = {}
        self.spilled_bytes = 0
        self.inputs: dict[str, int] = {}  # how many attempts have a held result as an input
        self.spilling: dict[str, StartSpill] = {}  # what is being written, by the file's name
        self.spilling_bytes = 0

        self.used = 0  # by the process: as last seen, less what was spilled since
        self.base: int | None = None  # what it used when it was seen first
        self.trouble = ""  # why nothing can be written to the disk
        self.retry_s = 0.0  # when that is tried again
        self.is_paused = False
        self.is_resigned = False  # it is over its limit for good, and works on nevertheless
        self.patience_s: float | None = None  # until when something may yet become free
        self.told: tuple[bool, str] = (False, "")  # the scheduler
        self.last_file = 0

    def enter(self, key: str, held: Held) -> None:
        """Note a result that is held from now on."""
        if not self.limit:
            return
        if isinstance(held, Spilled):
            self.spilled[key] = held.nbytes
            self.spilled_bytes += held.nbytes
        elif held.nbytes >= SPILL_BYTES_MIN:
            self.resident[key] = held.nbytes
            self.resident_bytes += held.nbytes

    def leave(self, key: str) -> None:
        """Note that a result is held no more, or cannot be spilled."""
        self.resident_bytes -= self.resident.pop(key, 0)
        self.spilled_bytes -= self.spilled.pop(key, 0)

    def use(self, key: str) -> None:
        """Note that an attempt has a held result as an input."""
        if self.limit:
            self.inputs[key] = self.inputs.get(key, 0) + 1
            if key in self.resident:
                self.resident.move_to_end(key)

    def end_use(self, key: str, value: InputValue) -> None:
        """Note that an attempt has it no more."""
        if self.limit and isinstance(value, HELD):
            left = self.inputs[key] - 1
            if left:
                self.inputs[key] = left
            else:
                del self.inputs[key]

    def victims(self) -> Iterator[str]:
        """Yield the keys that could be spilled now, least recently used first."""
        under_way = {order.key for order in self.spilling.values()} if self.spilling else ()
        return (key for key in self.resident if key not in self.inputs and key not in under_way)

    def excess(self) -> int:
        """Return how many bytes more should be spilled than are being."""
        over = self.resident_bytes - self.target_bytes
        if self.used > self.spill_bytes:
            over = max(over, self.used - self.target_bytes)
        return over - self.spilling_bytes

    def begin(self, order: StartSpill) -> None:
        """Note that a result is being written."""
        self.spilling[order.name] = order
        self.spilling_bytes += order.held.nbytes

    def end(self, name: str) -> StartSpill:
        """Note that it is not any more, and return the order."""
        order = self.spilling.pop(name)
        self.spilling_bytes -= order.held.nbytes
        return order
