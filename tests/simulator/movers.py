"""What users do to workers and to where results are: copies, moves, retirements; and the SIGTERM of somebody else.

Their chance is their own, as the object store's: a world without them is as it was before there were any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jupyter_dist.messages import RebalanceKeys, ReplicateKeys, RestartWorkers, RetireWorkers
from tests.simulator.client_host import ClientHost
from tests.simulator.nanny_host import NannyHost
from tests.simulator.parties import Parties
from tests.simulator.script import Script

PAUSE_S = 0.3  # between two of their actions, on average
SHARE = 0.8  # of the worlds that have them


class Movers:
    """The users of one world who care where things are."""

    def __init__(self, parties: Parties, nannies: Mapping[str, NannyHost], script: Script) -> None:
        self.parties = parties
        self.world = parties.world
        self.nannies = nannies
        self.script = script
        self.rng = self.world.movers_rng
        self.asked: list[tuple[ClientHost, int, str]] = []
        self._actions: dict[str, Callable[[ClientHost], None]] = {
            "replicate": self._replicate,
            "rebalance": self._rebalance,
            "retire": self._retire,
            "retire-some": self._retire_some,
            "restart-workers": self._restart_workers,
            "leave": self._leave,
        }
        if self.world.is_quiet:
            del self._actions["restart-workers"], self._actions["leave"]
        self._weights = {name: self.rng.random() for name in self._actions if self.rng.random() < 0.7}
        if self.world.has_moves and self._weights and self.rng.random() < SHARE:
            self._next()

    def _next(self) -> None:
        self.world.clock.after(self.rng.expovariate(1 / PAUSE_S), self._act)

    def _act(self) -> None:
        if self.world.is_calm:
            return
        name = self.rng.choices(list(self._weights), list(self._weights.values()))[0]
        alive = self.script.alive()
        if alive:
            client = self.rng.choice(alive)
            self.world.note(client.name, f"does {name}")
            self._actions[name](client)
        self._next()

    def _ask(self, client: ClientHost, what: str) -> int:
        request = self.script.next_request()
        self.asked.append((client, request, what))
        return request

    def _some(self, of: list[str]) -> tuple[str, ...]:
        return tuple(name for name in of if self.rng.random() < 0.5)

    # -- actions -----------------------------------------------------------------------------------------------------

    def _replicate(self, client: ClientHost) -> None:
        keys = self._some([key for key, wish in client.held.items() if wish.status == "finished"])
        workers = self._some(self._names()) if self.rng.random() < 0.4 else ()
        count = self.rng.choice((0, 0, 1, 2, 3))
        client.ask(ReplicateKeys(self._ask(client, "replicate"), keys, count, workers, self.rng.choice((1, 2))))

    def _rebalance(self, client: ClientHost) -> None:
        keys = self._some(list(client.held)) if self.rng.random() < 0.5 else ()
        workers = self._some(self._names()) if self.rng.random() < 0.3 else ()
        client.ask(RebalanceKeys(self._ask(client, "rebalance"), keys, workers))

    def _retire(self, client: ClientHost) -> None:
        names = self._some(self._names())
        ends = self.rng.random() < 0.7
        client.ask(RetireWorkers(self._ask(client, "retire"), names, 0, ends, self.rng.random() < 0.3))

    def _retire_some(self, client: ClientHost) -> None:
        client.ask(RetireWorkers(self._ask(client, "retire-some"), (), self.rng.choice((0, 1, 2))))

    def _restart_workers(self, client: ClientHost) -> None:
        client.ask(RestartWorkers(self._ask(client, "restart-workers"), self._some(self._names())))

    def _leave(self, _client: ClientHost) -> None:
        workers = [worker for nanny in self.nannies.values() for worker in nanny.workers.values() if worker is not None]
        alive = [worker for worker in workers if worker.is_alive]
        if alive:
            worker = self.rng.choice(alive)
            worker.do(worker.leave)

    def _names(self) -> list[str]:
        state = self.parties.scheduler.machine.state
        return [member.name for member in state.members.values()]

    # -- calm --------------------------------------------------------------------------------------------------------

    def renew_emptied(self) -> None:
        """Have workers replaced that were emptied, and are given nothing more."""
        state = self.parties.scheduler.machine.state
        emptied = tuple(member.name for member, going in state.moves.leaving.items() if going.is_out)
        for client in self.script.alive()[:1]:
            if emptied:
                client.ask(RestartWorkers(self._ask(client, "restart-workers"), emptied))

    def what_is_unanswered(self) -> str:
        """Return a request that nobody answered."""
        for client, request, what in self.asked:
            if client.is_open and request in client.moves:
                return f"{client.name}'s {what} ({request})"
        return ""
