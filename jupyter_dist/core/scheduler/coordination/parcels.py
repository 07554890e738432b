"""Values are kept: their bytes, and in the cluster the results of the futures in them.

A result is kept by the wish of a session that is nobody's, the *keeper*, for as long as one value speaks of it. A client
that is given a value claims it: it says which of the results it wants from now on itself, and the value is let go.
"""

from __future__ import annotations

from jupyter_dist.core.scheduler import lineage, submission
from jupyter_dist.core.scheduler.coordination.answers import refuse
from jupyter_dist.core.scheduler.coordination.tables import Kept, Value
from jupyter_dist.core.scheduler.records import Session, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import ClaimParcels, KeyCancelled, Parcel

PARCEL_COST = 256  # bytes a value costs beside its own


def cost(parcel: Parcel) -> int:
    """Return how many bytes a value costs."""
    return PARCEL_COST + len(parcel.value) + sum(PARCEL_COST + len(future.key) for future in parcel.futures)


def impossible(state: State, session: Session, parcels: tuple[Parcel, ...], request: int) -> bool:
    """Whether values cannot be kept; the request has been refused then."""
    limit = state.settings.shared_total_bytes_max
    unknown = [future.key for parcel in parcels for future in parcel.futures if future.key not in state.tasks]
    if unknown:
        error = f"the value needs the result {unknown[0]}, which the cluster does not know any more"
    elif state.coordination.nbytes + sum(map(cost, parcels)) > limit:
        error = (
            f"there is no room: queues, variables and datasets of this cluster have {state.coordination.nbytes:,} of "
            f"{limit:,} bytes. Take values out, and put large ones in as futures of `executor.scatter`"
        )
    else:
        return False
    refuse(state, session, request, error)
    return True


def keep(state: State, parcel: Parcel, now: float) -> Kept:
    """Keep a value. All results it speaks of must be known."""
    books = state.coordination
    tasks = tuple(dict.fromkeys(state.tasks[future.key] for future in parcel.futures))
    for task in tasks:
        books.kept[task] = books.kept.get(task, 0) + 1
        if task not in books.keeper.wants:
            state.want(books.keeper, task, 0)
            lineage.activate(state, task, now)
    books.nbytes += cost(parcel)
    return books.add_kept(parcel, tasks)


def restore(state: State, number: int, parcel: Parcel) -> Kept:
    """Keep a value as the scheduler before did, less what it speaks of and is not known; nothing is set on its way yet."""
    books = state.coordination
    known = (state.tasks.get(future.key) for future in parcel.futures)
    tasks = tuple(dict.fromkeys(task for task in known if task is not None))
    for task in tasks:
        books.kept[task] = books.kept.get(task, 0) + 1
        state.want(books.keeper, task, 0)
    books.nbytes += cost(parcel)
    return Kept(number, parcel, tasks)


def let_go(state: State, kept: Kept, now: float) -> None:
    """Take a value out of one place; out of the last, and the results only it spoke of are released."""
    kept.references -= 1
    if kept.references:
        return
    books = state.coordination
    books.changed.kept[kept] = None
    books.nbytes -= cost(kept.parcel)
    freed: list[Task] = []
    for task in kept.tasks:
        books.kept[task] -= 1
        if not books.kept[task]:
            del books.kept[task]
            state.unwant(books.keeper, task)
            freed.append(task)
    lineage.release(state, freed, now)


def on_claim(state: State, session: Session, message: ClaimParcels, now: float) -> None:
    """Make a client an owner of the results its values speak of, then let go of the values."""
    for claimed in message.wishes:
        task = state.tasks.get(claimed.key)
        if task is None:
            reason = f"{claimed.key} is not known to the cluster any more"
            state.say(session.incarnation, KeyCancelled((claimed.wish,), reason))
            continue
        state.ledger.want(session, task, claimed.wish)
        state.want(session, task, claimed.wish)
        submission.tell_now(state, session, task)
        lineage.activate(state, task, now)
    state.coordination.forget_reply(session, message.request)
    turn = state.coordination.turn(session, message.request)
    if turn is None:
        return
    is_asked_twice = isinstance(turn.home, Value)  # on two connections; it is not to wait for a second answer
    if (turn.is_answered and turn.kept) or is_asked_twice:
        state.coordination.close_turn(turn)
        for kept in turn.kept:
            let_go(state, kept, now)
        state.coordination.tidy(turn.home)
