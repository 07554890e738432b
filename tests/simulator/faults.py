"""What goes wrong in a world: one fault now and then, of the kinds its seed drew, until it is calm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.simulator.client_host import ClientHost
from tests.simulator.nanny_host import NannyHost
from tests.simulator.parties import Parties
from tests.simulator.script import Script
from tests.simulator.worker_host import WorkerHost


class Faults:
    """The bad luck of one world."""

    def __init__(self, parties: Parties, nannies: dict[str, NannyHost], script: Script) -> None:
        self.parties = parties
        self.world = parties.world
        self.nannies = nannies
        self.script = script
        kinds: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "break-worker": self._break_worker,
            "stop-worker": self._stop_worker,
            "busy-worker": self._busy_worker,
            "break-nanny": self._break_nanny,
            "lose-host": self._lose_host,
            "partition": self._partition,
            "pause-scheduler": self._pause_scheduler,
            "kill-scheduler": self._kill_scheduler,
            "break-client": self._break_client,
            "lose-client": self._lose_client,
            "lose-value": self._lose_value,
        }
        self._kinds = {name: kind for name, kind in kinds.items() if name in self.world.swarm.faults}
        self._next()
        if self.world.store.is_hurt:
            self.world.clock.after(self.world.store.rng.uniform(0.2, 2.0), self._hurt_object)

    def _hurt_object(self) -> None:
        if not self.world.is_calm:
            self.world.note("fault", "hurt-object")
            self.world.store.hurt()
            self.world.clock.after(self.world.store.rng.uniform(0.2, 2.0), self._hurt_object)

    def _next(self) -> None:
        if self._kinds:
            self.world.clock.after(self.world.rng.expovariate(1 / self.world.swarm.fault_every_s), self._strike)

    def _strike(self) -> None:
        if not self.world.is_calm:
            name = self.world.rng.choice(list(self._kinds))
            self.world.note("fault", name)
            self._kinds[name]()
            self._next()

    def _worker(self) -> WorkerHost | None:
        alive = [w for nanny in self.nannies.values() for w in nanny.workers.values() if w is not None and w.is_alive]
        return self.world.rng.choice(alive) if alive else None

    def _nanny(self) -> NannyHost | None:
        alive = [nanny for nanny in self.nannies.values() if nanny.is_alive]
        return self.world.rng.choice(alive) if alive else None

    def _kill(self) -> None:
        worker = self._worker()
        if worker is not None:
            self.nannies[worker.nanny].end(worker, "signal", "killed from outside")

    def _break_worker(self) -> None:
        worker = self._worker()
        if worker is not None:
            worker.break_link()

    def _stop_worker(self) -> None:
        worker = self._worker()
        if worker is not None:
            worker.stop()

    def _busy_worker(self) -> None:
        worker = self._worker()
        if worker is not None:
            worker.be_busy(self.world.rng.uniform(0.5, 6.0))

    def _break_nanny(self) -> None:
        nanny = self._nanny()
        if nanny is not None:
            nanny.break_link()

    def _lose_host(self) -> None:
        nanny = self._nanny()
        if nanny is not None:
            nanny.vanish()
            self.world.clock.after(self.world.rng.uniform(0.5, 3.0), partial(self._return, nanny))

    def _return(self, old: NannyHost) -> None:
        nanny = NannyHost(self.parties, old.name, self.world.swarm.workers)
        self.nannies[old.name] = nanny
        self.parties.keepers[old.name] = nanny

    def _partition(self) -> None:
        rng = self.world.rng
        ends = [*self.parties.workers, *(client.name for client in self.script.alive())]
        if len(ends) > 1:
            pair = frozenset(rng.sample(ends, 2))
            self.world.partitions.add(pair)
            self.world.clock.after(rng.uniform(0.1, 3.0), partial(self.world.partitions.discard, pair))

    def _pause_scheduler(self) -> None:
        self.parties.scheduler.pause(self.world.rng.uniform(0.2, 6.0))

    def _kill_scheduler(self) -> None:
        self.parties.scheduler.crash()

    def _break_client(self) -> None:
        sessions = [*self.script.alive(), *self._task_sessions()]
        if sessions:
            self.world.rng.choice(sessions).break_link()

    def _task_sessions(self) -> list[ClientHost]:
        workers = [worker for nanny in self.nannies.values() for worker in nanny.workers.values() if worker is not None]
        return [worker.tasks for worker in workers if worker.tasks is not None and worker.tasks.is_open]

    def _lose_value(self) -> None:
        worker = self._worker()
        if worker is not None:
            worker.forget_value(self.world.rng)

    def _lose_client(self) -> None:
        if self.script.alive():
            self.world.rng.choice(self.script.alive()).lose()
