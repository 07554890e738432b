"""Turns that end before they are over: given up by their client, their session gone, the cluster restarted.

A client that is gone waits for nothing, and what was on its way to it goes back at once. Its leases it keeps for
``lock_lease_s``, should only its connection have broken; a session that is closed, or does not linger, frees them at
once.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_dist.core.scheduler.coordination import leases, parcels, queues
from jupyter_dist.core.scheduler.coordination.answers import answer, refuse
from jupyter_dist.core.scheduler.coordination.tables import Home, Leases, Queue, Turn
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import GiveUpRequest


def on_give_up(state: State, session: Session, message: GiveUpRequest, now: float) -> None:
    """End a turn that still waits; with ``undo`` also one that has been answered."""
    turn = state.coordination.turn(session, message.request)
    if turn is None or (turn.line is None and not message.undo):
        return  # its answer is on its way
    end(state, (turn,), now)
    if not message.undo:
        answer(state, session, message.request, done=False)


def end(state: State, turns: Iterable[Turn], now: float) -> None:
    """End turns: what they hold is free again, or goes back to its place; then it is the turn of others."""
    homes: dict[Home, None] = {}
    for turn in turns:
        homes[turn.home] = None
        _take_out(state, turn, now)
    for home in homes:
        if isinstance(home, Leases):
            leases.advance(state, home)
        elif isinstance(home, Queue):
            queues.advance(state, home)
        state.coordination.tidy(home)


def _take_out(state: State, turn: Turn, now: float) -> None:
    home = turn.home
    is_putting = isinstance(home, Queue) and turn.line is home.putters
    state.coordination.close_turn(turn)
    if isinstance(home, Queue) and not is_putting:
        queues.put_back(home, turn.kept)
    else:
        for kept in turn.kept:
            parcels.let_go(state, kept, now)


# -- sessions --------------------------------------------------------------------------------------------------------


def on_gone(state: State, session: Session, now: float) -> None:
    """Note that a session lost its connection."""
    books = state.coordination
    turns = tuple(books.turns.get(session, {}).values())
    others = [turn for turn in turns if not _is_lease(turn)]
    if session.linger_s <= 0:
        end(state, turns, now)
        return
    end(state, others, now)
    if len(others) < len(turns):
        books.lapses[session] = now + state.settings.lock_lease_s


def _is_lease(turn: Turn) -> bool:
    return isinstance(turn.home, Leases) and turn.line is None


def on_back(state: State, session: Session, now: float) -> None:
    """Note that a session has a new connection: the leases it still has stay its own, it waits for nothing."""
    turns = state.coordination.turns.get(session, {}).values()
    end(state, [turn for turn in turns if not _is_lease(turn)], now)
    state.coordination.lapses.pop(session, None)


def on_closed(state: State, session: Session, now: float) -> None:
    """Note that a session is over."""
    state.coordination.lapses.pop(session, None)
    end(state, tuple(state.coordination.turns.get(session, {}).values()), now)


def on_tick(state: State, now: float) -> None:
    """Free the leases of sessions that did not come back in time."""
    for session, lapse_s in tuple(state.coordination.lapses.items()):
        if now >= lapse_s:
            on_closed(state, session, now)


# -- restart ---------------------------------------------------------------------------------------------------------


def refuse_all(state: State, reason: str) -> None:
    """Tell whoever waits that there is nothing to wait for any more."""
    for session, turns in state.coordination.turns.items():
        for request, turn in turns.items():
            if turn.line is not None:
                refuse(state, session, request, reason)
