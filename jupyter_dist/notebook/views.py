"""Panel, task stream and futures as they are displayed. ipywidgets and Bokeh are loaded when a view is first shown."""

from __future__ import annotations

import importlib
from typing import Any

from IPython.display import display

from jupyter_dist.client.future import Future
from jupyter_dist.client.portrait import future_words, shorten
from jupyter_dist.notebook.ports import ExecutorPort
from jupyter_dist.notebook.wording import colour, escape, icon


class Views:
    """The live views of one shell: one panel and one moving task stream for each executor."""

    def __init__(self) -> None:
        self._panels: dict[ExecutorPort, Any] = {}
        self._streams: dict[ExecutorPort, Any] = {}

    def show_panel(self, executor: ExecutorPort) -> None:
        """Display the executor's panel; the same one when it is shown again."""
        self._panels = {other: panel for other, panel in self._panels.items() if not other.is_closed}
        panel = self._panels.get(executor)
        if panel is None:
            panel = importlib.import_module("jupyter_dist.notebook.panel").ExecutorPanel(executor)
            self._panels[executor] = panel
        display(panel)

    def show_stream(self, executor: ExecutorPort) -> None:
        """Display a task stream; the one shown before stops moving."""
        before = self._streams.pop(executor, None)
        if before is not None:
            before.close("shown again below")
        self._streams = {other: stream for other, stream in self._streams.items() if not other.is_closed}
        stream = importlib.import_module("jupyter_dist.notebook.task_stream").TaskStream(executor)
        self._streams[executor] = stream
        stream.show()


def future_html(future: Future) -> str:
    """Return a future as it is shown: sign in its colour, word, what became of it, key."""
    wish = future.wish
    sign = f'<span style="color:{colour(wish.status)}">{icon(wish.status)}</span>'
    return f"<span>{sign} Future: {escape(future_words(wish))} <code>{escape(shorten(wish.key))}</code></span>"
