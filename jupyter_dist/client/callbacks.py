"""The thread in which users' callbacks run, so that a callback may wait, submit or fail without stopping the I/O."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("jupyter_dist.client")

_lock = threading.Lock()
_calls: queue.SimpleQueue[Callable[[], object]] | None = None


def run_later(call: Callable[[], object]) -> None:
    """Call something soon, in order, in the callbacks' thread."""
    global _calls  # noqa: PLW0603 - one a process, by purpose
    with _lock:
        if _calls is None:
            _calls = queue.SimpleQueue()
            threading.Thread(target=_run, args=(_calls,), name="jupyter_dist-callbacks", daemon=True).start()
    _calls.put(call)


def _run(calls: queue.SimpleQueue[Callable[[], object]]) -> None:
    while True:
        call = calls.get()
        try:
            call()
        except Exception:  # as concurrent.futures does: a callback's error is logged and ends nothing
            log.exception("a callback raised")
        del call  # a callback may be all that keeps a Future alive
