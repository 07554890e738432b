"""Turns begin, and are answered."""

from __future__ import annotations

from typing import Any

from jupyter_dist.core.scheduler.coordination.tables import Home, Turn
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Coordinated

USAGE = "usage"
TAKEN = "taken"
REFUSED = "refused"


def answer(state: State, session: Session, request: int, **fields: Any) -> None:
    """Answer a request."""
    state.say(session.incarnation, Coordinated(request, **fields))


def refuse(state: State, session: Session, request: int, error: str, fault: str = REFUSED) -> None:
    """Answer a request that cannot be."""
    answer(state, session, request, done=False, fault=fault, error=error)


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


def deliver(state: State, turn: Turn) -> None:
    """Answer a turn with the values it was given; they stay its own until its client claims them."""
    state.coordination.hold(turn)
    answer(state, turn.session, turn.request, count=1, parcels=tuple(kept.parcel for kept in turn.kept))
