"""What the users of a world do: a random action now and then, until the world is calm."""

from __future__ import annotations

from collections.abc import Callable

from jupyter_dist.core.futures import UNLOADED
from jupyter_dist.messages import STORE, AdaptCluster, MissingValue, RestartCluster, ScaleCluster
from tests.simulator.client_host import ClientHost
from tests.simulator.oracles import RESTARTING
from tests.simulator.parties import Parties
from tests.simulator.plans import Plan

TASKS_MAX = 40
PAUSE_S = 0.25  # between two actions, on average


class Script:
    """The users of one world."""

    def __init__(self, parties: Parties) -> None:
        self.parties = parties
        self.world = parties.world
        self.clients: list[ClientHost] = []
        self._requests = 0
        self._actions: dict[str, Callable[[ClientHost], None]] = {
            "submit": self._submit,
            "put": self._put,
            "release": self._release,
            "cancel": self._cancel,
            "restart": self._restart,
            "scale": self._scale,
            "close": self._close,
            "missing": self._miss,
        }
        for _ in range(self.world.swarm.clients):
            self._submit(self.open())
        bounds = self.world.extras.bounds()
        if bounds is not None:
            self.clients[0].say(AdaptCluster(self.next_request(), *bounds, 0.3, 2))
        self._next()

    def open(self, session_name: str = "") -> ClientHost:
        """Add a client, with a session of its own name or of this."""
        name = f"client-{len(self.clients)}"
        client = ClientHost(self.parties, name, session_name or name)
        self.clients.append(client)
        return client

    def alive(self) -> list[ClientHost]:
        """Return the clients that are there."""
        return [client for client in self.clients if client.is_open]

    def next_request(self) -> int:
        """Return a number no request had."""
        self._requests += 1
        return self._requests

    def _next(self) -> None:
        self.world.clock.after(self.world.rng.expovariate(1 / PAUSE_S), self._act)

    def _act(self) -> None:
        if self.world.is_calm:
            return
        rng = self.world.rng
        if not self.alive():
            self.open()
        weights = self.world.swarm.actions
        name = rng.choices(list(weights), list(weights.values()))[0]
        client = rng.choice(self.alive())
        self.world.note(client.name, f"does {name}")
        self._actions[name](client)
        if self.world.nesting.joins() and client.is_open and self.world.plans.by_key:
            client.join(self.world.plans[self.world.nesting.rng.choice(list(self.world.plans.by_key))])
        self._next()

    # -- actions -----------------------------------------------------------------------------------------------------

    def _submit(self, client: ClientHost) -> None:
        world = self.world
        rng, plans = world.rng, world.plans
        made: list[Plan] = []
        if plans.by_key and (rng.random() < 0.25 or len(plans.by_key) >= TASKS_MAX):
            key = rng.choice(list(plans.by_key))
            made = [plans[name] for name in plans.ancestry(key)]
        else:
            pool = list(client.held)
            for _ in range(rng.choice((1, 2, 4, 8))):
                count = rng.choice((0, 1, 1, 2, 3))
                inputs = tuple(dict.fromkeys(rng.choice(pool) for _ in range(count))) if pool else ()
                plan = plans.make(inputs, world.swarm.poison, world.swarm.raising)
                made.append(plan)
                pool.append(plan.key)
        fresh = [plan.key for plan in made if plan.key not in client.held]
        client.submit(made)
        client.keep([key for key in fresh if key in client.held and world.extras.keeps()])
        if rng.random() < 0.3:  # only the end is wanted
            client.drop(key for key in fresh[:-1] if key in client.held)

    def _put(self, client: ClientHost) -> None:
        client.submit([self.world.plans.make_put()])

    def _release(self, client: ClientHost) -> None:
        rng = self.world.rng
        client.drop([key for key in client.held if rng.random() < 0.4])

    def _cancel(self, client: ClientHost) -> None:
        rng = self.world.rng
        share = rng.choice((0.2, 1.0))
        client.cancel([key for key in client.held if rng.random() < share], force=rng.random() < 0.5)

    def _restart(self, client: ClientHost) -> None:
        request = RESTARTING + self.next_request()
        client.restarts[request] = list(client.table.by_number.values())
        self.parties.oracles.let_go.update(self.world.plans.by_key)
        client.ask(RestartCluster(request))

    def _scale(self, client: ClientHost) -> None:
        total = len(self.world.names)
        client.say(ScaleCluster(self.next_request(), self.world.rng.randint(0, total)))

    def _close(self, client: ClientHost) -> None:
        client.close()

    def _miss(self, client: ClientHost) -> None:
        """Say that a holder has not what it has: a reader whose own connection failed does so."""
        read = [wish for wish in client.held.values() if wish.holders and wish.loaded is not UNLOADED]
        large = [wish for wish in read if not wish.holders[0].startswith(STORE)]  # what it says of the store is true
        if large:
            wish = self.world.rng.choice(large)
            client.say(MissingValue(wish.key, wish.holders[0]))
