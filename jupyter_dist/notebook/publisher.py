"""One thread that lets live views draw themselves at a bounded rate.

A view registers a function; the thread calls each at most once an interval, starts with the first and ends with the
last. A function that raises is told of once and dropped: a broken view never stops the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

View = Callable[[], None]


class Publisher:
    """Calls views every ``interval_s`` while there are any."""

    def __init__(self, interval_s: float, name: str) -> None:
        self.interval_s = interval_s
        self._name = name
        self._views: list[View] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, view: View) -> None:
        """Call this view from now on."""
        with self._lock:
            self._views = [*self._views, view]
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def remove(self, view: View) -> None:
        """Call this view no more; one call may still be under way."""
        with self._lock:
            self._views = [other for other in self._views if other != view]

    def _run(self) -> None:
        while True:
            self._wake.wait(self.interval_s)
            with self._lock:
                views = self._views
                if not views:
                    self._thread = None
                    return
            for view in views:
                self._call(view)

    def _call(self, view: View) -> None:
        try:
            view()
        except Exception:
            logger.exception("a live view of jupyter_dist was closed, because it could not be drawn")
            self.remove(view)
