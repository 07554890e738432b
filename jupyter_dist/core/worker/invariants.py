"""What must hold between two events, whatever happened before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jupyter_dist.core.worker.attempt import FETCHING, RUNNING, WAITING
from jupyter_dist.core.worker.effects import Spilled
from jupyter_dist.core.worker.memory_table import HELD, SPILL_BYTES_MIN
from jupyter_dist.core.worker.state import KeyFetch, State
from jupyter_dist.errors import InvariantError


def check(state: State, link: int) -> None:
    """Raise `InvariantError` with everything that is wrong."""
    wrong = [*_check_attempts(state), *_check_fetches(state), *_check_values(state)]
    if state.memory.limit:
        wrong += _check_memory(state)
    if not link and (state.effects.says or state.flying or state.queued or state.storing):
        wrong.append("without a scheduler there is nobody to speak to, fetch or store for")
    if wrong:
        raise InvariantError("worker: " + "; ".join(wrong))


def _check_attempts(state: State) -> Iterator[str]:
    running = [attempt for attempt in state.attempts.values() if attempt.state == RUNNING]
    if len(running) > state.slots:
        yield f"{len(running)} attempts run in {state.slots} slots"
    for number, attempt in state.attempts.items():
        if attempt.task.attempt != number:
            yield f"attempt {attempt.task.attempt} is filed as {number}"
        if bool(attempt.missing) != (attempt.state == FETCHING):
            yield f"attempt {number} is {attempt.state} and lacks {sorted(attempt.missing)}"
        if attempt.state != FETCHING and {wanted.key for wanted in attempt.task.inputs} != set(attempt.inputs):
            yield f"attempt {number} is {attempt.state} without all its inputs"
    if not state.futures.keys() <= {said.reply.attempt for said in state.unkept}:
        yield f"futures of {sorted(state.futures)} are kept for nobody"
    for number, attempt in state.timed.items():
        if attempt.state not in {RUNNING, WAITING} or not attempt.deadline:
            yield f"attempt {number} is timed and does not run"


def _check_fetches(state: State) -> Iterator[str]:
    if len(state.flying) > state.settings.fetches_max:
        yield f"{len(state.flying)} fetches are under way"
    if state.queued and len(state.flying) < state.settings.fetches_max:
        yield f"fetches of {sorted(state.queued)} wait although there is room"
    for fetch in state.flying.values():
        if not fetch.holder or not fetch.request or fetch.deadline <= 0:
            yield f"the fetch of {fetch.key!r} has no source or no timer"
    for key, fetch in [*state.flying.items(), *state.queued.items()]:
        if fetch.copy and key in state.held:
            yield f"{key!r} is held, and fetched to be held"
        if key in state.kept or (key in state.flying and key in state.queued):
            yield f"{key!r} is fetched twice"
        yield from _check_waiting(state, fetch)


def _check_waiting(state: State, fetch: KeyFetch) -> Iterator[str]:
    missing = {number for number, attempt in state.attempts.items() if fetch.key in attempt.missing}
    if set(fetch.waiting) != missing or not (missing or fetch.copy):
        yield f"{sorted(fetch.waiting)} wait for {fetch.key!r}, which {sorted(missing)} lack"


def _check_values(state: State) -> Iterator[str]:
    if state.held_bytes != sum(value.nbytes for value in state.held.values()):
        yield "the held bytes are summed wrong"
    for key, kept in state.kept.items():
        users = {number for number, attempt in state.attempts.items() if attempt.inputs.get(key) is kept.value}
        if users != kept.users or not users:
            yield f"{key!r} is kept for {sorted(kept.users)} and used by {sorted(users)}"


def _check_memory(state: State) -> Iterator[str]:
    memory = state.memory
    on_disk = {key: held.nbytes for key, held in state.held.items() if isinstance(held, Spilled)}
    in_memory = {key: held.nbytes for key, held in state.held.items() if not isinstance(held, Spilled)}
    if memory.spilled != on_disk or memory.spilled_bytes != sum(on_disk.values()):
        yield f"{sorted(memory.spilled)} are noted as spilled, {sorted(on_disk)} are"
    if not memory.resident.items() <= in_memory.items() or memory.resident_bytes != sum(memory.resident.values()):
        yield f"{sorted(memory.resident)} are noted as resident, {sorted(in_memory)} are in memory"
    if any(nbytes < SPILL_BYTES_MIN for nbytes in memory.resident.values()):
        yield "what is too small for a file is to be spilled"
    used = Counter(k for attempt in state.attempts.values() for k, v in attempt.inputs.items() if isinstance(v, HELD))
    if used != memory.inputs:
        yield f"inputs held here are {dict(used)}, noted are {memory.inputs}"
    if memory.spilling_bytes != sum(order.held.nbytes for order in memory.spilling.values()):
        yield "the bytes being spilled are summed wrong"
    if memory.is_paused and memory.is_resigned:
        yield "it is paused and works on"
