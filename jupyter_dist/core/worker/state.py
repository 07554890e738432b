"""The worker's tables, and the only place that changes them.

Rules: an attempt changes state through `Attempt.step`, and enters and leaves the table here. A value is held under its
task's key until the scheduler frees it; the newest value of a key replaces an older one. A fetched input is kept only
while an attempt needs it, and is nobody's replica. No rule about *when* is here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from jupyter_dist.core.worker.attempt import Attempt, Step
from jupyter_dist.core.worker.effects import Effects, Fetched, Held, Spilled
from jupyter_dist.core.worker.memory_table import Memory
from jupyter_dist.messages import AssignedTask, FunctionBody, HoldCopy, Leaving, TaskErred, TaskFinished
from jupyter_dist.settings import Settings


class KeyFetch:
    """One result that is being fetched, for every attempt that waits for it, or to be held.

    ``holder`` is who is asked now; empty while the fetch waits for its turn.
    """

    __slots__ = ("copy", "deadline", "holder", "key", "nbytes", "reason", "request", "tried", "untried", "waiting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.nbytes = 0
        self.waiting: dict[int, None] = {}  # attempts, oldest first
        self.copy: HoldCopy | None = None  # the copy it becomes; None: it is not to be held
        self.reason = ""  # why the holder that was asked last failed
        self.untried: list[str] = []
        self.tried: list[str] = []
        self.holder = ""
        self.request = 0
        self.deadline = 0.0


class Said(NamedTuple):
    """How an attempt ended, as the so many-th message on this connection; whether anybody wanted it to end."""

    number: int
    reply: TaskFinished | TaskErred
    is_wanted: bool


class Kept:
    """A fetched input, and the attempts that still need it."""

    __slots__ = ("users", "value")

    def __init__(self, value: Fetched, users: Iterable[int]) -> None:
        self.value = value
        self.users = set(users)


class State:
    """All a worker knows."""

    def __init__(self, settings: Settings, slots: int, memory_bytes_max: int = 0) -> None:
        self.settings = settings
        self.slots = slots
        self.memory = Memory(settings, memory_bytes_max)
        self.effects = Effects()
        self.attempts: dict[int, Attempt] = {}
        self.timed: dict[int, Attempt] = {}  # running attempts with a deadline
        self.functions: dict[str, FunctionBody] = {}
        self.held: dict[str, Held] = {}
        self.held_bytes = 0
        self.kept: dict[str, Kept] = {}
        self.queued: dict[str, KeyFetch] = {}  # fetches that wait for their turn, oldest first
        self.flying: dict[str, KeyFetch] = {}  # fetches under way
        self.storing: set[int] = set()  # copies that are being written to the object store
        self.said = 0  # messages on this connection to the scheduler
        self.unkept: deque[Said] = deque()  # what it may still forget
        self.unwanted: set[int] = set()  # attempts that were stopped and have ended just now
        self.once: set[int] = set()  # attempts here that are of tasks that are not run twice, and have not ended
        self.spent: deque[tuple[int, int]] = deque()  # those that have, as ``unkept``: number of the message, attempt
        self.leaving: Leaving | None = None  # since it was asked to end
        self.told_held: set[int] = set()  # attempts whose results were listed when this connection was made
        self._last_request = 0

    def take_effects(self) -> Effects:
        """Return what was collected, and begin anew."""
        effects, self.effects = self.effects, Effects()
        return effects

    def next_request(self) -> int:
        """Return the number of a new fetch."""
        self._last_request += 1
        return self._last_request

    # -- attempts ----------------------------------------------------------------------------------------------------

    def add_attempt(self, task: AssignedTask, function: FunctionBody) -> Attempt:
        """Enter a new attempt, fetching, with nothing missing yet."""
        attempt = self.attempts[task.attempt] = Attempt(task, function)
        if task.once:
            self.once.add(task.attempt)
        return attempt

    def end_attempt(self, attempt: Attempt, step: Step) -> None:
        """Take the step that ends an attempt, and drop it from every table."""
        attempt.step(step)
        number = attempt.task.attempt
        del self.attempts[number]
        if step == "given-back":
            self.once.discard(number)
        if attempt.deadline:
            self.timed.pop(number, None)
        if attempt.task.inputs:
            self._leave_inputs(attempt, number)

    def time_attempt(self, attempt: Attempt, deadline: float) -> None:
        """Note when a running attempt is to be interrupted."""
        attempt.deadline = deadline
        self.timed[attempt.task.attempt] = attempt

    def expire_attempt(self, attempt: Attempt) -> None:
        """Note that a running attempt's time is over."""
        attempt.timed_out = True
        self.timed.pop(attempt.task.attempt, None)

    def _leave_inputs(self, attempt: Attempt, number: int) -> None:
        for key in attempt.missing:
            fetch = self.flying.get(key) or self.queued[key]
            fetch.waiting.pop(number, None)
            self.drop_if_idle(fetch)
        for key, value in attempt.inputs.items():
            self.memory.end_use(key, value)
            kept = self.kept.get(key)
            if kept is not None and kept.value is value:
                kept.users.discard(number)
                if not kept.users:
                    del self.kept[key]
        attempt.missing.clear()
        attempt.inputs = {}

    # -- values ------------------------------------------------------------------------------------------------------

    def hold(self, key: str, value: Held) -> None:
        """Keep a result until it is freed."""
        self.free(key)
        self.held[key] = value
        self.held_bytes += value.nbytes
        self.memory.enter(key, value)

    def free(self, key: str) -> None:
        """Drop the result held for a key, if there is one."""
        live = self.held.pop(key, None)
        if live is None:
            return
        self.held_bytes -= live.nbytes
        self.memory.leave(key)
        if isinstance(live, Spilled):
            self.effects.unspilled.append(live.name)
        else:
            self.effects.discarded.append(live)

    def free_made_by(self, attempt: int) -> None:
        """Drop what an attempt left behind, unless a later one made the result anew."""
        for key in [key for key, live in self.held.items() if live.attempt == attempt]:
            self.free(key)

    # -- fetches -----------------------------------------------------------------------------------------------------

    def find_fetch(self, key: str) -> KeyFetch:
        """Return the fetch of a key, a new queued one if there is none."""
        fetch = self.flying.get(key) or self.queued.get(key)
        if fetch is None:
            fetch = self.queued[key] = KeyFetch(key)
        return fetch

    def await_fetch(self, fetch: KeyFetch, attempt: Attempt) -> None:
        """Let an attempt wait for a fetch."""
        fetch.waiting[attempt.task.attempt] = None
        attempt.missing.add(fetch.key)

    def launch_fetch(self, fetch: KeyFetch, holder: str, deadline: float) -> None:
        """Note that a queued fetch asks a holder now."""
        fetch.holder = holder
        fetch.tried.append(holder)
        fetch.untried.remove(holder)
        fetch.request = self.next_request()
        fetch.deadline = deadline
        del self.queued[fetch.key]
        self.flying[fetch.key] = fetch

    def queue_again(self, fetch: KeyFetch) -> None:
        """Note that the holder failed: the fetch waits for its turn with the next one."""
        del self.flying[fetch.key]
        fetch.holder = ""
        fetch.request = 0
        self.queued[fetch.key] = fetch

    def add_holders(self, fetch: KeyFetch, nbytes: int, holders: Iterable[str]) -> None:
        """Note how large what is fetched is said to be, and who may be asked for it."""
        fetch.nbytes = max(fetch.nbytes, nbytes)
        fetch.untried.extend(holder for holder in holders if holder not in fetch.tried + fetch.untried)

    def leave_copy(self, fetch: KeyFetch) -> int:
        """Note that a fetch is not to be held any more; return the number of the copy."""
        number, fetch.copy = fetch.copy.copy if fetch.copy is not None else 0, None
        self.drop_if_idle(fetch)
        return number

    def drop_if_idle(self, fetch: KeyFetch) -> None:
        """Forget a fetch, under way or not, that nobody waits for."""
        if fetch.waiting or fetch.copy:
            return
        self.queued.pop(fetch.key, None)
        if self.flying.pop(fetch.key, None) is not None:
            self.effects.abandoned.append(fetch.request)

    def keep(self, fetch: KeyFetch, value: Fetched) -> list[Attempt]:
        """Give a fetched input to every attempt that waits for it, and return those."""
        del self.flying[fetch.key]
        attempts = [self.attempts[number] for number in fetch.waiting]
        if attempts:
            self.kept[fetch.key] = Kept(value, fetch.waiting)
        for attempt in attempts:
            attempt.missing.discard(fetch.key)
            attempt.inputs[fetch.key] = value
        return attempts

    def share(self, key: str, attempt: Attempt) -> bool:
        """Give an attempt an input that is here already; return whether it is."""
        if key in self.held:
            attempt.inputs[key] = self.held[key]
            self.memory.use(key)
        elif key in self.kept:
            attempt.inputs[key] = self.kept[key].value
            self.kept[key].users.add(attempt.task.attempt)
        else:
            return False
        return True
