"""What this process is to the code that runs in it: a worker of a cluster, and which of its threads run tasks.

A task may use the cluster that runs it. The client, a floor above, finds here which cluster that is, and the runner of
the calling thread, to which a call that waits says so. Whatever is not a worker has nothing here. A process that was
forked from a worker is none, and is told so: connections and threads did not come with it.

A worker loads the client only when a task asks for it. It is then called by its name, like the entry point of a child
process: no floor imports one above itself.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from jupyter_dist.errors import ClusterClosedError
from jupyter_dist.processes.config import ClusterIdentity
from jupyter_dist.settings import Settings

CLIENT = "jupyter_dist.client.inside:get_executor"
CONFIRM = "jupyter_dist.client.inside:confirm"


class Host(msgspec.Struct, frozen=True):
    """The worker this process is. Its repr shows no secret."""

    identity: ClusterIdentity
    name: str
    host: str
    objects: tuple[str, ...] = ()  # the folders of the host's object store
    settings: Settings = Settings()
    nanny: int = 0  # the process whose child it is, and with which its cluster ends


class Runner(Protocol):
    """The thread of a task, as a call that waits in it sees it.

    Attributes
    ----------
    wake
        Called from another thread when the task shall be interrupted: has the wait look up. None while nothing waits.
    awaiting
        How many coroutines of this thread's event loop wait for something of the cluster.
    is_staying
        Whether a wait keeps the slot: others of the worker's tasks may need what this thread has.
    has_loop
        Whether that loop is one that gives the slot away by itself, see `coroutine`.
    """

    wake: Callable[[], object] | None
    awaiting: int
    has_loop: bool
    is_staying: bool

    @property
    def key(self) -> str:
        """The key of the task; empty between two."""

    @property
    def has_seceded(self) -> bool:
        """Whether the task gave its slot away until it says otherwise."""

    def step_aside(self) -> None:
        """Give the slot to another task."""

    def step_back(self) -> None:
        """Wait for a slot."""

    def hurry_back(self) -> None:
        """Go on at once: the wait was struck. There will be a slot as soon as one is free."""

    def secede(self) -> None:
        """Give the slot away for longer."""

    def rejoin(self) -> None:
        """Wait for a slot after `secede`."""


class _Thread(threading.local):
    runner: Runner | None = None


_thread = _Thread()
_host: Host | None = None
_fork_of = ""  # the worker this process was forked from


def enter(host: Host) -> None:
    """Note that this process is a worker. Once a process, before any task."""
    global _host  # noqa: PLW0603 - one a process, by purpose
    _host = host


def is_worker() -> bool:
    """Whether this process is a worker, and not forked from one."""
    return _host is not None


def host() -> Host | None:
    """Return which worker this process is, None if it is none.

    Raises
    ------
    ClusterClosedError
        It was forked from a worker.
    """
    if _fork_of:
        raise ClusterClosedError(
            f"this process was forked from {_fork_of}, inside a task, and cannot use its connections: do in the task "
            "what needs the cluster, or make a new Executor here"
        )
    return _host


def run_by(runner: Runner) -> None:
    """Note that this thread runs tasks."""
    _thread.runner = runner


def runner() -> Runner | None:
    """Return who runs the tasks of this thread, None in any other."""
    return _thread.runner


def running_key() -> str:
    """Return the key of the task that runs in this thread; empty when there is none."""
    return "" if _thread.runner is None else _thread.runner.key


def call_client(*args: Any, **kwargs: Any) -> Any:
    """Call `jupyter_dist.client.inside.get_executor`."""
    return _call(CLIENT, *args, **kwargs)


def confirm(futures: Any) -> None:
    """Call `jupyter_dist.client.inside.confirm`."""
    _call(CONFIRM, futures)


def _call(path: str, *args: Any, **kwargs: Any) -> Any:
    module, _colon, name = path.partition(":")
    return getattr(importlib.import_module(module), name)(*args, **kwargs)


def _after_fork() -> None:
    global _host, _fork_of
    if _host is not None:
        _fork_of, _host = _host.name, None
        _thread.runner = None


os.register_at_fork(after_in_child=_after_fork)
