"""The driver of the scheduler's machine in a simulated world: as `jupyter_dist.processes.driver`, without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.machine import SchedulerMachine
from jupyter_dist.messages.journal import SUBMISSION
from tests.simulator import durable
from tests.simulator.journal import Journal
from tests.simulator.network import Link
from tests.simulator.oracles import Oracles
from tests.simulator.world import Peer, World

TICK_S_MIN = 1e-5  # a loop that is asked to come back at once comes back this much later
STORM_S = 0.005  # a machine that asks for more than STORM_MAX ticks in this time spins
STORM_MAX = 40


class SchedulerHost:
    """The scheduler, and who is connected to it."""

    def __init__(self, world: World, oracles: Oracles) -> None:
        self.world = world
        self.oracles = oracles
        self.epoch = 1
        self.is_down = False
        self.doubtful: set[str] = set()  # objects in the store of which a dead scheduler may have known
        self.machine = SchedulerMachine(world.swarm.settings, 1, "simulated", world.now)
        self.journal = Journal(world, self._on_written, self._on_sample)
        self.links: dict[int, Link] = {}
        self._sources: set[int] = set()  # of all connections that were made with this scheduler, not one before
        self._armed_s = float("inf")
        self._backlog: list[tuple[int, Sequence[Any]]] = []
        self._paused_until_s = 0.0
        self._storm_from_s = 0.0
        self._storm = 0
        self._arm()

    def accept(self, peer: Peer) -> Link:
        """Take a new connection; while nobody listens it breaks at once."""
        link = self.world.connect(peer, self.deliver, self._on_closed)
        if self.is_down:
            link.break_off(0.0, 0.0, 0.0, 0.001, "nobody listens")
        else:
            self.links[link.source] = link
            self._sources.add(link.source)
        return link

    def crash(self) -> None:
        """Be killed; another scheduler comes up after a while."""
        if self.is_down or self.is_paused:
            return
        self.is_down = True
        self.world.note("scheduler", "is killed")
        self._backlog.clear()
        self._armed_s = float("inf")
        links, self.links = self.links, {}
        self._sources.clear()
        for link in links.values():
            self.world.break_randomly(link, "end of stream", far_s=0.2)
        self.doubtful.update(self.world.store.objects)
        records = self.journal.crash()
        submissions = records.get(SUBMISSION, {}).values()
        self.oracles.crashed({spec.key for submission in submissions for spec in submission.tasks})
        self.world.clock.after(self.world.rng.uniform(0.02, 0.4), lambda: self._come_back(records))

    def _come_back(self, records: dict[int, dict[str, Any]]) -> None:
        self.epoch += 1
        self.is_down = False
        self.world.note("scheduler", f"is back, epoch {self.epoch}")
        now = self.world.now
        self.machine = SchedulerMachine(self.world.swarm.settings, self.epoch, "simulated", now)
        self.oracles.state = self.machine.state
        effects = self.machine.restore(records, now)
        self.machine.check()
        self.oracles.after(0, (), effects)
        self._perform(effects)

    def _on_written(self, number: int) -> None:
        if not self.is_down:
            self._perform(self.machine.written(number, self.world.now))

    def _on_sample(self, records: dict[int, dict[str, Any]]) -> None:
        fault = "" if self.is_down else durable.compare(self.machine.state, records, self.world.now)
        if fault:
            self.world.fail(fault)

    def _on_closed(self, source: int, reason: str) -> None:
        self.links.pop(source, None)
        self.deliver(source, [Disconnected(reason)])

    @property
    def is_paused(self) -> bool:
        """Whether the process is stopped now."""
        return self.world.now < self._paused_until_s

    def pause(self, seconds: float) -> None:
        """Stop the process for a while: what comes meanwhile is handled afterwards."""
        if not self.is_paused:
            self._paused_until_s = self.world.now + seconds
            self.world.note("scheduler", f"is stopped for {seconds:.1f} s")
            self.world.clock.at(self._paused_until_s, self._resume)

    def _resume(self) -> None:
        if self.is_down:
            return
        self.world.note("scheduler", "goes on")
        if self.world.rng.random() < 0.5:
            self._tick()
        backlog, self._backlog = self._backlog, []
        for source, events in backlog:
            self.deliver(source, events)
        self._arm()

    def deliver(self, source: int, events: Sequence[Any]) -> None:
        """Have the machine handle what came."""
        if self.is_paused:
            self._backlog.append((source, events))
            return
        if source not in self._sources:
            return
        self.world.note("scheduler", f"hears {source}:", events)
        self.oracles.before(source, events)
        effects = self.machine.handle(source, events, self.world.now)
        self.machine.check()
        self.oracles.after(source, events, effects)
        self._perform(effects)

    def _tick(self) -> None:
        if self.is_paused or self.is_down:
            return
        self._watch_for_storms()
        effects = self.machine.tick(self.world.now)
        self.machine.check()
        self.oracles.after(0, (), effects)
        self._perform(effects)

    def _watch_for_storms(self) -> None:
        if self.world.now - self._storm_from_s > STORM_S:
            self._storm_from_s, self._storm = self.world.now, 0
        self._storm += 1
        if self._storm > STORM_MAX:
            self.world.fail(f"the scheduler asked for {self._storm} ticks within {STORM_S} s")

    def _perform(self, effects: Effects) -> None:
        if effects.journal:
            self.journal.write(effects.journal, effects.number)
        for source, messages in effects.sends.items():
            link = self.links.get(source)
            if link is not None:
                self.world.note("scheduler", f"tells {source}:", messages)
                link.down.send(messages)
        for source, reason in effects.closes.items():
            link = self.links.get(source)
            if link is not None:
                self.world.note("scheduler", f"closes {source}: {reason}")
                link.break_off(0.0, 0.0, 1.0, 0.0, reason)
        self._arm()

    def _arm(self) -> None:
        due = self.machine.deadline()
        now = self.world.now
        if due is None or (self._armed_s <= due and self._armed_s > now):
            return
        self._armed_s = max(due, now + TICK_S_MIN)
        self.world.clock.at(self._armed_s, self._on_timer)

    def _on_timer(self) -> None:
        if self.world.now >= self._armed_s:
            self._armed_s = float("inf")
            if self.is_paused:
                return
            self._tick()
