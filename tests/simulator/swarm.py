"""What one seed's world is like: its size, its settings, and the random subset of faults it has.

Every fault in every world would hide most bugs behind a few; each seed leaves most faults out (swarm testing, Groce et
al., 2012).
"""

import random
from dataclasses import dataclass, replace

from jupyter_dist.settings import Settings

FAULTS = (
    "kill",  # a worker's process ends by a signal
    "break-worker",  # a worker's connection breaks and is made again
    "stop-worker",  # a worker is stopped: silent until it is replaced
    "busy-worker",  # a worker is silent and at work: must be left alone
    "break-nanny",
    "lose-host",  # a nanny and its workers are gone for a while
    "partition",  # two workers cannot reach each other
    "pause-scheduler",
    "lose-certificate",
    "lose-client",
    "lose-value",  # a worker has lost a result it holds, and does not know
)
DEATHS = (  # drawn apart from the others, so that older worlds stay what they were
    "kill-scheduler",  # it is killed, and another follows it
    "break-client",  # a client's connection breaks and is made again
)
ACTIONS = ("submit", "put", "release", "cancel", "restart", "scale", "close", "missing")


@dataclass(frozen=True)
class Swarm:
    """One world."""

    settings: Settings
    hosts: int
    workers: int  # on each host
    slots: int
    clients: int
    faults: frozenset[str]
    actions: dict[str, float]
    delay_s: float  # how long a frame takes at most
    fault_every_s: float
    poison: float
    raising: float
    horizon_s: float


def draw_deaths(seed: int) -> frozenset[str]:
    """Return the faults of a seed's world that a scheduler, or its connection to a client, can have."""
    rng = random.Random(f"deaths {seed}")
    return frozenset(name for name in DEATHS if rng.random() < 0.4)


def draw_waste(seed: int) -> int:
    """Return how many bytes nobody needs a seed's journal may have in records that tasks share."""
    return random.Random(f"waste {seed}").choice((0, 150, 1000))


def draw(rng: random.Random) -> Swarm:
    """Return the world of a seed."""
    faults = frozenset(name for name in FAULTS if rng.random() < 0.35)
    actions = {name: rng.random() for name in ACTIONS if rng.random() < 0.75}
    actions["submit"] = 3.0
    actions["restart"] = 0.15 if "restart" in actions else 0.0
    actions["scale"] = 0.2 if "scale" in actions else 0.0
    settings = Settings(
        heartbeat_s=1.0,
        inline_total_bytes_max=rng.choice((60, 10**6, 10**6)),
        hand_max=rng.choice((1, 4, 256)),
        hand_s=rng.choice((0.01, 1.0)),
        events_max=rng.choice((10, 1000)),
        crash_limit=rng.choice((2, 2, 3)),
        fetches_max=rng.choice((1, 16)),
        start_s_max=20.0,
        leave_s_max=3.0,
        copies_max=2,
        adapt_target_s=0.2,
    )
    return Swarm(
        settings=settings,
        hosts=rng.choice((1, 1, 2)),
        workers=rng.choice((1, 1, 2, 3)),
        slots=rng.choice((1, 1, 2, 3)),
        clients=rng.choice((1, 1, 2, 3)),
        faults=faults,
        actions=actions,
        delay_s=rng.choice((0.0005, 0.005, 0.05)),
        fault_every_s=rng.uniform(0.2, 1.5),
        poison=rng.choice((0.0, 0.0, 0.05, 0.2)),
        raising=rng.choice((0.0, 0.1, 0.3)),
        horizon_s=rng.uniform(1.0, 4.0),
    )


def quieten(swarm: Swarm) -> Swarm:
    """Return a world without anything that may lose a result: what its users do to move them must not either."""
    kept = {name: weight for name, weight in swarm.actions.items() if name != "missing"} | {"restart": 0.0}
    return replace(swarm, faults=frozenset(), actions=kept, poison=0.0)
