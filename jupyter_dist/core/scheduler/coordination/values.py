"""Values under a name: events (set or not), variables and published datasets.

They outlive the session that set them. Whoever asks for one that is not there waits; a client that does not want to
wait gives its request up at once.
"""

from __future__ import annotations

from jupyter_dist.core.scheduler.coordination import parcels
from jupyter_dist.core.scheduler.coordination.answers import TAKEN, answer, begin, give, refuse, remember, tell
from jupyter_dist.core.scheduler.coordination.tables import Turn, Value
from jupyter_dist.core.scheduler.records import Session
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import GetValue, ListValues, NamedParcel, SetValues, UnsetValue


def on_set(state: State, session: Session, message: SetValues, now: float) -> None:
    """Give names their values, and these to whoever waits for them."""
    values = state.coordination.values
    taken = [named.name for named in message.values if _has_value(values.get((message.kind, named.name)))]
    if message.is_new and taken:
        error = f"the {message.kind} {taken[0]!r} is there already: take another name, or replace it with override=True"
        refuse(state, session, message.request, error, TAKEN)
        return
    if parcels.impossible(state, session, tuple(named.parcel for named in message.values), message.request):
        return
    for named in message.values:
        _set(state, message.kind, named, now)
    answer(state, session, message.request, count=len(message.values))


def _has_value(home: Value | None) -> bool:
    return home is not None and home.kept is not None


def _home(state: State, kind: str, name: str) -> Value:
    place = (kind, name)
    return state.coordination.values.setdefault(place, Value(place))


def _set(state: State, kind: str, named: NamedParcel, now: float) -> None:
    home = _home(state, kind, named.name)
    before = state.coordination.set_value(home, parcels.keep(state, named.parcel, now))
    if before is not None:
        parcels.let_go(state, before, now)
    for turn in tuple(home.line):
        _give(state, home, turn)


def _give(state: State, home: Value, turn: Turn) -> None:
    if home.kept is not None:
        home.kept.references += 1
        turn.kept.append(home.kept)
        give(state, turn)


def on_get(state: State, session: Session, message: GetValue, _now: float) -> None:
    """Give a value, or have the session wait for one.

    May be asked again, on another connection: then the value is the one that it was given, if that is still on its way.
    """
    known = state.coordination.turn(session, message.request)
    if known is not None and isinstance(known.home, Value) and known.is_answered:
        tell(state, known)
        return
    home = _home(state, message.kind, message.name)
    turn = begin(state, session, message.request, home)
    if turn is not None:
        state.coordination.stand(turn, home.line)
        _give(state, home, turn)


def on_unset(state: State, session: Session, message: UnsetValue, now: float) -> None:
    """Take a name's value away."""
    home = state.coordination.values.get((message.kind, message.name))
    kept = state.coordination.set_value(home, None) if home is not None else None
    if home is None or kept is None:
        remember(state, session, message.request)
        return
    parcels.let_go(state, kept, now)
    state.coordination.tidy(home)
    answer(state, session, message.request, count=1)


def on_list(state: State, session: Session, message: ListValues, _now: float) -> None:
    """Tell which names have a value."""
    homes = state.coordination.values.values()
    names = sorted(home.place[1] for home in homes if home.place[0] == message.kind and home.kept is not None)
    answer(state, session, message.request, names=tuple(names))
