"""The slots of a worker: the threads that run tasks, runner 0 in the main thread, and the hand they take them from.

As many runners compute as there are slots; a task that waits gives its slot to another runner (`permits`), and more of
these are started when all are taken.

The event loop is in another thread. Neither waits for the other: a runner takes its next task straight from the hand,
and what it reports is collected; the loop is woken once for a burst of reports. A runner that finds the hand empty
blocks, and with that gives Python's lock to the loop.

Who owns a task in the hand is decided by one atomic step, `dict.pop`: a runner that takes it and a loop that takes it
back cannot both get it.
"""

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from itertools import count as count_from
from os import _exit as end_process
from os import getpid
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import get_ident
from time import time as wall_clock

from jupyter_dist.core.worker.effects import ReadyTask
from jupyter_dist.core.worker.events import Began, Ended, GoesOn, Printed, Waits
from jupyter_dist.messages import RunningStack, TaskErred, TaskFinished, TaskOutput
from jupyter_dist.processes import inside
from jupyter_dist.processes.call import Functions, Outcome, describe_interrupt, run_call
from jupyter_dist.processes.code_store import CodeStore
from jupyter_dist.processes.interrupt import Guard, MainGuard, ThreadGuard
from jupyter_dist.processes.output import Capture, Chunk, current_capture, join_tail
from jupyter_dist.processes.permits import Holder, Permits
from jupyter_dist.processes.stacks import format_frames
from jupyter_dist.processes.stored import StoredInputs
from jupyter_dist.processes.threads import start_thread
from jupyter_dist.settings import Settings
from jupyter_dist.storage.last_words import LAST_WORDS_NAME, LastWords
from jupyter_dist.storage.page import PageWriter

Report = Began | Waits | GoesOn | Ended

LOG = logging.getLogger("jupyter_dist.worker")

NUDGE = 0  # no attempt has this number
WITHDRAWN_MAX = 1000  # numbers of tasks taken back that the hand's queue may hold beside its tasks


def end_by_bug(words: str) -> None:
    """End the process: a worker that goes on and answers for nothing is worse than one that is replaced.

    A bug of ours is one way to get here. Another is a task that changed what all code relies on.
    """
    try:
        LOG.error(words, exc_info=True)  # noqa: LOG014 - called where one is handled
    finally:
        end_process(1)


class Hand:
    """Tasks that are ready, in the order they shall begin."""

    def __init__(self) -> None:
        self._tasks: dict[int, ReadyTask] = {}  # the truth
        self._order: SimpleQueue[int] = SimpleQueue()  # their numbers, and numbers of some taken back

    def __len__(self) -> int:
        return len(self._tasks)

    def has_output(self) -> bool:
        """Return whether somebody listens to what one of the tasks will print. For the loop's thread."""
        return any(ready.task.output for ready in list(self._tasks.values()))

    def put(self, tasks: Sequence[ReadyTask]) -> None:
        """Add tasks at the end."""
        for ready in tasks:
            number = ready.task.attempt
            self._tasks[number] = ready
            self._order.put(number)

    def take(self) -> ReadyTask | None:
        """Return the next task, which is the caller's from now on, or None after a nudge. Blocks until there is one."""
        while True:
            number = self._order.get()
            ready = self._tasks.pop(number, None)
            if ready is not None or number == NUDGE:
                return ready

    def nudge(self) -> None:
        """Have one who takes come away without a task, unless all are busy."""
        self._order.put(NUDGE)

    def take_back(self, attempts: Sequence[int]) -> tuple[int, ...]:
        """Return those of these attempts that no slot has taken. None will take them any more."""
        taken = tuple(number for number in attempts if self._tasks.pop(number, None) is not None)
        if self._order.qsize() > len(self._tasks) + WITHDRAWN_MAX:
            self._tidy()
        return taken

    def _tidy(self) -> None:
        numbers: list[int] = []
        with suppress(Empty):
            while True:
                numbers.append(self._order.get_nowait())
        for number in numbers:
            if number in self._tasks:
                self._order.put(number)
        if NUDGE in numbers:
            self.nudge()


