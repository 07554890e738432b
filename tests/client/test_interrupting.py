"""Ctrl-C while a call waits, also one that comes just before the wait begins: it is handled after that has begun."""

from __future__ import annotations

import _thread
import asyncio
import threading

import pytest

from jupyter_dist.client.loop import loop_thread
from jupyter_dist.client.waiting import Gate


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_interrupt_that_does_not_wake_a_wait_for_a_gate_is_raised_soon(timeout):
    # `interrupt_main` only leaves the signal to be handled: what a signal does that came before the wait.
    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        Gate().wait(timeout)
    timer.join()


def test_interrupt_that_does_not_wake_a_wait_for_the_loop_is_raised_soon():
    ended = threading.Event()

    async def long():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        loop_thread().run(long())
    timer.join()
    assert ended.wait(10)


@pytest.mark.parametrize("timeout", [0.0, 0.01, 0.6])
def test_gate_that_stays_closed_is_waited_for_as_long_as_was_asked(timeout):
    assert not Gate().wait(timeout)


def test_gate_that_is_stirred_lets_its_waiter_look_up_once():
    gate = Gate()
    gate.stir()
    assert not gate.wait()
    gate.open()
    assert gate.wait()
    assert gate.wait(0.0)
