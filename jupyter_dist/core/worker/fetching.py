"""Results that are elsewhere: whom to ask for them, how many at once, and when to give up.

All attempts that need a key share one fetch of it, with a copy of it that is to be held. At most ``fetches_max`` are
under way; each has a deadline by its size, so a holder that is silent is given up like one that says no. Holders are
tried one after another; when the last one fails, every attempt that waits is given back and the scheduler hears which
key and which holder it was.

A copy that is held is served like a result made here. Whatever frees its key gives up what is not here yet; a copy in
the host's object store is written beside the rest, and removed again when the connection to the scheduler that wanted it is lost.
"""

from __future__ import annotations

from jupyter_dist.core.worker.attempt import Attempt
from jupyter_dist.core.worker.effects import Buffers, Copied, Fetched, Inline, StartFetch, StartStore, Stored
from jupyter_dist.core.worker.events import Arrived, FetchFailed, StoreEnded
from jupyter_dist.core.worker.state import KeyFetch, State
from jupyter_dist.messages import CopyFailed, CopyMade, FreeKeys, HoldCopy, InputMissing, StoreCopy, TaskInput


def gather_inputs(state: State, attempt: Attempt) -> None:
    """Take the inputs that are here, and queue a fetch for each of the others."""
    for wanted in attempt.task.inputs:
        if wanted.value is not None:
            attempt.inputs[wanted.key] = Inline(wanted.value)
        elif wanted.stored:
            attempt.inputs[wanted.key] = Stored(wanted.stored)
        elif not state.share(wanted.key, attempt):
            _join_fetch(state, attempt, wanted)


def _join_fetch(state: State, attempt: Attempt, wanted: TaskInput) -> None:
    fetch = state.find_fetch(wanted.key)
    state.add_holders(fetch, wanted.nbytes, wanted.holders)
    state.await_fetch(fetch, attempt)


def start_fetches(state: State, now: float) -> None:
    """Start queued fetches while there is room."""
    settings = state.settings
    for fetch in list(state.queued.values()):
        if len(state.flying) >= settings.fetches_max:
            return
        if fetch.key not in state.queued:
            continue  # its attempts were just given back because of another key
        if not fetch.untried:
            _give_up(state, fetch)
            continue
        holder = fetch.untried[0]
        allowed_s = 2 * settings.lease_s + fetch.nbytes / settings.fetch_bytes_per_s_min
        state.launch_fetch(fetch, holder, now + allowed_s)
        state.effects.fetches.append(StartFetch(fetch.request, fetch.key, holder))


def _give_up(state: State, fetch: KeyFetch) -> None:
    holder = fetch.tried[-1] if fetch.tried else ""
    if fetch.copy:
        reason = fetch.reason or "nobody is said to hold it"
        state.effects.says.append(CopyFailed(state.leave_copy(fetch), reason))
    for number in list(fetch.waiting):
        state.end_attempt(state.attempts[number], "given-back")
        state.effects.says.append(InputMissing(number, fetch.key, holder))


def on_arrived(state: State, event: Arrived) -> list[Attempt]:
    """Hand a fetched input out; return the attempts that lack nothing now."""
    fetch = state.flying.get(event.key)
    if fetch is None or fetch.request != event.request:
        return []
    attempts = state.keep(fetch, Fetched(event.buffers))
    if fetch.copy:
        _hold(state, fetch.copy, event.buffers)
    return [attempt for attempt in attempts if not attempt.missing]


def on_fetch_failed(state: State, event: FetchFailed) -> None:
    """Let the fetch try its next holder."""
    fetch = state.flying.get(event.key)
    if fetch is not None and fetch.request == event.request:
        fetch.reason = event.reason
        state.queue_again(fetch)


def expire_fetches(state: State, now: float) -> None:
    """Give up holders that are silent for too long."""
    for fetch in [fetch for fetch in state.flying.values() if fetch.deadline <= now]:
        state.effects.abandoned.append(fetch.request)
        fetch.reason = f"{fetch.holder} did not answer in time"
        state.queue_again(fetch)


# -- copies --------------------------------------------------------------------------------------------------------------


def on_hold_copy(state: State, message: HoldCopy) -> None:
    """Begin to fetch what shall be held, unless it is here for another reason."""
    key = message.key
    if key in state.held:
        state.effects.says.append(CopyMade(message.copy))
    elif key in state.kept:
        _hold(state, message, state.kept[key].value.buffers)
    else:
        fetch = state.find_fetch(key)
        fetch.copy = message
        state.add_holders(fetch, message.nbytes, message.holders)


def _hold(state: State, order: HoldCopy, buffers: Buffers) -> None:
    state.hold(order.key, Copied(buffers, order.nbytes, order.attempt, order.type_name, order.speaks_of))
    state.effects.says.append(CopyMade(order.copy))


def on_free(state: State, message: FreeKeys) -> None:
    """Drop what is held of these keys, and give up what was to be."""
    for key in message.keys:
        state.free(key)
        fetch = state.flying.get(key) or state.queued.get(key)
        if fetch is not None and fetch.copy:
            state.leave_copy(fetch)


def on_store_copy(state: State, message: StoreCopy) -> None:
    """Begin to write what is held to the object store."""
    held = state.held.get(message.key)
    if held is None:
        state.effects.says.append(CopyFailed(message.copy, "it is not held here"))
        return
    state.storing.add(message.copy)
    state.effects.stores.append(StartStore(message.copy, message.name, held))


def on_store_ended(state: State, event: StoreEnded) -> None:
    """Tell the scheduler; what was written for one that is gone is removed."""
    if event.copy not in state.storing:
        if not event.reason:
            state.effects.unstored.append(event.name)
        return
    state.storing.discard(event.copy)
    state.effects.says.append(CopyFailed(event.copy, event.reason) if event.reason else CopyMade(event.copy))


def abandon_copies(state: State) -> None:
    """Give up every copy that is not here yet: the scheduler that asked for them is gone."""
    for fetch in [*state.flying.values(), *state.queued.values()]:
        state.leave_copy(fetch)
    state.storing.clear()
