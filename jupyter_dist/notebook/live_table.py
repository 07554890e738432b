"""A long table that follows what happens: one small anywidget, used for futures, errors and workers.

Row changes go as custom messages, not as traits: nothing is echoed back. A view that opens says ``ready`` and gets all
of it, so a second view and a reloaded page are filled too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from jupyter_dist.notebook.table_rows import Row, TableDiff, html_table

HERE = Path(__file__).parent


OnAction = Callable[[str, str], None]


class LiveTable(anywidget.AnyWidget):
    """A table of rows with stable ids.

    Parameters
    ----------
    on_action
        Called with an action's name and its row's id, when the row has it.
    """

    _esm = HERE / "live_table.js"
    _css = HERE / "live_table.css"
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, columns: Sequence[str], label: str, on_action: OnAction | None = None) -> None:
        super().__init__(label=label)
        self._on_action = on_action
        self._diff = TableDiff(columns)
        self._lock = threading.Lock()
        self.on_msg(self._on_message)

    def show(self, rows: Sequence[Row], caption: str) -> None:
        """Show these rows; nothing is sent when nothing changed."""
        with self._lock:
            diff = self._diff.update(rows, caption)
            if diff is not None:
                self.send(diff)

    def html(self) -> str:
        """Return the table as it is now, for a saved file."""
        with self._lock:
            return html_table(self._diff.columns, self._diff.rows, self._diff.caption)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        if content.get("ready"):
            with self._lock:
                self.send(self._diff.snapshot())
        elif self._on_action is not None and self._has(content.get("id"), content.get("act")):
            self._on_action(content["act"], content["id"])

    def _has(self, row_id: Any, action: Any) -> bool:
        """Tell whether a row is there and has an action: what the browser shows may be older."""
        with self._lock:
            rows = [row for row in self._diff.rows if row.id == row_id]
        return any(action == name for row in rows for name, *_ in row.actions)
