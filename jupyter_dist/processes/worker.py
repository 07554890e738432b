"""The worker process: its machine, and the driver that feeds it and performs its effects.

The main thread is slot 0 and runs tasks. This module's loop runs in a thread of its own: the connection to the
scheduler, the exchange, the timers, the heartbeat. It alone touches the machine. The process ends by `os._exit`, from
the loop's thread, because a task, or a thread a task left behind, must not be able to keep it.

A connection to the scheduler that is lost is made anew for three leases, as a new incarnation; then the process ends.

A worker with a memory limit looks how much it uses at each heartbeat, before a large result is held, and after
something was let go (`spilling`).

A SIGTERM is passed on to the scheduler, which takes away what is needed, waits for what runs, and has the process
replaced; after ``leave_s_max``, or at a second one, it ends as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import math
import platform
import sys
from collections.abc import Sequence
from itertools import count
from os import _exit as end_process
from os import getpid, getppid
from pathlib import Path
from typing import Any

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.connect import connect
from jupyter_dist.comm.event_loop import new_event_loop
from jupyter_dist.comm.links import WORKER_SIDE
from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.worker.effects import Effects, TakeBack
from jupyter_dist.core.worker.events import Ended, MemorySeen, SpillEnded, TakenBack, WorkerEvent
from jupyter_dist.core.worker.machine import LOCAL, WorkerMachine
from jupyter_dist.errors import ProtocolError
from jupyter_dist.messages import CodeTaken, Leaving, Message, RegisterWorker, TakeCode, TaskFinished
from jupyter_dist.processes import inside
from jupyter_dist.processes.config import WorkerConfig
from jupyter_dist.processes.exchange import Exchange, Fetching
from jupyter_dist.processes.lifeline import die_with_parent
from jupyter_dist.processes.output import follow_threads, install_streams
from jupyter_dist.processes.sampling import Sampler
from jupyter_dist.processes.signals import open_wakeup, watch_signals
from jupyter_dist.processes.slots import Report, Slots, end_by_bug, entries_of
from jupyter_dist.processes.spilling import Spilling
from jupyter_dist.processes.stored import StoredInputs
from jupyter_dist.processes.threads import start_thread
from jupyter_dist.processes.vitals import private_bytes
from jupyter_dist.storage.page import PageWriter
from jupyter_dist.storage.spill import SpillFolder
from jupyter_dist.storage.store import ObjectStore

LOG = logging.getLogger("jupyter_dist.worker")

SWITCH_INTERVAL_S = 0.001  # the loop's thread gets Python's lock from a task that computes after so long
STRIKE_INTERVAL_S = 0.02  # between two attempts to interrupt a task
RETRY_S = 0.1  # between two attempts to connect
FLUSH_S_MAX = 1.0  # how long the end of the process waits for what is unsent
EXIT_ORPHAN = 70
EXIT_REFUSED = 71


class Worker:
    """The driver of a worker's machine. All of it runs in the loop's thread, except the constructor and `wake`.

    Parameters
    ----------
    config : WorkerConfig
        Who this worker is.
    loop : asyncio.AbstractEventLoop
        The loop, not running yet.
    page : PageWriter
        What it shares with the nanny.
    """

    def __init__(self, config: WorkerConfig, loop: asyncio.AbstractEventLoop, page: PageWriter) -> None:
        self._config = config
        self._loop = loop
        self._machine = WorkerMachine(config.settings, config.slots, config.memory_bytes_max)
        self._objects = ObjectStore(config.objects)
        spilled = SpillFolder(config.scratch)
        stored = StoredInputs(config.objects, spilled)
        self.slots = Slots(config.slots, page, self.wake, config.settings, stored, config.scratch)
        self._exchange = Exchange(
            config.identity, config.settings, self._machine.find_held, self._on_news, self.slots.read_stacks, spilled
        )
        self._spilling = Spilling(loop, spilled, self._exchange.pack, self._on_news)
        self._sampler = Sampler()
        self._links = count(LOCAL + 1)
        self._channel: Channel | None = None
        self._is_welcome = False
        self.was_asked_to_end = False
        self._is_listening = False  # the timer that forwards output is set
        self._next_strike: asyncio.TimerHandle | None = None
        self._timer: asyncio.Handle | None = None
        self._timer_due = math.inf  # uvloop's handle does not say, when it is due at once
        self._stopped: asyncio.Future[int] = loop.create_future()  # the exit code

    def wake(self) -> None:
        """Have the loop take the slots' reports soon. Called from any thread."""
        self._loop.call_soon_threadsafe(self._on_reports)

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take note that something the loop called has failed: what it had to tell, nobody will hear."""
        loop.default_exception_handler(context)
        if "handle" in context:
            end_by_bug(f"{self._config.name} ends: its event loop has lost something")

    def stop(self, code: int, reason: str) -> None:
        """End the process soon, in order."""
        if not self._stopped.done():
            LOG.warning("%s ends: %s", self._config.name, reason)
            self._stopped.set_result(code)

    def leave(self, reason: str) -> None:
        """End in order if there is a scheduler to take away what is needed here, and in any case after a while."""
        was_asked, self.was_asked_to_end = self.was_asked_to_end, True
        if was_asked or self._channel is None or not self._is_welcome:
            self.stop(0, reason)
            return
        self.deliver(LOCAL, [Leaving(reason)])
        self._loop.call_later(self._config.settings.leave_s_max, self.stop, 0, reason)

    async def run(self) -> int:
        """Work until it is time to end; return the exit code."""
        self._loop.set_exception_handler(self.on_loop_error)
        await self._exchange.open(self._config.address)
        self.slots.stored.address = self._exchange.address
        if self._config.memory_bytes_max:
            self.deliver(LOCAL, [self._look_at_memory()])  # what it needs while it has run nothing
        tasks = [asyncio.ensure_future(self._keep_connected()), asyncio.ensure_future(self._beat())]
        for task in tasks:
            task.add_done_callback(self._on_task_done)
        try:
            return await self._stopped
        finally:
            await self._close(tasks)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._stopped.done():
            self._stopped.set_exception(error)

    async def _close(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        self._spilling.close()
        if self._channel is not None:
            self._channel.close("the worker ends")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S_MAX):
                await self._exchange.close()

    # -- the connection to the scheduler -----------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        patience_s = 3 * self._config.settings.lease_s
        give_up = self._loop.time() + patience_s
        while not self._stopped.done():
            try:
                lost = await self._connect()
            except ProtocolError as error:  # it will not pass by itself
                self.stop(EXIT_REFUSED, str(error))
                return
            except OSError as error:
                if self._loop.time() > give_up:
                    self.stop(0, f"no scheduler for {patience_s:g} s: {error}")
                    return
                await asyncio.sleep(RETRY_S)
                continue
            LOG.warning("the connection to the scheduler is lost: %s", await lost)
            give_up = self._loop.time() + patience_s

    async def _connect(self) -> asyncio.Future[str]:
        config, identity = self._config, self._config.identity
        link = _Link(next(self._links), self)
        self._channel = await connect(
            identity.address,
            role="worker",
            identity_cluster=identity.cluster,
            secret=identity.secret,
            codec=WORKER_SIDE,
            receiver=link,
            settings=config.settings,
        )
        held, running = self._machine.list_kept()
        self._channel.send(
            RegisterWorker(
                name=config.name,
                host=config.host,
                pid=getpid(),
                address=self._exchange.address,
                slots=config.slots,
                memory_bytes_max=config.memory_bytes_max,
                nanny=config.nanny,
                python=platform.python_version(),
                held=held,
                running=running,
                resources=config.resources,
                holding=self._machine.list_holding(),
                stopping=self._machine.list_stopping(),
                spent=self._machine.list_spent(),
            )
        )
        return link.lost

    def on_closed(self, source: int, reason: str) -> None:
        """Take the end of a connection to the scheduler."""
        self._channel, self._is_welcome = None, False
        self.deliver(source, [Disconnected(reason)])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._config.settings.heartbeat_s)
            self.slots.stored.tidy()
            if self._config.memory_bytes_max:
                self.deliver(LOCAL, [self._look_at_memory()])
            if self._channel is not None and self._is_welcome:
                running = self.slots.list_running()
                held = (*self._machine.count_held(), self._machine.spilled_bytes())
                self.deliver(LOCAL, [self._sampler.sample(running, *held)])

    # -- events ------------------------------------------------------------------------------------------------------

    def deliver(self, source: int, events: Sequence[WorkerEvent]) -> None:
        """Have the machine handle what came, and do what it says."""
        self._perform(self._machine.handle(source, events, self._loop.time()))

    def _on_reports(self) -> None:
        reports = self.slots.reports.take()
        self.slots.forget_interrupts(reports)
        if self._config.memory_bytes_max and any(map(_brings_large_result, reports)):
            self.deliver(LOCAL, [self._look_at_memory(), *reports])
        else:
            self.deliver(LOCAL, reports)

    def _look_at_memory(self) -> MemorySeen:
        return MemorySeen(private_bytes(getpid()))

    def _on_news(self, events: Sequence[Fetching | SpillEnded | MemorySeen]) -> None:
        self.deliver(LOCAL, events)

    def _on_time(self) -> None:
        self._timer, self._timer_due = None, math.inf
        self._perform(self._machine.tick(self._loop.time()))

    def _forward_output(self) -> None:
        self._is_listening = self.slots.has_output()
        self.deliver(LOCAL, [self.slots.take_output()])
        if self._is_listening:
            self._loop.call_later(self._config.settings.output_interval_s, self._forward_output)

    # -- effects -----------------------------------------------------------------------------------------------------

    def _perform(self, effects: Effects) -> None:
        """Do what the machine says, in the order `Effects` gives."""
        self._perform_orders(effects)
        taken = [self._take_back(order) for order in effects.taken_back]
        gone = {attempt for event in taken for attempt in event.taken}
        if effects.interrupts:
            self.slots.interrupt(attempt for attempt in effects.interrupts if attempt not in gone)
            self._strike()
        for request in effects.abandoned:
            self._exchange.abandon(request)
        for wanted in effects.fetches:
            self._exchange.fetch(wanted)
        for order in effects.stores:
            self._exchange.store(order, self._objects)
        if effects.unstored:
            self._objects.remove(effects.unstored)
        if effects.says and self._channel is not None:
            self._channel.send_all(effects.says)
        self._perform_memory(effects)
        self._arm()
        if taken:
            self.deliver(LOCAL, taken)

    def _perform_memory(self, effects: Effects) -> None:
        for order in effects.spills:
            self._spilling.spill(order)
        if effects.unspilled:
            self._spilling.remove(effects.unspilled)
        if effects.trim or effects.collect:
            self._spilling.relieve(effects.discarded, collect=effects.collect)
        elif effects.discarded:
            self._exchange.discard(effects.discarded)
        if effects.leave and not self.was_asked_to_end:
            self.leave(effects.leave)

    def _perform_orders(self, effects: Effects) -> None:
        if effects.welcomed:
            self._is_welcome = True
            LOG.debug("%s is connected to the scheduler as %s", self._config.name, effects.welcomed)
        if effects.refused:
            self.stop(EXIT_REFUSED, f"the scheduler will not have it: {effects.refused}")
        if effects.inline_bytes_max >= 0:
            self.slots.inline_bytes_max = effects.inline_bytes_max
        if effects.forgotten:
            self.slots.functions.forget(effects.forgotten)
        for message in effects.code:
            self._take_code(message)
        if effects.ready:
            self.slots.hand.put(effects.ready)
            if not self._is_listening and any(ready.task.output for ready in effects.ready):
                self._is_listening = True
                self._loop.call_later(self._config.settings.output_interval_s, self._forward_output)

    def _take_code(self, message: TakeCode) -> None:
        """Note code that is to be in place before the next task begins, and put it there beside the loop."""
        self.slots.code.add(message)
        start_thread("code", self._settle_code, message)

    def _settle_code(self, message: TakeCode) -> None:
        error, modules = self.slots.code.take(message)
        taken = CodeTaken(message.number, error, modules)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.deliver, LOCAL, [taken])

    def _take_back(self, order: TakeBack) -> TakenBack:
        return TakenBack(order.already + self.slots.hand.take_back(order.attempts), order.answer)

    def _strike(self) -> None:
        if self._next_strike is not None:
            self._next_strike.cancel()
        again = self.slots.strike()
        self._next_strike = self._loop.call_later(STRIKE_INTERVAL_S, self._strike) if again else None

    def _arm(self) -> None:
        """Set the timer to the machine's deadline; one that fires too early does no harm, so it is left."""
        due = self._machine.deadline()
        if due is None or due >= self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_time)
        self._timer_due = due


