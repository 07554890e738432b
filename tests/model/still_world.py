"""The simulator's world without a will of its own: nothing happens in it that no rule asked for.

Its seed decides how large it is, how long things take, and in which order what is under way arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jupyter_dist.core.futures import UNLOADED, Wish
from jupyter_dist.messages import (
    Coordinated,
    GetValue,
    ListValues,
    MentionedFuture,
    NamedParcel,
    Parcel,
    RestartCluster,
    RetryKeys,
    SetValues,
    UnsetValue,
)
from tests.simulator.client_host import ClientHost
from tests.simulator.nanny_host import NannyHost
from tests.simulator.oracles import Oracles
from tests.simulator.parties import Parties
from tests.simulator.scheduler_host import SchedulerHost
from tests.simulator.simulate import Simulation
from tests.simulator.worker_host import WorkerHost
from tests.simulator.world import World

FAULTS = frozenset({"kill", "kill-scheduler"})
DATASET = "dataset"


class User(ClientHost):
    """A client that also retries, and knows datasets."""

    def __init__(self, parties: Parties, name: str) -> None:
        self.told: dict[int, Coordinated] = {}
        self.settled: list[str] = []  # what `settle_in_order` told, in order
        super().__init__(parties, name, name)
        self.sharing = self

    def hear(self, _client: ClientHost, answer: Coordinated) -> None:
        """Take the answer to a question for what is known by name."""
        self.told[answer.request] = answer

    def retry(self, key: str) -> None:
        """Try an erred task again."""
        wishes = self.table.retry([self.held[key]])
        for wish in wishes:
            self.parties.oracles._settled.pop((self.name, wish.number), None)
            self.say(RetryKeys((wish.key,)))

    def settle_in_order(self, keys: Sequence[str]) -> None:
        """Note each of these when it settles, as `as_completed` does."""
        self.settled.clear()
        for key in keys:
            self.watch(key, partial(self.settled.append, key))

    def restart(self, request: int) -> None:
        """Restart the cluster."""
        self.restarts[request] = list(self.table.by_number.values())
        self.parties.oracles.let_go.update(self.world.plans.by_key)
        self.ask(RestartCluster(request))  # said again on another connection


class Users:
    """The users of one world, where the simulator looks for its script."""

    def __init__(self, parties: Parties) -> None:
        self.parties = parties
        self.all: list[User] = []
        self._requests = 0

    def open(self) -> User:
        """Add one."""
        user = User(self.parties, f"user-{len(self.all)}")
        self.all.append(user)
        return user

    def alive(self) -> list[User]:
        """Return those that are there."""
        return [user for user in self.all if user.is_open]

    def next_request(self) -> int:
        """Return a number no request had."""
        self._requests += 1
        return self._requests


class Nobody:
    """Stands where the simulator has who acts by himself."""

    away = 0

    def what_is_unanswered(self) -> str:
        """Nothing was asked."""
        return ""

    def what_is_left(self) -> str:
        """Nothing is."""
        return ""


class StillWorld(Simulation):
    """One seed's world."""

    def __init__(self, seed: int) -> None:
        self.world = World(
            seed,
            has_store=True,
            has_moves=False,
            has_deaths=False,
            has_extras=False,
            has_nesting=False,
            has_memory=False,
            has_deaf=False,
            has_once=False,
            has_speaking=False,
            has_waste=False,
        )
        self.world.store.is_hurt = False
        self.world.is_calm = True  # the faults there are are those of the rules
        quiet = dict.fromkeys(self.world.swarm.actions, 0.0) | {"restart": 0.1}
        self.world.swarm = replace(self.world.swarm, faults=FAULTS, actions=quiet, poison=0.0, raising=0.0)
        oracles = Oracles(self.world)
        scheduler = SchedulerHost(self.world, oracles)
        oracles.state = scheduler.machine.state
        self.parties = Parties(self.world, oracles, scheduler)
        self.nannies = {}
        for host in range(self.world.swarm.hosts):
            name = f"host{host}"
            self.nannies[name] = NannyHost(self.parties, name, self.world.swarm.workers)
            self.parties.keepers[name] = self.nannies[name]
        self.users = Users(self.parties)
        self.script = self.users  # type: ignore[assignment]  # what the simulator asks of it is there
        self.movers = Nobody()  # type: ignore[assignment]
        self.kernels = Nobody()  # type: ignore[assignment]
        self.sharing = Nobody()  # type: ignore[assignment]

    def pass_time(self, seconds: float) -> None:
        """Let happen what happens within a time."""
        end_s = self.world.now + seconds
        self.world.clock.at(end_s, lambda: None)
        while self.world.now < end_s:
            self.world.clock.step()

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Let time pass until something is so; it must be in time."""
        self._until(lambda: "" if is_so() else what, "did not come")

    def wait_settled(self, wishes: Sequence[Wish]) -> None:
        """Let time pass until futures have settled, and what they are is here."""

        def unsettled() -> str:
            for wish in wishes:
                is_read = wish.status != "finished" or wish.value is not None or wish.loaded is not UNLOADED
                if not (wish.is_settled and is_read):
                    return f"{wish.key} ({wish.status})"
            return ""

        self._until(unsettled, "did not settle")

    def workers(self) -> list[WorkerHost]:
        """Return the workers that live."""
        return [w for nanny in self.nannies.values() for w in nanny.workers.values() if w is not None and w.is_alive]

    def kill(self, worker: WorkerHost) -> None:
        """Kill a worker."""
        self.nannies[worker.nanny].end(worker, "signal", "killed from outside")

    def deaths_of(self, key: str) -> int:
        """Return how many processes died while a key was inside a user's code."""
        ran = self.parties.oracles.ran_key
        deaths = self.parties.oracles.deaths.values()
        return sum(any(ran.get(attempt) == key for attempt in attempts) for _cause, attempts, _ in deaths)

    # -- what is known by name ---------------------------------------------------------------------------------------

    def _coordinate(self, user: User, make: Callable[[int], Any]) -> Coordinated:
        request = user.ask_by_name(make)
        self.wait_until(partial(user.told.__contains__, request), f"the answer to {user.name}'s {make(request)}")
        return user.told.pop(request)

    def publish(self, user: User, name: str, key: str) -> str:
        """Publish a future under a name; return why it cannot be."""
        parcel = NamedParcel(name, Parcel(b"", (MentionedFuture(key, ""),)))
        return self._coordinate(user, lambda request: SetValues(request, DATASET, (parcel,))).error

    def unpublish(self, user: User, name: str) -> int:
        """Publish it no more; return whether it was."""
        return self._coordinate(user, lambda request: UnsetValue(request, DATASET, name)).count

    def list_datasets(self, user: User) -> tuple[str, ...]:
        """Return the names that are known."""
        return self._coordinate(user, lambda request: ListValues(request, DATASET)).names

    def take_dataset(self, user: User, name: str) -> list[str]:
        """Hold the futures of a dataset; return their keys."""
        answer = self._coordinate(user, lambda request: GetValue(request, DATASET, name))
        return user.claim(answer.request, answer.parcels)
