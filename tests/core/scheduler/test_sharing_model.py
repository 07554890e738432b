"""Locks, a queue and an event against a simple model, with messages that cross, and clients that come and go.

Each client has two lines of messages on their way. A step acts for a client, or delivers one message. What must hold:
who holds a lock by all it has heard is alone; leases are given in the order of asking; each value that was put is taken
once or is still there; every question is answered once; and when all is given back, nothing is left.
"""

import random
from collections import deque

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import (
    AcquireLease,
    ClaimParcels,
    CloseSession,
    Coordinated,
    GetValue,
    GiveUpRequest,
    NamedParcel,
    Parcel,
    PutItem,
    ReleaseLease,
    SetValues,
    TakeItems,
    UnsetValue,
)
from tests.core.scheduler.sharing_bench import SharingBench

STEPS = 250
LIMITS = {("lock", "a"): 1, ("semaphore", "b"): 2}
KINDS = ("acquire", "acquire", "put", "put", "take", "take", "get", "set", "unset")


class Client:
    """What one client asked, was told and holds."""

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.source = world.bench.client(name, linger_s=0.0)
        self.up: deque = deque()
        self.down: deque = deque()
        self.asked = {}  # request -> kind of question, while it is not answered
        self.given_up = set()
        self.leases = {}  # request -> place

    def ask(self, kind, make, place=None):
        request = next(self.world.bench._requests)
        self.asked[request] = (kind, place)
        self.up.append(make(request))

    def hear(self, message):
        kind, place = self.asked.pop(message.request, (None, None))
        if kind is None:
            return  # undone before this came
        assert not message.error, message
        assert message.done or message.request in self.given_up, "nobody gave that up"
        if not message.done:
            return
        if kind == "acquire":
            self.leases[message.request] = place
            held = [at for one in self.world.clients for at in one.leases.values() if at == place]
            assert len(held) <= LIMITS[place], f"{place} is held {len(held)} times"
        elif kind == "put":
            self.world.sure.add(place)
        elif message.parcels:
            if kind == "take":
                self.world.taken.extend((self, message.request, parcel.value) for parcel in message.parcels)
            self.up.append(ClaimParcels(message.request))


