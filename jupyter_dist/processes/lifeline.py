"""What ties a process's life to its parent's, and the first thing every forked process does.

The chain is nanny, fork server, worker. Each link asks the kernel for a SIGKILL when its parent dies, so the whole chain
goes within milliseconds of the nanny, also when a worker is inside C code and would never look at a pipe. Where the
kernel cannot do that, a thread waits for the end of a pipe that only the nanny holds open.

This module is loaded by the nanny before anything else and imports little. A forked process redirects its output, then
calls its entry point by name: the nanny never loads what a worker loads.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from jupyter_dist.processes.folder import open_log

PR_SET_PDEATHSIG = 1
EXIT_ORPHAN = 70


def die_with_parent() -> bool:
    """Have the kernel kill this process when the thread that forked it ends. False where there is no such kernel."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)


def run_child(entry: str, config: object, log: str) -> None:
    """Run in a freshly forked process: tie it to the nanny, send its output to its log, call ``module:function``.

    The process leads a group of its own, so that what it forks can be ended with it.
    """
    _tie_to_nanny()
    os.setpgid(0, 0)
    _redirect_output(Path(log))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the nanny may have inherited it ignored
    module, _colon, name = entry.partition(":")
    main: Any = getattr(importlib.import_module(module), name)
    main(config)


def _tie_to_nanny() -> None:
    is_tied = die_with_parent()
    nanny = multiprocessing.parent_process()
    if nanny is None:
        return
    if not nanny.is_alive():  # it died before the kernel was asked
        os._exit(EXIT_ORPHAN)
    if not is_tied:
        threading.Thread(target=_wait_for_end, args=(nanny.sentinel,), name="lifeline", daemon=True).start()


def _wait_for_end(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _redirect_output(path: Path) -> None:
    log = open_log(path)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
