"""The scheduler's tables, and the only place that changes them.

Rules: a task changes state through `State.move` and no other way, which keeps every index that depends on states
(counts, missing inputs, consumers, the queues). Who wants a task changes through `want` and `unwant`; what a worker has
been given, through `assign` and `detach`; what it holds, through `hold` and `drop_replica`. No rule about *when* is
here: the modules around it decide, this one keeps the books.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from jupyter_dist.core.scaling import Adaptation
from jupyter_dist.core.scheduler.aftermath import Aftermath
from jupyter_dist.core.scheduler.arcs import (
    ACTIVE,
    ARCS,
    ERRED,
    FORGOTTEN,
    MEMORY,
    PROCESSING,
    QUEUED,
    RELEASED,
    STATES,
    TaskState,
)
from jupyter_dist.core.scheduler.chronicle import Chronicle
from jupyter_dist.core.scheduler.code_table import CodeTable
from jupyter_dist.core.scheduler.coordination.tables import Coordination
from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.ledger import Ledger
from jupyter_dist.core.scheduler.moves import Copy, Moves
from jupyter_dist.core.scheduler.once_table import OnceTable
from jupyter_dist.core.scheduler.prints import Prints
from jupyter_dist.core.scheduler.queues import QueueEntry, Restriction, trim
from jupyter_dist.core.scheduler.records import (
    FunctionEntry,
    Member,
    Nanny,
    Orphan,
    PendingRestart,
    Session,
    Tally,
    Task,
)
from jupyter_dist.errors import TransitionError
from jupyter_dist.ids import first_attempt
from jupyter_dist.messages import FreeKeys, FunctionBody, Message, StopAttempt, TaskOptions
from jupyter_dist.settings import Settings

GUESS_S = 0.5  # how long a task of an unknown function is expected to take
TASK_COST_S = 20e-6  # what a worker spends on a task beside the user's code
LABELS_MAX = 1000  # names of functions that are kept although no task has them any more
IDLE_FUNCTIONS_MAX = 128  # functions kept although no task calls them just now
DEPTH_STEP = 1 << 48  # more than there are submissions
DEPTH_MAX = 1 << 14  # deeper ones are not told apart: a place is to be a number of 64 bits


class State:
    """All the scheduler knows."""

    _labels_max = LABELS_MAX  # when to look for names to forget

    def __init__(self, settings: Settings, epoch: int, cluster: str, now: float, wall_offset_s: float = 0.0) -> None:
        self.settings = settings
        self.epoch = epoch
        self.cluster = cluster
        self.wall_offset_s = wall_offset_s  # what makes a `now` seconds since 1970, for people
        self.started_s = now
        self.effects = Effects()
        self.versions: Mapping[str, str] = {}  # of what this process is made of, for people
        self.code = CodeTable(settings.code_total_bytes_max, epoch)

        self.tasks: dict[str, Task] = {}
        self.members: dict[int, Member] = {}
        self.sessions: dict[str, Session] = {}
        self.keepers: dict[str, Session] = {}  # by the session's id: want for it what runs to its end in any case
        self.nannies: dict[int, Nanny] = {}
        self.session_of: dict[int, Session] = {}  # by incarnation, while connected
        self.member_at: dict[str, Member] = {}  # by address
        self.fenced: set[tuple[str, int]] = set()  # name and pid of workers that were replaced and may not come back
        self.restarts: list[PendingRestart] = []
        self.moves = Moves(first_attempt(epoch))
        self.coordination = Coordination()  # what clients share by name; changed by the modules of that name
        self.adaptation: Adaptation | None = None  # how it scales itself
        self.retract_at_s: float | None = None  # when to look again for tasks in hand that others could begin
        self.detached = False  # stop when idle for long
        self.idle_since_s = now

        self.functions: dict[str, FunctionEntry] = {}
        self.idle_functions: OrderedDict[str, None] = OrderedDict()  # oldest first
        self.labels: dict[str, Tally] = {}
        self.counts: dict[TaskState, int] = dict.fromkeys(STATES, 0)
        self.finished = self.erred = 0
        self.inline_bytes = 0
        self.inline_on = True
        self.freed: list[str] = []  # objects in the store that nobody needs and no nanny was told of yet

        self.queue: list[QueueEntry] = []  # heap; an entry whose task is not queued any more is dead
        self.restricted: dict[Restriction, list[QueueEntry]] = {}  # the same, by which workers may run them
        self.reserved: dict[Member, None] = {}  # get no more in hand: a task waits for their resources and a slot
        self.suspects: dict[Task, Member | None] = {}  # queued, may have killed a worker; and who is set apart
        self.idle: OrderedDict[Member, None] = OrderedDict()  # workers with a free slot
        self.open: OrderedDict[Member, None] = OrderedDict()  # workers with all slots busy and room in hand
        self.laden: dict[Member, None] = {}  # workers with unstarted attempts in hand

        self.prints = Prints(settings.output_bytes_max, settings.output_total_bytes_max)
        self.ledger = Ledger()
        self.recover_until_s: float | None = None  # until when nothing is handed out: workers may still come back
        self.once = OnceTable()  # of tasks that are not run twice
        self.doubtful: dict[Task, None] = {}  # cannot be made, unless they bring it or what needs it
        self.aftermath = Aftermath()
        self.chronicle = Chronicle(settings, wall_offset_s)
        self.version = 0  # changes whenever a watcher could see something new
        self._last_attempt = first_attempt(epoch)
        self._last_order = self._last_serial = 0

    # -- numbers -----------------------------------------------------------------------------------------------------

    def next_attempt(self) -> int:
        """Return a fresh attempt number of this epoch."""
        self._last_attempt += 1
        return self._last_attempt

    def next_order(self, parent: Task | None = None) -> int:
        """Return the place of a new task in the order of submission; what a task submits comes before what others do."""
        self._last_order += 1
        if parent is None:
            return self._last_order
        return self._last_order + max(parent.order // DEPTH_STEP - 1, -DEPTH_MAX) * DEPTH_STEP

    def skip_orders(self, last: int) -> None:
        """Leave places in the order of submission to tasks of the scheduler before."""
        self._last_order = max(self._last_order, last)

    # -- saying ------------------------------------------------------------------------------------------------------

    def say(self, incarnation: int, message: Message) -> None:
        """Send a message to a peer, unless it is not connected."""
        if incarnation:
            self.effects.sends[incarnation].append(message)

    def wishes(self, task: Task) -> list[tuple[int, int]]:
        """Return who is to be told of a task: the incarnation of each connected client, and its wish."""
        return [(session.incarnation, session.wants[task]) for session in task.sessions if session.incarnation]

    # -- tasks -------------------------------------------------------------------------------------------------------

    def add_task(self, task: Task, dependencies: tuple[Task, ...], held: tuple[Task, ...] = ()) -> None:
        """Enter a new task, released, behind its dependencies."""
        self.tasks[task.key] = task
        self.counts[RELEASED] += 1
        task.tally = self._tally(task.label)
        task.tally.counts[RELEASED] += 1
        task.dependencies = task.needs = dependencies
        if held:
            task.held, task.needs = held, dependencies + held
            for kept in held:
                if kept.keepers is None:
                    kept.keepers = {}
                kept.keepers[task] = None
        for dependency in dependencies:
            if dependency.dependents is None:
                dependency.dependents = {}
            dependency.dependents[task] = None
            if dependency.state != MEMORY:
                task.missing += 1
        if task.function is not None:
            self._enlist_function(task.function)

    def move(self, task: Task, to: TaskState, now: float) -> None:
        """Change a task's state, and with it every index that depends on states.

        Raises
        ------
        TransitionError
            The table has no such arc. Nothing was changed.
        """
        was = task.state
        if (was, to) not in ARCS:
            raise TransitionError(f"task {task.key}: no way from {was} to {to}")
        for counts in (self.counts, task.tally.counts):
            counts[was] -= 1
            counts[to] += 1
        task.state = to
        task.since_s = now
        self.version += 1
        if task.needs and (was in ACTIVE) != (to in ACTIVE):
            step = 1 if to in ACTIVE else -1
            for needed in task.needs:
                needed.consumers += step
        if MEMORY in (was, to) or was == ERRED:
            self._move_value(task, was, to)
        if to == QUEUED:
            self._enqueue(task)
        elif was == QUEUED:
            if task in self.suspects:
                self._leave_suspects(task, to)
            trim(self.queue_of(task.options), self.counts[QUEUED])
        if to == FORGOTTEN:
            self._remove(task)

    def _move_value(self, task: Task, was: TaskState, to: TaskState) -> None:
        """Note that a task's value, or its error, came or went."""
        if was == ERRED:
            self.ledger.leave_error(task)
            return
        for dependent in task.dependents or ():
            dependent.missing += -1 if to == MEMORY else 1
        if was == MEMORY:
            self.ledger.leave_memory(task)
            if task in self.moves.of_task:
                self.stop_copies(self.moves.of_task[task].values())
        elif task.function is not None:
            self.ledger.results.append(task)

    def _enqueue(self, task: Task) -> None:
        if task.certificates:
            self.suspects[task] = None  # nobody is set apart for it yet
            return
        self._last_serial += 1
        entry = (-task.options.priority, task.order, self._last_serial, task)
        heapq.heappush(self.queue_of(task.options), entry)

    def queue_of(self, options: TaskOptions) -> list[QueueEntry]:
        """Return the queue that tasks with these options are in."""
        if not options.workers and not options.resources and not options.once:
            return self.queue
        restriction = (options.workers, options.loose, options.resources, options.once)
        return self.restricted.setdefault(restriction, [])

    def _leave_suspects(self, task: Task, to: TaskState) -> None:
        if to != PROCESSING:
            self.set_apart(task, None)
        del self.suspects[task]

    def set_apart(self, task: Task, member: Member | None) -> None:
        """Keep a worker for one queued suspect, instead of the one kept before."""
        before = self.suspects[task]
        if before is not None and before is not member:
            before.solo = None
            self.refresh(before)
        self.suspects[task] = member
        if member is not None:
            member.solo = task
            self.refresh(member)

    def _remove(self, task: Task) -> None:
        del self.tasks[task.key]
        self.prints.drop(task.key)
        self.ledger.forget(task)
        self.counts[FORGOTTEN] = 0
        task.tally.counts[FORGOTTEN] = 0
        for dependency in task.dependencies:
            (dependency.dependents or {}).pop(task, None)
        for kept in task.held:
            (kept.keepers or {}).pop(task, None)
        if task.function is not None:
            self._delist_function(task.function.id)

    def forget_all(self) -> None:
        """Empty every table about tasks. Workers must hold and process nothing by now."""
        for session in self.sessions.values():
            session.wants.clear()
            session.names.clear()
            self.ledger.names(session)
        self.coordination.forget_all()
        self.keepers.clear()
        for task in self.tasks.values():
            self.drop_stored(task)
        self.ledger.forget_all(self.tasks)
        for function_id in self.functions:
            self.ledger.drop_function(function_id)
        self.tasks.clear()
        self.prints.clear()
        self.functions.clear()
        self.idle_functions.clear()
        self.labels.clear()
        self.counts = dict.fromkeys(STATES, 0)
        self.queue.clear()
        self.restricted.clear()
        self.suspects.clear()
        self.once.in_doubt.clear()
        self.doubtful.clear()
        self.chronicle.errors.clear()
        self.inline_bytes = 0
        self.version += 1

    def _tally(self, label: str) -> Tally:
        tally = self.labels.get(label)
        if tally is None:
            if len(self.labels) >= self._labels_max:
                self._trim_labels()
            tally = self.labels[label] = Tally()
        return tally

    def _trim_labels(self) -> None:
        """Forget the older half of the names that no task has; look again when there are as many more."""
        idle = [name for name, entry in self.labels.items() if not any(entry.counts.values())]
        for name in idle[: len(idle) // 2 + 1]:
            del self.labels[name]
        self._labels_max = max(LABELS_MAX, 2 * len(self.labels))

    def set_value(self, task: Task, value: bytes | None, nbytes: int, type_name: str) -> None:
        """Give a task its value, or what is known of a value that a worker holds."""
        self.inline_bytes += len(value or b"") - len(task.value or b"")
        task.value = value
        task.nbytes = nbytes
        task.type_name = type_name

    def drop_stored(self, task: Task) -> None:
        """Let go of a task's value in the object store, if it has one."""
        if task.stored:
            self.freed.append(task.stored)
            task.stored = ""

    def count_finished(self, task: Task, seconds: float) -> None:
        """Learn from one finished attempt how long its function takes."""
        self.finished += 1
        task.tally.finished += 1
        task.tally.seconds += seconds
        entry = self.functions[task.function_id]
        entry.mean_s = seconds if not entry.mean_s else 0.7 * entry.mean_s + 0.3 * seconds
        entry.mean_s = max(entry.mean_s, TASK_COST_S)

    def expected_s(self, task: Task) -> float:
        """Return how long a task will probably run."""
        if task.function is None:
            return 0.0
        return self.functions[task.function.id].mean_s or GUESS_S

    # -- functions ---------------------------------------------------------------------------------------------------

    def intern_function(self, body: FunctionBody) -> FunctionBody:
        """Return the one record of a function, so that a thousand tasks share it."""
        entry = self.functions.get(body.id)
        return entry.body if entry else body

    def _enlist_function(self, body: FunctionBody) -> None:
        entry = self.functions.get(body.id)
        if entry is None:
            entry = self.functions[body.id] = FunctionEntry(body)
            self.ledger.function(body)
        entry.tasks += 1
        self.idle_functions.pop(body.id, None)

    def _delist_function(self, function_id: str) -> None:
        entry = self.functions[function_id]
        entry.tasks -= 1
        if not entry.tasks:
            self.idle_functions[function_id] = None

    def overdue_functions(self) -> tuple[str, ...]:
        """Take out the functions that were called last longest ago, past the limit of those kept without a task."""
        dropped = []
        while len(self.idle_functions) > IDLE_FUNCTIONS_MAX:
            function_id, _ = self.idle_functions.popitem(last=False)
            del self.functions[function_id]
            self.ledger.drop_function(function_id)
            dropped.append(function_id)
        return tuple(dropped)

    # -- sessions ----------------------------------------------------------------------------------------------------

    def want(self, session: Session, task: Task, wish: int) -> None:
        """Note that a client wants a task's value, and by which number it wishes to hear of it."""
        if task not in session.wants:
            task.sessions = (*task.sessions, session) if task.sessions else session.alone
        session.wants[task] = wish

    def unwant(self, session: Session, task: Task) -> None:
        """Note that a client does not want it any more."""
        if session.wants.pop(task, None) is not None:
            if session.names.drop(task.key):
                self.ledger.names(session)
            if task.sessions == session.alone:
                task.sessions = ()
            else:
                task.sessions = tuple(other for other in task.sessions if other is not session)

    # -- members -----------------------------------------------------------------------------------------------------

    def add_member(self, member: Member) -> None:
        """Enter a worker."""
        self.members[member.incarnation] = member
        self.member_at[member.address] = member
        self.version += 1
        self.refresh(member)

    def remove_member(self, member: Member) -> None:
        """Take a worker out of every table. It must hold nothing and process nothing by now."""
        self.stop_copies(self.moves.with_member(member))
        self.freed.extend(self.moves.forget_unsure(member))
        del self.members[member.incarnation]
        if self.member_at.get(member.address) is member:
            del self.member_at[member.address]
        for task, apart in self.suspects.items():
            if apart is member:
                self.suspects[task] = None
        self.idle.pop(member, None)
        self.open.pop(member, None)
        self.laden.pop(member, None)
        self.reserved.pop(member, None)
        self.version += 1

    def reserve(self, members: dict[Member, None]) -> None:
        """Give these workers no more in hand, and again those that were reserved before."""
        before, self.reserved = self.reserved, members
        for member in (*before, *members):
            self.refresh(member)

    def assign(self, task: Task, member: Member, now: float, attempt: int = 0) -> int:
        """Give a task to a worker, or take note that it has it, and return the number of the attempt."""
        attempt = attempt or self.next_attempt()
        self.move(task, PROCESSING, now)
        task.attempt = attempt
        task.attempts += 1
        task.member = member
        task.expected_s = self.expected_s(task)
        member.processing[attempt] = task
        if task.options.resources:
            member.holding[attempt] = task.options.resources
        member.occupancy_s += task.expected_s
        self.refresh(member)
        return attempt

    def detach(self, task: Task, *, zombie: bool = False) -> None:
        """End a task's current attempt; as a zombie it occupies its slot until the worker answers."""
        member = task.member
        if member is None:
            return
        attempt = task.attempt
        if self.once.unsent and self.once.take(attempt) is not None:
            zombie = False  # the worker has never heard of it
        if attempt in member.waiting:
            del member.waiting[attempt]
            if zombie:
                member.waiting[attempt] = None
        else:
            del member.processing[attempt]
            member.withdrawing.discard(attempt)
            member.occupancy_s = member.occupancy_s - task.expected_s if member.processing else 0.0
            if zombie:
                member.zombies.add(attempt)
        if not zombie:
            member.holding.pop(attempt, None)
        if member.solo is task and not zombie:
            member.solo = None
        task.member = None
        task.attempt = 0
        self.refresh(member)

    def give_up(self, task: Task, now: float, *, force: bool = False) -> None:
        """Have a task's attempt be nobody's any more; its worker gives it back or lets it end, by force at once."""
        member, attempt = task.member, task.attempt
        if member is None:
            return
        if task.parent:
            member.orphans[attempt] = Orphan(task.parent, task.label, task.key)
        self.detach(task, zombie=True)
        self.say(member.incarnation, StopAttempt(attempt, force))
        timeout_s = 0.0 if force else task.options.timeout_s
        if force or timeout_s:
            member.ends_by_s[attempt] = now + timeout_s + self.settings.stop_grace_s

    def bury_zombie(self, member: Member, attempt: int) -> bool:
        """Free the slot of an attempt nobody wanted. Return whether it had one."""
        had_slot = attempt in member.zombies
        member.zombies.discard(attempt)
        member.orphans.pop(attempt, None)
        member.waiting.pop(attempt, None)
        member.holding.pop(attempt, None)
        self.refresh(member)
        return had_slot

    def refresh(self, member: Member) -> None:
        """Note whether a worker has a free slot, or room in hand, after anything about it changed."""
        load, slots = member.load, member.slots
        if member.solo is not None and not load and member.solo not in self.suspects:
            member.solo = None  # whoever it was kept for has left it
        if load > slots:
            self.laden[member] = None
        else:
            self.laden.pop(member, None)
        if member.state != "running" or member.is_paused or member.solo is not None:
            self.idle.pop(member, None)
            self.open.pop(member, None)
        elif load < slots:
            self.idle[member] = None
            self.open.pop(member, None)
        else:
            self.idle.pop(member, None)
            settings = self.settings
            short = member.occupancy_s < slots * settings.hand_s and load < slots * settings.hand_max
            if (load <= slots or short) and member not in self.reserved and not member.unsent:
                self.open[member] = None
            else:
                self.open.pop(member, None)

    def hold(self, task: Task, member: Member) -> None:
        """Note that a worker holds a task's value."""
        if task not in member.held:
            member.held[task] = None
            member.held_bytes += task.nbytes
            task.holders = (*task.holders, member)

    def drop_replica(self, task: Task, member: Member) -> None:
        """Note that a worker does not hold it any more."""
        del member.held[task]
        member.held_bytes -= task.nbytes
        task.holders = tuple(other for other in task.holders if other is not member)

    def stop_copies(self, copies: Iterable[Copy]) -> None:
        """Give up copies that are being made."""
        for copy in tuple(copies):
            self.moves.end(copy)
            if copy.target is None:
                self.moves.unsure[copy.number] = copy
            else:
                self.say(copy.target.incarnation, FreeKeys((copy.task.key,)))

    # -- events ------------------------------------------------------------------------------------------------------

    def record(self, kind: str, now: float, detail: str = "", worker: str = "") -> None:
        """Note an event that is about a worker or the cluster."""
        self.version += 1
        self.chronicle.add(kind, now, worker=worker, detail=detail)

    def record_task(self, kind: str, now: float, task: Task, worker: str = "", detail: str = "") -> None:
        """Note an event of a task that has no run to show."""
        self.chronicle.add_task(kind, now, task, worker, detail)

    def record_run(self, kind: str, now: float, task: Task, worker: str, run: tuple[int, float, float]) -> None:
        """Note that an attempt came to an end; ``run`` is its slot, start and stop."""
        self.chronicle.add_run(kind, now, task, worker, run)