class World:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.bench = SharingBench()
        self.clients = [Client(self, f"client-{index}") for index in range(3)]
        self.waiting: dict = {place: deque() for place in LIMITS}  # as the scheduler heard of them
        self.put = set()  # values that the scheduler may have
        self.sure = set()  # values that their putter was told of
        self.taken = []
        self.numbers = iter(range(10_000))

    # -- one step --------------------------------------------------------------------------------------------------

    def step(self):
        client = self.random.choice(self.clients)
        choice = self.random.random()
        if choice < 0.35:
            self.deliver_up(client)
        elif choice < 0.6:
            self.deliver_down(client)
        elif choice < 0.8:
            self.ask(client)
        elif choice < 0.985:
            self.give_back(client)
        else:
            self.leave(client)

    def ask(self, client):
        kind = self.random.choice(KINDS)
        if kind == "acquire":
            place = self.random.choice(list(LIMITS))
            client.ask(kind, lambda request: AcquireLease(request, *place, LIMITS[place]), place)
        elif kind == "put":
            value = f"{next(self.numbers):05}".encode()
            size_max = self.random.choice((0, 2))
            self.put.add(value)
            client.ask(kind, lambda request: PutItem(request, "q", Parcel(value), size_max), value)
        elif kind == "take":
            count = self.random.choice((0, 1, 1, 3))
            client.ask(kind, lambda request: TakeItems(request, "q", count))
        elif kind == "get":
            client.ask(kind, lambda request: GetValue(request, "event", "e"))
        elif kind == "set":
            client.ask(kind, lambda request: SetValues(request, "event", (NamedParcel("e", Parcel(b"")),)))
        else:
            client.ask(kind, lambda request: UnsetValue(request, "event", "e"))

    def give_back(self, client):
        """Release something, or wait no longer for something, in the one way or the other."""
        if client.leases and self.random.random() < 0.6:
            lease = self.random.choice(list(client.leases))
            del client.leases[lease]
            client.ask("release", lambda request: ReleaseLease(request, lease))
            return
        waits = [request for request, (kind, _) in client.asked.items() if kind in ("acquire", "put", "take", "get")]
        if not waits:
            return
        request = self.random.choice(waits)
        undo = self.random.random() < 0.5
        if undo:
            del client.asked[request]
        client.given_up.add(request)
        client.up.append(GiveUpRequest(request, undo))

    def leave(self, client):
        """Go, and come back as somebody else."""
        client.leases.clear()
        client.asked.clear()
        client.up.clear()  # also claims: what it read last may go to another
        unclaimed = set(self.bench.state.coordination.turns.get(self.session(client), {}))
        self.taken = [entry for entry in self.taken if not (entry[0] is client and entry[1] in unclaimed)]
        self.say(client, self.random.choice((CloseSession(), Disconnected("gone"))))
        self.clients[self.clients.index(client)] = Client(self, f"{client.name}+")

    def session(self, client):
        return self.bench.state.session_of[client.source]

    # -- messages --------------------------------------------------------------------------------------------------

    def deliver_up(self, client):
        if client.up:
            message = client.up.popleft()
            if isinstance(message, AcquireLease):
                self.waiting[message.kind, message.name].append((client.source, message.request))
            self.say(client, message)

    def say(self, client, message):
        self.bench.say(client.source, message)
        for receiver in self.clients:
            for answer in self.bench.heard(receiver.source, Coordinated):
                self.judge_order(receiver, answer)
                receiver.down.append(answer)

    def judge_order(self, receiver, answer):
        """A lease that was given just now is that of whoever waited longest."""
        entry = (receiver.source, answer.request)
        for line in self.waiting.values():
            if entry in line and answer.done:
                ahead = [other for other in list(line)[: line.index(entry)] if self.still_waits(other)]
                assert not ahead, f"{entry} was served before {ahead}"
                line.remove(entry)

    def still_waits(self, entry):
        source, request = entry
        session = self.bench.state.session_of.get(source)
        turn = self.bench.state.coordination.turn(session, request) if session is not None else None
        return turn is not None and turn.line is not None

    def deliver_down(self, client):
        if client.down:
            client.hear(client.down.popleft())

    # -- the end ---------------------------------------------------------------------------------------------------

    def settle(self):
        """Wait for nothing any more, give everything back, and hear all that is said."""
        while any(client.up or client.down or client.asked or client.leases for client in self.clients):
            for client in self.clients:
                while client.up:
                    self.deliver_up(client)
                while client.down:
                    self.deliver_down(client)
                for lease in tuple(client.leases):
                    del client.leases[lease]
                    client.ask("release", lambda request, lease=lease: ReleaseLease(request, lease))
                for request, (kind, _) in client.asked.items():
                    assert kind != "release" or client.up or client.down, f"{request} was never answered"
                    if request not in client.given_up:
                        client.given_up.add(request)
                        client.up.append(GiveUpRequest(request))

    def judge_values(self):
        books = self.bench.state.coordination
        home = books.queues.get(("queue", "q"))
        there = [kept.parcel.value for kept in home.items] if home else []
        taken = [value for _client, _request, value in self.taken]
        assert len(taken) == len(set(taken)), "a value was taken twice"
        assert not set(taken) & set(there), "a value was taken and is still there"
        assert set(taken) | set(there) <= self.put
        assert self.sure <= set(taken) | set(there), "a value was lost"


@pytest.mark.parametrize("seed", range(120))
def test_random_clients_with_crossing_messages_agree_with_a_model(seed):
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    world.settle()
    world.judge_values()
    world.clients[0].up.append(UnsetValue(99_999, "event", "e"))
    world.clients[0].up.append(TakeItems(99_998, "q", 0))
    world.clients[0].up.append(ClaimParcels(99_998))
    while world.clients[0].up:
        world.deliver_up(world.clients[0])
    assert world.bench.is_empty()
