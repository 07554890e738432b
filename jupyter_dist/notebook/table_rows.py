"""Rows of a live table, and what must be sent when they change.

Pure. A row is text cells under a stable id; the table sends only rows that differ and the order only when it changed,
so an idle cluster sends nothing and a busy one some 20 kB/s for a thousand rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_dist.notebook.wording import colour, escape, icon

Diff = dict[str, Any]
Action = tuple[str, str, str]  # its name, its text, and what it destroys: then it asks for a second click


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``state`` colours and signs its first cell, ``detail`` and ``actions`` are shown when it is opened."""

    id: str
    state: str
    cells: tuple[str, ...]
    detail: str = ""
    actions: tuple[Action, ...] = ()

    def wire(self) -> list[Any]:
        """Return the row as it is sent."""
        return [icon(self.state), colour(self.state), list(self.cells), self.detail, list(map(list, self.actions))]


class TableDiff:
    """Remembers what was sent."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.caption = ""
        self._rows: dict[str, Row] = {}

    @property
    def rows(self) -> list[Row]:
        """The rows as they were last told."""
        return list(self._rows.values())

    def update(self, rows: Sequence[Row], caption: str) -> Diff | None:
        """Take the rows as they are now; return what must be sent, None when nothing."""
        fresh = {row.id: row for row in rows}
        changed = {row.id: row.wire() for row in fresh.values() if self._rows.get(row.id) != row}
        same_order = list(fresh) == list(self._rows)
        same_caption, self.caption = self.caption == caption, caption
        self._rows = fresh
        if not changed and same_order and same_caption:
            return None
        diff: Diff = {"rows": changed}
        if not same_order:
            diff["order"] = list(fresh)
        if not same_caption:
            diff["caption"] = caption
        return diff

    def snapshot(self) -> Diff:
        """Return all of it, for a view that has just opened."""
        return {
            "columns": list(self.columns),
            "rows": {row.id: row.wire() for row in self.rows},
            "order": list(self._rows),
            "caption": self.caption,
        }


def html_table(columns: Sequence[str], rows: Sequence[Row], caption: str) -> str:
    """Return a table for a saved file."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(_html_row(row) for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_row(row: Row) -> str:
    first, *others = row.cells
    sign = f'<span style="color:{colour(row.state)}">{icon(row.state)}</span> '
    return f"<tr><td>{sign}{escape(first)}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in others)}</tr>"
