"""A host that keeps clusters in a table: the same calls as `launch` and `Observer`, without a process."""

import asyncio
import dataclasses
import threading
from typing import Any

import msgspec

from jupyter_dist.errors import ClusterClosedError, ClusterStartError, UsageError
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.launch.local import ClusterSpec, Phase
from jupyter_dist.messages import ErrorInfo, TaskDetail, TaskPage
from jupyter_dist.messages.observation import AdaptView, ClusterSnapshot, Observation, TaskView, WorkerView
from jupyter_dist.settings import Settings

SECRET = b"this-is-the-secret-of-a-cluster!"


def make_info(name, cluster="id-1", workers=2):
    return ClusterInfo(
        name=name,
        cluster=cluster,
        address=f"unix:/nowhere/{name}",
        secret=SECRET,
        host="here",
        pid=1,
        process_started_s=1.0,
        started_s=1_700_000_000.0,
        workers=workers,
        threads_per_worker=1,
        detached=True,
        folder="/nowhere",
    )


def make_worker(name, state="running"):
    return WorkerView(
        name=name,
        host="here",
        pid=2,
        nanny="nanny",
        address="unix:/nowhere/w",
        state=state,
        slots=3,
        running=0,
        queued=0,
        memory_bytes=100,
        memory_bytes_max=1000,
        cpu_percent=0.0,
        held=0,
        held_bytes=0,
        spilled_bytes=0,
        heard_s=0.1,
        restarts=0,
        last_death="",
    )


def make_snapshot(info, workers=2, counts=None, silent=0):
    states = ["running"] * workers + ["silent"] * silent
    return ClusterSnapshot(
        cluster=info.cluster,
        at_s=info.started_s + 1,
        started_s=info.started_s,
        last_event=0,
        wanted=workers + silent,
        workers=tuple(make_worker(f"worker-{n}", state) for n, state in enumerate(states)),
        counts=counts or {"processing": 0, "memory": 5},
        finished=7,
        erred=1,
        sessions=("notebook.ipynb",),
        functions=(),
        running=(),
        errors=(),
        nannies={},
    )


def make_task(key, state="processing", error=None):
    view = TaskView(key, "fit", state, "In[3]", "worker-0", 0, 1.0, 2.0, 1)
    error = ErrorInfo("ValueError", error, "Traceback: " + error, "cell", 3, "fit", b"bytes") if error else None
    return TaskDetail(view, 10, "int", ("it runs",), error, "printed", 5, ("a",), ("nb.ipynb",))


@dataclasses.dataclass(eq=False)
class FakeWatching:
    """A watcher's place."""

    observer: Any
    callback: Any
    interval_s: float

    def close(self):
        self.observer.watchings.remove(self)


class FakeObserver:
    """Talks to a cluster of the fake host."""

    def __init__(self, host, info):
        self.host, self.info = host, info
        self.is_closed = True
        self.watchings = []

    async def __aenter__(self):
        self.host.connecting.set()
        if self.host.may_connect is not None:
            await self.host.may_connect.wait()
        if self.info.name in self.host.mute:
            raise ClusterClosedError(self.host.mute[self.info.name])
        self.is_closed = False
        self.host.observers.append(self)
        self.host.observed.set()
        return self

    async def __aexit__(self, kind, error, traceback):
        self.is_closed = True

    async def describe(self):
        return self.host.snapshots[self.info.name]

    async def scale(self, workers):
        self.host.snapshots[self.info.name] = make_snapshot(self.info, workers)

    async def adapt(self, minimum, maximum):
        adapting = AdaptView(minimum, maximum, 1.0, 3, minimum)
        self.host.snapshots[self.info.name] = msgspec.structs.replace(await self.describe(), adapting=adapting)

    async def stop_adapting(self):
        self.host.snapshots[self.info.name] = msgspec.structs.replace(await self.describe(), adapting=None)

    async def restart_worker(self, name):
        self.host.workers_restarted.append(name)

    async def retire_worker(self, name):
        if self.host.may_retire is not None:
            await self.host.may_retire.wait()
        self.host.workers_retired.append(name)

    async def sessions(self):
        return self.host.sessions

    async def list_tasks(self, **asked):
        self.host.asked_for_tasks.append(asked)
        return TaskPage(tuple(detail.view for detail in self.host.tasks.values()), 7, 9)

    async def describe_task(self, key):
        if key not in self.host.tasks:
            raise UsageError(f"the cluster knows no task {key!r} any more")
        return self.host.tasks[key]

    async def cancel_tasks(self, keys, *, force):
        self.host.cancelled.append((keys, force))
        return keys

    async def retry_tasks(self, keys):
        self.host.retried.append(keys)
        return keys

    async def restart(self):
        if self.host.may_connect is not None:
            await self.host.may_connect.wait()
        self.host.restarts += 1

    async def stop(self):
        self.host.asked_to_stop.append(self.info.name)

    def watch(self, callback, interval_s):
        watching = FakeWatching(self, callback, interval_s)
        self.watchings.append(watching)
        return watching


