"""Turns begin, and are answered: the journal first, then the answer.

What a client was told is never taken back: an answer leaves when everything that led to it is written down. One that the
books tell of (a lease that is held, values on their way) can be given again from them; any other that is not just that
something was done is *remembered*, until its client says that it heard it.
"""

from __future__ import annotations

from typing import Any

from jupyter_dist.core.scheduler.coordination.tables import Home, Leases, Turn
from jupyter_dist.core.scheduler.effects import Effects
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Coordinated

USAGE = "usage"
TAKEN = "taken"
REFUSED = "refused"


def answer(state: State, session: Session, request: int, **fields: Any) -> None:
    """Answer a request."""
    state.coordination.said.append((session, Coordinated(request, **fields)))


def remember(state: State, session: Session, request: int, **fields: Any) -> None:
    """Answer a request with what no book tells of."""
    books = state.coordination
    message = Coordinated(request, is_kept=True, **fields)
    books.remember(session, message)
    books.said.append((session, message))
    replies = books.replies[session]
    if len(replies) > state.settings.requests_max:  # it never says that it heard one
        books.forget_reply(session, next(iter(replies)))


def refuse(state: State, session: Session, request: int, error: str, fault: str = REFUSED) -> None:
    """Answer a request that cannot be."""
    remember(state, session, request, done=False, fault=fault, error=error)


def begin(state: State, session: Session, request: int, home: Home, size: int = 0) -> Turn | None:
    """Begin the turn of a request; None when it was refused."""
    books = state.coordination
    limit = state.settings.requests_max
    if len(books.turns.get(session, ())) >= limit:
        error = (
            f"this session holds or waits for {limit:,} locks, semaphores and values already: release some, or raise "
            "JUPYTER_DIST_REQUESTS_MAX where the cluster is started"
        )
    elif books.turn(session, request) is not None:
        error = f"the request {request} was made twice"
    else:
        return books.open_turn(session, request, home, size)
    refuse(state, session, request, error)
    books.tidy(home)
    return None


def give(state: State, turn: Turn) -> None:
    """Have a turn hold what it was given, and answer it."""
    state.coordination.hold(turn)
    tell(state, turn)


def tell(state: State, turn: Turn) -> None:
    """Answer a turn with what it holds; values stay its own until its client claims them."""
    parcels = () if isinstance(turn.home, Leases) else tuple(kept.parcel for kept in turn.kept)
    answer(state, turn.session, turn.request, count=1, parcels=parcels)


# -- when they leave -------------------------------------------------------------------------------------------------


def send(state: State, effects: Effects) -> None:
    """Send the answers of a batch that was just closed, or hold them back until it is written."""
    books = state.coordination
    is_early = books.batch > state.ledger.written
    for session, message in books.said:
        if is_early:
            books.held.append((books.batch, session, message))
        elif session.incarnation:
            effects.sends[session.incarnation].append(message)
    books.said.clear()
    is_new = bool(effects.journal) and books.batch == effects.number  # the next answer will wait for it
    effects.is_awaited = is_new or bool(books.held)


def on_written(state: State) -> None:
    """Send what was held back for what is written now."""
    held, written = state.coordination.held, state.ledger.written
    while held and held[0][0] <= written:
        _batch, session, message = held.popleft()
        state.say(session.incarnation, message)
