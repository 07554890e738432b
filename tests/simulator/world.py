"""A world: the parties of one seed, what joins them, and the trace of what happened."""

from __future__ import annotations

import random
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Protocol

from tests.simulator.clock import Clock
from tests.simulator.deafness import Deafness
from tests.simulator.disk import MemoryPlan
from tests.simulator.extras import Extras
from tests.simulator.nesting import Nesting
from tests.simulator.network import Direction, Link
from tests.simulator.once import Once
from tests.simulator.plans import Plans
from tests.simulator.speaking import Speaking
from tests.simulator.store import Store
from tests.simulator.swarm import Swarm, draw, draw_deaths, draw_waste, quieten

TRACE_MAX = 80  # events that are shown when a seed fails
HEARTBEATS = ("Pulse", "WorkerSample")  # are not shown
EVENTS_MAX = 60_000  # a world that takes more than this does not come to rest


class SimulationError(AssertionError):
    """An oracle found something that must not be."""


class Peer(Protocol):
    """Whoever has a connection to the scheduler."""

    def received(self, link: Link, messages: Sequence[Any]) -> None:
        """Take one frame."""

    def disconnected(self, link: Link, reason: str) -> None:
        """Take the end of a connection."""


class World:
    """One seed's world. The parties are put in by `simulate`."""

    def __init__(
        self,
        seed: int,
        *,
        has_store: bool,
        has_moves: bool,
        has_deaths: bool,
        has_extras: bool,
        has_nesting: bool,
        has_memory: bool,
        has_deaf: bool,
        has_once: bool,
        has_speaking: bool,
        has_waste: bool,
    ) -> None:
        self.store = Store(seed, is_used=has_store)
        self.movers_rng = random.Random(f"moves {seed}")  # its own: see `Store`
        self.has_moves = has_moves
        self.has_waste = has_waste  # tasks share submissions, and their records are written again
        self.is_quiet = has_moves and self.movers_rng.random() < 0.3  # no faults: nothing may be lost by moving it
        self.nesting = Nesting(seed, is_used=has_nesting)
        self.once = Once(seed, is_used=has_once)
        self.speaking = Speaking(seed, is_used=has_speaking)
        self.memory = MemoryPlan(seed, is_used=has_memory)
        self.deafness = Deafness(seed, is_used=has_deaf and not self.is_quiet)
        is_plain = not self.nesting.is_used  # a child may need what its parent has
        self.extras = Extras(seed, is_used=has_extras and is_plain)
        self.rng = random.Random(seed)
        self.swarm: Swarm = draw(self.rng)
        if self.is_quiet:
            self.swarm = quieten(self.swarm)
        if has_deaths:
            self.swarm = replace(self.swarm, faults=self.swarm.faults | draw_deaths(seed))
        if has_waste:
            self.swarm = replace(
                self.swarm, settings=replace(self.swarm.settings, journal_waste_bytes_max=draw_waste(seed))
            )
        self.clock = Clock(random.Random(self.rng.random()))
        self.names = [f"host{h}-w{n}" for h in range(self.swarm.hosts) for n in range(self.swarm.workers)]
        alike = random.Random(f"alike {seed}") if has_waste else None
        self.plans = Plans(random.Random(self.rng.random()), self.names, self.extras, self.once, alike)
        self.is_calm = False  # no more faults
        self.busy_until_s: dict[str, float] = {}  # workers that are silent but at work
        self.partitions: set[frozenset[str]] = set()
        self.trace: deque[tuple[float, str, str, Sequence[Any]]] = deque(maxlen=TRACE_MAX)
        self.hash = 0
        self.happened: Counter[str] = Counter()  # faults, actions and kinds of messages, and how often
        self._newest_s = 0.0  # when the newest frame that arrived was sent
        self.sources = count(1)
        self.pids = count(1000)

    @property
    def now(self) -> float:
        """The present."""
        return self.clock.now

    def delay(self) -> float:
        """Return how long the next frame takes."""
        return self.rng.random() * self.swarm.delay_s + 1e-4

    def note(self, who: str, verb: str, what: Sequence[Any] = ()) -> None:
        """Add to the trace."""
        names = "".join(type(item).__name__ for item in what)
        self.happened.update(type(item).__name__ for item in what)
        if who == "fault" or verb.startswith("does "):
            self.happened[verb] += 1
        self.hash = zlib.crc32(f"{self.clock.now!r}{who}{verb}{names}".encode(), self.hash)
        if names not in HEARTBEATS:
            self.trace.append((self.clock.now, who, verb, what))

    def _note_arrival(self, sent_s: float) -> None:
        """Note frames that arrive after others, on other connections, that were sent later."""
        if sent_s < self._newest_s:
            self.happened["overtaken"] += 1
        self._newest_s = max(self._newest_s, sent_s)

    def connect(self, peer: Peer, deliver: Callable[..., None], on_closed: Callable[..., None]) -> Link:
        """Join a peer to the scheduler by a new connection."""
        source = next(self.sources)
        up = Direction(self.clock, self.delay, partial(deliver, source), partial(on_closed, source), self._note_arrival)
        # The link's own end is bound late: the peer is told which of its links it was.
        down = Direction(
            self.clock,
            self.delay,
            lambda messages: peer.received(link, messages),
            lambda reason: peer.disconnected(link, reason),
            self._note_arrival,
        )
        link = Link(source, up, down)
        return link

    def break_randomly(self, link: Link, reason: str, *, up_share: float | None = None, far_s: float = 2.0) -> None:
        """Break a connection; each side learns of it at its own time."""
        rng = self.rng
        share = rng.random() if up_share is None else up_share
        up_s, down_s = (rng.choice((0.0, 0.01, rng.uniform(0.0, far_s))) for _ in range(2))
        link.break_off(share, up_s, rng.random(), down_s, reason)

    def fail(self, text: str) -> None:
        """Say that something is wrong.

        Raises
        ------
        SimulationError
            Always.
        """
        raise SimulationError(text)

    def tell(self) -> str:
        """Return the last events in words."""
        lines = []
        for at_s, who, verb, what in self.trace:
            shown = ", ".join(str(item)[:230] for item in what)
            lines.append(f"  {at_s:12.6f} {who:<12} {verb} {shown}")
        return "\n".join(lines)
