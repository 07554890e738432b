"""The records of the scheduler: a task, a member (worker), a session (client), a nanny; and small ones of these.

Plain data with slots. They refer to each other, so they live together. They decide nothing; the fields that mirror
another table are changed by `state.State` alone. A task's record holds how its result is made (its lineage) for as
long as the result, or that of a dependent, may be needed.
"""

from __future__ import annotations

from collections.abc import KeysView, Sequence
from typing import NamedTuple

from jupyter_dist.core.resources import Amounts, is_within
from jupyter_dist.core.scheduler.arcs import RELEASED, STATES, TaskState
from jupyter_dist.messages import DeathCertificate, ErrorInfo, FunctionBody, Spent, TaskOptions


class Group:
    """Tasks whose records share one place in the journal; see `ledger`."""

    __slots__ = ("gone", "key", "kind", "live", "nbytes", "orders", "session", "share")

    def __init__(self, kind: int, key: str, live: int, nbytes: int, share: int) -> None:
        self.kind = kind
        self.key = key
        self.live = live  # how many of them still need it
        self.nbytes = nbytes  # of their bytes there, about
        self.share = share  # of one of them
        self.session = ""  # of a submission: the client it is of
        self.orders: Sequence[int] = ()  # of a submission: the places of its tasks in the order of all, ascending
        self.gone: bytearray | None = None  # of a submission: a bit for each of these that is gone, None while none is


class Tally:
    """What all tasks of one label did since the start."""

    __slots__ = ("counts", "finished", "seconds")

    def __init__(self) -> None:
        self.counts: dict[TaskState, int] = dict.fromkeys(STATES, 0)
        self.finished = 0
        self.seconds = 0.0


NO_TALLY = Tally()  # of tasks that are in no table


class Task:
    """One task. Only `state.State` changes ``state`` and the fields that mirror other tables."""

    __slots__ = (
        "arguments",
        "attempt",
        "attempts",
        "batch",
        "certificates",
        "consumers",
        "dependencies",
        "dependents",
        "erred_by",
        "error",
        "expected_s",
        "function",
        "held",
        "holders",
        "keepers",
        "key",
        "losses",
        "made_by",
        "member",
        "missing",
        "nbytes",
        "needs",
        "options",
        "order",
        "parent",
        "retries_left",
        "sessions",
        "since_s",
        "speakers",
        "speaks_of",
        "spent",
        "state",
        "stored",
        "submission",
        "tally",
        "type_name",
        "value",
    )

    def __init__(self, key: str, function: FunctionBody | None, options: TaskOptions, order: int) -> None:
        self.key = key
        self.function = function  # None: scattered data, which no one can make again
        self.options = options
        self.order = order  # submissions are numbered: earlier ones run first, see `State.next_order`
        self.arguments = b""
        self.state: TaskState = RELEASED
        self.since_s = 0.0
        self.dependencies: tuple[Task, ...] = ()  # what it waits for
        self.held: tuple[Task, ...] = ()  # what its code may ask for: not waited for, and not let go while it is needed
        self.needs: tuple[Task, ...] = ()  # both
        self.dependents: dict[Task, None] | None = None  # None until there is one: most tasks have none
        self.keepers: dict[Task, None] | None = None  # tasks that hold it, as ``dependents``
        self.missing = 0  # dependencies that are not in memory; changed by state.move alone
        self.speaks_of: tuple[Task, ...] = ()  # what the futures in its value stand for; see `speaking`
        self.speakers: dict[Task, None] | None = None  # tasks that speak of it, as ``dependents``
        self.consumers = 0  # dependents and keepers that are active, and speakers; changed by state.move and `speaking`
        self.sessions: tuple[Session, ...] = ()  # who wants the value; a tuple is shared by all tasks of one client
        self.attempt = 0  # the current attempt, 0 for none
        self.attempts = 0  # how often it was assigned
        self.member: Member | None = None
        self.expected_s = 0.0
        self.value: bytes | None = None  # the small value itself
        self.nbytes = 0
        self.type_name = ""
        self.stored = ""  # the name of the value in the host's object store
        self.holders: tuple[Member, ...] = ()  # who holds the value when it is neither small nor stored
        self.error: ErrorInfo | None = None
        self.retries_left = options.retries
        self.certificates: tuple[DeathCertificate, ...] = ()  # deaths this task may have caused
        self.parent = ""  # the key of the task that submitted it
        self.losses: tuple[DeathCertificate, ...] = ()  # deaths of its workers that what it submitted caused
        self.erred_by = 0  # the newest attempt that raised: what it says again, after a connection broke, is known
        self.made_by = 0  # the attempt whose value was taken, also when that is gone by now
        self.spent: Spent | None = None  # who was given it, when it is not run twice; see `once`
        self.tally = NO_TALLY  # of its label
        self.submission: Group | None = None  # where it stands in the journal
        self.batch: Group | None = None  # where its value does

    @property
    def label(self) -> str:
        """The name people know the task by."""
        return self.function.label if self.function else "scatter"

    @property
    def function_id(self) -> str:
        """The id of its function; empty for data."""
        return self.function.id if self.function else ""

    @property
    def is_needed(self) -> bool:
        """Whether somebody wants the value, a task on its way needs it, or another value speaks of it."""
        return bool(self.sessions) or self.consumers > 0

    @property
    def is_lineage(self) -> bool:
        """Whether a task on record is, or may be, made from it."""
        return bool(self.dependents) or bool(self.keepers)

    def __repr__(self) -> str:
        return f"<Task {self.key} {self.state}>"


