"""The target ``scheduler``: authenticated peers that are wrong, towards the scheduler's machine.

Six connections, two of each role, say whatever their codecs let through. A peer may be cut off, as the driver does it
when the machine says so or raises `ProtocolError`; whatever was said, the tables are in order, nobody else is cut off
for it, and a client that is right is served: at the end one submits a task and a worker that is right does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from jupyter_dist.comm.links import CLIENT_SIDE, NANNY_SIDE, SCHEDULER_SIDE, WORKER_SIDE
from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.machine import SchedulerMachine
from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages import (
    AssignTask,
    FunctionBody,
    KeyFinished,
    OpenSession,
    PutValue,
    RegisterNanny,
    RegisterWorker,
    StopCluster,
    Submit,
    TaskFinished,
    TaskOptions,
    TaskSpec,
)
from jupyter_dist.messages.assignment import FromWorker
from jupyter_dist.messages.submission import FromClient
from jupyter_dist.messages.supervision import FromNanny
from jupyter_dist.settings import Settings
from tests.fuzz.builder import build
from tests.fuzz.feeds import Feed

SAYS = (FromClient, FromWorker, FromNanny)
SIDES = (
    (SCHEDULER_SIDE["client"], CLIENT_SIDE),
    (SCHEDULER_SIDE["worker"], WORKER_SIDE),
    (SCHEDULER_SIDE["nanny"], NANNY_SIDE),
)
FIRST = (OpenSession, RegisterWorker, RegisterNanny)
WAITS_S = (0.01, 0.5, 1.0, 4.0, 40.0, 400.0)
MESSAGES_MAX = 200
RIGHT_WORKER, RIGHT_CLIENT = 1001, 1002  # connections
PATIENCE = 8  # turns, within which one who is right is served
SETTINGS = Settings(heartbeat_s=1.0)


class World:
    """The machine, and its six connections."""

    def __init__(self) -> None:
        self.now = 100.0
        self.machine = SchedulerMachine(SETTINGS, 1, "fuzzed", self.now)
        self.sources = list(range(1, 7))  # of the connections
        self.last = 6
        self.registered: set[int] = set()
        self.known: list[int] = []  # attempts the scheduler spoke of
        self.is_stopped = False
        self.objects = 0

    def say(self, place: int, events: Sequence[Any]) -> Effects:
        """Have a connection say something; the driver's part."""
        source = self.sources[place]
        try:
            effects = self.machine.handle(source, events, self.now)
        except ProtocolError:
            self._end(place)
            return Effects()
        self.machine.check()
        self._take(effects)
        return effects

    def tick(self, seconds: float) -> Effects:
        """Let time pass."""
        self.now += seconds
        effects = self.machine.tick(self.now)
        self.machine.check()
        self._take(effects)
        return effects

    def _take(self, effects: Effects) -> None:
        self.is_stopped |= bool(effects.stop)
        for messages in effects.sends.values():
            self.known += [message.task.attempt for message in messages if isinstance(message, AssignTask)]
        del self.known[:-16]
        for source in tuple(effects.closes):
            if source in self.sources and not self.is_stopped:
                self._end(self.sources.index(source))

    def _end(self, place: int) -> None:
        source = self.sources[place]
        self.last += 1
        self.sources[place] = self.last
        effects = self.machine.handle(source, [Disconnected("closed")], self.now)
        self.machine.check()
        self._take(effects)

    def act(self, feed: Feed) -> None:
        """Do what a feed says next."""
        head = feed.byte()
        if head >= 250:
            self.tick(WAITS_S[head - 250])
            return
        place = head % 6
        if head >= 240:
            self._end(place)
            return
        role = place // 2
        is_first = self.sources[place] not in self.registered and head < 200
        self.registered.add(self.sources[place])
        kind = FIRST[role] if is_first else SAYS[role]
        receives, sends = SIDES[role]
        try:
            (message,) = receives.decode(sends.encode([build(kind, feed, self.known)]))
        except ProtocolError:
            self._end(place)
            return
        if isinstance(message, PutValue) and message.stored:  # two clients never write one object: names are random
            self.objects += 1
            message = msgspec.structs.replace(message, stored=f"object-{self.objects}")
        if not isinstance(message, StopCluster):
            self.say(place, [message])


def scheduler(data: bytes) -> None:
    """Be a scheduler whose peers say anything they can."""
    feed, world = Feed(data), World()
    for _ in range(MESSAGES_MAX):
        if not feed or world.is_stopped:
            break
        world.act(feed)
    if not world.is_stopped:
        _serve_one_who_is_right(world)


def _serve_one_who_is_right(world: World) -> None:
    """A client that is right has a task done by a worker that is right."""
    world.sources += [RIGHT_WORKER, RIGHT_CLIENT]
    worker, client = len(world.sources) - 2, len(world.sources) - 1
    world.say(worker, [RegisterWorker("right", "right", 1, "unix:/right", 1, 0, "right", "3")])
    world.say(client, [OpenSession("right", "script", "", 1.0, 1)])
    options = TaskOptions(workers=("right",))
    given = world.say(client, [Submit(FunctionBody("right", "right", b""), options, (TaskSpec("right", b"", (), 1),))])
    for _ in range(PATIENCE):
        tasks = [message.task for message in given.sends.get(RIGHT_WORKER, ()) if isinstance(message, AssignTask)]
        if tasks:
            break
        given = world.tick(0.6)
    finished = TaskFinished("right", tasks[0].attempt, b"value", 5, "str", world.now, world.now)
    told = world.say(worker, [finished]).sends[RIGHT_CLIENT]
    assert any(isinstance(message, KeyFinished) and message.value == b"value" for message in told)
    assert world.sources[worker:] == [RIGHT_WORKER, RIGHT_CLIENT]
