"""The driver of a worker's machine in a simulated world: its hand, its slots, its fetches, its connection.

Performs effects as `jupyter_dist.processes.worker` does. The process can be stopped (whatever happens to it waits) and
can die; what ran then is in its page, as the nanny will read it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.records import TASKS
from jupyter_dist.core.worker.effects import (
    Effects,
    Fetched,
    Inline,
    InputValue,
    Live,
    ReadyTask,
    Spilled,
    StartFetch,
    StartStore,
    Stored,
)
from jupyter_dist.core.worker.events import (
    Arrived,
    Began,
    Ended,
    FetchFailed,
    GoesOn,
    Printed,
    StoreEnded,
    TakenBack,
    Waits,
)
from jupyter_dist.core.worker.machine import LOCAL, WorkerMachine
from jupyter_dist.messages import (
    STORE,
    ErrorInfo,
    InputMissing,
    Leaving,
    RegisterWorker,
    TaskErred,
    TaskFinished,
    TaskOutput,
    WorkerSample,
)
from tests.simulator.client_host import ClientHost
from tests.simulator.disk import Disk
from tests.simulator.network import Link
from tests.simulator.parties import Parties
from tests.simulator.plans import LARGE_NBYTES, Plan, value_of

TURN_S = 2e-4  # what a thread takes at most to notice something


class Run:
    """One attempt in one slot."""

    def __init__(self, ready: ReadyTask, slot: int, started_s: float) -> None:
        self.ready = ready
        self.slot = slot
        self.started_s = started_s
        self.mapped: dict[str, str] = {}  # inputs from the object store
        self.is_over = False
        self.is_deaf = False  # it was interrupted in vain, and never ends by itself
        self.is_aside = False  # it waits, or has waited and has no slot yet
        self.left_s = 0.0  # what it still takes when it has waited

    @property
    def attempt(self) -> int:
        """The number of the attempt."""
        return self.ready.task.attempt


class TaskSession(ClientHost):
    """The session of a worker's tasks. It lives in the worker's process: what that does not hear, it does not either."""

    kind = TASKS
    linger_s = 0.5

    def __init__(self, worker: WorkerHost, name: str) -> None:
        self.pid = worker.pid
        self._worker = worker
        super().__init__(worker.parties, name, name)

    def _connect(self) -> None:
        self._worker.do(super()._connect)

    def received(self, link: Link, messages: Sequence[Any]) -> None:
        self._worker.do(partial(super().received, link, messages))

    def disconnected(self, link: Link, reason: str) -> None:
        self._worker.do(partial(super().disconnected, link, reason))


class WorkerHost:
    """One worker process."""

    def __init__(self, parties: Parties, nanny: str, name: str, pid: int) -> None:
        self.parties = parties
        self.world = parties.world
        self.nanny = nanny
        self.name = name
        self.pid = pid
        self.address = f"unix:/{name}.{pid}" if self.world.has_moves else f"unix:/{name}"
        self.machine = WorkerMachine(self.world.swarm.settings, self.world.swarm.slots, self.world.memory.limit)
        self.disk = Disk(self)
        self.is_alive = True
        self.leaves = False  # was asked to end
        self.busy_until_s = 0.0  # seen at work from outside, silent inside
        self.is_stopped = False
        self.unreadable: set[str] = set()
        self.asked: list[Callable[[str | None], None]] = []  # who waits for a value from here
        self.hand: dict[int, ReadyTask] = {}
        self.slots: list[Run | None] = [None] * self.world.swarm.slots
        self.ended: list[int] = []  # attempts of tasks that are not run twice: what is on the page of them
        self.aside: list[Run] = []  # those that wait without a slot
        self.returning: list[Run] = []  # those of them that could go on
        self.tasks: TaskSession | None = None  # the session of its tasks
        self._link: Link | None = None
        self._is_welcome = False
        self._links = count(LOCAL + 1)
        self._number = 0
        self._numbers: dict[int, int] = {}  # source of a link -> the machine's own number for it
        self._reports: list[Began | Waits | GoesOn | Ended] = []
        self._requests: set[int] = set()
        self._waiting: list[Callable[[], None]] = []  # what happens to it while it is stopped
        self._inline_max = self.world.swarm.settings.inline_bytes_max
        self._armed_s = float("inf")
        self._connect()
        self._beat()

    # -- the process -------------------------------------------------------------------------------------------------

    def do(self, action: Callable[[], None]) -> None:
        """Have something happen in this process: now, when it goes on, or never."""
        if not self.is_alive:
            return
        if self.is_stopped or self._waiting or self.world.now < self.busy_until_s:
            self._waiting.append(action)
        else:
            action()

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have something happen in this process after a while."""
        self.world.clock.after(delay_s, partial(self.do, action))

    def be_busy(self, seconds: float) -> None:
        """Hold the interpreter's lock: nothing is read, said or begun for a while."""
        if not self.is_stopped and self.world.now >= self.busy_until_s:
            self.busy_until_s = self.world.now + seconds
            self.world.busy_until_s[self.name] = self.busy_until_s
            self.world.clock.at(self.busy_until_s, self._catch_up)

    def stop(self) -> None:
        """Stop the process, for ever: only a kill ends it."""
        self.is_stopped = True

    def _catch_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            self.do(action)

    def forget_value(self, rng: random.Random) -> None:
        """Lose a result, as when a spill file was deleted: the table still has it, nobody can read it."""
        held = sorted(set(self.machine._state.held) - self.unreadable)
        if held:
            key = rng.choice(held)
            value = self.machine.find_held(key)
            if isinstance(value, Spilled):
                self.disk.files.pop(value.name, None)  # whoever looks will see
            else:
                self.unreadable.add(key)

    def find_readable(self, key: str) -> str | None:
        """Return a value as others can read it."""
        live = self.machine.find_held(key)
        if live is None or key in self.unreadable:
            return None
        return self.disk.read(key, live) if isinstance(live, Spilled) else _decode(live)

    def running(self) -> tuple[int, ...]:
        """Return the attempts that are inside a user's code: what is on the page."""
        return tuple(run.attempt for run in self.slots if run is not None)

    def waiting(self) -> tuple[int, ...]:
        """Return the attempts that wait inside a user's code: what the page says of them."""
        return tuple(run.attempt for run in self.aside)

    def _begun(self) -> list[Run]:
        return [*(run for run in self.slots if run is not None), *self.aside]

    def die(self) -> None:
        """End: the connection breaks, with what was unsent."""
        self.is_alive = False
        if self.tasks is not None and self.tasks.is_open:
            self.tasks.lose()
        self.parties.bury(self)
        if self._link is not None and not self._link.is_broken:
            self.world.break_randomly(self._link, "end of stream", far_s=0.05)

    # -- the connection ----------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._link = link = self.parties.scheduler.accept(self)
        self._number = self._numbers[link.source] = next(self._links)
        slots = self.world.swarm.slots
        host = self.nanny
        held, running = self.machine.list_kept()
        has, holding, ending = self.world.extras.resources, self.machine.list_holding(), self.machine.list_stopping()
        hello = RegisterWorker(
            self.name,
            host,
            self.pid,
            self.address,
            slots,
            0,
            self.nanny,
            "3",
            held,
            running,
            has,
            holding,
            ending,
            self.machine.list_spent(),
        )
        self._say(hello)

    def _say(self, *messages: Any) -> None:
        if self._link is not None and messages:
            self._link.up.send(messages)

    def received(self, link: Link, messages: Sequence[Any]) -> None:
        self.do(partial(self.deliver, self._numbers[link.source], messages))

    def disconnected(self, link: Link, reason: str) -> None:
        self.do(partial(self._on_disconnected, link, reason))

    def _on_disconnected(self, link: Link, reason: str) -> None:
        self._link, self._is_welcome = None, False
        self.deliver(self._numbers[link.source], [Disconnected(reason)])
        if self.is_alive:
            self.later(self.world.rng.uniform(0.01, 0.3), self._connect)

    def break_link(self) -> None:
        """Lose the connection to the scheduler, but live."""
        if self._link is not None and not self._link.is_broken:
            self.world.break_randomly(self._link, "connection reset")

    def _beat(self) -> None:
        if self.is_alive:
            self.later(self.world.swarm.settings.heartbeat_s, self._beat)
            self.deliver(LOCAL, self.disk.look())
            if self._is_welcome:
                running = tuple((run.attempt, run.slot, run.started_s) for run in self._begun())
                held, held_bytes = self.machine.count_held()
                self.deliver(LOCAL, [WorkerSample(running, 10**6, 1.0, held, held_bytes)])

    # -- the machine -------------------------------------------------------------------------------------------------

    def deliver(self, source: int, events: Sequence[Any]) -> None:
        self.world.note(self.name, "hears", events)
        effects = self.machine.handle(source, events, self.world.now)
        self.machine.check()
        self._perform(effects)

    def _perform(self, effects: Effects) -> None:
        if effects.welcomed:
            self.world.happened["said again by a worker"] += sum(
                isinstance(message, TaskFinished | TaskErred) for message in effects.says
            )
            self._is_welcome = True
        if effects.refused:
            self.parties.nanny(self.nanny).end(self, "exit", f"refused: {effects.refused}")
            return
        if effects.inline_bytes_max >= 0:
            self._inline_max = effects.inline_bytes_max
        for ready in effects.ready:
            self.hand[ready.task.attempt] = ready
        taken = [self._take_back(order.attempts, order.already, order.answer) for order in effects.taken_back]
        gone = {attempt for event in taken for attempt in event.taken}
        for attempt in effects.interrupts:
            if attempt not in gone:
                self._interrupt(attempt)
        self._requests.difference_update(effects.abandoned)
        for wanted in effects.fetches:
            self._fetch(wanted)
        self._perform_stores(effects)
        self.disk.perform(effects)
        self._say(*effects.says)
        self._arm()
        if effects.ready:
            self.later(self.world.rng.random() * TURN_S, self._fill)
        if taken:
            self.deliver(LOCAL, taken)

    def _take_back(self, attempts: Sequence[int], already: tuple[int, ...], answer: bool) -> TakenBack:
        found = tuple(attempt for attempt in attempts if self.hand.pop(attempt, None) is not None)
        return TakenBack(already + found, answer)

    def _perform_stores(self, effects: Effects) -> None:
        for order in effects.stores:
            self.later(self.world.movers_rng.random() * 0.02, partial(self._store, order))
        self.world.store.free(effects.unstored)

    def _store(self, order: StartStore) -> None:
        """Write a result to the object store; the news of it takes its time."""
        rng, key = self.world.movers_rng, self._key_of(order)
        reason = "no room" if not self.world.is_calm and rng.random() < 0.1 else ""
        if key is None or key in self.unreadable:
            reason = "it cannot be packed"
        text = self.find_readable(key) if key is not None and not reason else None
        if key is not None and text is not None:
            self.world.store.write(key, text, order.name)
        elif not reason:
            reason = "it cannot be read"
        ended = StoreEnded(order.copy, order.name, reason)
        self.later(rng.random() * 0.02, partial(self.deliver, LOCAL, [ended]))

    def _key_of(self, order: StartStore) -> str | None:
        return next((key for key, held in self.machine._state.held.items() if held is order.held), None)

    def leave(self) -> None:
        """Take a SIGTERM: end in order, and in any case after a while."""
        if not self._is_welcome or self.leaves:
            self.parties.nanny(self.nanny).end(self, "left", "asked to end")
            return
        self.leaves = True
        self.deliver(LOCAL, [Leaving("asked to end")])
        self.later(self.world.swarm.settings.leave_s_max, self._end_leaving)

    def _end_leaving(self) -> None:
        self.parties.nanny(self.nanny).end(self, "left", "asked to end")

    def _arm(self) -> None:
        due = self.machine.deadline()
        if due is not None and not (self.world.now < self._armed_s <= due):
            self._armed_s = max(due, self.world.now + TURN_S)
            self.world.clock.at(self._armed_s, partial(self.do, self._on_timer))

    def _on_timer(self) -> None:
        self._armed_s = float("inf")
        effects = self.machine.tick(self.world.now)
        self.machine.check()
        self._perform(effects)

    # -- fetches -----------------------------------------------------------------------------------------------------

    def _fetch(self, wanted: StartFetch) -> None:
        self._requests.add(wanted.request)
        self.parties.ask_holder(self.address, wanted.holder, wanted.key, partial(self._on_fetched, wanted))

    def _on_fetched(self, wanted: StartFetch, value: str | None) -> None:
        self.do(partial(self._report_fetch, wanted, value))

    def _report_fetch(self, wanted: StartFetch, value: str | None) -> None:
        if wanted.request not in self._requests:
            return
        self._requests.discard(wanted.request)
        if value is None:
            self.deliver(LOCAL, [FetchFailed(wanted.request, wanted.key, "not there")])
        else:
            self.deliver(LOCAL, [Arrived(wanted.request, wanted.key, [value.encode()])])

    # -- the slots ---------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        for index, busy in enumerate(self.slots):
            if busy is None and self.returning:
                self._go_on(self.returning.pop(0), index)
            elif busy is None and self.hand:
                ready = self.hand.pop(next(iter(self.hand)))
                self._begin(Run(ready, index, self.world.now))

    def _begin(self, run: Run) -> None:
        self.slots[run.slot] = run
        task = run.ready.task
        plan = self.world.plans[task.key]
        self.parties.oracles.ran(run.attempt, task.key, self.name, self.pid)
        self.parties.oracles.judge_resources(self.name, [r.ready.task.key for r in self.slots if r is not None])
        self._reports.append(Began(run.attempt))
        missing = self._map(run)
        if missing is not None:
            self._leave(run, Ended(missing))
            return
        self.parties.oracles.judge_once(plan)
        rng = self.world.rng
        if task.timeout_s > 0 or rng.random() < 0.3:
            self.later(rng.random() * TURN_S, self._flush)
        if task.output:
            text = TaskOutput(task.key, run.attempt, "stdout", f"{task.key}\n")
            self.later(plan.duration_s / 2, partial(self._print, text))
        duration_s = plan.duration_s * rng.uniform(0.8, 1.2)
        share = self.world.nesting.waits(plan)
        if share:
            run.left_s = (1 - share) * duration_s
            self.later(share * duration_s, partial(self._wait, run, plan))
        else:
            self.later(duration_s, partial(self._end, run, plan))

    # -- a task that waits -------------------------------------------------------------------------------------------

    def _wait(self, run: Run, plan: Plan) -> None:
        if run.is_over:
            return
        world = self.world
        self.slots[run.slot] = None
        self.aside.append(run)
        run.is_aside = True
        self.parties.oracles.waited.add(run.attempt)
        self._reports.append(Waits(run.attempt))
        self.later(world.rng.random() * TURN_S, self._flush)
        self.later(world.rng.random() * TURN_S, self._fill)
        seconds = world.nesting.waits_for_time()
        if seconds:
            self.later(seconds, partial(self._come_back, run))
            return
        child = world.plans.make((), world.swarm.poison, world.swarm.raising)
        world.nesting.bear(plan, child)
        if self.tasks is None or not self.tasks.is_open:
            self.tasks = TaskSession(self, f"tasks-{self.pid}-{len(world.plans.by_key)}")
        self.tasks.submit([child], plan.key)
        self.tasks.watch(child.key, partial(self.do, partial(self._come_back, run, child.key)))

    def _come_back(self, run: Run, key: str = "") -> None:
        if self.tasks is not None and key in self.tasks.held:
            self.tasks.drop([key])
        if not run.is_over:
            self.returning.append(run)
            self.later(self.world.rng.random() * TURN_S, self._fill)

    def _go_on(self, run: Run, slot: int) -> None:
        self.aside.remove(run)
        run.is_aside, run.slot = False, slot
        self.slots[slot] = run
        self._reports.append(GoesOn(run.attempt))
        self.later(self.world.rng.random() * TURN_S, self._flush)
        self.later(run.left_s, partial(self._end, run, self.world.plans[run.ready.task.key]))

    def _map(self, run: Run) -> InputMissing | None:
        """Map a task's inputs that are in the object store; return the one that cannot be."""
        for key, wanted in run.ready.inputs.items():
            if isinstance(wanted, Stored):
                value = self.world.store.read(wanted.name)
                if value is None:
                    return InputMissing(run.attempt, key, STORE + wanted.name, "not there")
                run.mapped[key] = value
            elif isinstance(wanted, Spilled):
                value = self.disk.files.get(wanted.name)
                if value is None:
                    return InputMissing(run.attempt, key, self.address, "not there")
                run.mapped[key] = value
        return None

    def _print(self, text: TaskOutput) -> None:
        self._flush()
        self.deliver(LOCAL, [Printed((text,))])

    def _interrupt(self, attempt: int) -> None:
        for run in self._begun():
            if run.attempt == attempt and (run.is_deaf or self.world.deafness.strikes()):
                run.is_deaf = True
                self.world.happened["deaf"] += 1
            elif run.attempt == attempt:
                error = ErrorInfo("KeyboardInterrupt", "stopped", "", key=run.ready.task.key)
                self.later(self.world.rng.random() * 0.01, partial(self._report_error, run, error))

    def _end(self, run: Run, plan: Plan) -> None:
        if run.is_over or run.is_deaf:
            return
        if plan.kind == "poison":
            self.parties.nanny(self.nanny).end(self, self.world.rng.choice(("signal", "exit", "memory")), "poisoned")
        elif plan.kind == "raise" or plan.raises_left > 0:
            plan.raises_left -= 1
            self._report_error(run, ErrorInfo("ValueError", f"{plan.key} raises", "", key=plan.key))
        else:
            self._report_value(run, plan)

    def _report_error(self, run: Run, error: ErrorInfo) -> None:
        if not run.is_over:
            task = run.ready.task
            self._leave(run, Ended(TaskErred(task.key, run.attempt, error, run.started_s, self.world.now, run.slot)))

    def _report_value(self, run: Run, plan: Plan) -> None:
        inputs = [run.mapped.get(key) or _decode(run.ready.inputs[key]) for key in plan.dependencies]
        text = value_of(plan.key, inputs)
        if not plan.options.pure:
            text += f"/{run.attempt & 0xFFFFFF}"
        self.parties.oracles.produced(plan.key, text)
        nbytes = LARGE_NBYTES if plan.is_large else len(text)
        inline = text.encode() if nbytes <= self._inline_max else None
        self.unreadable.discard(plan.key)
        reply = TaskFinished(
            plan.key, run.attempt, inline, nbytes, "str", run.started_s, self.world.now, run.slot, "said at the end"
        )
        self._leave(run, Ended(reply, text if inline is None else None))

    def _leave(self, run: Run, report: Ended) -> None:
        run.is_over = True
        if run.ready.task.once and not isinstance(report.reply, InputMissing):
            self.ended.append(run.attempt)
        if run.is_aside:
            self.aside.remove(run)
            self.returning = [other for other in self.returning if other is not run]
        else:
            self.slots[run.slot] = None
        self._reports.append(report)
        rng = self.world.rng
        self.later(rng.random() * TURN_S, self._flush)
        self.later(rng.random() * TURN_S, self._fill)

    def _flush(self) -> None:
        reports, self._reports = self._reports, []
        if reports:
            self.deliver(LOCAL, [*self.disk.look(), *reports])


def _decode(value: InputValue) -> str:
    if isinstance(value, Inline):
        return value.stream.decode()
    if isinstance(value, Fetched):
        return bytes(value.buffers[0]).decode()
    assert isinstance(value, Live)
    return str(value.value)
