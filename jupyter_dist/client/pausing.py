"""Waits inside a task: a short one keeps the task's slot, a longer one gives it to another task meanwhile.

So a task may wait for tasks that it submitted itself, on a cluster of one slot. Outside of tasks a wait is only a wait.
A coroutine that waits is counted: the loop of a task that is a coroutine gives the slot away when it has nothing to do.
For one in a loop that the task made itself, the slot is given away at once, and had again before it goes on.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_dist.client.waiting import Gate
from jupyter_dist.processes import inside
from jupyter_dist.processes.coroutine import rouse

PATIENCE_S = 0.001


def wait_here(gate: Gate, timeout: float | None = None) -> bool:
    """Wait in this thread until a gate is open; return whether it is.

    Raises
    ------
    WaitingLimitError
        This is inside a task, and too many tasks of its worker wait already.
    """
    runner = inside.runner()
    if runner is None or not runner.key:
        return gate.wait(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    if gate.wait(PATIENCE_S if timeout is None else min(timeout, PATIENCE_S)):
        return True
    before, runner.wake = runner.wake, gate.stir
    try:
        if runner.has_seceded or runner.is_staying:
            return _wait_until(gate, deadline)
        return _wait_aside(runner, gate, deadline)
    finally:
        runner.wake = before


def _wait_aside(runner: inside.Runner, gate: Gate, deadline: float | None) -> bool:
    try:
        runner.step_aside()
        is_open = _wait_until(gate, deadline)
    except BaseException:
        runner.hurry_back()
        raise
    runner.step_back()
    return is_open


def _wait_until(gate: Gate, deadline: float | None) -> bool:
    """Wait, and look up when somebody stirs the gate: an interrupt is raised here then."""
    while not gate.is_open:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        gate.wait(left)
    return True


@contextmanager
def staying() -> Iterator[None]:
    """Keep the slot in waits of this thread: it has a lock that a task in the slot might want."""
    runner = inside.runner()
    if runner is None or runner.is_staying:
        yield
        return
    runner.is_staying = True
    try:
        yield
    finally:
        runner.is_staying = False


@contextmanager
def aside() -> Iterator[None]:
    """Give the slot away while this thread waits in another way."""
    runner = inside.runner()
    if runner is None or not runner.key or runner.has_seceded:
        yield
        return
    runner.step_aside()
    try:
        yield
    except BaseException:
        runner.hurry_back()
        raise
    runner.step_back()


@contextmanager
def awaiting() -> Iterator[None]:
    """Note that a coroutine of this thread waits for something of the cluster."""
    runner = inside.runner()
    if runner is None:
        yield
        return
    runner.awaiting += 1
    is_first = runner.awaiting == 1 and not runner.has_loop and not runner.has_seceded
    if is_first:
        runner.step_aside()
        runner.wake = functools.partial(rouse, asyncio.get_running_loop())
    try:
        yield
    finally:
        runner.awaiting -= 1
        if is_first:
            runner.wake = None
            runner.step_back()
