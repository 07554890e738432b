"""Figures written into files: a page that works without a network, and a trace for Chrome's viewer and Perfetto."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.resources import Resources


def save_page(figures: Sequence[Any], path: str | Path, title: str) -> Path:
    """Write figures into a page with BokehJS in it."""
    written = Path(path)
    written.write_text(file_html(list(figures), Resources(mode="inline"), title), encoding="utf-8")
    return written


def save_trace(bars: Mapping[str, Sequence[Any]], path: str | Path) -> Path:
    """Write the bars of a task stream as Chrome traces them: a process for each worker, a thread for each lane."""
    rows = [dict(zip(bars, row, strict=True)) for row in zip(*bars.values(), strict=True)]
    workers = {name: number for number, name in enumerate(dict.fromkeys(row["worker"] for row in rows))}
    named = [
        {"ph": "M", "name": "process_name", "pid": number, "args": {"name": name}} for name, number in workers.items()
    ]
    events = [
        {
            "ph": "X",
            "name": row["function"],
            "cat": row["state"],
            "ts": row["left"] * 1000,
            "dur": (row["right"] - row["left"]) * 1000,
            "pid": workers[row["worker"]],
            "tid": row["lane"],
            "args": {"key": row["key"], "cell": row["cell"], "took": row["took"]},
        }
        for row in rows
    ]
    written = Path(path)
    written.write_text(json.dumps({"traceEvents": named + events, "displayTimeUnit": "ms"}), encoding="utf-8")
    return written
