"""A run's place in its cell: first a status line with a Cancel button, updated at most four times a second, then the receipt.

Updates go by display id, which every ipykernel brings to the right cell from any thread. Nothing is sent when nothing
a person could see has changed. The button is a widget, so it is there only where a kernel is, and only while the run goes
on: the receipt takes its place, and no widget is left in what is saved. A file that is saved meanwhile has the line, as
HTML and as text, as it was at the start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, display

from jupyter_dist.notebook.publisher import Publisher
from jupyter_dist.notebook.receipt import Bundle, RunView, status_bundle
from jupyter_dist.notebook.subshells import allow_subshell

STATUS = Publisher(0.25, "jupyter_dist-status")


class StatusDisplay:
    """Shows one run, from `open` until its view is final.

    Parameters
    ----------
    look
        Tells how the run is now.
    cancel
        What the Cancel button does, in a thread of its own.
    """

    def __init__(
        self, look: Callable[[], RunView], cancel: Callable[[], None] | None = None, publisher: Publisher = STATUS
    ) -> None:
        self._look, self._cancel = look, cancel
        self._publisher = publisher
        self._handle: DisplayHandle | None = None
        self._line: CancelLine | None = None
        self._shown: Bundle = {}
        self._lock = threading.Lock()
        self.finished = threading.Event()

    def open(self) -> None:
        """Show the first line in the cell that is running now, and keep it up to date."""
        self._shown = status_bundle(self._look())
        bundle: dict[str, Any] = dict(self._shown)
        if self._cancel is not None and has_widgets():
            self._line = CancelLine(self._shown["text/html"], self._cancel)
            bundle = self._line.bundle() | bundle
        self._handle = display(bundle, raw=True, display_id=True)
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
                if self._line is not None and not view.is_final:
                    self._line.say(bundle["text/html"])
                else:
                    self._handle.update(bundle, raw=True)
            if not view.is_final:
                return
            self.finished.set()
        self._publisher.remove(self.refresh)
        if self._line is not None:
            self._line.close()


class CancelLine:
    """The line with its button."""

    def __init__(self, html: str, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._text = ipywidgets.HTML(html)
        self._button = ipywidgets.Button(
            description="Cancel", tooltip="Stop this run", layout=ipywidgets.Layout(width="auto", height="26px")
        )
        self._button.on_click(self._on_click)
        self._box = ipywidgets.HBox([self._text, self._button])

    def bundle(self) -> dict[str, Any]:
        """Return what shows it."""
        allow_subshell(self._button)
        shown: dict[str, Any] = self._box._repr_mimebundle_() or {}  # as IPython calls it
        return shown

    def say(self, html: str) -> None:
        """Change the line."""
        self._text.value = html

    def close(self) -> None:
        """Take the widgets away: the receipt stands in their place."""
        for widget in (self._box, self._button, self._text):
            widget.close()

    def _on_click(self, _: Any) -> None:
        self._button.disabled = True
        threading.Thread(target=self._cancel, name="jupyter_dist-cancel", daemon=True).start()


def has_widgets() -> bool:
    """Tell whether this is a kernel, whose front end may have widgets."""
    return getattr(get_ipython(), "kernel", None) is not None
