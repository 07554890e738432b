"""A worker's memory limit and its disk in a simulated world: what it uses, what it spills, and what goes wrong there.

Its chance is its own: a world without it is the same as it was before there was any, so old stories keep their meaning.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from jupyter_dist.core.worker.effects import Effects, Live, Spilled, StartSpill
from jupyter_dist.core.worker.events import MemorySeen, SpillEnded, SpillLost
from jupyter_dist.core.worker.machine import LOCAL, WorkerMachine

LIMITS = (250_000, 450_000, 2_000_000)  # a large result of a world is 200,000
BASE_BYTES = 20_000  # what an empty worker uses


class MemoryPlan:
    """What is drawn for one world. ``is_used`` False: its workers have no limit."""

    def __init__(self, seed: int, *, is_used: bool) -> None:
        self.rng = random.Random(f"memory {seed}")
        is_limited = is_used and self.rng.random() < 0.6
        self.limit = self.rng.choice(LIMITS) if is_limited else 0
        self._garbage = self.rng.choice((0.0, 0.05, 0.2))
        self._failing = self.rng.choice((0.0, 0.0, 0.1, 0.6))

    @property
    def is_failing(self) -> bool:
        """Whether disks of this world may be full."""
        return bool(self.limit) and self._failing > 0

    def draw_garbage(self, *, is_calm: bool) -> int:
        """Draw how much a process uses that is no result."""
        return int(self.limit * self.rng.uniform(0.3, 1.2)) if not is_calm and self.rng.random() < self._garbage else 0

    def draw_failure(self, *, is_calm: bool) -> str:
        """Draw why the disk does not take a file; empty: it does."""
        return "the disk is full" if not is_calm and self.rng.random() < self._failing else ""


class Process(Protocol):
    """A worker's process, as its disk sees it."""

    world: Any
    machine: WorkerMachine

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have something happen in it after a while."""

    def deliver(self, source: int, events: Any) -> None:
        """Have its machine handle events."""

    def leave(self) -> None:
        """End in order."""


class Disk:
    """One worker's spilled results, and what its process uses."""

    def __init__(self, process: Process) -> None:
        self.files: dict[str, str] = {}
        self._process = process
        self._plan: MemoryPlan = process.world.memory
        self._garbage = 0

    def look(self) -> list[MemorySeen]:
        """Return what the process uses now, if anybody counts."""
        if not self._plan.limit:
            return []
        held = self._process.machine._state.held
        live = sum(value.nbytes for value in held.values() if not isinstance(value, Spilled))
        self._garbage = self._plan.draw_garbage(is_calm=self._process.world.is_calm)
        return [MemorySeen(BASE_BYTES + live + self._garbage)]

    def perform(self, effects: Effects) -> None:
        """Do what concerns memory and disk."""
        for order in effects.spills:
            self._process.later(self._plan.rng.random() * 0.02, partial(self._write, order))
        for name in effects.unspilled:
            self.files.pop(name, None)
        if effects.trim or effects.collect:
            self._process.later(self._plan.rng.random() * 0.01, self._relieve)
        if effects.leave:
            self._process.leave()

    def read(self, key: str, value: Spilled) -> str | None:
        """Return a spilled value; the machine hears of one that is not there."""
        text = self.files.get(value.name)
        if text is None:
            self._process.later(0.0, partial(self._process.deliver, LOCAL, [SpillLost(key, value.name)]))
        return text

    def _relieve(self) -> None:
        self._process.deliver(LOCAL, self.look())

    def _write(self, order: StartSpill) -> None:
        reason = self._plan.draw_failure(is_calm=self._process.world.is_calm)
        if not reason:
            held = order.held
            self.files[order.name] = str(held.value) if isinstance(held, Live) else bytes(held.buffers[0]).decode()
        ended = SpillEnded(order.name, reason)
        self._process.later(self._plan.rng.random() * 0.02, partial(self._process.deliver, LOCAL, [ended]))
