"""Copies of results that are being made, the jobs that want them, and the workers that leave: the tables of `moving`.

A copy is of a task in memory. One worker makes it: the target, which fetches it from who holds it, or, when there is no
target, the source itself, which writes it to the host's object store. A copy ends when its maker answers under its
number, and is given up when its task leaves memory or a worker of it goes (`State.stop_copies`): what is answered then
is not heard. When it ends, each job that wanted it looks at its task again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

from jupyter_dist.core.scheduler.records import Member, Session, Task
from jupyter_dist.ids import copy_name
from jupyter_dist.messages import Message


class Job:
    """Something for which copies are made, task by task: `moving` says how each kind looks at a task.

    Attributes
    ----------
    todo
        Tasks to be looked at.
    flying
        How many copies it waits for.
    tries
        How often a copy of a task failed, in all and, with a worker, to that worker.
    failed
        Tasks that could not be copied, and why, for a person.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.todo = deque(tasks)
        self.flying = 0
        self.tries: Counter[Task | tuple[Task, Member | None]] = Counter()
        self.failed: dict[Task, str] = {}
        self.last_reason: dict[Task, str] = {}

    def blame(self, copy: Copy, reason: str) -> None:
        """Note that a copy failed."""
        where = f"to {copy.target.name}" if copy.target is not None else "into the host's object store"
        self.tries[copy.task] += 1
        self.tries[copy.task, copy.target] += 1
        self.last_reason[copy.task] = f"copying it {where} failed: {reason}"


class Replication(Job):
    """A client that wants results held by so many workers of a group."""

    def __init__(
        self,
        session: Session,
        request: int,
        tasks: tuple[Task, ...],
        group: tuple[str, ...],
        count: int,
        branching: int,
    ) -> None:
        super().__init__(tasks)
        self.session = session
        self.request = request
        self.tasks = tasks
        self.among = frozenset(tasks)
        self.group = group  # names of workers; none: all there are
        self.count = count  # 0: all of the group
        self.branching = branching


class Rebalance(Job):
    """A client that wants results spread evenly over a group of workers."""

    def __init__(self, session: Session, request: int, tasks: tuple[Task, ...] | None, group: tuple[str, ...]) -> None:
        super().__init__(())
        self.session = session
        self.request = request
        self.tasks = tasks  # None: all there are
        self.group = group
        self.plan: dict[Task, tuple[Member, Member]] = {}  # from, to
        self.rounds = 0
        self.is_stale = True  # a worker of the plan has gone, or there is no plan yet


class Retirement(Job):
    """A worker that leaves. ``ends``: its process is ended; ``replaced``: and another one started.

    ``refusal`` says in words why it stays.
    """

    def __init__(self, member: Member, reason: str, *, ends: bool, replaced: bool, for_scale: bool) -> None:
        super().__init__(())
        self.member = member
        self.reason = reason
        self.ends = ends
        self.replaced = replaced
        self.for_scale = for_scale
        self.seen = -1  # results it held when these were last looked at
        self.saved = 0  # the batch of the journal that says where its results are
        self.is_out = False
        self.refusal = ""


class RetireRequest:
    """A client that waits until workers are out; with ``until_gone`` until their processes are."""

    def __init__(self, session: Session, request: int, retirements: list[Retirement], *, until_gone: bool) -> None:
        self.session = session
        self.request = request
        self.retirements = retirements
        self.until_gone = until_gone


class FreshRequest:
    """A client that waits for the successors of workers that were replaced."""

    def __init__(self, session: Session, request: int, names: frozenset[str], until_s: float) -> None:
        self.session = session
        self.request = request
        self.names = names
        self.until_s = until_s
        self.asked_s = 0.0
        self.old: frozenset[int] = frozenset()  # their incarnations


class Copy:
    """One copy that is being made."""

    __slots__ = ("due_s", "jobs", "nbytes", "number", "source", "target", "task")

    def __init__(self, number: int, task: Task, source: Member, target: Member | None, due_s: float) -> None:
        self.number = number
        self.task = task
        self.source = source
        self.target = target  # None: the host's object store
        self.nbytes = task.nbytes
        self.due_s = due_s
        self.jobs: list[Job] = []

    @property
    def maker(self) -> Member:
        """Who makes it and answers for it."""
        return self.source if self.target is None else self.target

    @property
    def name(self) -> str:
        """Its name in the object store, which nothing else ever has."""
        return copy_name(self.number)

    def __repr__(self) -> str:
        where = "the store" if self.target is None else self.target.name
        return f"<Copy {self.number} of {self.task.key} from {self.source.name} to {where}>"


class Moves:
    """The tables. Copies begin and end here alone.

    Nothing of them is written down: a scheduler that follows another knows of no copy, no job and no worker that
    leaves. What clients and workers want of it they say again.
    """

    def __init__(self, first_number: int) -> None:
        self.first_name = copy_name(first_number)  # no copy of this scheduler has a lower one
        self.asked: list[tuple[Callable[..., None], Session, Message]] = []  # while it is not known who is there
        self.copies: dict[int, Copy] = {}
        self.of_task: dict[Task, dict[Member | None, Copy]] = {}  # by target
        self.making: Counter[Member] = Counter()  # copies each worker makes
        self.coming_bytes: Counter[Member] = Counter()
        self.unsure: dict[int, Copy] = {}  # given up while they were written to the store: they may be there yet
        self.jobs: list[Replication | Rebalance] = []
        self.leaving: dict[Member, Retirement] = {}
        self.retire_requests: list[RetireRequest] = []
        self.fresh_requests: list[FreshRequest] = []
        self._last_number = first_number

    @property
    def is_active(self) -> bool:
        """Whether anybody waits for anything here."""
        return bool(self.jobs or self.leaving or self.retire_requests or self.fresh_requests)

    def begin(self, task: Task, source: Member, target: Member | None, due_s: float) -> Copy:
        """Enter a copy that is about to be made."""
        self._last_number += 1
        copy = self.copies[self._last_number] = Copy(self._last_number, task, source, target, due_s)
        self.of_task.setdefault(task, {})[target] = copy
        self.making[copy.maker] += 1
        if target is not None:
            self.coming_bytes[target] += copy.nbytes
        return copy

    def join(self, job: Job, copy: Copy) -> None:
        """Have a job wait for a copy."""
        if job not in copy.jobs:
            copy.jobs.append(job)
            job.flying += 1

    def end(self, copy: Copy) -> None:
        """Take a copy out, made or not; the jobs that waited for it look at its task again."""
        del self.copies[copy.number]
        copies = self.of_task[copy.task]
        del copies[copy.target]
        if not copies:
            del self.of_task[copy.task]
        _lower(self.making, copy.maker, 1)
        if copy.target is not None:
            _lower(self.coming_bytes, copy.target, copy.nbytes)
        for job in copy.jobs:
            job.flying -= 1
            job.todo.append(copy.task)

    def with_member(self, member: Member) -> list[Copy]:
        """Return the copies that a worker makes or gives."""
        return [copy for copy in self.copies.values() if member in (copy.source, copy.target)]

    def forget_unsure(self, member: Member) -> list[str]:
        """Return the names of what a worker that is gone may have written to the store for nobody."""
        gone = [number for number, copy in self.unsure.items() if copy.source is member]
        return [self.unsure.pop(number).name for number in gone]

    def count_from(self, task: Task, source: Member) -> int:
        """Return how many copies of a task are being made from one holder."""
        return sum(copy.source is source for copy in self.of_task.get(task, {}).values())


def _lower(counter: Counter[Member], member: Member, step: int) -> None:
    counter[member] -= step
    if not counter[member]:
        del counter[member]
