"""A model nanny: keeps the workers of one host alive, sends their pulse and their death certificates.

It promises what the real one does: a certificate leaves before the successor is started, and one that could not leave
waits for the next connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count, islice
from typing import Any

from jupyter_dist.ids import is_copy_before
from jupyter_dist.messages import (
    AbortWorker,
    DeathCertificate,
    EndWorkers,
    FreeObjects,
    KeepObjects,
    KeepsWorkers,
    ProcessPulse,
    Pulse,
    RegisterNanny,
    ReplaceWorkers,
    SetWorkers,
    Welcome,
    WorkerDied,
)
from tests.simulator.network import Link
from tests.simulator.parties import Parties
from tests.simulator.worker_host import WorkerHost


class NannyHost:
    """One host."""

    def __init__(self, parties: Parties, name: str, wanted: int) -> None:
        self.parties = parties
        self.world = parties.world
        self.name = name
        self.numbers = set(range(wanted))  # of the workers that shall live
        self.is_alive = True
        self.workers: dict[str, WorkerHost | None] = {}  # None: about to be started
        self._link: Link | None = None
        self._is_welcome = False
        self._kept: list[WorkerDied] = []
        self._connect()
        self._beat()
        self._keep()

    @property
    def wanted(self) -> int:
        """How many workers shall live."""
        return len(self.numbers)

    def _connect(self) -> None:
        if self.is_alive and self._link is None:
            self._link = self.parties.scheduler.accept(self)
            self._link.up.send([RegisterNanny(self.name, self.name, next(self.world.pids), len(self.numbers))])

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler hears it."""
        return self._is_welcome and self._link is not None and not self._link.is_broken

    def received(self, link: Link, messages: Sequence[Any]) -> None:
        if not self.is_alive:
            return
        self.world.note(self.name, "hears", messages)
        for message in messages:
            if isinstance(message, Welcome):
                self._on_welcome(link)
            elif isinstance(message, SetWorkers | EndWorkers):
                self._choose(message)
                link.up.send([KeepsWorkers(len(self.numbers))])
            elif isinstance(message, FreeObjects):
                self._free(message.names)
            elif isinstance(message, KeepObjects):
                self._keep_objects(message)
            elif isinstance(message, ReplaceWorkers):
                self._replace(message)
            elif isinstance(message, AbortWorker):
                worker = self.workers.get(message.name)
                if worker is not None and worker.pid == message.pid:
                    self.end(worker, "overrun", message.words)

    def _replace(self, message: ReplaceWorkers) -> None:
        for name in message.names or tuple(self.workers):
            worker = self.workers.get(name)
            if worker is not None:
                self.end(worker, "asked", message.reason)

    def _choose(self, message: SetWorkers | EndWorkers) -> None:
        if isinstance(message, SetWorkers):
            self._set_workers(message)
        else:
            self.numbers = {number for number in self.numbers if self._called(number) not in message.names}
        self._keep()

    def _on_welcome(self, link: Link) -> None:
        self._is_welcome = True
        kept, self._kept = self._kept, []
        if kept:
            link.up.send(kept)

    def _keep_objects(self, message: KeepObjects) -> None:
        doubtful = self.parties.scheduler.doubtful
        doubtful.update(name for name in self.world.store.objects if is_copy_before(name, message.first))
        self._free(sorted(doubtful.difference(message.names)))

    def _free(self, names: Sequence[str]) -> None:
        self.parties.oracles.judge_freed(names)
        self.world.store.free(names)

    def disconnected(self, link: Link, _reason: str) -> None:
        self._link, self._is_welcome = None, False
        self.world.clock.after(self.world.rng.uniform(0.01, 0.5), self._connect)

    def break_link(self) -> None:
        """Lose the connection to the scheduler, but live."""
        if self._link is not None and not self._link.is_broken:
            self.world.break_randomly(self._link, "connection reset")

    def _beat(self) -> None:
        if not self.is_alive:
            return
        self.world.clock.after(self.world.swarm.settings.heartbeat_s, self._beat)
        if self._is_welcome and self._link is not None:
            pulses = [_see(worker, self.world.now) for worker in self.workers.values() if worker is not None]
            self._link.up.send([Pulse(tuple(pulses))])

    # -- processes ---------------------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        return [self._called(number) for number in sorted(self.numbers)]

    def _called(self, number: int) -> str:
        return f"{self.name}-w{number}"

    def _set_workers(self, message: SetWorkers) -> None:
        fresh = (number for number in count() if number not in self.numbers)
        self.numbers.update(islice(fresh, max(0, message.workers - len(self.numbers))))
        first_to_go = sorted(self.numbers, key=lambda number: (self._called(number) in message.keep, -number))
        self.numbers.difference_update(first_to_go[: len(self.numbers) - message.workers])

    def _keep(self) -> None:
        """Start what is missing and end what is too much."""
        names = self._names()
        for name, worker in tuple(self.workers.items()):
            if name not in names and worker is not None:
                self.end(worker, "asked", "scaled down")
        for name in names:
            if name not in self.workers:
                self.workers[name] = None
                self.world.clock.after(self.world.rng.uniform(0.02, 0.3), partial(self._start, name))

    def _start(self, name: str) -> None:
        if not self.is_alive or name not in self.workers:
            return
        if name not in self._names():
            del self.workers[name]
            return
        worker = WorkerHost(self.parties, self.name, name, next(self.world.pids))
        self.workers[name] = worker
        self.parties.workers[worker.address] = worker

    def end(self, worker: WorkerHost, cause: str, words: str) -> None:
        """A process of this host ends; certify it, then start another."""
        if not worker.is_alive:
            return
        self.world.note(self.name, f"{worker.name} (pid {worker.pid}) ends: {cause}, {words}, {worker.running()}")
        attempts, waiting = worker.running(), worker.waiting()
        worker.die()
        self.parties.oracles.died(worker.name, worker.pid, cause, attempts, waiting)
        ended = tuple(worker.ended)
        if cause == "left":
            ended += attempts + waiting
            cause, attempts, waiting = "exit", (), ()  # it cleared its page
        certificate = DeathCertificate(
            worker.name,
            self.name,
            worker.pid,
            cause,
            -9,
            0,
            attempts,
            "stack",
            "last words",
            words,
            self.world.now,
            waiting,
            ended,
        )
        self.world.clock.after(self.world.rng.uniform(0.001, 0.05), partial(self._bury, worker, certificate))

    def _bury(self, worker: WorkerHost, certificate: DeathCertificate) -> None:
        if not self.is_alive:
            return
        if self.workers.get(worker.name) is worker:
            del self.workers[worker.name]
        message = WorkerDied(certificate)
        if self.parties.loses_certificate():
            self.world.note(self.name, "loses a certificate", [message])
            self.world.happened["lose-certificate"] += 1
        elif self.is_connected and self._link is not None:
            self._link.up.send([message])
        else:
            self._kept.append(message)
        self._keep()

    def vanish(self) -> None:
        """The host is gone, and all its processes; nobody tells."""
        self.world.note(self.name, "is gone")
        self.is_alive = False
        for worker in self.workers.values():
            if worker is not None and worker.is_alive:
                self.parties.oracles.died(worker.name, worker.pid, "host", worker.running(), ())
                worker.die()
        if self._link is not None and not self._link.is_broken:
            self.world.break_randomly(self._link, "host unreachable", far_s=5.0)


def _see(worker: WorkerHost, now: float) -> ProcessPulse:
    if not worker.is_alive:
        state, cpu = "gone", 0.0
    elif worker.is_stopped:
        state, cpu = "stopped", 0.0
    elif now < worker.busy_until_s:
        state, cpu = "running", 100.0
    else:
        state, cpu = "sleeping", 1.0
    return ProcessPulse(worker.name, worker.pid, state, 10**6, cpu, worker.running() + worker.waiting())
