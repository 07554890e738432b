"""Who is in a world, by name, and how one asks a worker for a value it holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from jupyter_dist.messages import STORE
from tests.simulator.oracles import Oracles
from tests.simulator.scheduler_host import SchedulerHost
from tests.simulator.world import World

Take = Callable[[str | None], None]


class Holder(Protocol):
    """A worker process, as others see it."""

    address: str
    is_alive: bool
    is_stopped: bool
    asked: list[Take]

    def do(self, action: Callable[[], None]) -> None:
        """Have something happen in its process."""

    def find_readable(self, key: str) -> str | None:
        """Return a value it holds."""


class Keeper(Protocol):
    """A nanny, as its workers see it."""

    def end(self, worker: Any, cause: str, words: str) -> None:
        """Note that a process ends."""


class Parties:
    """All parties of one world."""

    def __init__(self, world: World, oracles: Oracles, scheduler: SchedulerHost) -> None:
        self.world = world
        self.oracles = oracles
        self.scheduler = scheduler
        self.keepers: dict[str, Keeper] = {}
        self.workers: dict[str, Holder] = {}  # by address: the newest process that serves there

    def nanny(self, name: str) -> Keeper:
        """Return a nanny."""
        return self.keepers[name]

    def loses_certificate(self) -> bool:
        """Draw whether a death certificate does not leave its host."""
        world = self.world
        return not world.is_calm and "lose-certificate" in world.swarm.faults and world.rng.random() < 0.5

    def ask_holder(self, asker: str, holder: str, key: str, take: Take) -> None:
        """Ask who serves at an address for a value; ``take`` gets it, or None, or nothing for ever."""
        clock, delay = self.world.clock, self.world.delay
        world = self.world
        if holder.startswith(STORE):
            clock.after(delay(), lambda: take(world.store.read(holder)))
            return
        is_flaky = not world.is_calm and "partition" in world.swarm.faults and world.rng.random() < 0.2
        world.happened["fetch across a partition"] += is_flaky or frozenset((asker, holder)) in world.partitions
        if is_flaky or frozenset((asker, holder)) in world.partitions:
            clock.after(delay() + 0.05, partial(take, None))
        else:
            clock.after(delay(), partial(self._ask, holder, key, take))

    def _ask(self, holder: str, key: str, take: Take) -> None:
        worker = self.workers.get(holder)
        if worker is None or not worker.is_alive:
            self.world.clock.after(self.world.delay(), partial(take, None))
        else:
            worker.asked.append(take)
            worker.do(partial(self._answer, worker, key, take))

    def _answer(self, worker: Holder, key: str, take: Take) -> None:
        worker.asked.remove(take)
        value = worker.find_readable(key)
        self.world.clock.after(self.world.delay(), partial(take, value))

    def bury(self, worker: Holder) -> None:
        """Tell those who asked a worker that is dead now: their connections to it end."""
        for take in worker.asked:
            self.world.clock.after(self.world.delay(), partial(take, None))
        worker.asked.clear()
