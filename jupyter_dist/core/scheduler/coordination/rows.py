"""The books as records of the journal, and back.

What changed is noted once for each batch, as it is at its end: what comes and goes in one is never written. A value has
a record of its own, whatever becomes of it, so that it is written once. What a client asks for again by itself, and what
is set aside for one who waits for several, is not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_dist.core.scheduler.coordination import departures, parcels, returns
from jupyter_dist.core.scheduler.coordination.queues import KIND
from jupyter_dist.core.scheduler.coordination.tables import Changed, Home, Kept, Leases, Place, Queue, Turn, Value
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import Coordinated, ItemRecord, ParcelRecord, ReplyRecord, TurnRecord, ValueRecord
from jupyter_dist.messages.journal import ITEM, PARCEL, REPLY, TURN, VALUE

Records = Mapping[int, Mapping[str, Any]]

BOOKS: Mapping[type[Home], str] = {Leases: "leases", Queue: "queues", Value: "values"}
WAITS = "waits"
PUTS = "puts"
HOLDS = "holds"


def write(state: State) -> None:
    """Have the ledger note what changed; called once, at the end of a batch."""
    books, ledger = state.coordination, state.ledger
    changed, books.changed = books.changed, Changed()
    before = len(ledger.changes)
    for kept in changed.kept:
        _write_kept(state, kept)
    for turn in changed.turns:
        _write_turn(state, turn)
    for place in changed.values:
        _write_value(state, place)
    for session, request in changed.replies:
        _write_reply(state, session, request)
    if len(ledger.changes) > before:
        books.batch = ledger.number + 1


def _write_kept(state: State, kept: Kept) -> None:
    ledger, key = state.ledger, _number_key(kept.number)
    is_there, queue = kept.references > 0, kept.queue if kept.references > 0 else ""
    if is_there and not kept.is_written:
        ledger.note(PARCEL, key, ParcelRecord(kept.parcel), is_new=True)
    elif kept.is_written and not is_there:
        ledger.note(PARCEL, key, None)
    if queue != kept.written_in:
        ledger.note(ITEM, key, ItemRecord(queue) if queue else None)
    kept.is_written, kept.written_in = is_there, queue


def _write_turn(state: State, turn: Turn) -> None:
    is_open = state.coordination.turn(turn.session, turn.request) is turn
    record = _turn_record(turn) if is_open and not departures.is_asked_again(turn) else None
    if record is not None or turn.is_written:
        state.ledger.note(TURN, _request_key(turn.session, turn.request), record, is_new=not turn.is_written)
    turn.is_written = record is not None


def _turn_record(turn: Turn) -> TurnRecord:
    home = turn.home
    kind, name = home.place
    numbers = tuple(kept.number for kept in turn.kept)
    book = BOOKS[type(home)]
    if turn.is_answered:
        return TurnRecord(book, kind, name, HOLDS, turn.place, turn.size, numbers)
    if isinstance(home, Queue) and turn.line is home.putters:
        return TurnRecord(book, kind, name, PUTS, turn.place, turn.size, numbers)
    return TurnRecord(book, kind, name, WAITS, turn.place, turn.size)


def _write_value(state: State, place: Place) -> None:
    books = state.coordination
    home = books.values.get(place)
    kept = home.kept if home is not None else None
    number = kept.number if kept is not None else 0
    if number != books.written_values.get(place, 0):
        kind, name = place
        record = ValueRecord(kind, name, number) if number else None
        state.ledger.note(VALUE, f"{len(kind)}/{kind}/{name}", record)
    if number:
        books.written_values[place] = number
    else:
        books.written_values.pop(place, None)


def _write_reply(state: State, session: Session, request: int) -> None:
    reply = state.coordination.replies.get(session, {}).get(request)
    record = None if reply is None else ReplyRecord(reply.done, reply.count, reply.fault, reply.error)
    state.ledger.note(REPLY, _request_key(session, request), record)


def _number_key(number: int) -> str:
    return f"{number:016d}"


def _request_key(session: Session, request: int) -> str:
    return f"{session.id}/{request}"


# -- and back --------------------------------------------------------------------------------------------------------


def restore(state: State, records: Records, now: float) -> None:
    """Fill empty books. What is damaged is left out, and removed."""
    found = _restore_kept(state, records)
    _restore_values(state, records, found)
    _restore_items(state, records, found)
    _restore_turns(state, records, found)
    _restore_replies(state, records)
    for kept in found.values():
        if not kept.references:  # a record that spoke of it was damaged
            kept.references = 1
            parcels.let_go(state, kept, now)
    returns.expect(state, now)


def _restore_kept(state: State, records: Records) -> dict[int, Kept]:
    books, found = state.coordination, {}
    for key, record in sorted(records.get(PARCEL, {}).items()):
        kept = parcels.restore(state, int(key), record.parcel)
        kept.references = 0  # until it is found where it is
        kept.is_written = True
        found[kept.number] = kept
        books.last_number = max(books.last_number, kept.number)
    return found


def _restore_values(state: State, records: Records, found: Mapping[int, Kept]) -> None:
    books = state.coordination
    for key, record in records.get(VALUE, {}).items():
        kept, place = found.get(record.parcel), (record.kind, record.name)
        if kept is None:
            state.ledger.note(VALUE, key, None)
            continue
        home = books.values[place] = Value(place)
        home.kept = kept
        kept.references += 1
        books.written_values[place] = kept.number


def _restore_items(state: State, records: Records, found: Mapping[int, Kept]) -> None:
    for key, record in sorted(records.get(ITEM, {}).items()):
        kept = found.get(int(key))
        if kept is None:
            state.ledger.note(ITEM, key, None)
            continue
        place = (KIND, record.queue)
        state.coordination.queues.setdefault(place, Queue(place)).items.append(kept)
        kept.references += 1
        kept.queue = kept.written_in = record.queue


def _restore_turns(state: State, records: Records, found: Mapping[int, Kept]) -> None:
    books = state.coordination
    for key, record in sorted(records.get(TURN, {}).items(), key=lambda item: item[1].place):
        session, request = _of_whom(state, key)
        values = [found[number] for number in record.parcels if number in found]
        if session is None or len(values) < len(record.parcels):
            state.ledger.note(TURN, key, None)
            continue
        home = _home(state, record)
        turn = books.open_turn(session, request, home, record.size)
        books.last_place = record.place - 1
        if record.state == HOLDS:
            turn.place = record.place
            books.last_place = record.place
            books.hold(turn)
        else:
            books.stand(turn, home.putters if record.state == PUTS and isinstance(home, Queue) else home.line)
        turn.kept = values
        for kept in values:
            kept.references += 1
        turn.is_written = True
        del books.changed.turns[turn]


def _restore_replies(state: State, records: Records) -> None:
    books = state.coordination
    for key, record in records.get(REPLY, {}).items():
        session, request = _of_whom(state, key)
        if session is None:
            state.ledger.note(REPLY, key, None)
            continue
        reply = Coordinated(request, record.done, record.count, fault=record.fault, error=record.error, is_kept=True)
        books.replies.setdefault(session, {})[request] = reply


def _of_whom(state: State, key: str) -> tuple[Session | None, int]:
    session_id, _, request = key.rpartition("/")
    return state.sessions.get(session_id), int(request)


def _home(state: State, record: TurnRecord) -> Home:
    books, place = state.coordination, (record.kind, record.name)
    if record.book == BOOKS[Queue]:
        return books.queues.setdefault(place, Queue(place))
    if record.book == BOOKS[Leases]:
        return books.leases.setdefault(place, Leases(place, record.size))
    return books.values.setdefault(place, Value(place))
