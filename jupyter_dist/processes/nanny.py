"""The nanny's process: one supervisor, and the hands that do what it says.

It is the parent of everything the cluster runs on its host, so it must be the process that never breaks: it loads no
user's code, unpickles nothing, listens nowhere, and takes part in no task. What shall live is decided in
`jupyter_dist.core.supervisor`; here are the fork server's children, the pulse, the certificates, and the line to the
scheduler and to the launcher.

Effects are performed in order and without waiting, so a certificate is sent before the successor exists. What a dead
worker leaves on the disk is removed beside that, because it may be much.

A detached cluster's nanny has a guardian (`guarding`), by which another one follows it when it dies. What that one must
know is its *will*; it begins with what the dead one left (`succession`), and else is a nanny as the first was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from pathlib import Path

from jupyter_dist.core.supervisor import (
    SCHEDULER,
    AbortProcess,
    Begin,
    Bury,
    Effect,
    Event,
    Exited,
    Fail,
    KillProcess,
    OverMemory,
    Ready,
    Report,
    Say,
    StartProcess,
    Stop,
    Supervisor,
)
from jupyter_dist.ids import is_copy_before
from jupyter_dist.messages import (
    AbortWorker,
    EndWorkers,
    FreeObjects,
    KeepObjects,
    KeepsWorkers,
    Message,
    ProcessPulse,
    Pulse,
    RegisterNanny,
    ReplaceWorkers,
    SetWorkers,
    StopHost,
    WorkerDied,
)
from jupyter_dist.processes.certificate import Death, certify, describe_bytes
from jupyter_dist.processes.config import NannyConfig, SchedulerConfig, WorkerConfig
from jupyter_dist.processes.folder import NANNY, HostFolder, read_tail, trim_log
from jupyter_dist.processes.guarding import Guarding
from jupyter_dist.processes.launcher_line import READY, LauncherLine, NoLauncher, Progress, read_config
from jupyter_dist.processes.listing import Listing
from jupyter_dist.processes.nursery import Child, Nursery, Pipes, open_nursery, take_pipes
from jupyter_dist.processes.remains import Remains
from jupyter_dist.processes.scheduler_line import SchedulerLine
from jupyter_dist.processes.succession import end_session, leavings
from jupyter_dist.processes.vitals import private_bytes, read_oom_kills, read_stat, session_members, started_s
from jupyter_dist.processes.will import Entries, Inherited, Will
from jupyter_dist.storage import places
from jupyter_dist.storage.hold import hold_folder
from jupyter_dist.storage.page import read_page
from jupyter_dist.storage.store import ObjectStore

LOG = logging.getLogger("jupyter_dist.nanny")
READY_POLL_S = 0.003
FAILED_LINES = 40


def main(entries: Entries = Entries(), pipes: Pipes | None = None, folder: str = "") -> None:  # noqa: B008  # frozen
    """Run a nanny. Its launcher may have taken the pipes and opened the nursery in a folder already, to win time."""
    pipes = take_pipes() if pipes is None else pipes
    try:
        config = read_config(pipes.reading)
    except EOFError:
        if folder:
            HostFolder(folder).remove()
        os._exit(1)
    HostFolder(config.folder).make()
    open_nursery(config.folder, entries.preload)
    asyncio.run(_run(config, entries, pipes))
    _end()


def follow(inherited: Inherited) -> None:
    """Run a nanny that follows a dead one. The nursery is open already."""
    asyncio.run(_run(inherited.config, inherited.entries, inherited=inherited))
    _end()


def _end() -> None:
    logging.shutdown()
    os._exit(0)  # nothing may hold up the end: not multiprocessing's joins, not a child that cannot be killed


async def _run(
    config: NannyConfig, entries: Entries, pipes: Pipes | None = None, inherited: Inherited | None = None
) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    nanny = Nanny(config, entries, pipes, inherited)
    await nanny.run()


class Nanny:
    """The driver of one host's `Supervisor`. It has pipes to its launcher, or has inherited the cluster from another."""

    def __init__(
        self, config: NannyConfig, entries: Entries, pipes: Pipes | None, inherited: Inherited | None = None
    ) -> None:
        self.name = f"{NANNY}-{config.host}"
        self._config = config
        self._entries = entries
        self._settings = config.settings
        self._loop = asyncio.get_running_loop()
        self._folder = HostFolder(config.folder)
        self._inherited = inherited
        self._generation = 0 if inherited is None else inherited.will.generation + 1
        self._machine = self._make_machine()
        self._nursery = Nursery(self._loop, self._on_exit, self._generation)
        self._launcher: LauncherLine | NoLauncher = NoLauncher()
        if pipes is not None:
            self._launcher = LauncherLine(pipes, is_detached=config.detached, on_gone=self._on_launcher_gone)
        self._line = SchedulerLine(
            config.identity, config.settings, self._registration, self._on_message, self._on_welcome
        )
        self._remains = Remains()
        self._store = ObjectStore(config.objects)
        self._held = _hold(self._folder)  # until this process ends: else somebody might sweep them
        self._guarding = Guarding(config, self._held, self._make_will, self._on_another_guardian)
        self._listing = Listing(config.connection_file, config.identity.cluster)
        self._is_listed = True  # the launcher sees to that
        self._started_s = started_s(os.getpid())
        self._doubtful: set[str] = set()  # objects there when a scheduler died: the next one may not know them
        self._dead: dict[str, Child] = {}  # between the news of an end and its burial
        self._unready: set[str] = set()  # workers whose socket is not there yet
        self._timer: asyncio.TimerHandle | None = None
        self._ready_timer: asyncio.TimerHandle | None = None
        self._pulse_timer: asyncio.TimerHandle | None = None
        self._memory_timer: asyncio.TimerHandle | None = None
        self._memory_bytes_max = int(config.settings.memory_terminate * config.memory_bytes_max)
        self._oom_kills = read_oom_kills()
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        """Keep the host's processes until the supervisor says stop, then remove every trace of them."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal, number)
        self._launcher.watch(self._loop)
        if self._inherited is not None:
            await self._take_over(self._inherited)
        elif self._config.detached:
            self._guarding.start()
        self._handle(Begin())
        line = asyncio.create_task(self._line.keep(), name="scheduler line")
        line.add_done_callback(self._on_line_ended)
        self._pulse()
        if self._memory_bytes_max:
            self._watch_memory()
        await self._is_over.wait()
        for timer in (self._timer, self._pulse_timer, self._ready_timer, self._memory_timer):
            if timer is not None:
                timer.cancel()
        self._line.close()
        line.cancel()
        await asyncio.wait([line])
        _end_session()
        self._folder.remove()
        self._listing.remove()  # the last thing it does

    # how one follows another

    def _make_machine(self) -> Supervisor:
        config, inherited = self._config, self._inherited
        if inherited is None:
            return Supervisor(head=config.head, workers=config.workers, settings=config.settings)
        will = inherited.will
        return Supervisor(head=config.head, workers=0, settings=config.settings, numbers=will.numbers, epoch=will.epoch)

    async def _take_over(self, inherited: Inherited) -> None:
        """Be the nanny from now on: nothing of the dead one lives when this returns."""
        LOG.warning("the nanny died, which had pid %d; this one, pid %d, follows it", inherited.will.pid, os.getpid())
        self._guarding.adopt(inherited.guardian, inherited.line)
        await asyncio.to_thread(end_session, inherited.will.pid, inherited.will.started_s)
        self._doubtful.update(self._store.names())
        self._remains.remove(*leavings(self._folder))
        self._is_listed = False
        self._list()

    def _make_will(self) -> Will:
        return Will(
            config=self._config,
            entries=self._entries,
            pid=os.getpid(),
            started_s=self._started_s,
            numbers=self._machine.numbers,
            epoch=self._machine.epoch,
            generation=self._generation,
        )

    def _on_another_guardian(self) -> None:
        self._is_listed = False
        self._list()

    def _list(self) -> None:
        """See that the connection file names this nanny and its guardian."""
        if self._is_listed or self._machine.is_stopping:
            return
        result = self._listing.renew(os.getpid(), self._guarding.pid)
        self._is_listed = result is True
        if result is None and self._inherited is not None:
            self._handle(StopHost("its connection file is gone, so nobody could find it any more"))

    # what happens

    def _handle(self, event: Event) -> None:
        self._perform(self._machine.handle(event, self._loop.time()))

    def _tick(self) -> None:
        self._timer = None
        self._perform(self._machine.tick(self._loop.time()))

    def _on_exit(self, child: Child, code: int) -> None:
        self._dead[child.name] = child
        self._unready.discard(child.name)
        page = read_page(self._folder.page(child.birth))
        is_busy = bool(page.computing or page.waiting)
        self._handle(Exited(child.name, code, is_busy))

    def _on_message(self, message: Message) -> None:
        if isinstance(message, AbortWorker):
            child = self._nursery.children.get(message.name)
            if child is not None and child.pid == message.pid:
                self._handle(message)
        elif isinstance(message, SetWorkers | ReplaceWorkers | EndWorkers | StopHost):
            self._handle(message)
            if isinstance(message, SetWorkers | EndWorkers):
                self._line.send(KeepsWorkers(self._machine.wanted))
        elif isinstance(message, FreeObjects):
            self._remains.remove_objects(self._store, message.names)
        elif isinstance(message, KeepObjects):
            self._on_keep_objects(message)

    def _on_keep_objects(self, message: KeepObjects) -> None:
        doubtful, self._doubtful = self._doubtful, set()
        doubtful.update(name for name in self._store.names() if is_copy_before(name, message.first))
        self._remains.remove_objects(self._store, tuple(doubtful.difference(message.names)))

    def _on_welcome(self) -> None:
        self._handle(Ready(SCHEDULER))

    def _on_line_ended(self, line: asyncio.Task[None]) -> None:
        """Stop a nanny that can no longer connect: it must not live on unseen."""
        if not line.cancelled() and (error := line.exception()) is not None:
            LOG.error("the line to the scheduler failed", exc_info=error)
            self._handle(StopHost(f"the line to the scheduler failed: {error}"))

    def _on_launcher_gone(self) -> None:
        self._handle(StopHost("its launcher has gone"))

    def _on_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP and self._config.detached:
            return  # the terminal it was started from is closed
        self._handle(StopHost(f"this nanny was sent {number.name}"))

    def _registration(self) -> RegisterNanny:
        return RegisterNanny(self.name, self._config.host, os.getpid(), self._machine.wanted)

    # what is done about it

    def _perform(self, effects: list[Effect]) -> None:
        if self._machine.is_stopping:
            self._guarding.end()
        self._guarding.tell()  # first: if this process dies in the middle, its follower knows of all that was begun
        for effect in effects:
            match effect:
                case StartProcess(name, epoch):
                    self._start(name, epoch)
                case KillProcess() | AbortProcess():
                    self._end(effect)
                case Bury():
                    self._bury(effect)
                case Report(phase):
                    self._report(phase)
                case Fail():
                    self._fail(effect)
                case Say(text):
                    LOG.info("%s", text)
                case Stop():
                    self._is_over.set()
        self._arm()

    def _end(self, effect: KillProcess | AbortProcess) -> None:
        if isinstance(effect, AbortProcess):
            self._nursery.abort(effect.name)
        else:
            self._nursery.kill(effect.name, signal.SIGKILL if effect.force else signal.SIGTERM)

    def _report(self, phase: str) -> None:
        self._launcher.report(Progress(phase=phase, guardian=self._guarding.pid if phase == READY else 0))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._machine.deadline()
        self._timer = None if due_s is None else self._loop.call_at(due_s, self._tick)

    def _start(self, name: str, epoch: int) -> None:
        birth = self._nursery.next_birth(name)
        log = self._folder.log(name)
        trim_log(log, self._settings.log_bytes_max)
        try:
            entry, config = self._prepare(name, birth, epoch)
            child = self._nursery.start(name, birth, entry, config, str(log))
        except OSError as error:
            LOG.exception("%s cannot be started", name)
            self._loop.call_soon(self._handle, Exited(name, 1, words=str(error)))
            return
        LOG.info("%s started, pid %d", name, child.pid)
        if name != SCHEDULER:
            self._unready.add(name)
            if self._ready_timer is None:
                self._ready_timer = self._loop.call_later(READY_POLL_S, self._watch_ready)

    def _prepare(self, name: str, birth: str, epoch: int) -> tuple[str, object]:
        if name == SCHEDULER:
            Path(self._config.identity.address.removeprefix("unix:")).unlink(missing_ok=True)
            return self._entries.scheduler, self._scheduler_config(epoch)
        self._folder.scratch(birth).mkdir(mode=0o700)
        return self._entries.worker, self._worker_config(name, birth)

    def _scheduler_config(self, epoch: int) -> SchedulerConfig:
        config = self._config
        return SchedulerConfig(
            identity=config.identity,
            epoch=epoch,
            workers=self._machine.wanted,
            detached=config.detached,
            folder=config.folder,
            settings=config.settings,
        )

    def _worker_config(self, name: str, birth: str) -> WorkerConfig:
        config = self._config
        return WorkerConfig(
            identity=config.identity,
            name=name,
            host=config.host,
            nanny=self.name,
            address=f"unix:{self._folder.socket(birth)}",
            slots=config.slots,
            memory_bytes_max=config.memory_bytes_max,
            scratch=str(self._folder.scratch(birth)),
            page=str(self._folder.page(birth)),
            settings=config.settings,
            objects=config.objects,
            resources=config.resources,
        )

    def _bury(self, effect: Bury) -> None:
        child = self._dead.pop(effect.name, None)
        if effect.name == SCHEDULER:
            LOG.info("the scheduler ended with code %d (%s)", effect.code, effect.reason or effect.cause)
            self._doubtful.update(self._store.names())
            return
        self._send_certificate(effect, child)
        if child is not None:
            birth = child.birth
            self._remains.remove(self._folder.scratch(birth), self._folder.page(birth), self._folder.socket(birth))

    def _send_certificate(self, effect: Bury, child: Child | None) -> None:
        birth = effect.name if child is None else child.birth
        death = Death(
            worker=effect.name,
            host=self._config.host,
            pid=0 if child is None else child.pid,
            code=effect.code,
            cause="memory" if effect.cause == "signal" and self._was_out_of_memory(effect.code) else effect.cause,
            reason=effect.reason,
            memory_bytes_peak=0 if child is None else child.vitals.memory_bytes_peak,
            page=str(self._folder.page(birth)),
            scratch=str(self._folder.scratch(birth)),
            log=str(self._folder.log(effect.name)),
            died_s=time.time(),
        )
        certificate = certify(death)
        LOG.info("%s", certificate.words)
        self._line.send_surely(WorkerDied(certificate))

    def _was_out_of_memory(self, code: int) -> bool:
        return code == -signal.SIGKILL and read_oom_kills() > self._oom_kills

    def _fail(self, effect: Fail) -> None:
        tail = read_tail(self._folder.log(effect.name), FAILED_LINES)
        self._launcher.report(Progress(error=effect.text, log=tail))

    # what goes on all the time

    def _watch_ready(self) -> None:
        """Look for the sockets of workers that are coming up; no timer runs when none is."""
        self._ready_timer = None
        children = self._nursery.children
        for name in [name for name in self._unready if self._folder.socket(children[name].birth).exists()]:
            self._unready.discard(name)
            self._handle(Ready(name))
        if self._unready:
            self._ready_timer = self._loop.call_later(READY_POLL_S, self._watch_ready)

    def _pulse(self) -> None:
        """Look at every process once, tell the scheduler, and come back."""
        self._pulse_timer = self._loop.call_later(self._settings.heartbeat_s, self._pulse)
        now = self._loop.time()
        self._oom_kills = read_oom_kills()
        pulses = []
        for child in list(self._nursery.children.values()):
            sample = child.vitals.sample(now)
            trim_log(self._folder.log(child.name), self._settings.log_bytes_max)
            if child.name != SCHEDULER:
                page = read_page(self._folder.page(child.birth))
                seen = (sample.state, sample.memory_bytes, sample.cpu_percent)
                pulses.append(ProcessPulse(child.name, child.pid, *seen, page.computing + page.waiting))
        trim_log(self._folder.log(NANNY), self._settings.log_bytes_max)
        self._list()
        self._line.send(Pulse(tuple(pulses)))

    def _watch_memory(self) -> None:
        """Look whether a worker is past its limit. A pulse is too rare for that: much is taken in half a second."""
        self._memory_timer = self._loop.call_later(self._settings.memory_look_s, self._watch_memory)
        limit = self._memory_bytes_max
        for child in list(self._nursery.children.values()):
            is_large = child.name != SCHEDULER and read_stat(child.pid).memory_bytes > limit
            if is_large and (own_bytes := private_bytes(child.pid)) > limit:
                child.vitals.sample(self._loop.time())  # its peak is told with its death
                words = f"it used {describe_bytes(own_bytes)}, its limit is {describe_bytes(limit)}"
                self._handle(OverMemory(child.name, words))


def _end_session() -> None:
    """Kill what tasks started and left behind. Only where this nanny leads its session: else there are others.

    What is in the nanny's own group (the fork server, and multiprocessing's tracker, which first removes the shared
    memory that tasks left) ends by itself when the nanny does.
    """
    own = os.getpid()
    if os.getsid(0) != own:
        return
    for pid in session_members(own):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != own:
                os.kill(pid, signal.SIGKILL)


def _hold(folder: HostFolder) -> tuple[int, ...]:
    memory = places.hold_memory(folder.root)
    return (hold_folder(folder.root),) if memory is None else (hold_folder(folder.root), memory)
