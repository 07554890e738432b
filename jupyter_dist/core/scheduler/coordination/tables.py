"""The books of coordination: who waits where, who holds what, which values are kept.

Plain data, and the doors that keep an index in step with what it indexes. Nothing here decides, and nothing here knows
of `State`, to which these books belong.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from math import inf

from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.messages import Parcel

Place = tuple[str, str]  # what kind of thing it is, and its name


class Kept:
    """A value that is kept, whatever session brought it, with the tasks whose results it speaks of."""

    __slots__ = ("number", "parcel", "references", "tasks")

    def __init__(self, parcel: Parcel, tasks: tuple[Task, ...]) -> None:
        self.parcel = parcel
        self.tasks = tasks
        self.references = 1  # in how many places it is
        self.number = 0  # its place in the order of a queue


class Turn:
    """One request that is not over: it waits in a line, or holds what it was answered with."""

    __slots__ = ("home", "kept", "line", "request", "session", "size")

    def __init__(self, session: Session, request: int, home: Home, size: int) -> None:
        self.session = session
        self.request = request
        self.home = home
        self.line: Line | None = None  # None: it has been answered
        self.kept: list[Kept] = []  # what it brings, or was given
        self.size = size  # how many values it waits for, or how many a queue may have when it puts one

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


class Coordination:
    """All books of coordination."""

    def __init__(self) -> None:
        self.keeper = Session("", "keeper", "", inf, 0)  # wants the results that values speak of; it never connects
        self.kept: dict[Task, int] = {}  # these results, and how many values speak of each
        self.nbytes = 0  # what all values cost
        self.last_number = 0  # of an item in a queue
        self.leases: dict[Place, Leases] = {}
        self.queues: dict[Place, Queue] = {}
        self.values: dict[Place, Value] = {}
        self.turns: dict[Session, dict[int, Turn]] = {}  # by the request's number
        self.lapses: dict[Session, float] = {}  # sessions without a connection, and when their leases end

    def open_turn(self, session: Session, request: int, home: Home, size: int = 0) -> Turn:
        """Enter a turn, which neither waits nor holds anything yet."""
        turn = Turn(session, request, home, size)
        self.turns.setdefault(session, {})[request] = turn
        return turn

    def turn(self, session: Session, request: int) -> Turn | None:
        """Return a session's turn that is not over."""
        return self.turns.get(session, {}).get(request)

    @staticmethod
    def stand(turn: Turn, line: Line) -> None:
        """Have a turn wait at the end of a line."""
        line[turn] = None
        turn.line = line

    @staticmethod
    def leave_line(turn: Turn) -> None:
        """Have a turn wait no more."""
        if turn.line is not None:
            del turn.line[turn]
            turn.line = None

    def hold(self, turn: Turn) -> None:
        """Have a turn that was waiting hold what it is given."""
        self.leave_line(turn)
        turn.home.holders[turn] = None

    def close_turn(self, turn: Turn) -> None:
        """Take a turn out of every table; its values are its caller's to care for."""
        self.leave_line(turn)
        turn.home.holders.pop(turn, None)
        turns = self.turns[turn.session]
        del turns[turn.request]
        if not turns:
            del self.turns[turn.session]

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
        """Empty every book. Whoever waits must have been answered by now."""
        self.keeper.wants.clear()
        self.kept.clear()
        self.nbytes = 0
        self.leases.clear()
        self.queues.clear()
        self.values.clear()
        self.turns.clear()
        self.lapses.clear()
