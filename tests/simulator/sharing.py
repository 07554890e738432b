"""What users share by name: a lock, a semaphore, a queue, a variable and an event; and what must hold of them.

Judged by what clients heard alone: nobody is given a lease that others hold by all they know; what is in a queue is given
once to those who live, in its order if nobody gave anything back; what was put, and answered, comes out in the end; whoever
waits is answered, and never with an error.

Their chance is their own: a world without them is as it was before there were any.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from jupyter_dist.messages import (
    AcquireLease,
    Coordinated,
    CountLeases,
    GetValue,
    MentionedFuture,
    NamedParcel,
    Parcel,
    PutItem,
    ReleaseLease,
    SetValues,
    TakeItems,
    UnsetValue,
)
from tests.simulator.client_host import ClientHost
from tests.simulator.parties import Parties
from tests.simulator.script import Script

PAUSE_S = 0.1  # between two of their actions, on average
SHARE = 0.9  # of the worlds that have them and no restarts: these take leases from those who hold them
LIMITS = {("lock", "a"): 1, ("semaphore", "b"): 2}
UNKNOWN = "needs the result"  # a value may speak of what was let go a moment ago: it is refused
NOT_KEPT = "is not known to the cluster any more"

Place = tuple[str, str]


class Sharing:
    """Users of one world who share things by name. ``is_used`` False: nobody does."""

    def __init__(self, parties: Parties, script: Script, seed: int, *, is_used: bool) -> None:
        self.parties = parties
        self.world = parties.world
        self.script = script
        self.rng = random.Random(f"sharing {seed}")
        self.is_used = is_used and self.rng.random() < SHARE and not self.world.swarm.actions["restart"]
        self.asked: dict[tuple[ClientHost, int], tuple[str, int]] = {}  # what it is, and for how many values
        self.held: dict[Place, dict[tuple[ClientHost, int], None]] = {place: {} for place in LIMITS}
        self.sure: set[bytes] = set()  # values whose putter was told that they are in
        self.taken: dict[bytes, ClientHost] = {}
        self._takes_back = self.rng.random() < 0.5
        self._order: dict[tuple[ClientHost, str], list[tuple[int, int]]] = {}  # by taker and putter: request, value
        self._number = 0
        self._is_sweeping = False
        self._actions: dict[str, Callable[[ClientHost], None]] = {
            "acquire": self._acquire,
            "put": self._put,
            "take": self._take,
            "set": self._set,
            "unset": self._unset,
            "get": self._get,
            "count": self._count,
            "give-up": self._give_up,
        }
        self._weights = {name: self.rng.random() + 0.1 for name in self._actions}
        if self.is_used:
            self._next()

    def _next(self) -> None:
        self.world.clock.after(self.rng.expovariate(1 / PAUSE_S), self._act)

    def _act(self) -> None:
        alive = self.script.alive()
        if self.world.is_calm:
            self._tend(alive)
            self.world.clock.after(0.5, self._act)
            return
        if alive:
            client = self.rng.choice(alive)
            name = self.rng.choices(list(self._weights), list(self._weights.values()))[0]
            self.world.note(client.name, f"shares: {name}")
            self._actions[name](client)
        self._next()

    def _ask(self, client: ClientHost, kind: str, make: Callable[[int], object], count: int = 0) -> int:
        client.sharing = self
        number = client.ask_by_name(make)
        self.asked[client, number] = (kind, count)
        return number

    # -- what they do ------------------------------------------------------------------------------------------------

    def _acquire(self, client: ClientHost) -> None:
        kind, name = place = self.rng.choice(list(LIMITS))
        number = self._ask(client, f"{kind}/{name}", lambda request: AcquireLease(request, kind, name, LIMITS[place]))
        if self.rng.random() < 0.3:
            self.world.clock.after(self.rng.uniform(0.0, 0.5), partial(self._stop_waiting, client, number))

    def _release(self, client: ClientHost, place: Place, lease: int) -> None:
        if client.is_open and self.held[place].pop((client, lease), True) is None:
            self._ask(client, "release", lambda request: ReleaseLease(request, lease))

    def _parcel(self, client: ClientHost) -> tuple[bytes, Parcel]:
        self._number += 1
        value = f"{client.name} {self._number}".encode()
        keys = [key for key, wish in client.held.items() if wish.status != "cancelled"]
        futures = (MentionedFuture(self.rng.choice(keys), ""),) if keys and self.rng.random() < 0.5 else ()
        return value, Parcel(value, futures)

    def _put(self, client: ClientHost, size_max: int = -1) -> None:
        size_max = self.rng.choice((0, 2)) if size_max < 0 else size_max
        value, parcel = self._parcel(client)
        number = self._ask(client, f"put {value.decode()}", lambda request: PutItem(request, "q", parcel, size_max))
        if self._takes_back and self.rng.random() < 0.1:
            self.world.clock.after(self.rng.uniform(0.0, 0.5), partial(self._stop_waiting, client, number))

    def _take(self, client: ClientHost, count: int = -1) -> None:
        count = self.rng.choice((1, 1, 2)) if count < 0 else count
        number = self._ask(client, "take", lambda request: TakeItems(request, "q", count), count)
        if count and self.rng.random() < 0.2:
            self.world.clock.after(self.rng.uniform(0.0, 0.5), partial(self._stop_waiting, client, number))

    def _set(self, client: ClientHost) -> None:
        kind, (_value, parcel) = self.rng.choice(("variable", "event")), self._parcel(client)
        self._ask(client, "set", lambda request: SetValues(request, kind, (NamedParcel("v", parcel),)))

    def _unset(self, client: ClientHost) -> None:
        kind = self.rng.choice(("variable", "event"))
        self._ask(client, "unset", lambda request: UnsetValue(request, kind, "v"))

    def _get(self, client: ClientHost) -> None:
        kind = self.rng.choice(("variable", "event"))
        number = self._ask(client, "get", lambda request: GetValue(request, kind, "v"))
        if self.rng.random() < 0.5:
            self.world.clock.after(self.rng.uniform(0.0, 0.2), partial(self._stop_waiting, client, number))

    def _count(self, client: ClientHost) -> None:
        kind, name = self.rng.choice(list(LIMITS))
        self._ask(client, "count", lambda request: CountLeases(request, kind, name))

    def _stop_waiting(self, client: ClientHost, number: int) -> None:
        if client.is_open and (client, number) in self.asked:
            client.say(client.questions.give_up(number))

    def _give_up(self, client: ClientHost) -> None:
        """Listen no longer, as after Ctrl-C: whatever came of it is undone."""
        mine = [number for owner, number in self.asked if owner is client]
        if mine and self._takes_back:
            number = self.rng.choice(mine)
            del self.asked[client, number]
            client.say(client.questions.abandon(number))

    # -- when all is calm --------------------------------------------------------------------------------------------

    def _open(self) -> list[tuple[str, int]]:
        return [what for (client, _number), what in self.asked.items() if client.is_open]

    def _tend(self, alive: list[ClientHost]) -> None:
        """Bring what others wait for; in the end, take away what is there."""
        if not alive:
            return
        wanted = sum(count for kind, count in self._open() if kind == "take")
        for _ in range(wanted):
            self._put(alive[0], 0)
        is_full = any(kind.startswith("put") for kind, _count in self._open())
        if is_full and not wanted:
            self._take(alive[0], 1)
        if any(kind == "get" for kind, _count in self._open()):
            for kind in ("variable", "event"):
                self._ask(alive[0], "set", partial(SetValues, kind=kind, values=(NamedParcel("v", Parcel(b"")),)))
        books = self.parties.scheduler.machine.state.coordination
        if self._is_sweeping and (books.queues or books.values) and not self._open():
            self._take(alive[0], 0)
            for kind in ("variable", "event"):
                self._ask(alive[0], "unset", partial(UnsetValue, kind=kind, name="v"))

    def begin_sweeping(self) -> None:
        """Take away what is there, until nothing is."""
        self._is_sweeping = True
        if self.is_used and not self.script.alive():
            self.script.open()

    def what_is_unanswered(self) -> str:
        """Return in words what somebody still waits for."""
        unanswered = [f"{client.name}'s {what}" for (client, _n), (what, _c) in self.asked.items() if client.is_open]
        return unanswered[0] if unanswered else ""

    def what_is_left(self) -> str:
        """Return in words what is in the books, or was said and is not heard."""
        books = self.parties.scheduler.machine.state.coordination
        tables = (books.leases, books.queues, books.values, books.turns, books.kept, books.replies, books.held)
        left = [table for table in tables if table]
        return f"in the books {left[0]}" if left else self.what_is_unanswered()

    def judge_lost(self) -> None:
        """What its putter was told of has come out."""
        lost = self.sure - self.taken.keys()
        if lost:
            self.world.fail(f"{lost} were put into the queue and never came out")

    # -- what they hear ----------------------------------------------------------------------------------------------

    def hear(self, client: ClientHost, answer: Coordinated) -> None:
        """Judge an answer, and go on."""
        kind, count = self.asked.pop((client, answer.request), ("", 0))
        if not kind:
            return
        if answer.error and UNKNOWN not in answer.error:
            self.world.fail(f"{client.name}'s {kind}: {answer.error}")
        elif answer.error or not answer.done:
            return
        elif kind.startswith("put"):
            self.sure.add(kind.removeprefix("put ").encode())
        elif kind == "take":
            self._judge_taken(client, answer, count)
        elif "/" in kind:
            first, _, second = kind.partition("/")
            self._judge_lease(client, (first, second), answer.request)
        if answer.parcels:
            client.claim(answer.request, answer.parcels)
            if self._is_sweeping:
                client.drop(tuple(client.held))

    def _judge_lease(self, client: ClientHost, place: Place, lease: int) -> None:
        held = [owner.name for owner, _lease in self.held[place] if owner.is_open]
        if len(held) >= LIMITS[place]:
            self.world.fail(f"{client.name} is given {place}, which {held} hold")
        self.held[place][client, lease] = None
        self.world.clock.after(self.rng.uniform(0.0, 0.4), partial(self._release, client, place, lease))

    def _judge_taken(self, client: ClientHost, answer: Coordinated, count: int) -> None:
        values = [parcel.value for parcel in answer.parcels]
        if count and len(values) != count:
            self.world.fail(f"{client.name} is given {values} instead of {count}")
        is_strict = not self._takes_back and all(other.is_open for other in self.script.clients)
        for value in values:
            other = self.taken.get(value)
            if other is not None and other.is_open:
                self.world.fail(f"{value!r} is given to {client.name}, and was to {other.name}")
            self.taken[value] = client
            putter, _, number = value.decode().rpartition(" ")
            order = self._order.setdefault((client, putter), [])
            order.append((answer.request, int(number)))
            if is_strict and [of for _, of in sorted(order, key=lambda one: one[0])] != sorted(of for _, of in order):
                self.world.fail(f"{client.name} is given {value!r} out of turn: {order}")