class Orphan(NamedTuple):
    """An attempt that goes on although nobody wants its task any more."""

    parent: str  # the key of the task that submitted it
    label: str
    key: str


class Member:
    """A worker as the scheduler sees it, for one incarnation."""

    __slots__ = (
        "address",
        "asked",
        "busy_s",
        "cpu_percent",
        "ends_by_s",
        "functions",
        "heard_s",
        "held",
        "held_bytes",
        "holding",
        "host",
        "incarnation",
        "is_paused",
        "joined_s",
        "memory_bytes",
        "memory_bytes_max",
        "modules",
        "name",
        "nanny",
        "occupancy_s",
        "orphans",
        "overran",
        "pid",
        "processing",
        "received",
        "resolve_by_s",
        "resources",
        "running",
        "slots",
        "solo",
        "spilled_bytes",
        "state",
        "trouble",
        "unsent",
        "waiting",
        "withdrawing",
        "zombies",
    )

    def __init__(self, incarnation: int, name: str, host: str, pid: int, address: str, slots: int) -> None:
        self.incarnation = incarnation
        self.name = name
        self.host = host
        self.pid = pid
        self.address = address
        self.slots = slots
        self.nanny = ""
        self.state = "running"  # running | retiring | dying (its connection is gone, its certificate awaited)
        self.joined_s = 0.0
        self.heard_s = 0.0
        self.busy_s = 0.0  # when it was last seen silent but at work
        self.processing: dict[int, Task] = {}  # attempt -> task
        self.received = 0  # messages
        self.resources: dict[str, float] = {}  # what it declared
        self.holding: dict[
            int, Amounts
        ] = {}  # attempt -> what it takes of them, also as a zombie; none: it came back ended
        self.zombies: set[int] = set()  # attempts nobody wants that still occupy a slot
        self.orphans: dict[int, Orphan] = {}  # those of these, waiting or not, that tasks submitted
        self.waiting: dict[int, Task | None] = {}  # attempts that gave their slot back for a while; None: a zombie
        self.withdrawing: set[int] = set()  # attempts it was asked to give back
        self.asked = 0  # how many of these it has not answered for
        self.ends_by_s: dict[int, float] = {}  # attempts that shall end, and when they are overdue
        self.overran = 0  # the attempt for which its nanny was asked to end it
        self.unsent = 0  # how many attempts it was not told of yet
        self.occupancy_s = 0.0  # expected seconds of work assigned
        self.held: dict[Task, None] = {}
        self.functions: set[str] = set()
        self.solo: Task | None = None  # a suspect that has, or will have, this worker to itself
        self.running: tuple[tuple[int, int, float], ...] = ()  # as last told: attempt, slot, start
        self.memory_bytes = 0
        self.memory_bytes_max = 0
        self.cpu_percent = 0.0
        self.held_bytes = 0
        self.spilled_bytes = 0
        self.is_paused = False  # for want of memory: it is given nothing until it says that it may be again
        self.trouble = ""  # what is wrong with its memory or its disk, in words
        self.resolve_by_s = 0.0
        self.modules: tuple[tuple[str, str], ...] = ()  # the user's code it has: name and version, as last told

    @property
    def load(self) -> int:
        """How many attempts it has been given and not answered that have, or will need, a slot."""
        return len(self.processing) + len(self.zombies)

    @property
    def is_at_work(self) -> bool:
        """Whether it has an attempt that somebody wants."""
        return bool(self.processing) or any(task is not None for task in self.waiting.values())

    def current(self) -> dict[int, Task]:
        """Return all attempts it has been given that somebody wants, those that wait for something too."""
        if not self.waiting:
            return dict(self.processing)
        return {**{attempt: task for attempt, task in self.waiting.items() if task is not None}, **self.processing}

    def fits(self, names: tuple[str, ...]) -> bool:
        """Whether one of these is its name, host or address."""
        return self.name in names or self.host in names or self.address in names

    def free(self) -> dict[str, float]:
        """Return what no attempt has of the resources it declared."""
        left = dict(self.resources)
        for amounts in self.holding.values():
            for name, amount in amounts:
                left[name] = left.get(name, 0.0) - amount
        return left

    def affords(self, needed: Amounts) -> bool:
        """Whether it has these resources free now."""
        return is_within(needed, self.free(), self.resources)

    def declares(self, needed: Amounts) -> bool:
        """Whether it would have them, if nothing else ran there."""
        return is_within(needed, self.resources, self.resources)

    def __repr__(self) -> str:
        return f"<Member {self.name} {self.state}>"


