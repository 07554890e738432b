"""Turns that end before they are over: given up by their client, their session gone, the cluster restarted.

A client that lost its connection keeps its places in the lines, but is passed over while it is away; what was set aside
for it goes back at once. What it has been given (leases, values that it may have heard of) it keeps for
``lock_lease_s``, should only its connection have broken; a session that is closed, or does not linger, frees all at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_dist.core.scheduler.coordination import leases, parcels, queues
from jupyter_dist.core.scheduler.coordination.answers import answer, refuse, remember
from jupyter_dist.core.scheduler.coordination.tables import Home, Leases, Queue, Turn, Value
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import GiveUpRequest


def on_give_up(state: State, session: Session, message: GiveUpRequest, now: float) -> None:
    """End a turn that still waits; with ``undo`` also one that has been answered."""
    turn = state.coordination.turn(session, message.request)
    if message.undo:
        state.coordination.forget_reply(session, message.request)
    if turn is None or (turn.is_answered and not message.undo):
        return  # its answer is on its way
    is_putting = isinstance(turn.home, Queue) and turn.line is turn.home.putters
    end(state, (turn,), now)
    if is_putting and not message.undo:
        remember(state, session, message.request, done=False)
    elif not message.undo:
        answer(state, session, message.request, done=False)


def end(state: State, turns: Iterable[Turn], now: float) -> None:
    """End turns: what they hold is free again, or goes back to its place; then it is the turn of others."""
    homes: dict[Home, None] = {}
    for turn in turns:
        homes[turn.home] = None
        _take_out(state, turn, now)
    advance(state, homes)


def advance(state: State, homes: Iterable[Home]) -> None:
    """Give to those who wait what is there, and forget what nobody uses."""
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
        queues.put_back(state, home, turn.kept)
    else:
        for kept in turn.kept:
            parcels.let_go(state, kept, now)


# -- sessions --------------------------------------------------------------------------------------------------------


def is_asked_again(turn: Turn) -> bool:
    """Whether its client, when it comes back, asks for it anew: it takes nothing away, and nothing is lost with it."""
    return isinstance(turn.home, Value) and not (turn.is_answered and any(kept.parcel.futures for kept in turn.kept))


def on_gone(state: State, session: Session, now: float) -> None:
    """Note that a session lost its connection."""
    books = state.coordination
    end(state, [turn for turn in books.turns.get(session, {}).values() if is_asked_again(turn)], now)
    turns = tuple(books.turns.get(session, {}).values())
    homes: dict[Home, None] = {}
    for turn in turns:
        home = turn.home
        if isinstance(home, Queue) and turn.line is home.line and turn.kept:
            queues.put_back(state, home, turn.kept)
            turn.kept = []
            homes[home] = None
    advance(state, homes)
    if any(turn.is_answered for turn in turns):
        books.lapses[session] = now + state.settings.lock_lease_s


def on_closed(state: State, session: Session, now: float) -> None:
    """Note that a session is over."""
    books = state.coordination
    books.lapses.pop(session, None)
    books.expected.pop(session, None)
    end(state, tuple(books.turns.get(session, {}).values()), now)
    for request in tuple(books.replies.get(session, ())):
        books.forget_reply(session, request)


def on_tick(state: State, now: float) -> None:
    """Free what sessions hold that did not come back in time, and pass over those that are not expected any more."""
    books = state.coordination
    for session, lapse_s in tuple(books.lapses.items()):
        if now >= lapse_s:
            _lapse(state, session, now)
    if books.expected and now >= books.expected_until_s:
        homes = {turn.home: None for session in books.expected for turn in books.turns.get(session, {}).values()}
        books.expected.clear()
        advance(state, homes)


def _lapse(state: State, session: Session, now: float) -> None:
    books = state.coordination
    del books.lapses[session]
    held = [turn for turn in books.turns.get(session, {}).values() if turn.is_answered]
    end(state, held, now)
    words = f"this session was without a connection for more than {state.settings.lock_lease_s:g} s: it went to others"
    for turn in held:  # it may not have heard that it was given something
        refuse(state, session, turn.request, words)


# -- restart ---------------------------------------------------------------------------------------------------------


def refuse_all(state: State, reason: str) -> None:
    """Tell whoever waits that there is nothing to wait for any more."""
    for session, turns in state.coordination.turns.items():
        for request, turn in turns.items():
            if not turn.is_answered:
                refuse(state, session, request, reason)