class Reports:
    """What the slots have to say, for a loop that is woken once for a burst.

    Parameters
    ----------
    wake : callable
        Makes the loop call `take` soon. Called from any slot's thread.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._reports: deque[Report] = deque()
        self._is_awake = False

    def add(self, report: Report, *, wake: bool) -> None:
        """Add a report; without ``wake`` it waits for the next one that cannot."""
        self._reports.append(report)
        if wake and not self._is_awake:
            self._is_awake = True
            self._wake()

    def take(self) -> list[Report]:
        """Return what there is, oldest first. For the loop's thread."""
        self._is_awake = False  # before looking: who adds after this wakes again
        reports = self._reports
        return [reports.popleft() for _ in range(len(reports))]


class Runner(Holder):
    """One thread's part: take a task, run it, report. See `inside.Runner` for what a task that waits does with it.

    Attributes
    ----------
    current : tuple or None
        The task it runs, what that printed, and since when (seconds since the epoch).
    thread : int
        Its thread's number; 0 before it runs.
    """

    def __init__(self, index: int, shared: "Slots", guard: Guard) -> None:
        super().__init__(index)
        self.guard = guard
        self.current: tuple[ReadyTask, Capture, float] | None = None
        self.wake: Callable[[], object] | None = None
        self.awaiting = 0
        self.has_loop = self.is_staying = False
        self.has_seceded = False
        self.thread = 0
        self._shared = shared
        self._has_told = False  # that its task waits

    @property
    def key(self) -> str:
        """The key of the task it runs."""
        return "" if self.current is None else self.current[0].task.key

    def run(self) -> None:
        """Run tasks, the main thread for ever, others until they are idle for long."""
        self.thread = get_ident()
        inside.run_by(self)
        hand, permits = self._shared.hand, self._shared.permits
        while True:
            try:
                if not permits.keep(self):
                    return
                ready = hand.take()
                if ready is not None:
                    self.execute(ready)
                    del ready
            except KeyboardInterrupt:
                continue  # a user's handler of some signal raised it between two tasks
            except BaseException:  # noqa: BLE001 - nobody else would answer for its task
                end_by_bug("a slot of this worker fails")

    def strike(self, attempt: int) -> bool:
        """Interrupt its task; return whether to come back."""
        again = self.guard.strike(attempt)
        wake = self.wake
        if wake is not None:
            wake()
        return again

    # -- a task that waits -------------------------------------------------------------------------------------------

    def step_aside(self) -> None:
        """Give the slot to another task. Raises WaitingLimitError."""
        armed = self.guard.pause()
        try:
            self._shared.permits.leave(self, self._tell_waits)
        finally:
            self.guard.resume(armed)

    def step_back(self) -> None:
        """Wait for a slot."""
        before, self.wake = self.wake, self.call
        try:
            if not self._want():
                while not self.has_permit:
                    self.turn.acquire()
            self._take_up()
        except BaseException:
            self._show_computing()
            raise
        finally:
            self.wake = before

    def hurry_back(self) -> None:
        """Go on without a slot until there is one."""
        self._want()
        self._show_computing()

    def secede(self) -> None:
        """Give the slot away until `rejoin`."""
        if not self.has_seceded:
            self.step_aside()
            self.has_seceded = True

    def rejoin(self) -> None:
        """Wait for a slot after `secede`."""
        if self.has_seceded:
            self.has_seceded = False
            self.step_back()

    def _want(self) -> bool:
        armed = self.guard.pause()
        try:
            return self._shared.permits.want(self)
        finally:
            self.guard.resume(armed)

    def _take_up(self) -> None:
        armed = self.guard.pause()
        try:
            self._shared.permits.take_up(self)
            self._tell_goes_on()
        finally:
            self.guard.resume(armed)

    def _tell_waits(self) -> None:
        if self.current is not None and not self._has_told:
            self._has_told = True
            attempt = self.current[0].task.attempt
            self._shared.page.wait(self.index, attempt)
            self._shared.reports.add(Waits(attempt), wake=True)

    def _tell_goes_on(self) -> None:
        if self.current is not None and self._has_told:
            self._has_told = False
            self._show_computing()
            self._shared.reports.add(GoesOn(self.current[0].task.attempt), wake=True)

    def _show_computing(self) -> None:
        if self.current is not None:
            self._shared.page.begin(self.index, self.current[0].task.attempt)

    # -- one task ----------------------------------------------------------------------------------------------------

    def execute(self, ready: ReadyTask) -> None:
        """Run one task and report it."""
        shared, task = self._shared, ready.task
        note = None if shared.last_words is None else partial(shared.last_words.say, task.attempt)
        capture = Capture(shared.output_bytes_max, note)
        started_s = wall_clock()
        self._has_told = self.has_seceded = False
        self.wake, self.awaiting = None, 0
        self.current = (ready, capture, started_s)
        shared.reports.add(Began(task.attempt), wake=task.timeout_s > 0)
        shared.page.begin(self.index, task.attempt)
        current_capture.set(capture)
        work = partial(copy_context().run, run_call, ready, shared.functions, shared.stored, shared.inline_bytes_max)
        interrupted = partial(describe_interrupt, ready=ready)
        try:
            outcome = self.guard.run(task.attempt, work, interrupted)
        except BaseException as error:  # noqa: BLE001 - whatever got here: the scheduler must hear of this attempt
            outcome = describe_interrupt(error, ready)
        del work
        current_capture.set(None)
        if getpid() != shared.pid:
            end_process(0)  # the user's code forked, and the child came back: the runner is its parent's
        if task.once and outcome.missing is None:
            shared.page.spend(task.attempt)
        report = self._make_report(ready, outcome, capture, started_s)
        shared.page.end(self.index)  # not before: if that fails, what the task did to this process is to blame
        self.current = None
        shared.reports.add(report, wake=True)

    def _make_report(self, ready: ReadyTask, outcome: Outcome, capture: Capture, started_s: float) -> Ended:
        task = ready.task
        chunks = capture.close()
        if chunks and task.output:
            output, tail = make_output(ready, chunks), ""
        else:
            output, tail = (), join_tail(chunks)
        if outcome.missing is not None:
            return Ended(outcome.missing, None, output)
        times = (started_s, wall_clock(), self.index, tail)
        if outcome.error is not None:
            return Ended(TaskErred(task.key, task.attempt, outcome.error, *times), None, output)
        result = (task.key, task.attempt, outcome.value, outcome.nbytes, outcome.type_name)
        reply = TaskFinished(*result, *times, speaks_of=outcome.speaks_of)
        return Ended(reply, outcome.live, output, outcome.futures)