def _brings_large_result(report: Report) -> bool:
    return isinstance(report, Ended) and isinstance(report.reply, TaskFinished) and report.reply.value is None


class _Link:
    """The receiver of one connection to the scheduler. ``lost`` is done when it is closed, with the reason."""

    def __init__(self, source: int, worker: Worker) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._source = source
        self._worker = worker

    def received(self, messages: list[Message], _buffers: list[memoryview]) -> None:
        self._worker.deliver(self._source, messages)  # type: ignore[arg-type]  # the codec lets nothing else in

    def closed(self, reason: str) -> None:
        self._worker.on_closed(self._source, reason)
        if not self.lost.done():
            self.lost.set_result(reason)


# -- the process ---------------------------------------------------------------------------------------------------------


def main(config: WorkerConfig) -> None:
    """Be a worker, in the main thread of a process of its own. Does not return."""
    parent = getppid()
    die_with_parent()
    if getppid() != parent:
        end_process(EXIT_ORPHAN)  # it died before the kernel was asked
    _prepare_process(config)
    inside.enter(inside.Host(config.identity, config.name, config.host, config.objects, config.settings, parent))
    loop = new_event_loop()
    worker = Worker(config, loop, PageWriter(config.page, entries_of(config.slots, config.settings)))
    loop.call_soon(watch_signals, loop, open_wakeup(), lambda: worker.leave("it was asked to end (SIGTERM)"))
    install_streams()
    follow_threads()
    start_thread("loop", _run_loop, loop, worker)
    worker.slots.run_main()


def _prepare_process(config: WorkerConfig) -> None:
    log = Path(config.scratch, "faulthandler.log")  # the working folder stays the launcher's: "data.csv" is found there
    faulthandler.enable(log.open("w", encoding="utf-8"))
    _open_log()
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def _open_log() -> None:
    """Send this package's log to standard error as it is now. The root logger is left to the tasks."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    log = logging.getLogger("jupyter_dist")
    log.addHandler(handler)
    log.setLevel(logging.WARNING)  # it is shown beside what tasks print
    log.propagate = False


def _run_loop(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    code = 1
    try:
        asyncio.set_event_loop(loop)
        code = loop.run_until_complete(worker.run())
    except BaseException:
        LOG.exception("the worker fails")
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        if worker.was_asked_to_end:
            worker.slots.page.clear()  # what it runs is not to blame
        end_process(code)
