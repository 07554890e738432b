"""Inputs that are elsewhere: whom to ask for them, how many at once, and when to give up.

All attempts that need a key share one fetch of it. At most ``fetches_max`` are under way; each has a deadline by its
size, so a holder that is silent is given up like one that says no. Holders are tried one after another; when the last
one fails, every attempt that waits is given back and the scheduler hears which key and which holder it was.
"""

from __future__ import annotations

from jupyter_dist.core.worker.attempt import Attempt
from jupyter_dist.core.worker.effects import Fetched, Inline, StartFetch, Stored
from jupyter_dist.core.worker.events import Arrived, FetchFailed
from jupyter_dist.core.worker.state import KeyFetch, State
from jupyter_dist.messages import InputMissing, TaskInput


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
    fetch.nbytes = max(fetch.nbytes, wanted.nbytes)
    fetch.untried.extend(holder for holder in wanted.holders if holder not in fetch.tried + fetch.untried)
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
    for number in list(fetch.waiting):
        state.end_attempt(state.attempts[number], "given-back")
        state.effects.says.append(InputMissing(number, fetch.key, holder))


def on_arrived(state: State, event: Arrived) -> list[Attempt]:
    """Hand a fetched input out; return the attempts that lack nothing now."""
    fetch = state.flying.get(event.key)
    if fetch is None or fetch.request != event.request:
        return []
    attempts = state.keep(fetch, Fetched(event.buffers))
    return [attempt for attempt in attempts if not attempt.missing]


def on_fetch_failed(state: State, event: FetchFailed) -> None:
    """Let the fetch try its next holder."""
    fetch = state.flying.get(event.key)
    if fetch is not None and fetch.request == event.request:
        state.queue_again(fetch)


def expire_fetches(state: State, now: float) -> None:
    """Give up holders that are silent for too long."""
    for fetch in [fetch for fetch in state.flying.values() if fetch.deadline <= now]:
        state.effects.abandoned.append(fetch.request)
        state.queue_again(fetch)
