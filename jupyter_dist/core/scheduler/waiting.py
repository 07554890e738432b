"""Attempts that wait for something of the cluster: they have given their slots back, and are still where they were.

One that waits is not load: its worker may be given others, the one it waits for perhaps. It is in `Member.waiting`
instead of among those that process or, when nobody wants it, of the zombies. Only this module moves it there and back.

A suspect that waits does not have its worker to itself any more: what it waits for may have to run there.
"""

from jupyter_dist.core.scheduler.records import Member, Task
from jupyter_dist.core.scheduler.state import State
from jupyter_dist.messages import AttemptGoesOn, AttemptWaits


def on_waits(state: State, member: Member, message: AttemptWaits, _now: float) -> None:
    """Take back the slot of an attempt."""
    attempt = message.attempt
    task = member.processing.pop(attempt, None)
    if task is not None:
        member.withdrawing.discard(attempt)
        member.occupancy_s = member.occupancy_s - task.expected_s if member.processing else 0.0
        member.waiting[attempt] = task
        if member.solo is task:
            member.solo = None
        state.refresh(member)
    elif attempt in member.zombies:
        held, orphan = member.holding.get(attempt), member.orphans.get(attempt)
        state.bury_zombie(member, attempt)
        member.waiting[attempt] = None
        if held is not None:
            member.holding[attempt] = held  # a slot is given back, nothing else
        if orphan is not None:
            member.orphans[attempt] = orphan


def on_goes_on(state: State, member: Member, message: AttemptGoesOn, _now: float) -> None:
    """Note that an attempt has a slot again."""
    attempt = message.attempt
    if attempt not in member.waiting:
        return
    task = member.waiting.pop(attempt)
    if task is None:
        member.zombies.add(attempt)
    else:
        _go_on(member, attempt, task)
    state.refresh(member)


def _go_on(member: Member, attempt: int, task: Task) -> None:
    if task.certificates and not member.load and member.solo is None:
        member.solo = task
    member.processing = {attempt: task, **member.processing}  # before those in hand: it has begun
    member.occupancy_s += task.expected_s
