"""Locks and semaphores: so many may hold a name at a time, and whoever waits longest is next."""

from __future__ import annotations

from jupyter_dist.core.scheduler.coordination.answers import USAGE, answer, begin, give, refuse
from jupyter_dist.core.scheduler.coordination.tables import Leases
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import AcquireLease, CountLeases, ReleaseLease


def on_acquire(state: State, session: Session, message: AcquireLease, _now: float) -> None:
    """Give a lease, or have the session wait for one."""
    books, place = state.coordination, (message.kind, message.name)
    home = books.leases.get(place)
    if home is None:
        home = books.leases[place] = Leases(place, message.limit)
    elif home.limit != message.limit:
        error = (
            f"it is in use with max_leases={home.limit}, not {message.limit}: give the same number wherever it is made, or "
            "take another name"
        )
        refuse(state, session, message.request, error, USAGE)
        return
    turn = begin(state, session, message.request, home, message.limit)
    if turn is not None:
        books.stand(turn, home.line)
        advance(state, home)
        books.tidy(home)


def advance(state: State, home: Leases) -> None:
    """Give free leases to those who wait longest."""
    while len(home.holders) < home.limit:
        turn = state.coordination.next_in(home.line)
        if turn is None:
            return
        give(state, turn)


def on_release(state: State, session: Session, message: ReleaseLease, _now: float) -> None:
    """Take a lease back and give it to the next."""
    turn = state.coordination.turn(session, message.lease)
    home = turn.home if turn is not None else None
    if turn is None or not isinstance(home, Leases) or turn not in home.holders:
        error = (
            "it is not held any more: the cluster was restarted, or this session was without a connection for more than "
            f"{state.settings.lock_lease_s:g} s. Somebody else may have held it meanwhile"
        )
        refuse(state, session, message.request, error)
        return
    state.coordination.close_turn(turn)
    advance(state, home)
    state.coordination.tidy(home)
    answer(state, session, message.request, count=1)


def on_count(state: State, session: Session, message: CountLeases, _now: float) -> None:
    """Tell how many leases are held."""
    home = state.coordination.leases.get((message.kind, message.name))
    answer(state, session, message.request, count=len(home.holders) if home is not None else 0)
