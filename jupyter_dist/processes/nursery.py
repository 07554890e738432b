"""The nanny's children: forked by a server that has the imports done, watched through their pipes, ended as groups.

The fork server is multiprocessing's, from the standard library; what is ours is that it is started at once, before the
nanny has done its own imports (`take_pipes` and `open_nursery` are called before them: this module loads the standard
library alone), and that its whole family dies with the nanny (see `lifeline`).

A `Nursery` starts, kills and waits; it never decides. It tells each end once, through ``on_exit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from jupyter_dist.processes.lifeline import run_child
from jupyter_dist.processes.vitals import Vitals

PRELOAD = ("jupyter_dist.processes.fork_server", "jupyter_dist.processes.preload")


class Pipes(NamedTuple):
    """The nanny's line to its launcher."""

    reading: int
    writing: int


def take_pipes() -> Pipes:
    """Take standard input and output out of their places, so that no child inherits the line to the launcher.

    Input is empty from now on, and output goes where errors go.
    """
    pipes = Pipes(os.dup(0), os.dup(1))  # a duplicate is not inherited
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return pipes


def open_nursery(folder: str, preload: tuple[str, ...] = PRELOAD) -> None:
    """Start the fork server, with its socket in this folder. Calling it again does nothing while the server lives."""
    tempfile.tempdir = folder
    multiprocessing.set_forkserver_preload(list(preload))
    multiprocessing.forkserver.ensure_running()


class Child:
    """One process. ``name`` is its part, ``birth`` its name and a number that no other start has."""

    def __init__(self, name: str, birth: str, entry: str, config: object, log: str, now: float) -> None:
        self.name = name
        self.birth = birth
        self._process = multiprocessing.get_context("forkserver").Process(
            target=run_child, args=(entry, config, log), name=birth, daemon=False
        )
        self._process.start()
        self.pid = self._process.pid or 0
        self.sentinel = self._process.sentinel
        self.vitals = Vitals(self.pid, now)

    def kill(self, signal_number: int) -> None:
        """Send a signal to the process; SIGKILL to everything it forked as well."""
        if signal_number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal_number)
        with contextlib.suppress(ProcessLookupError):  # it may not lead its group yet
            os.kill(self.pid, signal_number)

    def bury(self) -> int:
        """Return the exit code of the dead process, end what it forked, and let go of it."""
        code = self._process.exitcode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.close()
        return -signal.SIGKILL if code is None else code


class Nursery:
    """The children of one nanny, by name. ``on_exit(child, code)`` is called from the loop, once for each."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_exit: Callable[[Child, int], None]) -> None:
        self.children: dict[str, Child] = {}
        self._loop = loop
        self._on_exit = on_exit
        self._births = 0

    def next_birth(self, name: str) -> str:
        """Return a name for one start of a process, which no other start has."""
        self._births += 1
        return f"{name}.{self._births}"

    def start(self, name: str, birth: str, entry: str, config: object, log: str) -> Child:
        """Fork a process.

        Raises
        ------
        OSError
            The system has no room for one more.
        """
        try:
            child = Child(name, birth, entry, config, log, self._loop.time())
        except EOFError:
            raise OSError("the fork server died") from None
        self.children[name] = child
        self._loop.add_reader(child.sentinel, self._on_sentinel, child)
        return child

    def kill(self, name: str, signal_number: int) -> None:
        """Send a signal to a child, if it is there."""
        if name in self.children:
            self.children[name].kill(signal_number)

    def abort(self, name: str) -> None:
        """Have a child write where it is and end, without a file of its memory."""
        if name in self.children:
            if sys.platform == "linux":
                with contextlib.suppress(OSError):
                    _soft, hard = resource.prlimit(self.children[name].pid, resource.RLIMIT_CORE)
                    resource.prlimit(self.children[name].pid, resource.RLIMIT_CORE, (0, hard))
            self.children[name].kill(signal.SIGABRT)

    def _on_sentinel(self, child: Child) -> None:
        self._loop.remove_reader(child.sentinel)
        del self.children[child.name]
        self._on_exit(child, child.bury())
