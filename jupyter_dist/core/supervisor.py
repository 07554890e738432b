"""Which processes live on one host: the one owner of every such decision.

The nanny tells this machine what happened and does what it says, in order. An event needs no source: there is one
scheduler, and at most one process of a name. What shall live is derived after each event: the
scheduler (on the head host) and the workers of so many numbers, the lowest that are free. What is missing is started,
what is too much is ended, the highest number first unless others were named. A death is judged by its cause: a kill
that was decided here is ``asked`` or ``memory`` however it looks from outside, and only deaths nobody decided count
towards back-off. Which workers are too many is said by the scheduler, by name, when they hold something; their numbers
are free for later ones then.

* A dead process is buried before its successor starts, and the successor has its name.
* A process that dies early (before it was ready, or idle within one lease) more than ``restart_burst_max`` times in a
  row is started again later and later. While the host comes up for the first time that is a failure of the whole start.
* A stop goes in order: workers, scheduler, then this nanny; each step has a deadline, so a stop always ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count, islice

import msgspec

from jupyter_dist.errors import InvariantError
from jupyter_dist.messages import AbortWorker, EndWorkers, ReplaceWorkers, SetWorkers, StopHost
from jupyter_dist.settings import Settings

SCHEDULER = "scheduler"
WORKER_PREFIX = "worker-"
FIRST_WAIT_S = 0.2  # back-off after the first death too many; doubles with each further one
DOUBLINGS_MAX = 16
ALREADY_ENDING = ("asked", "memory", "overrun")
EARLY_S = 1.0  # who lived longer did not die of its start: to start it again at once is no spinning
ABORT_S = 0.5  # how long a process that is aborted may take to write where it was


class Begin(msgspec.Struct, frozen=True):
    """The nanny is there: start what shall live."""


class Ready(msgspec.Struct, frozen=True):
    """A worker serves its socket, or the scheduler welcomed this nanny."""

    name: str


class Exited(msgspec.Struct, frozen=True):
    """A process is gone. ``busy``: it died inside a user's code; ``words``: what kept it from starting at all."""

    name: str
    code: int  # negative: the number of the signal
    busy: bool = False
    words: str = ""


class OverMemory(msgspec.Struct, frozen=True):
    """A worker uses more memory than it is allowed to; ``words`` tells the sizes."""

    name: str
    words: str


Event = Begin | Ready | Exited | OverMemory | SetWorkers | ReplaceWorkers | AbortWorker | EndWorkers | StopHost


class StartProcess(msgspec.Struct, frozen=True):
    """Start the process of this name; a scheduler works under this epoch."""

    name: str
    epoch: int = 0


class KillProcess(msgspec.Struct, frozen=True):
    """End the process of this name: by ``force``, or by asking it to end in order."""

    name: str
    force: bool


class AbortProcess(msgspec.Struct, frozen=True):
    """Have the process of this name write where it is and end."""

    name: str


class Bury(msgspec.Struct, frozen=True):
    """Certify the death of a process and remove what it leaves behind."""

    name: str
    code: int
    cause: str  # asked, memory, overrun, signal or exit
    reason: str


class Report(msgspec.Struct, frozen=True):
    """Tell the launcher how far the start is."""

    phase: str


class Fail(msgspec.Struct, frozen=True):
    """Tell the launcher that the start failed, with the last output of this process."""

    name: str
    text: str


class Say(msgspec.Struct, frozen=True):
    """Write a line to the nanny's log."""

    text: str


class Stop(msgspec.Struct, frozen=True):
    """Nothing lives any more, or it would not die in time: the nanny ends."""


Effect = StartProcess | KillProcess | AbortProcess | Bury | Report | Fail | Say | Stop


class _Child(msgspec.Struct):
    name: str
    started_s: float
    is_ready: bool = False
    cause: str = ""  # why we ended it; empty while nobody decided to
    reason: str = ""
    kill_s: float = 0.0  # when it is killed that was aborted; 0: it was not


def worker_name(number: int) -> str:
    """Return the name of a host's worker."""
    return f"{WORKER_PREFIX}{number}"


def _number(name: str) -> int:
    return int(name.removeprefix(WORKER_PREFIX))


