"""A worker's machine with a driver made of plain lists: slots, hand and holders that do what the test says."""

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.worker.events import Arrived, Began, Ended, FetchFailed, TakenBack
from jupyter_dist.core.worker.machine import LOCAL, WorkerMachine
from jupyter_dist.messages import (
    AssignedTask,
    AssignTask,
    ErrorInfo,
    FunctionBody,
    TaskErred,
    TaskFinished,
    TaskInput,
    Welcome,
)
from jupyter_dist.settings import Settings

WELCOME = Welcome(1, 1, "c", "w0", 0.5, 3.0, 100)
FUNCTION = FunctionBody("f", "f", b"body")


class Bench:
    """A machine, what it asked for, and the parts it does not have."""

    def __init__(self, slots=1, link=1, memory=0, **changes):
        self.machine = WorkerMachine(Settings(**changes), slots, memory)
        self.now = 100.0
        self.link = link
        self.slots = slots
        self.hand = []
        self.running = []
        self.said = []
        self.fetches = {}
        self.interrupts = []
        self.abandoned = []
        self.discarded = []
        self.forgotten = []
        self.stores = []
        self.unstored = []
        self.spills = []
        self.unspilled = []
        self.trims = self.collects = 0
        self.left = ""
        self.refused = ""
        self.hear(WELCOME, FUNCTION)

    def hear(self, *messages, source=None):
        self._perform(self.machine.handle(self.link if source is None else source, messages, self.now))

    def happen(self, *events):
        self.hear(*events, source=LOCAL)

    def tick(self, seconds):
        self.now += seconds
        self._perform(self.machine.tick(self.now))

    def _perform(self, effects):
        self.machine.check()
        self.refused = effects.refused or self.refused
        self.hand.extend(ready.task.attempt for ready in effects.ready)
        self.ready = {ready.task.attempt: ready for ready in effects.ready}
        self.interrupts.extend(effects.interrupts)
        self.abandoned.extend(effects.abandoned)
        self.forgotten.extend(effects.forgotten)
        self.discarded.extend(effects.discarded)
        self.stores.extend(effects.stores)
        self.unstored.extend(effects.unstored)
        self.spills.extend(effects.spills)
        self.unspilled.extend(effects.unspilled)
        self.trims += effects.trim
        self.collects += effects.collect
        self.left = self.left or effects.leave
        for request in effects.abandoned:
            self.fetches.pop(request, None)
        self.fetches.update({fetch.request: fetch for fetch in effects.fetches})
        self.said.extend(effects.says)
        for order in effects.taken_back:
            taken = tuple(number for number in order.attempts if number in self.hand)
            self.hand = [number for number in self.hand if number not in taken]
            self.happen(TakenBack(order.already + taken, order.answer))

    def assign(self, attempt, *inputs, key=None, **options):
        self.hear(AssignTask(AssignedTask(key or f"k{attempt}", attempt, "f", b"args", inputs, **options)))

    def begin(self):
        number = self.hand.pop(0)
        self.running.append(number)
        self.happen(Began(number))
        return number

    def finish(self, attempt, value=b"v", live=None, nbytes=1, key=None, output=(), futures=None):
        self.running.remove(attempt)
        spoken = futures or {}
        reply = TaskFinished(key or f"k{attempt}", attempt, value, nbytes, "int", 1.0, 2.0, speaks_of=tuple(spoken))
        self.happen(Ended(reply, live, output, tuple(spoken.values())))

    def fail(self, attempt, text="boom"):
        self.running.remove(attempt)
        self.happen(Ended(TaskErred(f"k{attempt}", attempt, ErrorInfo("KeyboardInterrupt", text, "tb"), 1.0, 2.0)))

    def arrive(self, request):
        fetch = self.fetches.pop(request)
        self.happen(Arrived(request, fetch.key, [b"stream"]))

    def miss(self, request, reason="gone"):
        fetch = self.fetches.pop(request)
        self.happen(FetchFailed(request, fetch.key, reason))

    def disconnect(self):
        self.hear(Disconnected("lost"))

    def take_said(self):
        said, self.said = self.said, []
        return said


def remote(key, *holders, nbytes=1000):
    return TaskInput(key, None, nbytes, holders)
