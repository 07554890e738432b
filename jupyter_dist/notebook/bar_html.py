"""The bars of `progress` as HTML: one for each function, its parts in the colours of their states, and the same in words.

Pure. All bars are one text, so an update is one message however many functions there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_dist.client.tally import Line, Tally, fold
from jupyter_dist.notebook.wording import colour, duration, escape, icon, shorten

LINES_MAX = 20
LABEL_CHARS_MAX = 40
TRACK = "background:rgba(128,128,128,.25);border-radius:3px;height:.9em;display:flex;overflow:hidden;min-width:8em"


def bars_html(tally: Tally, lines: Sequence[Line], now: float) -> str:
    """Return the bars as they are now."""
    if not lines:
        return "<em>no futures to follow</em>"
    rows = "".join(_row(line, tally.elapsed_s(line, now), line.left_s(now)) for line in fold(list(lines), LINES_MAX))
    return (
        f'<div style="display:grid;grid-template-columns:auto 1fr auto;gap:.2em .8em;align-items:center">{rows}</div>'
    )


def bars_text(tally: Tally, lines: Sequence[Line], now: float) -> str:
    """Return the same as plain text."""
    shown = fold(list(lines), LINES_MAX)
    return "\n".join(
        f"{line.label}: {' · '.join(_facts(line, tally.elapsed_s(line, now), line.left_s(now)))}" for line in shown
    )


def _row(line: Line, elapsed_s: float, left_s: float | None) -> str:
    label = escape(shorten(line.label, LABEL_CHARS_MAX))
    parts = "".join(
        f'<div style="width:{100 * count / line.total:.3f}%;background:{colour(state)}"></div>'
        for state, count in (("finished", line.finished), ("error", line.erred), ("cancelled", line.cancelled))
        if count
    )
    bar = (
        f'<div role="progressbar" aria-label="{label}" aria-valuemin="0" aria-valuemax="{line.total}" '
        f'aria-valuenow="{line.done}" style="{TRACK}">{parts}</div>'
    )
    state = _state(line)
    sign = f'<span style="color:{colour(state)}">{icon(state)}</span>'
    facts = escape(" · ".join(_facts(line, elapsed_s, left_s)))
    return f'<code>{label}</code>{bar}<span style="font-variant-numeric:tabular-nums">{sign} {facts}</span>'


def _state(line: Line) -> str:
    if line.erred:
        return "error"
    if not line.is_over:
        return "running"
    return "cancelled" if line.cancelled else "done"


def _facts(line: Line, elapsed_s: float, left_s: float | None) -> list[str]:
    facts = [f"{'done' if line.is_over else 'running'}: {line.done:,} of {line.total:,}"]
    if line.erred:
        facts.append(f"{icon('error')} {line.erred:,} erred")
    if line.cancelled:
        facts.append(f"{icon('cancelled')} {line.cancelled:,} cancelled")
    facts.append(duration(elapsed_s))
    if left_s is not None:
        facts.append(f"{duration(left_s)} left")
    return facts