class Names:
    """What one session calls the keys it wants: a name stands for one key, a key may have several names."""

    __slots__ = ("_keys", "_names")

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}  # name -> key
        self._names: dict[str, dict[str, None]] = {}  # key -> its names, oldest first

    def give(self, name: str, key: str) -> None:
        """Let a name stand for a key, and no longer for another."""
        before = self._keys.get(name)
        if before is not None:
            self._names[before].pop(name)
            if not self._names[before]:
                del self._names[before]
        self._keys[name] = key
        self._names.setdefault(key, {})[name] = None

    def drop(self, key: str) -> bool:
        """Forget the names of a key; return whether there were any."""
        names = self._names.pop(key, {})
        for name in names:
            del self._keys[name]
        return bool(names)

    def clear(self) -> None:
        """Forget all names."""
        self._keys.clear()
        self._names.clear()

    def of(self, key: str) -> tuple[str, ...]:
        """Return the names of a key, oldest first."""
        return tuple(self._names.get(key, ()))

    def keys(self) -> KeysView[str]:
        """Return the keys that have names."""
        return self._names.keys()

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return all names with their keys."""
        return tuple(self._keys.items())

    def __contains__(self, name: str) -> bool:
        return name in self._keys


TASKS = "task"  # the kind of a session of a worker's tasks


class Session:
    """A client as the scheduler sees it. It outlives its connection for ``linger_s``."""

    __slots__ = (
        "alone",
        "expires_s",
        "heard_s",
        "id",
        "incarnation",
        "is_awaited",
        "kind",
        "linger_s",
        "missed",
        "name",
        "names",
        "pid",
        "received",
        "restarted",
        "wants",
        "watch",
    )

    def __init__(self, session_id: str, kind: str, name: str, linger_s: float, pid: int) -> None:
        self.id = session_id
        self.kind = kind
        self.name = name
        self.linger_s = linger_s
        self.pid = pid
        self.incarnation = 0  # 0: not connected
        self.expires_s = 0.0
        self.heard_s = 0.0
        self.is_awaited = False  # it may still say again what a scheduler before this one did not write down
        self.missed = ""  # why its tasks were forgotten, should it not have heard of it
        self.received = 0  # messages, over all its connections
        self.restarted = 0  # its newest request for a restart that was granted
        self.wants: dict[Task, int] = {}  # -> the number of the wish
        self.names = Names()  # of keys it wants
        self.alone: tuple[Session, ...] = (self,)
        self.watch: Watcher | None = None

    @property
    def is_lost(self) -> bool:
        """Whether its client is gone without a word, and is not expected back."""
        return not self.incarnation and not self.is_awaited


class Watcher:
    """What one session was told of the cluster, and when it may be told again."""

    __slots__ = ("due_s", "interval_s", "number", "version")

    def __init__(self, interval_s: float, number: int, due_s: float) -> None:
        self.interval_s = interval_s
        self.number = number  # the newest event it was sent
        self.due_s = due_s
        self.version = -1


class Nanny:
    """The keeper of one host's processes, as the scheduler sees it."""

    __slots__ = (
        "deaths",
        "ending",
        "heard_s",
        "host",
        "incarnation",
        "last_death",
        "name",
        "pid",
        "pulses",
        "strays",
        "unanswered",
        "wanted",
    )

    def __init__(self, incarnation: int, name: str, host: str, pid: int, wanted: int) -> None:
        self.incarnation = incarnation
        self.name = name
        self.host = host
        self.pid = pid
        self.wanted = wanted  # how many workers it keeps, when it has heard all it was told
        self.unanswered = 0  # times it was told and has not said how many that makes
        self.heard_s = 0.0
        self.pulses: dict[str, tuple[int, str, float]] = {}  # worker -> pid, state, CPU percent
        self.strays: dict[str, float] = {}  # workers that are stopped and not connected, and since when
        self.ending: dict[str, int] = {}  # workers it was told to end for good, and their pids, until they are gone
        self.deaths: dict[str, int] = {}
        self.last_death: dict[str, str] = {}


class FunctionEntry:
    """A function that tasks call: its body, who has it, and how long its tasks took."""

    __slots__ = ("body", "mean_s", "tasks")

    def __init__(self, body: FunctionBody) -> None:
        self.body = body
        self.tasks = 0
        self.mean_s = 0.0  # 0: never finished


class PendingRestart:
    """A client that waits for the fresh workers of a restart."""

    __slots__ = ("incarnation", "request", "session", "until_s")

    def __init__(self, session: Session, request: int, until_s: float) -> None:
        self.session = session
        self.incarnation = session.incarnation  # of the connection it was asked on: the answer is for that alone
        self.request = request
        self.until_s = until_s
