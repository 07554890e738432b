"""When a worker's results go to its disk, when it takes no more tasks, and when its process is of no more use.

By shares of the limit, each a setting (memory is what the process has for itself, as its driver measures it):

* ``memory_target``: results held in memory beyond this are spilled, least recently used first.
* ``memory_spill``: a process that uses more, for whatever reason, spills until it should be back at the target.
* ``memory_pause``: above it the worker takes no tasks and gives back what has not begun, until it is below
  ``memory_spill`` again. What runs goes on.
* ``memory_terminate``: the nanny ends it (`jupyter_dist.processes.nanny`).

A result that an attempt has as an input is not spilled: nothing would become free. A spilled one is mapped by who needs
it, so it takes no memory from then on; its file goes when the key is freed.

Nobody is paused for ever. When nothing can be spilled and nothing runs that might free something, the driver looks for
garbage; after ``memory_wait_s`` the worker asks to be replaced. Where that would not help, it *resigns* and works on:
the disk is full (then a large result becomes its task's error, and small ones are as ever), tasks wait inside it for
others, or the limit is less than an empty worker needs.
"""

from __future__ import annotations

from jupyter_dist.core.worker.attempt import FETCHING, READY, WAITING
from jupyter_dist.core.worker.effects import Spilled, StartSpill, TakeBack
from jupyter_dist.core.worker.events import MemorySeen, SpillEnded, SpillLost
from jupyter_dist.core.worker.state import State
from jupyter_dist.messages import ErrorInfo, MemoryState, TaskErred, TaskFinished

# -- what happens --------------------------------------------------------------------------------------------------------


def on_memory_seen(state: State, event: MemorySeen) -> None:
    """Note how much the process uses."""
    state.memory.used = event.nbytes
    if state.memory.base is None:
        state.memory.base = event.nbytes


def on_spill_ended(state: State, event: SpillEnded, now: float) -> None:
    """Let go of a result that is on the disk; one that is not stays in memory."""
    memory = state.memory
    order = memory.end(event.name)
    is_current = state.held.get(order.key) is order.held
    if event.is_unfit:
        if is_current:
            memory.leave(order.key)
        return
    memory.trouble = event.reason
    if event.reason:
        memory.retry_s = now + state.settings.spill_retry_s
    elif is_current:
        held = order.held
        memory.used = max(0, memory.used - held.nbytes)
        state.hold(order.key, Spilled(event.name, held.nbytes, held.attempt, held.type_name, held.speaks_of))
        state.effects.trim = True
    else:
        state.effects.unspilled.append(event.name)


def on_spill_lost(state: State, event: SpillLost) -> None:
    """Drop a result that cannot be read back. Who asked for it tells the scheduler."""
    held = state.held.get(event.key)
    if isinstance(held, Spilled) and held.name == event.name:
        state.free(event.key)


def refuse(state: State, reply: TaskFinished) -> TaskErred | None:
    """Return what to say instead of a result that there is room for neither in memory nor on the disk."""
    memory = state.memory
    if not memory.trouble or memory.used <= memory.pause_bytes:
        return None
    words = (
        f"the result of task {reply.key!r} ({reply.nbytes:,} bytes) cannot be kept: its worker {_usage(state)}, and"
        f" cannot spill to its disk: {memory.trouble}"
    )
    error = ErrorInfo("StorageFullError", words, "", kind="full", key=reply.key)
    return TaskErred(
        reply.key, reply.attempt, error, reply.started_s, reply.stopped_s, slot=reply.slot, output=reply.output
    )


# -- what follows --------------------------------------------------------------------------------------------------------


def settle(state: State, now: float) -> None:
    """Spill what is too much, and see whether to pause or to go on. Called after every batch when there is a limit."""
    memory = state.memory
    if memory.excess() > 0:
        _spill(state, now)
    elif memory.trouble and now >= memory.retry_s:
        memory.trouble = ""  # nothing has to be written any more
    floor = memory.spill_bytes if memory.is_paused or memory.is_resigned else memory.pause_bytes
    if memory.used <= floor:
        memory.is_paused = memory.is_resigned = False
        memory.patience_s = None
    else:
        _endure(state, now)
    _tell(state)


def deadline(state: State) -> float | None:
    """Return when `settle` must be called at the latest."""
    memory = state.memory
    times = [] if memory.patience_s is None else [memory.patience_s]
    if memory.trouble and not memory.spilling:
        times.append(memory.retry_s)
    return min(times, default=None)


def _spill(state: State, now: float) -> None:
    memory = state.memory
    if memory.trouble:
        if now < memory.retry_s or memory.spilling:
            return  # one at a time tries whether the disk takes more by now
        memory.retry_s = now + state.settings.spill_retry_s  # also when there is none to try
    excess = memory.excess()
    for key in list(memory.victims()):
        if excess <= 0:
            return
        held = state.held[key]
        if isinstance(held, Spilled):
            continue
        memory.last_file += 1
        order = StartSpill(f"{memory.last_file:016x}", key, held)
        memory.begin(order)
        state.effects.spills.append(order)
        excess -= held.nbytes
        if memory.trouble:
            return


def _endure(state: State, now: float) -> None:
    """Pause, for as long as something may become free."""
    memory = state.memory
    if _may_get_better(state):
        memory.patience_s = None
    elif memory.patience_s is None:
        memory.patience_s = now + state.settings.memory_wait_s
        state.effects.collect = True
    elif now >= memory.patience_s:
        _lose_patience(state)
        memory.patience_s = now + state.settings.memory_wait_s
    if not memory.is_paused and not memory.is_resigned:
        memory.is_paused = True
        _give_back(state)


def _may_get_better(state: State) -> bool:
    memory = state.memory
    if not memory.trouble and (memory.spilling or next(memory.victims(), None) is not None):
        return True
    return any(attempt.state != WAITING for attempt in state.attempts.values())


def _lose_patience(state: State) -> None:
    memory = state.memory
    if memory.trouble or state.attempts or (memory.base or 0) > memory.spill_bytes:
        memory.is_paused, memory.is_resigned = False, True
    elif state.leaving is None:
        state.effects.leave = f"it {_usage(state)}, and none of that are results"


def _give_back(state: State) -> None:
    """Give back what has not begun."""
    attempts = tuple(state.attempts.values())
    hand = tuple(attempt.task.attempt for attempt in attempts if attempt.state == READY)
    fetching = [attempt for attempt in attempts if attempt.state == FETCHING]
    for attempt in fetching:
        state.end_attempt(attempt, "given-back")
    if attempts:
        already = tuple(attempt.task.attempt for attempt in fetching)
        state.effects.taken_back.append(TakeBack(hand, already, answer=True))


def _tell(state: State) -> None:
    """Tell the scheduler what has changed."""
    memory = state.memory
    is_troubled = bool(memory.trouble) or memory.is_resigned
    is_known = memory.told[0] == memory.is_paused and bool(memory.told[1]) == (memory.is_paused or is_troubled)
    if is_known:
        return
    words = ""
    if memory.is_paused or is_troubled:
        words = f"it {_usage(state)}"
        words += f"; it cannot spill to its disk: {memory.trouble}" if memory.trouble else ""
        words += "; nothing more can be freed, so it works on" if memory.is_resigned else ""
    memory.told = (memory.is_paused, words)
    state.effects.says.append(MemoryState(*memory.told))


def _usage(state: State) -> str:
    return f"uses {state.memory.used:,} bytes of the {state.memory.limit:,} it may use"