@dataclasses.dataclass
class FakeHost:
    """All clusters of a user, and levers for what may go wrong."""

    infos: dict = dataclasses.field(default_factory=dict)
    snapshots: dict = dataclasses.field(default_factory=dict)
    mute: dict = dataclasses.field(default_factory=dict)  # name -> why it does not let anybody connect
    observers: list = dataclasses.field(default_factory=list)
    dead: list = dataclasses.field(default_factory=list)  # whose files are still there
    asked_to_stop: list = dataclasses.field(default_factory=list)
    stopped: list = dataclasses.field(default_factory=list)
    restarts: int = 0
    workers_restarted: list = dataclasses.field(default_factory=list)
    workers_retired: list = dataclasses.field(default_factory=list)
    may_retire: asyncio.Event | None = None
    sessions: tuple = ()
    tasks: dict = dataclasses.field(default_factory=dict)
    asked_for_tasks: list = dataclasses.field(default_factory=list)
    cancelled: list = dataclasses.field(default_factory=list)
    retried: list = dataclasses.field(default_factory=list)
    process_logs: dict = dataclasses.field(default_factory=dict)
    events: list = dataclasses.field(default_factory=list)
    may_connect: asyncio.Event | None = None
    start_error: Exception | None = None
    stop_error: Exception | None = None
    log: str = "line 1\nline 2\n"
    begun: threading.Event = dataclasses.field(default_factory=threading.Event)
    connecting: threading.Event = dataclasses.field(default_factory=threading.Event)
    observed: threading.Event = dataclasses.field(default_factory=threading.Event)
    started: threading.Event = dataclasses.field(default_factory=threading.Event)
    may_start: threading.Event = dataclasses.field(default_factory=threading.Event)
    may_stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    may_read: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __post_init__(self):
        self.let_go()

    def let_go(self):
        """Let whoever is held back in a thread go on."""
        for gate in (self.may_start, self.may_stop, self.may_read):
            gate.set()

    def add(self, name="default", **changes):
        info = msgspec.structs.replace(make_info(name), **changes)
        self.snapshots[name] = make_snapshot(info)
        self.infos[name] = info
        return info

    def start(self, spec: ClusterSpec, *, on_phase, settings: Settings | None):
        on_phase(Phase(name="starting nanny", elapsed_s=0.1))
        self.begun.set()
        self.may_start.wait(10)
        if self.start_error is not None:
            raise self.start_error
        if spec.name in self.infos:
            raise ClusterStartError(f"cluster {spec.name!r} runs already")
        info = self.add(spec.name, cluster=f"id-{spec.name}", workers=spec.workers or 2)
        self.started.set()
        return info

    def stop(self, info):
        self.may_stop.wait(10)
        if self.stop_error is not None:
            raise self.stop_error
        self.stopped.append(info.name)
        self.infos.pop(info.name, None)

    def read(self, on_dead):
        while self.dead:
            on_dead(self.dead.pop())
        found = list(self.infos.values())
        self.may_read.wait(10)
        return found

    def tail(self, info, lines):
        return self.log

    def tail_process(self, info, name, lines):
        return self.process_logs.get(name)

    def note(self, action, model):
        self.events.append((action, model.name))

    def observe(self, info, *, settings):
        return FakeObserver(self, info)

    def tell(self, name, snapshot, *events):
        self.snapshots[name] = snapshot
        for observer in self.observers:
            if observer.info.name == name and not observer.is_closed:
                for watching in tuple(observer.watchings):
                    watching.callback(Observation(snapshot, events))

    def cut(self, name):
        for observer in self.observers:
            if observer.info.name == name:
                observer.is_closed = True


@dataclasses.dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self):
        return self.now
