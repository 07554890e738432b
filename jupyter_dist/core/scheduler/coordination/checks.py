"""What must always hold between the books of coordination. A rule of `invariants`, in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jupyter_dist.core.scheduler.coordination import parcels
from jupyter_dist.core.scheduler.coordination.tables import Coordination, Home, Kept, Leases, Queue, Turn, Value
from jupyter_dist.core.scheduler.records import Task
from jupyter_dist.core.scheduler.state import State


def coordination_agrees(state: State) -> Iterator[str]:
    """Compare turns, lines, holders and values: they mirror each other, and nobody waits for what is there."""
    books = state.coordination
    yield from _turns_agree(state, books)
    yield from _values_agree(books)
    for home in _homes(books):
        if home.is_idle:
            yield f"{home.place} is empty and still known"
        yield from _home_agrees(books, home)
    for session in books.lapses:
        if session.incarnation or session not in books.turns:
            yield f"the leases of {session.id} are to lapse without a reason"


def _homes(books: Coordination) -> list[Home]:
    return [*books.leases.values(), *books.queues.values(), *books.values.values()]


def _turns(books: Coordination) -> list[Turn]:
    return [turn for turns in books.turns.values() for turn in turns.values()]


def _turns_agree(state: State, books: Coordination) -> Iterator[str]:
    homes = set(_homes(books))
    for turn in _turns(books):
        if turn.home not in homes:
            yield f"{turn} is at a place that is gone"
        if turn.line is None and turn not in turn.home.holders:
            yield f"{turn} neither waits nor holds anything"
        if turn.line is not None and (turn not in turn.line or turn in turn.home.holders):
            yield f"{turn} waits in no line, or holds something already"
        if state.sessions.get(turn.session.id) is not turn.session:
            yield f"{turn} is of a session that is gone"
        if not turn.session.incarnation and turn.is_answered and turn.session not in books.lapses:
            yield f"{turn} is of a session without a connection, and holds for ever"


def _home_agrees(books: Coordination, home: Home) -> Iterator[str]:
    lines = (home.line, home.putters) if isinstance(home, Queue) else (home.line,)
    for turn in (*home.holders, *(turn for line in lines for turn in line)):
        if books.turn(turn.session, turn.request) is not turn:
            yield f"{turn} is over and still known at {home.place}"
    if isinstance(home, Leases):
        if len(home.holders) > home.limit:
            yield f"{home.place}: {len(home.holders)} leases of {home.limit}"
        if len(home.holders) < home.limit and books.next_in(home.line) is not None:
            yield f"{home.place}: somebody waits for a lease that is free"
    elif isinstance(home, Queue):
        yield from _queue_agrees(books, home)
    elif isinstance(home, Value) and home.line and home.kept is not None:
        yield f"{home.place}: somebody waits for the value it has"


def _queue_agrees(books: Coordination, home: Queue) -> Iterator[str]:
    aside = [kept for turn in home.line for kept in turn.kept]
    if any(kept.queue != home.place[1] for kept in (*home.items, *aside)):
        yield f"{home.place}: a value in it is noted to be elsewhere"
    numbers = [kept.number for kept in home.items]
    if numbers != sorted(numbers):
        yield f"{home.place}: its values are out of order"
    if home.items and books.next_in(home.line) is not None:
        yield f"{home.place}: somebody waits for a value that is there"
    if home.putters:
        size_max = next(iter(home.putters)).size
        if size_max <= 0 or len(home.items) < size_max:
            yield f"{home.place}: a value waits for room that is there"


def _values_agree(books: Coordination) -> Iterator[str]:
    found: Counter[Kept] = Counter()
    for home in _homes(books):
        if isinstance(home, Queue):
            found.update(home.items)
        elif isinstance(home, Value) and home.kept is not None:
            found[home.kept] += 1
    for turn in _turns(books):
        found.update(turn.kept)
    for kept, count in found.items():
        if kept.references != count:
            yield f"a value is said to be in {kept.references} places, it is in {count}"
    spoken: Counter[Task] = Counter(task for kept in found for task in kept.tasks)
    if spoken != books.kept:
        yield f"results kept for values are {books.kept}, values speak of {dict(spoken)}"
    if books.keeper.wants.keys() != spoken.keys():
        yield "the keeper wants other results than the values speak of"
    nbytes = sum(parcels.cost(kept.parcel) for kept in found)
    if nbytes != books.nbytes:
        yield f"{books.nbytes} bytes of values noted, {nbytes} kept"
