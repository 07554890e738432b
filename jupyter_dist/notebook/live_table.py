"""A long table that follows what happens: one small anywidget, used for futures, errors and workers.

Row changes go as custom messages, not as traits: nothing is echoed back. A view that opens says ``ready`` and gets all
of it, so a second view and a reloaded page are filled too.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from jupyter_dist.notebook.table_rows import Row, TableDiff, html_table

HERE = Path(__file__).parent


class LiveTable(anywidget.AnyWidget):
    """A table of rows with stable ids."""

    _esm = HERE / "live_table.js"
    _css = HERE / "live_table.css"
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, columns: Sequence[str], label: str) -> None:
        super().__init__(label=label)
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
        if isinstance(content, dict) and content.get("ready"):
            with self._lock:
                self.send(self._diff.snapshot())
