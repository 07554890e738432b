"""Signals of a worker: who hears them, and what a process that a task forks makes of them.

Python runs handlers in the main thread, which is a slot and may be inside C code for long. So the handlers do nothing,
and the number of each signal goes down a pipe, at once, to the loop's thread. SIGINT is what a terminal sends to all its
processes when a user interrupts one of them: it must not end a worker, and nothing listens to it.

A forked child has the pipe and the handlers too. Until it has put both away, signals to it wait: one that ends the child
must not be taken for one that ends the worker.
"""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable

from jupyter_dist.processes.interrupt import STOP_SIGNAL
from jupyter_dist.processes.output import current_capture

OURS = (signal.SIGTERM, signal.SIGINT, STOP_SIGNAL)


class _Forking(threading.local):
    mask: set[signal.Signals | int] = set()  # noqa: RUF012 - never changed, replaced


_forking = _Forking()


def open_wakeup() -> socket.socket:
    """Return where signal numbers arrive. To be called in the main thread."""
    reading, writing = socket.socketpair()
    for end in (reading, writing):
        end.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(writing.detach(), warn_on_full_buffer=False)
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_leave_worker)
    return reading


def watch_signals(loop: asyncio.AbstractEventLoop, reading: socket.socket, on_term: Callable[[], None]) -> None:
    """Have the loop call ``on_term`` when the process is asked to end. To be called in the loop's thread."""

    def on_readable() -> None:
        if signal.SIGTERM in reading.recv(4096):
            on_term()

    loop.add_reader(reading, on_readable)


def _hold_signals() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _leave_worker() -> None:
    """Make a forked child an ordinary process: signals end it, and what it prints is nobody's task's."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(STOP_SIGNAL, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    current_capture.set(None)
    _release_signals()
