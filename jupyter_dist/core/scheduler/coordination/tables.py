"""The books of coordination: who waits where, who holds what, which values are kept.

Plain data, and the doors that keep an index in step with what it indexes, and note what is to be written down of it
(`Changed`). Nothing here decides, and nothing here knows of `State`, to which these books belong.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from math import inf

from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.messages import Coordinated, Parcel

Place = tuple[str, str]  # what kind of thing it is, and its name


class Kept:
    """A value that is kept, whatever session brought it, with the tasks whose results it speaks of."""

    __slots__ = ("is_written", "number", "parcel", "queue", "references", "tasks", "written_in")

    def __init__(self, number: int, parcel: Parcel, tasks: tuple[Task, ...]) -> None:
        self.number = number  # its place in the order of all, so of a queue too
        self.parcel = parcel
        self.tasks = tasks
        self.references = 1  # in how many places it is
        self.queue = ""  # the name of the queue it is in, also while it is set aside for one who waits for several
        self.is_written = False
        self.written_in = ""  # the queue it is in by the journal


class Turn:
    """One request that is not over: it waits in a line, or holds what it was answered with."""

    __slots__ = ("home", "is_written", "kept", "line", "place", "request", "session", "size")

    def __init__(self, session: Session, request: int, home: Home, size: int) -> None:
        self.session = session
        self.request = request
        self.home = home
        self.line: Line | None = None  # None: it has been answered
        self.kept: list[Kept] = []  # what it brings, or was given
        self.size = size  # how many values it waits for, may be in the queue when it puts one, or leases there are
        self.place = 0  # in the order of all who ever stood in a line
        self.is_written = False

    @property
    def is_answered(self) -> bool:
        """Whether it waits no more, and holds what it was given."""
        return self.line is None

    def __repr__(self) -> str:
        return f"<Turn {self.request} of {self.session.id} at {self.home.place}>"


Line = OrderedDict[Turn, None]


class Home:
    """One thing with a name."""

    __slots__ = ("holders", "line", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.line: Line = OrderedDict()  # who waits to be given something
        self.holders: dict[Turn, None] = {}  # who was given something that can still be taken back

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left of it but its name."""
        return not self.line and not self.holders


class Leases(Home):
    """A lock or a semaphore; its holders have a lease each."""

    __slots__ = ("limit",)

    def __init__(self, place: Place, limit: int) -> None:
        super().__init__(place)
        self.limit = limit