class Supervisor:
    """The machine. ``head``: this host keeps the scheduler; ``workers``: how many shall live at first.

    One that follows another goes on with its ``numbers`` of workers and the ``epoch`` of its last scheduler. The host was
    up already: nothing is a failure of its start.
    """

    def __init__(
        self, *, head: bool, workers: int, settings: Settings, numbers: Iterable[int] | None = None, epoch: int = 0
    ) -> None:
        self._settings = settings
        self._head = head
        self._numbers = set(range(workers) if numbers is None else numbers)  # of the workers that shall live
        self._living: dict[str, _Child] = {}
        self._waiting: dict[str, float] = {}  # name -> when it is started again
        self._early: dict[str, int] = {}  # early deaths in a row
        self._epoch = epoch
        self._has_begun = False
        self._is_connected = False  # the scheduler welcomed us once
        self._is_up = numbers is not None
        self._told: set[str] = set()  # phases, until the start is over
        self._stop_s: float | None = None  # since when everything is ended
        self._hard_s = 0.0  # when a scheduler that was asked to end is killed
        self._is_over = False

    @property
    def wanted(self) -> int:
        """How many workers shall live."""
        return 0 if self.is_stopping else len(self._numbers)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the workers that shall live."""
        return tuple(sorted(self._numbers))

    @property
    def epoch(self) -> int:
        """The epoch of the last scheduler that was started."""
        return self._epoch

    @property
    def is_stopping(self) -> bool:
        """Whether everything on this host is being ended."""
        return self._stop_s is not None

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Return what to do about an event, in this order."""
        if self._is_over:
            return []
        return self._on_event(event, now) + self._plan(now)

    def tick(self, now: float) -> list[Effect]:
        """Return what is due by now."""
        return [] if self._is_over else self._plan(now)

    def deadline(self) -> float | None:
        """Return when `tick` must be called at the latest; None: not before something happens."""
        if self._is_over:
            return None
        kills = [child.kill_s for child in self._living.values() if child.kill_s]
        if self._stop_s is None:
            return min((*self._waiting.values(), *kills), default=None)
        end_s = self._stop_s + self._settings.stop_s_max
        return min((end_s, *([self._hard_s] if self._hard_s else []), *kills))

    def check(self) -> None:
        """Raise when a table contradicts another."""
        missing = set(self._names()) - self._living.keys() - self._waiting.keys()
        if self._has_begun and not self.is_stopping and missing:
            raise InvariantError(f"wanted, but neither alive nor waiting: {sorted(missing)}")
        if twice := self._living.keys() & self._waiting.keys():
            raise InvariantError(f"alive and waiting to be started: {sorted(twice)}")
        surplus = [name for name in self._surplus() if self._living[name].cause not in ALREADY_ENDING]
        if surplus:
            raise InvariantError(f"not wanted, and not told to end: {surplus}")
        if self.is_stopping and self._waiting:
            raise InvariantError(f"waiting to be started while the host stops: {sorted(self._waiting)}")

    # what happened

    def _on_event(self, event: Event, now: float) -> list[Effect]:
        match event:
            case Begin():
                self._has_begun = True
            case Ready(name):
                self._on_ready(name)
            case Exited():
                return self._on_exited(event, now)
            case OverMemory(name, words):
                return self._abort(name, "memory", words, now)
            case AbortWorker(name, _pid, words):
                return self._abort(name, "overrun", words, now)
            case SetWorkers():
                self._on_set_workers(event)
            case ReplaceWorkers():
                return self._on_replace_workers(event)
            case EndWorkers():
                return self._on_end_workers(event)
            case _:
                return self._on_stop(event.reason, now)
        return []

    def _on_ready(self, name: str) -> None:
        self._is_connected = self._is_connected or name == SCHEDULER
        if name in self._living:
            self._living[name].is_ready = True

    def _on_exited(self, event: Exited, now: float) -> list[Effect]:
        child = self._living.pop(event.name, None)
        if child is None:
            return []
        cause = child.cause or ("signal" if event.code < 0 else "exit")
        effects: list[Effect] = [Bury(event.name, event.code, cause, child.reason or event.words)]
        if self.is_stopping:
            return effects
        if event.name == SCHEDULER and cause == "exit" and event.code == 0:
            return effects + self._on_stop("the scheduler ended by itself", now)
        if child.cause or not self._is_early(child, event, now):
            self._early.pop(event.name, None)
            return effects
        return effects + self._on_early_death(event.name, now)

    def _is_early(self, child: _Child, event: Exited, now: float) -> bool:
        return not child.is_ready or (not event.busy and now - child.started_s < EARLY_S)

    def _on_early_death(self, name: str, now: float) -> list[Effect]:
        count = self._early[name] = self._early.get(name, 0) + 1
        excess = count - self._settings.restart_burst_max
        if excess < 0:
            return []
        text = f"{name} died {count} times in a row right after its start"
        if not self._is_up:
            return [Fail(name, text), *self._on_stop(text, now)]
        wait_s = min(FIRST_WAIT_S * 2 ** min(excess, DOUBLINGS_MAX), self._settings.restart_wait_s_max)
        self._waiting[name] = now + wait_s
        return [Say(f"{text}; next try in {wait_s:g} s")]

    def _on_set_workers(self, event: SetWorkers) -> None:
        wanted = max(0, min(event.workers, self._settings.workers_max))
        fresh = (number for number in count() if number not in self._numbers)
        self._numbers.update(islice(fresh, max(0, wanted - len(self._numbers))))
        first_to_go = sorted(self._numbers, key=lambda number: (worker_name(number) in event.keep, -number))
        self._numbers.difference_update(first_to_go[: len(self._numbers) - wanted])
        self._forget_unwanted()

    def _on_end_workers(self, event: EndWorkers) -> list[Effect]:
        ended = [number for number in sorted(self._numbers) if worker_name(number) in event.names]
        self._numbers.difference_update(ended)
        self._forget_unwanted()
        return [effect for number in ended for effect in self._end(worker_name(number), "asked", event.reason)]

    def _forget_unwanted(self) -> None:
        """Start nobody again that is not wanted any more."""
        for name in [name for name in self._waiting if name not in self._names()]:
            del self._waiting[name]
            del self._early[name]

    def _on_replace_workers(self, event: ReplaceWorkers) -> list[Effect]:
        names = event.names or tuple(name for name in self._names() if name != SCHEDULER)
        effects: list[Effect] = []
        for name in names:
            if name == SCHEDULER:
                continue
            self._waiting.pop(name, None)
            self._early.pop(name, None)
            effects += self._end(name, "asked", event.reason)
        return effects

    def _on_stop(self, reason: str, now: float) -> list[Effect]:
        if self.is_stopping:
            return []
        self._stop_s = now
        self._waiting.clear()
        return [Say(f"stopping: {reason}")]

    # what follows

    def _plan(self, now: float) -> list[Effect]:
        effects = self._plan_stop(now) if self.is_stopping else self._plan_life(now)
        return effects + self._plan_reports()

    def _names(self) -> list[str]:
        workers = [worker_name(number) for number in sorted(self._numbers)]
        return [SCHEDULER, *workers] if self._head else workers

    def _surplus(self) -> list[str]:
        wanted = set() if self.is_stopping else self._numbers
        workers = [name for name in self._living if name != SCHEDULER and _number(name) not in wanted]
        return sorted(workers, key=_number, reverse=True)

    def _plan_life(self, now: float) -> list[Effect]:
        if not self._has_begun:
            return []
        for name in [name for name, due_s in self._waiting.items() if due_s <= now]:
            del self._waiting[name]
        effects = self._kill_aborted(now)
        for name in self._surplus():
            effects += self._end(name, "asked", self._living[name].reason or "the cluster was scaled down")
        for name in self._names():
            if name not in self._living and name not in self._waiting:
                effects.append(self._start(name, now))
        return effects

    def _plan_stop(self, now: float) -> list[Effect]:
        effects = self._kill_aborted(now)
        for name in self._surplus():
            effects += self._end(name, "asked", "the cluster was stopped")
        if list(self._living) == [SCHEDULER]:
            effects += self._plan_scheduler_end(now)
        if not self._living or now >= (self._stop_s or 0.0) + self._settings.stop_s_max:
            self._is_over = True
            effects.append(Stop())
        return effects

    def _plan_scheduler_end(self, now: float) -> list[Effect]:
        scheduler = self._living[SCHEDULER]
        if not scheduler.cause:
            scheduler.cause, scheduler.reason = "asked", "the cluster was stopped"
            self._hard_s = now + self._settings.stop_s_max / 2
            return [KillProcess(SCHEDULER, force=False)]
        if self._hard_s and now >= self._hard_s:
            self._hard_s = 0.0
            return [KillProcess(SCHEDULER, force=True)]
        return []

    def _plan_reports(self) -> list[Effect]:
        if self._is_up or self.is_stopping or not self._is_connected:
            return []
        ready = sum(child.is_ready for child in self._living.values() if child.name != SCHEDULER)
        phases = ["scheduler up"]
        if ready:
            phases.append(f"workers {ready}/{len(self._numbers)}")
        if ready >= len(self._numbers):
            phases.append("ready")
            self._is_up = True
        fresh = [phase for phase in phases if phase not in self._told]
        self._told.update(fresh)
        return [Report(phase) for phase in fresh]

    def _start(self, name: str, now: float) -> Effect:
        self._living[name] = _Child(name, now)
        if name != SCHEDULER:
            return StartProcess(name)
        self._epoch += 1
        return StartProcess(name, self._epoch)

    def _end(self, name: str, cause: str, reason: str) -> list[Effect]:
        child = self._living.get(name)
        if child is None or child.cause:
            return []
        child.cause, child.reason = cause, reason
        return [KillProcess(name, force=True)]

    def _abort(self, name: str, cause: str, reason: str, now: float) -> list[Effect]:
        effects = self._end(name, cause, reason)
        if not effects:
            return []
        self._living[name].kill_s = now + ABORT_S
        return [AbortProcess(name)]

    def _kill_aborted(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for child in self._living.values():
            if child.kill_s and now >= child.kill_s:
                child.kill_s = 0.0
                effects.append(KillProcess(child.name, force=True))
        return effects
