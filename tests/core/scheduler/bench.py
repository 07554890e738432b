"""A scheduler's machine on a bench: peers are numbers, time is moved by hand, what was said is kept by receiver."""

import dataclasses
from collections import defaultdict
from itertools import count

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.ledger import ACK_S
from jupyter_dist.core.scheduler.machine import SchedulerMachine
from jupyter_dist.messages import (
    AssignTask,
    DeathCertificate,
    ErrorInfo,
    FunctionBody,
    InputMissing,
    OpenSession,
    ProcessPulse,
    Pulse,
    PutValue,
    RegisterNanny,
    RegisterWorker,
    Release,
    Submit,
    TaskErred,
    TaskFinished,
    TaskOptions,
    TaskSpec,
    Withdrawn,
    WorkerDied,
    WorkerSample,
)
from jupyter_dist.settings import Settings

LARGE = 200_000


def function(label="f"):
    return FunctionBody(f"id-{label}", label, b"body")


def certificate(worker="w0", pid=1000, attempts=(), cause="signal", *, output="", stack="", waiting=(), ended=None):
    return DeathCertificate(
        worker=worker,
        host="h",
        pid=pid,
        cause=cause,
        exit_code=-11,
        memory_bytes_peak=0,
        attempts=tuple(attempts),
        stack=stack,
        output=output,
        words=f"{worker} died by {cause}",
        died_s=0.0,
        waiting=tuple(waiting),
        ended=ended,
    )


class Bench:
    """One machine, checked after every event."""

    def __init__(self, *, detached=False, **changes):
        self.now = 100.0
        self.machine = SchedulerMachine(Settings(**changes), 1, "bench", self.now, wall_offset_s=1e9, detached=detached)
        self.state = self.machine.state
        self.sent = defaultdict(list)
        self.closes = {}
        self.stopped = ""
        self.pids = {}
        self.records: dict[int, dict[str, object]] = defaultdict(dict)  # the journal
        self._sources = count(1)
        self._pids = count(1000)
        self._wishes = count(1)

    def say(self, source, *events):
        return self._take(self.machine.handle(source, events, self.now))

    def tick(self, seconds=0.0):
        self.now += seconds
        return self._take(self.machine.tick(self.now))

    def write(self):
        """Have everything that happened be on the disk, and what waits for that go on."""
        self.machine.written(self.state.ledger.number, self.now)
        return self.tick(ACK_S)

    def succeed(self, **changes):
        """Have the scheduler die, and another go on with what it wrote down. Nobody is connected to that one."""
        settings = dataclasses.replace(self.state.settings, **changes)
        self.machine = SchedulerMachine(settings, self.state.epoch + 1, "bench", self.now, wall_offset_s=1e9)
        self.state = self.machine.state
        return self._take(self.machine.restore({kind: dict(found) for kind, found in self.records.items()}, self.now))

    def _take(self, effects):
        for kind, key, record, _is_new in effects.journal:
            self.records[kind].pop(key, None)
            if record is not None:
                self.records[kind][key] = record
        for source, messages in effects.sends.items():
            self.sent[source].extend(messages)
        self.closes.update(effects.closes)
        self.stopped = self.stopped or effects.stop
        self.machine.check()
        return effects

    def heard(self, source, kind):
        """Return what a peer was told of one kind since it was last asked, and forget it."""
        found = [message for message in self.sent[source] if isinstance(message, kind)]
        self.sent[source] = [message for message in self.sent[source] if not isinstance(message, kind)]
        return found

    # -- peers

    def worker(self, name="w0", *, slots=1, nanny="", pid=0, host="h", address="", held=(), running=(), **has):
        source = next(self._sources)
        self.pids[source] = pid or next(self._pids)
        address = address or f"unix:/{name}"
        pid = self.pids[source]
        self.say(source, RegisterWorker(name, host, pid, address, slots, 0, nanny, "3.11", held, running, **has))
        return source

    def nanny(self, name="n", workers=1):
        source = next(self._sources)
        self.say(source, RegisterNanny(name, "h", 1, workers))
        return source

    def client(self, session="", kind="script", linger_s=5.0, pid=1):
        source = next(self._sources)
        self.say(source, OpenSession(session or f"session-{source}", kind, "", linger_s, pid))
        return source

    def pulse(self, nanny, name, state, cpu=0.0, pid=1000, inside=()):
        self.say(nanny, Pulse((ProcessPulse(name, pid, state, 0, cpu, tuple(inside)),)))

    def beat(self, *workers):
        for worker in workers:
            self.say(worker, WorkerSample((), 0, 0.0, 0, 0))

    def die(self, worker, nanny, attempts=(), cause="signal", *, waiting=(), ended=None):
        """Have a worker die with a certificate: the connection first, as it mostly is."""
        member = self.state.members[worker]
        self.say(worker, Disconnected("end of stream"))
        died = certificate(member.name, member.pid, attempts, cause, waiting=waiting, ended=ended)
        self.say(nanny, WorkerDied(died))

    # -- tasks

    def submit(self, client, key, *dependencies, label="f", held=(), parent="", **options):
        wish = next(self._wishes)
        spec = TaskSpec(key, b"arguments", dependencies, wish, tuple(held))
        self.say(client, Submit(function(label), TaskOptions(**options), (spec,), parent))
        return wish

    def put(self, client, key, value=b"value"):
        wish = next(self._wishes)
        self.say(client, PutValue(key, value, "bytes", wish))
        return wish

    def release(self, client, *keys):
        self.say(client, Release(keys))

    def task(self, key):
        return self.state.tasks[key]

    def states(self, *keys):
        return [self.state.tasks[key].state for key in keys]

    def assigned(self, worker):
        """Return the attempts a worker was newly given, by key."""
        return {message.task.key: message.task.attempt for message in self.heard(worker, AssignTask)}

    def attempt(self, key):
        return self.task(key).attempt

    def finish(self, worker, key, value=b"v", *, attempt=0, nbytes=0, seconds=1.0, output=""):
        nbytes = nbytes or (LARGE if value is None else len(value))
        attempt = attempt or self.attempt(key)
        times = (self.now, self.now + seconds, 0, output)
        self.say(worker, TaskFinished(key, attempt, value, nbytes, "bytes", *times))

    def err(self, worker, key, *, attempt=0, output=""):
        error = ErrorInfo("ValueError", "no", "trace", key=key)
        self.say(worker, TaskErred(key, attempt or self.attempt(key), error, self.now, self.now + 1, 0, output))

    def give_back(self, worker, *attempts):
        self.say(worker, Withdrawn(attempts))

    def miss(self, worker, attempt, key, holder):
        self.say(worker, InputMissing(attempt, key, holder))