class Queue(Home):
    """Values in the order in which they were put; its holders have values on their way to them."""

    __slots__ = ("items", "putters")

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.items: deque[Kept] = deque()
        self.putters: Line = OrderedDict()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in it, nothing taken from it can come back, and nobody waits."""
        return super().is_idle and not self.items and not self.putters


class Value(Home):
    """An event, a variable or a dataset; its holders have the value on its way to them."""

    __slots__ = ("kept",)

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.kept: Kept | None = None  # None: it has no value

    @property
    def is_idle(self) -> bool:
        """Whether it has no value and nobody waits for one."""
        return super().is_idle and self.kept is None


class Changed:
    """What changed since it was last noted in the ledger."""

    __slots__ = ("kept", "replies", "turns", "values")

    def __init__(self) -> None:
        self.turns: dict[Turn, None] = {}
        self.kept: dict[Kept, None] = {}
        self.values: dict[Place, None] = {}
        self.replies: dict[tuple[Session, int], None] = {}

    @property
    def is_any(self) -> bool:
        """Whether anything did."""
        return bool(self.turns or self.kept or self.values or self.replies)


class Coordination:
    """All books of coordination."""

    def __init__(self) -> None:
        self.keeper = Session("", "keeper", "", inf, 0)  # wants the results that values speak of; it never connects
        self.kept: dict[Task, int] = {}  # these results, and how many values speak of each
        self.nbytes = 0  # what all values cost
        self.last_number = 0  # of a value
        self.last_place = 0  # of a turn
        self.leases: dict[Place, Leases] = {}
        self.queues: dict[Place, Queue] = {}
        self.values: dict[Place, Value] = {}
        self.turns: dict[Session, dict[int, Turn]] = {}  # by the request's number
        self.lapses: dict[Session, float] = {}  # sessions without a connection, and when what they hold ends
        self.replies: dict[Session, dict[int, Coordinated]] = {}  # answers that are in no other book and may be unheard
        self.expected: dict[Session, None] = {}  # who waited under the scheduler before, and may be back in a moment
        self.expected_until_s = 0.0
        self.changed = Changed()
        self.written_values: dict[Place, int] = {}  # names that have a value by the journal, and its number
        self.said: list[tuple[Session, Coordinated]] = []  # answers of this batch
        self.held: deque[tuple[int, Session, Coordinated]] = deque()  # of earlier ones, until these are written
        self.batch = 0  # the newest batch with changes of these books

    def open_turn(self, session: Session, request: int, home: Home, size: int = 0) -> Turn:
        """Enter a turn, which neither waits nor holds anything yet."""
        turn = Turn(session, request, home, size)
        self.turns.setdefault(session, {})[request] = turn
        self.changed.turns[turn] = None
        return turn

    def turn(self, session: Session, request: int) -> Turn | None:
        """Return a session's turn that is not over."""
        return self.turns.get(session, {}).get(request)

    def stand(self, turn: Turn, line: Line) -> None:
        """Have a turn wait at the end of a line."""
        self.last_place += 1
        turn.place = self.last_place
        line[turn] = None
        turn.line = line
        self.changed.turns[turn] = None

    def next_in(self, line: Line) -> Turn | None:
        """Return whose turn it is: the first who is there. For one who is expected back the others wait."""
        for turn in line:
            if turn.session.incarnation:
                return turn
            if turn.session in self.expected:
                return None
        return None

    def leave_line(self, turn: Turn) -> None:
        """Have a turn wait no more."""
        if turn.line is not None:
            del turn.line[turn]
            turn.line = None
            self.changed.turns[turn] = None

    def hold(self, turn: Turn) -> None:
        """Have a turn that was waiting hold what it is given: that is in no queue any more."""
        self.leave_line(turn)
        turn.home.holders[turn] = None
        self.changed.turns[turn] = None
        for kept in turn.kept:
            self.place_in(kept, "")

    def close_turn(self, turn: Turn) -> None:
        """Take a turn out of every table; its values are its caller's to care for."""
        self.leave_line(turn)
        turn.home.holders.pop(turn, None)
        self.changed.turns[turn] = None
        turns = self.turns[turn.session]
        del turns[turn.request]
        if not turns:
            del self.turns[turn.session]

    def add_kept(self, parcel: Parcel, tasks: tuple[Task, ...]) -> Kept:
        """Enter a value, which is in one place."""
        self.last_number += 1
        kept = Kept(self.last_number, parcel, tasks)
        self.changed.kept[kept] = None
        return kept

    def place_in(self, kept: Kept, queue: str) -> None:
        """Have a value be in a queue, or in none."""
        if kept.queue != queue:
            kept.queue = queue
            self.changed.kept[kept] = None

    def set_value(self, home: Value, kept: Kept | None) -> Kept | None:
        """Give a name a value, or none; return what it had."""
        before, home.kept = home.kept, kept
        self.changed.values[home.place] = None
        return before

    def remember(self, session: Session, answer: Coordinated) -> None:
        """Keep an answer until its client says that it heard it."""
        self.replies.setdefault(session, {})[answer.request] = answer
        self.changed.replies[session, answer.request] = None

    def forget_reply(self, session: Session, request: int) -> None:
        """Keep an answer no longer, if there is one."""
        replies = self.replies.get(session, {})
        if replies.pop(request, None) is not None:
            self.changed.replies[session, request] = None
            if not replies:
                del self.replies[session]

    def tidy(self, home: Home) -> None:
        """Forget a thing of which nothing is left but its name."""
        if home.is_idle:
            tables: tuple[dict[Place, Leases] | dict[Place, Queue] | dict[Place, Value], ...] = (
                self.leases,
                self.queues,
                self.values,
            )
            for table in tables:
                if table.get(home.place) is home:
                    del table[home.place]

    def forget_all(self) -> None:
        """Empty every book but that of answers. Whoever waits must have been answered by now."""
        for turn in [turn for turns in self.turns.values() for turn in turns.values()]:
            self._empty(turn.kept)
            self.close_turn(turn)
        for queue in self.queues.values():
            self._empty(queue.items)
        for value in self.values.values():
            self._empty([value.kept] if value.kept is not None else ())
            self.set_value(value, None)
        self.keeper.wants.clear()
        self.kept.clear()
        self.nbytes = 0
        self.leases.clear()
        self.queues.clear()
        self.values.clear()
        self.lapses.clear()
        self.expected.clear()

    def _empty(self, values: Iterable[Kept]) -> None:
        for kept in values:
            kept.references = 0
            self.changed.kept[kept] = None