class Slots:
    """All runners of a worker and what they share. Made in the main thread, which then calls `run_main`.

    Parameters
    ----------
    count : int
        How many slots there are, at least one.
    page : PageWriter
        Where each runner says that it is inside a user's code; with `entries_of` entries.
    wake : callable
        Makes the loop look at ``reports`` soon.
    settings : Settings
        For bounds.
    stored : StoredInputs, optional
        Inputs in the host's object store.
    scratch : str
        The worker's own folder, where users' code is put.
    """

    def __init__(
        self,
        count: int,
        page: PageWriter,
        wake: Callable[[], object],
        settings: Settings,
        stored: StoredInputs | None = None,
        scratch: str = "",
    ) -> None:
        self.hand = Hand()
        self.reports = Reports(wake)
        self.page = page
        self.last_words = LastWords(Path(scratch, LAST_WORDS_NAME)) if scratch else None
        self.code = CodeStore(scratch)
        self.functions = Functions(self.code)
        self.stored = stored or StoredInputs()
        self.inline_bytes_max = settings.inline_bytes_max
        self.output_bytes_max = settings.output_bytes_max
        self.pid = getpid()
        self._stopping: set[int] = set()  # attempts that shall be interrupted
        self.permits = Permits(settings.waiting_max, self._add_runner, self._end_runner, self.hand.nudge)
        self._runners = {0: Runner(0, self, MainGuard(self._stopping))}
        self._count = count

    def run_main(self) -> None:
        """Start the other runners and be runner 0, for ever."""
        self.start_others()
        self.permits.issue(self._runners[0])
        self._runners[0].run()

    def start_others(self) -> None:
        """Start a runner for each slot but the main thread's."""
        for _ in range(self._count - 1):
            self.permits.issue(self._add_runner())

    def _add_runner(self) -> Runner:
        index = next(number for number in count_from(1) if number not in self._runners)
        runner = Runner(index, self, ThreadGuard(self._stopping))
        self._runners[index] = runner
        try:
            Context().run(start_thread, f"slot-{index}", runner.run)  # not in the context of the task that waits
        except RuntimeError:
            del self._runners[index]
            raise
        return runner

    def _end_runner(self, runner: Runner) -> None:
        del self._runners[runner.index]

    def interrupt(self, attempts: Iterable[int]) -> None:
        """Raise `KeyboardInterrupt` in attempts that slots have taken: at `strike`, or as soon as their code begins."""
        self._stopping.update(attempts)

    def strike(self) -> bool:
        """Interrupt what shall be; return whether to come back because one may not have felt it."""
        running = {attempt: self._runners[index] for attempt, index, _since in self.list_running()}
        again = [running[attempt].strike(attempt) for attempt in self._stopping if attempt in running]
        return any(again)

    def forget_interrupts(self, reports: Sequence[Report]) -> None:
        """Take note that attempts have ended, and cannot be interrupted any more."""
        if self._stopping:
            self._stopping.difference_update(report.reply.attempt for report in reports if isinstance(report, Ended))

    def list_running(self) -> tuple[tuple[int, int, float], ...]:
        """Return the attempt, the slot and the start of what runs now."""
        found = [(runner.index, runner.current) for runner in list(self._runners.values())]
        return tuple((current[0].task.attempt, index, current[2]) for index, current in found if current is not None)

    def read_stacks(self) -> tuple[RunningStack, ...]:
        """Return where the code of each running task is now. Called from any thread but a slot's."""
        stacks = []
        for slot in list(self._runners.values()):
            current, frame = slot.current, sys._current_frames().get(slot.thread)  # noqa: SLF001 - it has no other name
            if current is not None and frame is not None:
                frames = format_frames(frame)
                if slot.current is current:  # else these are another task's
                    stacks.append(RunningStack(current[0].task.key, slot.index, frames))
        return tuple(stacks)

    def has_output(self) -> bool:
        """Return whether somebody listens to what a task prints that runs or is in the hand."""
        return any(True for _ in self._listened()) or self.hand.has_output()

    def take_output(self) -> Printed:
        """Return what running tasks printed that somebody listens to."""
        taken = (make_output(ready, capture.take()) for ready, capture in self._listened())
        return Printed(tuple(output for outputs in taken for output in outputs))

    def _listened(self) -> Iterator[tuple[ReadyTask, Capture]]:
        for runner in list(self._runners.values()):
            current = runner.current
            if current is not None and current[0].task.output:
                yield current[0], current[1]


def entries_of(slots: int, settings: Settings) -> int:
    """Return how many threads may be inside a user's code: those that compute, and those that wait."""
    return slots + settings.waiting_max


def make_output(ready: ReadyTask, chunks: Sequence[Chunk]) -> tuple[TaskOutput, ...]:
    """Return chunks as messages, neighbours of one stream joined."""
    joined: list[Chunk] = []
    for stream, text in chunks:
        if joined and joined[-1][0] == stream:
            joined[-1] = (stream, joined[-1][1] + text)
        else:
            joined.append((stream, text))
    return tuple(TaskOutput(ready.task.key, ready.task.attempt, stream, text) for stream, text in joined)
