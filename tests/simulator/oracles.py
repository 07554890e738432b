"""What must be true of everything that is said: judged against the truth, which only the simulator knows.

The shadow of the scheduler is made from its messages alone: an attempt is current from its assignment until it is
answered, given back or stopped, or until its worker's connection is closed. So what the scheduler accepts can be
compared with what it said before, without looking into its tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from typing import Any

from jupyter_dist.core.futures import UNLOADED, Wish
from jupyter_dist.core.machine import Disconnected
from jupyter_dist.core.scheduler.arcs import ERRED, QUEUED
from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.goals import wanted_workers
from jupyter_dist.core.scheduler.lifetime import is_clean
from jupyter_dist.core.scheduler.overdue import NOT_ENDED
from jupyter_dist.core.scheduler.recovery import BLAMING_CAUSES, CHARGES_MAX
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.core.scheduler.submission import LET_GO, UNKNOWN, UNWRITTEN
from jupyter_dist.messages import (
    Answer,
    AssignTask,
    Cancel,
    ErrorInfo,
    InputMissing,
    KeyCancelled,
    MissingValue,
    PutValue,
    RegisterWorker,
    ReplaceWorkers,
    RestartCluster,
    RestartWorkers,
    StopAttempt,
    Submit,
    TakeOver,
    TaskErred,
    TaskFinished,
    WantedKey,
    Withdrawn,
)
from tests.simulator.plans import Plan
from tests.simulator.swarm import DEATHS
from tests.simulator.world import World

FORGOTTEN = (LET_GO, UNWRITTEN)
HARMLESS = frozenset({"kill-scheduler", "pause-scheduler", "break-client", "break-nanny"})  # these lose no result
ATTEMPTS_MAX = 60  # a task that is handed out more often than this is played ping-pong with
LINGER_S = 5.0  # how long a lost session is kept: longer than a wild part, shorter than the calm that follows
# The same where tasks submit others: beside each of a few dozen tasks may be killed up to CHARGES_MAX workers by children
# that are new with each of its runs, and on an only worker whatever else was there runs again. The most seen is 97.
ATTEMPTS_NESTED_MAX = 150
RESTARTING = 10_000_000  # requests of higher numbers are for a restart
BUSY_S = 0.2  # after a worker has held its lock, the time until it must have been heard

ASKED_FOR = ("it was restarted", "asked to end")  # why a worker may be replaced whatever it does

Death = tuple[
    str, tuple[int, ...], tuple[int, ...]
]  # its cause, the attempts that may be to blame, all that were there


class Oracles:
    """The judges of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state: State | None = None
        self.current: dict[int, tuple[str, int]] = {}  # attempt -> key, source
        self.assigned: defaultdict[str, int] = defaultdict(int)
        self.ran_key: dict[int, str] = {}  # attempt -> key, of all that ever began
        self.runs: set[tuple[int, int]] = set()  # attempt, pid
        self.values: defaultdict[str, set[str]] = defaultdict(set)
        self.deaths: dict[tuple[str, int], Death] = {}
        self.spoken: set[tuple[str, int]] = set()  # wishes, by client, for what a value speaks of that it has
        self.unwritten: set[str] = set()  # keys that only their clients knew when a scheduler was killed
        self.is_given_up = False  # somebody cancelled something, or restarted the cluster
        self.let_go: set[str] = set()  # keys that some client did not want any more
        self.poisoned: defaultdict[str, int] = defaultdict(int)  # deaths a key's current attempt caused
        self.waited: set[int] = set()  # attempts that gave their slot away once
        self._offered: dict[tuple[str, float, float], int] = {}
        self._last_event = 0
        self._old_pids: set[int] = set()  # processes that were there at the last restart
        self._restarted: defaultdict[str, int] = defaultdict(int)  # session -> its newest request for a restart
        self._afresh: set[int] = set()  # such requests that are being heard, and not for the second time
        self.finished: set[str] = set()  # keys of which a result was taken
        self.is_missed = False  # somebody said that a value is not where it was said to be, or gave its holder up
        self._settled: dict[tuple[str, int], tuple[str, bytes | None]] = {}
        self.died_with: dict[str, set[str]] = {}  # session -> keys its client knew the end of when it was killed
        self.cancelled: set[tuple[str, int]] = set()  # wishes, by session, that were cancelled for a good reason
        self.names: set[tuple[str, str]] = set()  # all that any key was ever called
        self._lost: dict[str, tuple[float, set[str]]] = {}  # session -> until when it is kept, and what it wants
        self._leaving = ""  # the session whose connection is about to end
        self._robbed: set[str] = set()  # sessions that were taken over: a client that was only cut off finds nothing
        self._taken: dict[str, tuple[str, int, int]] = {}  # key -> how its task is before it is taken over

    def known(self) -> Container[str]:
        """Return the keys that the scheduler knows."""
        return () if self.state is None else self.state.tasks

    # -- what really happens -----------------------------------------------------------------------------------------

    def ran(self, attempt: int, key: str, worker: str, pid: int) -> None:
        """An attempt begins inside a user's code."""
        if attempt in self.ran_key:
            self.world.fail(f"attempt {attempt} of {key} begins twice, now on {worker} (pid {pid})")
        self.ran_key[attempt] = key

    def judge_once(self, plan: Plan) -> None:
        """A task that is not run twice begins as often as that was wished for at most."""
        fault = self.world.once.began(plan)
        if fault:
            self.world.fail(fault)

    def produced(self, key: str, value: str) -> None:
        """An attempt made a value."""
        plan = self.world.plans[key]
        if not plan.is_impure and value != self.world.plans.right_value(key):
            self.world.fail(f"{key} was computed from wrong inputs: {value}")
        self.values[key].add(value)

    def died(self, worker: str, pid: int, cause: str, running: tuple[int, ...], waiting: tuple[int, ...]) -> None:
        """A process ended."""
        attempts = running or waiting
        self.deaths[worker, pid] = (cause, attempts, running + waiting)
        for attempt in attempts:
            if attempt in self.current and cause in BLAMING_CAUSES:
                self.poisoned[self.ran_key[attempt]] += 1

    def crashed(self, known: set[str]) -> None:
        """The scheduler was killed: nobody says anything on the old connections any more.

        Of keys that are not ``known`` nothing was written down: what was made of them counts only if it is said again.
        """
        self.finished &= known
        self.unwritten.update(self.world.plans.by_key.keys() - known)
        self.current.clear()
        self._last_event = 0
        self._restarted.clear()
        self._lost.clear()
        self._taken.clear()
        self._leaving = ""
        self.died_with.clear()  # what it said last may not have been written down

    # -- what the scheduler does -------------------------------------------------------------------------------------

    def before(self, source: int, events: Sequence[Any]) -> None:
        """Note what the scheduler is about to hear."""
        self._offered.clear()
        self._afresh.clear()
        if self.state is not None:
            self.world.once.note(self.state, source, events)
        for event in events:
            if isinstance(event, TaskFinished) and self.current.get(event.attempt) == (event.key, source):
                self._offered[event.key, event.started_s, event.stopped_s] = event.attempt
            elif isinstance(event, MissingValue | RestartWorkers):
                self.is_missed = True
            elif isinstance(event, RestartCluster):
                self._note_restart(source, event)
                self.is_given_up = True
            elif isinstance(event, TakeOver):
                self._note_taken(source, event)
            elif isinstance(event, Disconnected) and self.state is not None and source in self.state.session_of:
                self._leaving = self.state.session_of[source].id

    def _note_restart(self, source: int, message: RestartCluster) -> None:
        """Note every process the scheduler knows of: none of them may count as fresh after a restart.

        One that is asked for again, on another connection, is the same restart.
        """
        state = self.state
        assert state is not None
        session = state.session_of.get(source)
        if session is None or message.request <= self._restarted[session.id]:
            return
        self._restarted[session.id] = message.request
        self._afresh.add(message.request)
        self._old_pids = {member.pid for member in state.members.values()}
        self._old_pids.update(pid for nanny in state.nannies.values() for pid, _state, _cpu in nanny.pulses.values())

    def after(self, source: int, events: Sequence[Any], effects: Effects) -> None:
        """Judge what the scheduler made of it."""
        self._judge_accepted()
        forced = _forced(effects)
        if len(events) == 1 and isinstance(events[0], Cancel) and events[0].force:
            self._judge_force(events[0], effects, forced)
        self._judge_lost(events)
        for index, event in enumerate(events):
            self._note_event(source, event)
            if isinstance(event, RestartCluster) and event.request in self._afresh:
                self._judge_restart(events[index + 1 :])
        for receiver, messages in effects.sends.items():
            for message in messages:
                self._note_message(receiver, message)
        for receiver in effects.closes:
            self._end_source(receiver)

    def _judge_accepted(self) -> None:
        state = self.state
        assert state is not None
        for event in state.chronicle.events:
            is_new = event.number > self._last_event
            if is_new and event.kind == "lost" and self.world.is_quiet and event.key not in self._may_be_lost():
                self.world.fail(f"the result of {event.key} was lost, and nothing went wrong")
            if is_new and event.kind == "finished":
                self.finished.add(event.key)
                offered = self._offered.pop((event.key, event.started_s, event.stopped_s), None)
                if offered is None:
                    self.world.fail(f"a result of {event.key} was accepted from an attempt that is not current")
        self._last_event = state.chronicle.number

    def _may_be_lost(self) -> set[str]:
        """Return keys whose results may be lost though nobody died but a scheduler: they were freed a moment before."""
        is_forgetful = "kill-scheduler" in self.world.swarm.faults
        return self.world.store.hurt_keys | (self.let_go if is_forgetful else set())

    def _judge_force(self, message: Cancel, effects: Effects, forced: set[int]) -> None:
        stopped = {
            said.attempt for said_list in effects.sends.values() for said in said_list if isinstance(said, StopAttempt)
        }
        given_up = {attempt for attempt in stopped if attempt in self.current}
        asked = {attempt for attempt in given_up if self.current[attempt][0] in message.keys}
        if not asked <= forced:
            self.world.fail(f"attempts {asked - forced} were cancelled by force and are not interrupted")

    def _note_event(self, source: int, event: Any) -> None:
        if isinstance(event, TaskFinished | TaskErred | InputMissing):
            self.current.pop(event.attempt, None)
        elif isinstance(event, Withdrawn):
            for attempt in event.attempts:
                self.current.pop(attempt, None)
        elif isinstance(event, RegisterWorker):
            self.current.update((attempt, (key, source)) for attempt, key in event.running)
        elif isinstance(event, Disconnected):
            self._end_source(source)
        elif isinstance(event, RestartCluster) and event.request in self._afresh:
            self.current.clear()

    def _note_message(self, receiver: int, message: Any) -> None:
        if isinstance(message, AssignTask):
            task = message.task
            self.current[task.attempt] = (task.key, receiver)
            self.assigned[task.key] += 1
            is_kept = task.key in self.finished - self.let_go and not self.is_missed
            if is_kept and not self.deaths and self.world.swarm.faults <= HARMLESS:
                self.world.fail(f"{task.key} has a result, which nobody lost, and is run again")
            if self.assigned[task.key] > (ATTEMPTS_NESTED_MAX if self.world.nesting.is_used else ATTEMPTS_MAX):
                self.world.fail(f"{task.key} was handed out {self.assigned[task.key]} times")
        elif isinstance(message, StopAttempt):
            self.current.pop(message.attempt, None)
        elif isinstance(message, KeyCancelled):
            self._note_cancelled(receiver, message)
        elif isinstance(message, ReplaceWorkers):
            self._judge_replaced(message)
        elif isinstance(message, Answer) and not message.error and message.snapshot is None:
            self._judge_fresh(message)

    def _note_cancelled(self, receiver: int, message: KeyCancelled) -> None:
        session = None if self.state is None else self.state.session_of.get(receiver)
        if session is not None and message.reason not in FORGOTTEN:
            self.cancelled.update((session.id, wish) for wish in message.wishes)

    def _judge_replaced(self, message: ReplaceWorkers) -> None:
        """A worker that its nanny saw at work must be left alone."""
        if self.world.swarm.faults & {"break-nanny", "lose-host", "pause-scheduler", "stop-worker", "break-worker"}:
            return
        if message.reason in ASKED_FOR or message.reason.startswith(NOT_ENDED):
            return
        for name in message.names:
            if self.world.busy_until_s.get(name, 0.0) > self.world.now - BUSY_S:
                self.world.fail(f"{name} was given up while it was at work")

    def _end_source(self, source: int) -> None:
        for attempt in [number for number, (_key, of) in self.current.items() if of == source]:
            del self.current[attempt]

    def _judge_restart(self, after: Sequence[Any]) -> None:
        """A restart leaves nothing but what is submitted after it."""
        if any(isinstance(event, Submit | PutValue) for event in after):
            return
        state = self.state
        assert state is not None
        if not is_clean(state) or state.members or any(session.wants for session in state.sessions.values()):
            self.world.fail("after a restart the tables are not empty")

    def _judge_fresh(self, message: Answer) -> None:
        state = self.state
        assert state is not None
        if message.request >= RESTARTING:
            running = [member for member in state.members.values() if member.state == "running"]
            old = [member for member in running if member.pid in self._old_pids]
            if old or len(running) < wanted_workers(state) or not state.nannies:
                self.world.fail(f"a restart was answered with {running} there, {old} old")

    # -- sessions that are lost and taken over -----------------------------------------------------------------------

    def _note_taken(self, source: int, message: TakeOver) -> None:
        """Note how the tasks are that a client is to have from now on."""
        state = self.state
        assert state is not None
        heir = state.session_of.get(source)
        lost = [state.sessions[name] for name in message.sessions if name in state.sessions]
        self._robbed.update(session.id for session in lost if not session.incarnation)
        wished = {given.key for given in message.wishes} | {task.key for task in (heir.wants if heir else ())}
        self._taken = {
            task.key: (task.state, task.attempt, task.attempts)
            for session in lost
            if not session.incarnation
            for task in session.wants
            if task.key in wished
        }

    def _judge_lost(self, events: Sequence[Any]) -> None:
        """What a lost session wants is kept until its time is up, and goes to one that takes it over as it is."""
        state = self.state
        assert state is not None
        taken = {name for event in events if isinstance(event, TakeOver) for name in event.sessions}
        is_restart = bool(self._afresh)
        lost = {session.id: session for session in state.sessions.values() if not session.incarnation}
        if self._leaving and self._leaving not in lost:
            self.world.fail(f"{self._leaving} ended with its connection")
        self._leaving = ""
        for name, (until_s, keys) in tuple(self._lost.items()):
            if is_restart:
                keys.clear()
            if name not in lost:
                self._judge_ended(name, until_s, keys, is_taken=name in taken)
            elif keys != {task.key for task in lost[name].wants}:
                self.world.fail(f"{name} is lost, wanted {keys} and wants {lost[name].wants}")
        for name in lost.keys() - self._lost.keys():
            self._lost[name] = (self.world.now + lost[name].linger_s, {task.key for task in lost[name].wants})
            is_all_heard = not self.world.swarm.actions["restart"] and self.world.swarm.faults.isdisjoint(DEATHS)
            if is_all_heard and not self.died_with.get(name, set()) <= self._lost[name][1]:
                self.world.fail(f"{name} was killed with {self.died_with[name]}; of these only {self._lost[name]} left")
        for key, before in self._taken.items():
            self._judge_taken(key, *before)
        self._taken = {}

    def _judge_ended(self, name: str, until_s: float, keys: set[str], *, is_taken: bool) -> None:
        state = self.state
        assert state is not None
        del self._lost[name]
        self.let_go.update(keys - self._taken.keys())
        is_overdue = self.world.now >= until_s
        if not is_taken and not is_overdue and name not in state.sessions:
            self.world.fail(f"the lost session {name} ended before its time")

    def _judge_taken(self, key: str, was: str, attempt: int, attempts: int) -> None:
        state = self.state
        assert state is not None
        task = state.tasks.get(key)
        if task is None:
            self.world.fail(f"{key} was {was} and is forgotten by being taken over")
        elif was != QUEUED and (task.state, task.attempt, task.attempts) != (was, attempt, attempts):
            self.world.fail(f"{key} was {was} and is {task.state} by being taken over, attempts {task.attempts}")

    def judge_names(self, wanted: WantedKey) -> None:
        """A key is called what somebody called it."""
        if not self.names.issuperset((name, wanted.key) for name in wanted.names):
            self.world.fail(f"nobody called {wanted.key} {wanted.names}")

    def judge_freed(self, names: Sequence[str]) -> None:
        """An object that is removed must be nobody's value."""
        state = self.state
        assert state is not None
        for task in state.tasks.values():
            if task.stored in names:
                self.world.fail(f"the value of {task.key} is removed from the object store")

    def judge_resources(self, worker: str, running: Sequence[str]) -> None:
        """What runs together on a worker must not need more than it has."""
        has = self.world.extras.resources
        needed = [need for key in running for need in self.world.plans[key].options.resources]
        for name, amount in has.items():
            if sum(need for wanted, need in needed if wanted == name) > amount + 1e-6:
                self.world.fail(f"{running} run together on {worker}, which has {amount} of {name}")

    # -- what clients hear -------------------------------------------------------------------------------------------

    def judge_wish(self, client: str, wish: Wish) -> None:
        """Judge a wish that changed."""
        is_forgotten = wish.status == "cancelled" and wish.reason in FORGOTTEN
        is_told = (
            client,
            wish.number,
        ) not in self.cancelled and client not in self._robbed  # or it may not have heard it
        if is_forgotten and is_told:
            self.world.fail(f"{client}: {wish.key} was forgotten with the scheduler")
        is_unknown = wish.status == "cancelled" and wish.reason == UNKNOWN
        is_let_go = self.is_given_up or wish.key in self.unwritten or self._has_erred_speaker(wish.key)
        if is_unknown and (client, wish.number) in self.spoken and not is_let_go:
            self.world.fail(f"{client} has a value that speaks of {wish.key}, which was let go")
        delivered = self._settled.get((client, wish.number))
        now_is = (wish.status, wish.value)
        if delivered is not None and wish.status != "cancelled" and now_is != delivered:
            self.world.fail(f"{client}: {wish.key} was {delivered} and is {now_is}")
        if wish.status == "error":
            self._settled[client, wish.number] = now_is
            self.judge_error(wish)
        elif wish.status == "finished" and wish.value is not None:
            self._settled[client, wish.number] = now_is
            self.judge_value(wish.key, wish.value.decode())
        elif wish.status == "finished" and wish.loaded is not UNLOADED:
            self._settled[client, wish.number] = now_is

    def _has_erred_speaker(self, key: str) -> bool:
        """Whether a value that spoke of a key was lost, and will not be made again: a client may have it all the same."""
        assert self.state is not None
        speakers = [
            self.state.tasks.get(speaker) for speaker, spoken in self.world.speaking.of.items() if key in spoken
        ]
        return any(task is not None and task.state == ERRED for task in speakers)

    def judge_value(self, key: str, value: str) -> None:
        """Judge a value that a client or a worker reads."""
        if value not in self.values[key]:
            self.world.fail(f"{key} has the value {value}, which no attempt made")

    def judge_error(self, wish: Wish) -> None:
        """Judge an error: it must be somebody's fault."""
        error, plans = wish.error, self.world.plans
        assert error is not None
        if error.key not in plans.ancestry(wish.key):
            self.world.fail(f"{wish.key} erred by {error.key}, which it is not made from")
        culprit = plans[error.key]
        if error.kind == "crashed":
            self._judge_conviction(error)
        elif error.kind in {"timeout", "overrun"}:
            if culprit.kind != "slow":
                self.world.fail(f"{culprit.key} is said to have run too long")
        elif error.kind == "lost":
            self._judge_loss(culprit, error)
        elif error.kind == "full":
            if not self.world.memory.is_failing:
                self.world.fail(f"{culprit.key} found no room, though no disk is full")
        elif error.type_name != "ValueError" or culprit.kind not in {"raise", "once"}:
            self.world.fail(f"{wish.key} erred without a reason: {error.type_name} {error.text}")

    def _judge_loss(self, culprit: Plan, error: ErrorInfo) -> None:
        """Data is lost when it was let go or hurt; what is not run twice, by a fault, and nobody says that it began if not."""
        world = self.world
        if not culprit.options.once:
            if culprit.kind != "put" or culprit.key not in self.let_go | world.store.hurt_keys:
                world.fail(f"{culprit.key} is said to be lost")
            return
        if not world.once.begun[culprit.key] and "may have begun" not in error.text:
            world.fail(f"{culprit.key} never began: {error.text}")
        is_forgiven = culprit.key in self.let_go | world.store.hurt_keys or world.nesting.is_used or self.is_missed
        if world.swarm.faults <= HARMLESS and not is_forgiven and not self.deaths:
            world.fail(f"{culprit.key} is lost, and nothing went wrong: {error.text}")

    def _judge_conviction(self, error: ErrorInfo) -> None:
        certificates = error.certificates
        limit = self.world.swarm.settings.crash_limit
        if self._is_bereaved(error):
            return
        limit = 1 if self.world.plans[error.key].options.once else limit
        charged = [self.deaths[certificate.worker, certificate.pid][1] for certificate in certificates]
        is_alone = len(charged[-1]) == 1 and len(certificates) >= limit
        if not is_alone and len(certificates) != CHARGES_MAX:
            self.world.fail(f"{error.key} was convicted after {len(certificates)} deaths")
        if len({certificate.pid for certificate in certificates}) != len(certificates):
            self.world.fail(f"{error.key} was convicted of one death twice")
        for index, certificate in enumerate(certificates):
            cause, attempts, _all = self.deaths[certificate.worker, certificate.pid]
            if cause not in BLAMING_CAUSES or error.key not in {self.ran_key[attempt] for attempt in attempts}:
                self.world.fail(f"{error.key} was charged with the death of pid {certificate.pid}: {cause}")
            if index and len(attempts) > 1 and self.waited.isdisjoint(attempts):
                self.world.fail(f"{error.key}, a suspect, did not run alone in pid {certificate.pid}")

    def _is_bereaved(self, error: ErrorInfo) -> bool:
        """Whether at each of these deaths something that a task had submitted was to blame, and not itself, often enough.

        It waited there for that, or had left it behind and lost its result.
        """
        deaths = [self.deaths[certificate.worker, certificate.pid] for certificate in error.certificates]
        descends = self.world.nesting.descends
        return len({certificate.pid for certificate in error.certificates}) == CHARGES_MAX and all(
            cause in BLAMING_CAUSES
            and error.key not in {self.ran_key[attempt] for attempt in attempts}
            and any(descends(self.ran_key[attempt], error.key) for attempt in attempts)
            for cause, attempts, _there in deaths
        )


def _forced(effects: Effects) -> set[int]:
    return {
        message.attempt
        for messages in effects.sends.values()
        for message in messages
        if isinstance(message, StopAttempt) and message.force
    }
