"""Queues: values come out in the order in which they were put in; takers and putters are served in theirs.

For a taker of several each is set aside as it comes, so that it gets them from a queue that never holds as many; that
goes back to its place when its connection ends. What it was given and did not claim goes back when it is over.
"""

from __future__ import annotations

from collections import deque
from operator import attrgetter

from jupyter_dist.core.scheduler.coordination import parcels
from jupyter_dist.core.scheduler.coordination.answers import answer, begin, give, remember
from jupyter_dist.core.scheduler.coordination.tables import Kept, Queue, Turn
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import CountItems, PutItem, TakeItems

KIND = "queue"


def _home(state: State, name: str) -> Queue:
    place = (KIND, name)
    return state.coordination.queues.setdefault(place, Queue(place))


def on_put(state: State, session: Session, message: PutItem, now: float) -> None:
    """Put a value in, or have it wait for room."""
    if parcels.impossible(state, session, (message.parcel,), message.request):
        return
    home = _home(state, message.name)
    turn = begin(state, session, message.request, home, message.size_max)
    if turn is not None:
        turn.kept.append(parcels.keep(state, message.parcel, now))
        state.coordination.stand(turn, home.putters)
        advance(state, home)


def on_take(state: State, session: Session, message: TakeItems, _now: float) -> None:
    """Give values out, or have the session wait for them."""
    home = _home(state, message.name)
    turn = begin(state, session, message.request, home, message.count)
    if turn is None:
        return
    if message.count > 0:
        state.coordination.stand(turn, home.line)
        advance(state, home)
    elif home.items:
        turn.kept.extend(home.items)
        home.items.clear()
        give(state, turn)
        advance(state, home)
    else:
        state.coordination.close_turn(turn)
        remember(state, session, message.request)
        state.coordination.tidy(home)


def on_count(state: State, session: Session, message: CountItems, _now: float) -> None:
    """Tell how many values a queue has."""
    home = state.coordination.queues.get((KIND, message.name))
    answer(state, session, message.request, count=len(home.items) if home is not None else 0)


def advance(state: State, home: Queue) -> None:
    """Give values to those who wait for them, and let values in while there is room."""
    while True:
        turn = state.coordination.next_in(home.line) if home.items else None
        if turn is not None:
            _set_aside(state, turn, home.items.popleft())
        elif home.putters and _has_room(home):
            _let_in(state, home, next(iter(home.putters)))
        else:
            return


def _set_aside(state: State, turn: Turn, kept: Kept) -> None:
    turn.kept.append(kept)
    if len(turn.kept) == turn.size:
        turn.kept.sort(key=attrgetter("number"))  # one that came back may be older than what was set aside
        give(state, turn)


def _has_room(home: Queue) -> bool:
    size_max = next(iter(home.putters)).size
    return size_max <= 0 or len(home.items) < size_max


def _let_in(state: State, home: Queue, turn: Turn) -> None:
    books = state.coordination
    kept = turn.kept.pop()
    home.items.append(kept)
    books.place_in(kept, home.place[1])
    books.close_turn(turn)
    answer(state, turn.session, turn.request, count=1)


def put_back(state: State, home: Queue, items: list[Kept]) -> None:
    """Put values that were given out back into their places. Whoever does this lets the queue advance."""
    for kept in items:
        state.coordination.place_in(kept, home.place[1])
    home.items = deque(sorted((*items, *home.items), key=attrgetter("number")))
