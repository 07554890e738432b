"""One seed from its beginning to its end: a wild part, then calm in which everything must settle, then nothing left.

1. Wild: users act and faults strike, for the world's horizon or ``events_max`` events.
2. Calm: no more faults; all workers are asked for; every wish that is still held must settle.
3. Empty: every wish is dropped; scheduler and workers must hold nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jupyter_dist.core.futures import UNLOADED
from jupyter_dist.core.scheduler.recovery import CHARGES_MAX
from jupyter_dist.messages import ScaleCluster, TaskEvent
from tests.simulator.client_host import ClientHost
from tests.simulator.faults import Faults
from tests.simulator.kernels import Kernels
from tests.simulator.movers import Movers
from tests.simulator.nanny_host import NannyHost
from tests.simulator.oracles import Oracles
from tests.simulator.parties import Parties
from tests.simulator.scheduler_host import SchedulerHost
from tests.simulator.script import Script
from tests.simulator.sharing import Sharing
from tests.simulator.world import EVENTS_MAX, SimulationError, World

EVENTS_WILD = 300
CALM_S = 60.0  # virtual seconds within which everything must settle once faults have stopped
# The same where tasks submit others: each of a few dozen tasks may lose CHARGES_MAX workers to children that are new with
# each of its runs before it errs, at up to a second for each death on an only worker. The most seen is 159.
CALM_NESTED_S = 200.0


@dataclass(frozen=True)
class Outcome:
    """What one seed came to."""

    seed: int
    events: int
    virtual_s: float
    hash: int
    fault: str  # empty: none was found
    trace: str
    happened: Counter[str]


class Simulation:
    """One seed's world with its parties."""

    def __init__(
        self,
        seed: int,
        *,
        has_store: bool = True,
        has_moves: bool = True,
        has_deaths: bool = True,
        has_kernels: bool = True,
        has_extras: bool = True,
        has_nesting: bool = True,
        has_memory: bool = True,
        has_deaf: bool = True,
        has_once: bool = True,
        has_speaking: bool = True,
        has_sharing: bool = True,
        has_waste: bool = True,
    ) -> None:
        self.world = World(
            seed,
            has_store=has_store,
            has_moves=has_moves,
            has_deaths=has_deaths,
            has_extras=has_extras,
            has_nesting=has_nesting,
            has_memory=has_memory,
            has_deaf=has_deaf,
            has_once=has_once,
            has_speaking=has_speaking,
            has_waste=has_waste,
        )
        oracles = Oracles(self.world)
        scheduler = SchedulerHost(self.world, oracles)
        oracles.state = scheduler.machine.state
        self.parties = Parties(self.world, oracles, scheduler)
        self.nannies: dict[str, NannyHost] = {}
        for host in range(self.world.swarm.hosts):
            name = f"host{host}"
            self.nannies[name] = NannyHost(self.parties, name, self.world.swarm.workers)
            self.parties.keepers[name] = self.nannies[name]
        self.script = Script(self.parties)
        self.faults = Faults(self.parties, self.nannies, self.script)
        self.movers = Movers(self.parties, self.nannies, self.script)
        self.kernels = Kernels(self.parties, self.script, seed, is_used=has_kernels)
        self.sharing = Sharing(self.parties, self.script, seed, is_used=has_sharing)

    def run(self, events_wild: int = EVENTS_WILD) -> None:
        """Live through all parts.

        Raises
        ------
        Exception
            Whatever an oracle, an invariant or a bug raises.
        """
        world = self.world
        end_s = world.now + world.swarm.horizon_s
        while world.now < end_s and world.clock.events < events_wild:
            world.clock.step()
        self._calm()
        self._until(self._what_is_unsettled, "did not settle")
        self._judge_poison()
        self.sharing.begin_sweeping()
        for client in self.script.alive():
            client.drop(tuple(client.held))
        self._until(self._what_is_left, "was left")
        self.sharing.judge_lost()

    def events(self) -> Iterable[TaskEvent]:
        """Return the newest events that the scheduler noted."""
        return self.parties.scheduler.machine.state.chronicle.events

    def _calm(self) -> None:
        world = self.world
        world.note("world", "is calm")
        world.is_calm = True
        world.partitions.clear()
        world.clock.after(2.0, self._ask_for_workers)

    def _ask_for_workers(self) -> None:
        """Have all workers asked for, once every host is there."""
        hosts_are_there = all(nanny.is_alive and nanny.is_connected for nanny in self.nannies.values())
        scheduler = self.parties.scheduler
        if (
            not hosts_are_there
            or scheduler.is_paused
            or scheduler.is_down
            or len(scheduler.machine.state.nannies) != len(self.nannies)
        ):
            self.world.clock.after(0.5, self._ask_for_workers)
            return
        if not self.script.alive() and (self.world.extras.is_used or self.world.has_moves):
            self.script.open()  # what was kept by those who are gone needs workers too
        self.movers.renew_emptied()
        is_whole = all(nanny.numbers >= set(range(self.world.swarm.workers)) for nanny in self.nannies.values())
        if not is_whole or scheduler.machine.state.adaptation is not None:
            # Fresh ones take the lowest numbers: then there is one of each name.
            total = len(self.world.names) + sum(len(nanny.numbers) for nanny in self.nannies.values())
            for client in self.script.alive()[:1]:
                client.say(ScaleCluster(self.script.next_request(), total))
        self.world.clock.after(2.0, self._ask_for_workers)  # it may be lost with its connection, or others retire

    def _until(self, what: Callable[[], str], words: str) -> None:
        world = self.world
        calm_s = CALM_NESTED_S if world.nesting.is_used else CALM_S
        end_s = world.now + calm_s
        next_s = 0.0
        while True:
            if world.now >= next_s:
                found = what()
                if not found:
                    return
                next_s = world.now + 0.1
            if world.now > end_s:
                world.fail(f"{found} {words} within {calm_s:g} s")
            if world.clock.events > EVENTS_MAX:
                world.fail(f"the world does not come to rest: {world.clock.events} events")
            world.clock.step()

    def _what_is_unsettled(self) -> str:
        if self.kernels.away or any(client.is_attaching for client in self.script.alive()):
            return "a client that comes back"
        for client in self.script.alive():
            for wish in client.table.by_number.values():
                is_read = wish.status != "finished" or wish.value is not None or wish.loaded is not UNLOADED
                if not wish.is_settled or not is_read:
                    return f"{client.name}'s {wish.key} ({wish.status})"
            if client.restarts:
                return f"{client.name}'s restart"
            if stale := self._find_stale(client):
                return f"{client.name} does not wish for {stale} any more, and the scheduler's idea that it does"
        return self.movers.what_is_unanswered() or self.sharing.what_is_unanswered()

    def _find_stale(self, client: ClientHost) -> dict[str, int]:
        """Return what a client is said to wish for and does not."""
        session = self.parties.scheduler.machine.state.sessions.get(client.name)
        wants = {} if session is None else session.wants
        known = client.table.by_number
        return {
            task.key: number for task, number in wants.items() if number not in known or known[number].key != task.key
        }

    def _what_is_left(self) -> str:
        state = self.parties.scheduler.machine.state
        moves = state.moves
        if moves.copies or moves.jobs or moves.retire_requests or moves.fresh_requests:
            return "in the scheduler's table of moves"
        if left := self.sharing.what_is_left():
            return left
        if state.tasks or state.inline_bytes or state.suspects:
            return f"in the scheduler {list(state.tasks.values())}"
        if any(not session.incarnation for session in state.sessions.values()):
            return f"of lost sessions {list(state.sessions)}"
        for member in state.members.values():
            is_there = member.state == "running" or (member in moves.leaving and moves.leaving[member].is_out)
            if member.load or member.waiting or member.held or member.solo is not None or not is_there:
                return f"in the scheduler's idea of {member}: {member.load} attempts, solo {member.solo}"
        return self._what_is_left_outside()

    def _what_is_left_outside(self) -> str:
        for nanny in self.nannies.values():
            for worker in nanny.workers.values():
                if worker is None or worker.is_stopped:
                    return "a worker not yet there"
                held = worker.machine._state
                if held.attempts or held.held or held.kept or held.flying or held.queued or held.storing or worker.hand:
                    return f"in {worker.name}: {list(held.attempts)} {list(held.held)}"
                if worker.disk.files or held.memory.spilling:
                    return f"on {worker.name}'s disk: {list(worker.disk.files)}"
        for client in self.script.alive():
            if client.what_is_unsaid():
                return f"with {client.name}, unsaid or not known to be kept"
        if self.parties.scheduler.journal.keys():
            return f"in the journal {self.parties.scheduler.journal.keys()}"
        is_told_all = not self.world.swarm.faults & {"break-nanny", "lose-host", "lose-client"}
        if self.world.store.objects and is_told_all and not self.world.store.may_leak:
            return f"in the object store {self.world.store.objects}"
        return ""

    def _judge_poison(self) -> None:
        """Where every certificate arrives, no task kills more processes than it is allowed to, for each submission."""
        world = self.world
        if world.swarm.faults - {"kill", "partition", "lose-client"}:
            return
        for key, deaths in self.parties.oracles.poisoned.items():
            plan = world.plans[key]
            allowed = CHARGES_MAX if world.nesting.is_used else world.swarm.settings.crash_limit
            allowed = 1 if plan.options.once else allowed
            if plan.kind == "poison" and deaths > allowed * plan.submits:
                world.fail(f"{key} killed {deaths} processes, submitted {plan.submits} times")


def simulate(seed: int, events_wild: int = EVENTS_WILD, **has: bool) -> Outcome:
    """Run one seed and return what it came to; bugs are told in the outcome, not raised. ``has``: as `Simulation`."""
    simulation = Simulation(seed, **has)
    world = simulation.world
    fault = ""
    try:
        simulation.run(events_wild)
    except Exception as error:  # noqa: BLE001 - whatever a seed raises is what it was run for
        fault = f"{type(error).__name__}: {error}"
        if not isinstance(error, SimulationError):
            fault += f"\n{_where(error)}"
    happened = world.happened + Counter(f"event {event.kind}" for event in simulation.events())
    return Outcome(
        seed, world.clock.events, world.now - 100.0, world.hash, fault, world.tell() if fault else "", happened
    )


def _where(error: BaseException) -> str:
    lines = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        lines.append(f"    {code.co_filename.rpartition('/')[2]}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    return "\n".join(lines[-8:])
