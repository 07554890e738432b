"""Loaded by the fork server of a test's cluster: a process dies at a step of the protocol that the test has armed.

A point is armed by a file of its name in the folder that the environment names (`FOLDER`). The first process that comes
by removes the file and is killed there and then, by SIGKILL. The names are ``role-what``:

* ``spawned``, ``connected``, ``authenticated``: how far a process has come;
* ``hears-X``: it is about to handle a message or event X; ``took-X``: its machine has, and nothing was done about it yet;
* ``said-X``: X has left the process;
* ``began``: an attempt is inside a user's code; ``half-sent``: half of a result's bytes have left;
* ``writing``, ``written``: the scheduler's journal is about to take a change; it has, and nobody was told;
* ``leaves``: the process was asked to end.

Nothing of this is in the product: the methods it stands before are replaced in the fork server alone.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_dist.comm.channel import Channel
from jupyter_dist.comm.wire import Wire
from jupyter_dist.core.scheduler.machine import SchedulerMachine
from jupyter_dist.core.worker.machine import WorkerMachine
from jupyter_dist.messages import Found
from jupyter_dist.processes import scheduler, worker
from jupyter_dist.processes.exchange import Exchange
from jupyter_dist.processes.journaling import SchedulerJournal
from jupyter_dist.storage.page import PageWriter

FOLDER = "CRASH_POINTS"  # the variable
ROLE = ""  # of this process


def take(what: str) -> bool:
    """Tell whether this process is to die here, and disarm the point."""
    try:
        Path(os.environ[FOLDER], f"{ROLE}-{what}").unlink()
    except FileNotFoundError:
        return False
    return True


def die() -> None:
    """Be killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def pass_by(what: str) -> None:
    """Die here, if that is armed."""
    if take(what):
        die()


def pass_by_when_sent(what: str) -> None:
    """Die after what was written in this turn of the loop has left, if that is armed."""
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, functools.partial(pass_by, what))  # uvloop writes at the end of a turn


def wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put something around a function of a module or a class."""
    setattr(owner, name, make(getattr(owner, name)))


def with_role(role: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a process's entry one that knows its role."""

    def make(main: Callable[[Any], None]) -> Callable[[Any], None]:
        def entry(config: Any) -> None:
            global ROLE  # noqa: PLW0603 - a process has one
            ROLE = role
            pass_by("spawned")
            main(config)

        return entry

    return make


def around_handle(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Make a machine's `handle` one that can die before and after."""

    def handle_or_die(machine: Any, source: int, events: Any, now: float) -> Any:
        names = dict.fromkeys(type(event).__name__ for event in events)
        for name in names:
            pass_by(f"hears-{name}")
        effects = handle(machine, source, events, now)
        for name in names:
            pass_by(f"took-{name}")
        return effects

    return handle_or_die


def around_flush(flush: Callable[..., Any]) -> Callable[..., Any]:
    """Make a channel's `_flush` one after which the process can die."""

    def flush_or_die(channel: Any) -> None:
        names = dict.fromkeys(type(message).__name__ for message in channel._messages)
        flush(channel)
        for name in names:
            pass_by_when_sent(f"said-{name}")

    return flush_or_die


def around_buffers(send: Callable[..., Any]) -> Callable[..., Any]:
    """Make a channel's `send_buffers` one that can send half, and no more."""

    def send_half_and_die(channel: Any, message: Any, buffers: Any) -> None:
        if not (isinstance(message, Found) and take("half-sent")):
            send(channel, message, buffers)
            return
        data = b"".join(bytes(chunk) for chunk in channel._connection.encode_with_buffers(message, buffers))
        channel._flush()
        channel._outbox.write([data[: len(data) // 2]], bulk=True)
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, die)

    return send_half_and_die


def before(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a method one before which the process can die."""

    def make(method: Callable[..., Any]) -> Callable[..., Any]:
        def method_or_die(*arguments: Any) -> Any:
            pass_by(what)
            return method(*arguments)

        return method_or_die

    return make


def after_page(initialise: Callable[..., None]) -> Callable[..., None]:
    """Make a page one whose `begin` can be followed by death."""

    def make_page(page: Any, *arguments: Any) -> None:
        initialise(page, *arguments)
        begin = page.begin

        def begin_or_die(entry: int, attempt: int) -> None:
            begin(entry, attempt)
            pass_by("began")

        page.begin = begin_or_die

    return make_page


def after_connected(connected: Callable[..., None]) -> Callable[..., None]:
    """Make a wire one after whose first words the process can die."""

    def connected_or_die(wire: Any, transport: Any) -> None:
        connected(wire, transport)
        pass_by_when_sent("connected")

    return connected_or_die


def after_handshake(shake: Callable[..., None]) -> Callable[..., None]:
    """Make a wire one after whose handshake the process can die."""

    def shake_or_die(wire: Any, count: int) -> None:
        shake(wire, count)
        if wire.is_authenticated:
            pass_by_when_sent("authenticated")

    return shake_or_die


def install() -> None:
    """Put the points into the methods of this process."""
    wrap(worker, "main", with_role("worker"))
    wrap(scheduler, "main", with_role("scheduler"))
    wrap(WorkerMachine, "handle", around_handle)
    wrap(SchedulerMachine, "handle", around_handle)
    wrap(Channel, "_flush", around_flush)
    wrap(Channel, "send_buffers", around_buffers)
    wrap(Wire, "connection_made", after_connected)
    wrap(Wire, "_on_handshake", after_handshake)
    wrap(Exchange, "answer", before("hears-Fetch"))
    wrap(PageWriter, "__init__", after_page)
    wrap(worker.Worker, "leave", before("leaves"))
    wrap(SchedulerJournal, "write", before("writing"))
    wrap(SchedulerJournal, "_tell_written", before("written"))


if FOLDER in os.environ:  # in the fork server; the test imports this for the name alone
    install()
