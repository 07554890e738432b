"""Clients that come back after their connection broke, to this scheduler or to the one that follows it.

What a client changes it says exactly once, over all its connections (`core.outgoing`), so the books know each of its
requests, and it has to ask for nothing twice. Only answers may have been lost: those it claims, and hears again.
"""

from __future__ import annotations

from typing import Any

from jupyter_dist.core.scheduler.coordination import departures
from jupyter_dist.core.scheduler.coordination.answers import REFUSED, answer, tell
from jupyter_dist.core.scheduler.coordination.tables import Home
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import ClaimRequests

FORGOTTEN = "the cluster does not know any more what became of it: ask again"


def on_back(state: State, session: Session, now: float) -> None:
    """Note that a session has a new connection: what it has stays its own, and it waits where it waited."""
    books = state.coordination
    books.lapses.pop(session, None)
    books.expected.pop(session, None)
    turns = tuple(books.turns.get(session, {}).values())
    departures.end(state, [turn for turn in turns if departures.is_asked_again(turn)], now)
    departures.advance(state, dict.fromkeys(turn.home for turn in turns if not turn.is_answered))


def on_claim_requests(state: State, session: Session, message: ClaimRequests, _now: float) -> None:
    """Answer again what a client did not hear the answer to; of other requests of its it has."""
    claimed = {*message.waits, *message.given_up, *message.acts}
    for request in tuple(state.coordination.replies.get(session, ())):
        if request not in claimed:
            state.coordination.forget_reply(session, request)
    for request in message.waits:
        _tell_again(state, session, request, done=False, fault=REFUSED, error=FORGOTTEN)
    for request in message.given_up:
        _tell_again(state, session, request, done=False)
    for request in message.acts:
        _tell_again(state, session, request, count=1)


def _tell_again(state: State, session: Session, request: int, **otherwise: Any) -> None:
    """Answer from the books, or with what it means that nothing is there."""
    books = state.coordination
    reply, turn = books.replies.get(session, {}).get(request), books.turn(session, request)
    if reply is not None:
        books.said.append((session, reply))
    elif turn is None:
        answer(state, session, request, **otherwise)
    elif turn.is_answered:
        tell(state, turn)


# -- to another scheduler --------------------------------------------------------------------------------------------


def expect(state: State, now: float) -> None:
    """After the books were read: nobody is connected, and all who had something or waited may come back."""
    books = state.coordination
    for session, turns in books.turns.items():
        if any(turn.is_answered for turn in turns.values()):
            books.lapses[session] = now + state.settings.lock_lease_s
        if not all(turn.is_answered for turn in turns.values()):
            books.expected[session] = None
    books.expected_until_s = now + state.settings.lease_s


def finish(state: State) -> None:
    """Give what is there to those who wait, should what was read be less than what was written."""
    books = state.coordination
    homes: tuple[Home, ...] = (*books.leases.values(), *books.queues.values(), *books.values.values())
    departures.advance(state, homes)


def wait_again(state: State, now: float) -> None:
    """After the scheduler itself was stopped: who is expected could not come."""
    books = state.coordination
    if books.expected:
        books.expected_until_s = now + state.settings.lease_s
