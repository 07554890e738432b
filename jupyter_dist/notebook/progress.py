"""A run's place in its cell: first a status line, updated at most four times a second, then the receipt.

Updates go by display id, which every ipykernel brings to the right cell from any thread. Nothing is sent when nothing
a person could see has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from IPython.display import DisplayHandle, display

from jupyter_dist.notebook.publisher import Publisher
from jupyter_dist.notebook.receipt import Bundle, RunView, status_bundle

STATUS = Publisher(0.25, "jupyter_dist-status")


class StatusDisplay:
    """Shows one run, from `open` until its view is final."""

    def __init__(self, look: Callable[[], RunView], publisher: Publisher = STATUS) -> None:
        self._look = look
        self._publisher = publisher
        self._handle: DisplayHandle | None = None
        self._shown: Bundle = {}
        self._lock = threading.Lock()
        self.finished = threading.Event()

    def open(self) -> None:
        """Show the first line in the cell that is running now, and keep it up to date."""
        self._shown = status_bundle(self._look())
        self._handle = display(self._shown, raw=True, display_id=True)
        self._publisher.add(self.refresh)

    def refresh(self) -> None:
        """Show the run as it is now."""
        with self._lock:
            if self.finished.is_set():
                return
            view = self._look()
            bundle = status_bundle(view)
            if self._handle is not None and bundle != self._shown:
                self._shown = bundle
                self._handle.update(bundle, raw=True)
            if not view.is_final:
                return
            self.finished.set()
        self._publisher.remove(self.refresh)
