"""Clients that are killed and come back: another process, with a session of the same name, that attaches.

Their chance is their own: a world without them is the same as it was before there were any, so old stories keep their
meaning. What a killed process has written arrives, as on a Unix socket: so the scheduler knows all it wanted.
"""

from __future__ import annotations

import random
from functools import partial

from tests.simulator.oracles import LINGER_S
from tests.simulator.parties import Parties
from tests.simulator.script import Script

AWAY_S = 1.5 * LINGER_S  # how long it takes at most until one is back: sometimes too long


class Kernels:
    """The restarts of one world's clients. ``is_used`` False: there are none."""

    def __init__(self, parties: Parties, script: Script, seed: int, *, is_used: bool) -> None:
        self.world = parties.world
        self.script = script
        self.rng = random.Random(f"kernels {seed}")
        self.away = 0  # clients that are still to come back
        self._every_s = self.rng.uniform(0.2, 1.5)
        if is_used and self.rng.random() < 0.4:
            self._next()

    def _next(self) -> None:
        self.world.clock.after(self.rng.expovariate(1 / self._every_s), self._strike)

    def _strike(self) -> None:
        if self.world.is_calm:
            return
        rng, alive = self.rng, self.script.alive()
        if alive:
            client = rng.choice(alive)
            client.call({f"variable-{rng.randint(0, 9)}": key for key in client.held if rng.random() < 0.5})
            if rng.random() < 0.6:
                client.die()
                for _ in range(rng.choice((1, 1, 1, 2))):  # two that come back at a time must not share
                    self.away += 1
                    self.world.clock.after(rng.uniform(0.0, AWAY_S), partial(self._return, client.session_name))
        self._next()

    def _return(self, session_name: str) -> None:
        self.away -= 1
        self.script.open(session_name).attach()
