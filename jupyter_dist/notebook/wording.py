"""How times, sizes and states are said to a person, and how text is made safe for HTML.

Pure. A state is a word and an icon, never a colour alone; the colours are Okabe and Ito's, which colour-blind people
can tell apart. Every text that comes from a user goes through `escape`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

ICONS = {
    "sent": "○",
    "waiting": "○",
    "queued": "◌",
    "processing": "◐",
    "running": "◐",
    "memory": "●",
    "done": "●",
    "finished": "●",
    "erred": "✖",
    "failed": "✖",
    "error": "✖",
    "cancelled": "⊘",
    "lost": "?",
    "pending": "○",
}
COLOURS = {
    "sent": "#56B4E9",
    "waiting": "#56B4E9",
    "pending": "#56B4E9",
    "queued": "#0072B2",
    "processing": "#E69F00",
    "running": "#E69F00",
    "memory": "#009E73",
    "done": "#009E73",
    "finished": "#009E73",
    "erred": "#D55E00",
    "failed": "#D55E00",
    "error": "#D55E00",
    "cancelled": "#999999",
    "lost": "#CC79A7",
}
NEUTRAL = "#999999"


def icon(state: str) -> str:
    """Return the state's sign."""
    return ICONS.get(state, "·")


def colour(state: str) -> str:
    """Return the state's colour."""
    return COLOURS.get(state, NEUTRAL)


def escape(text: object) -> str:
    """Return text that is safe inside HTML, in an element or an attribute."""
    return html.escape(str(text), quote=True)


def plain(text: str) -> str:
    """Return text without terminal colours and control characters; line ends and tabs stay."""
    return CONTROL.sub("", ANSI.sub("", text))


def shorten(text: str, length: int) -> str:
    """Return one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def duration(seconds: float) -> str:
    """Return a time span: ``8 ms``, ``1.2 s``, ``12 s``, ``3 min 05 s``, ``2 h 04 min``."""
    if seconds < 0.0005:
        return "0 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(nbytes: float) -> str:
    """Return a size in decimal units: ``312 B``, ``4.2 kB``, ``50 MB``."""
    if nbytes < 1000:
        return f"{nbytes:.0f} B"
    value = float(nbytes)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def count(number: int, word: str) -> str:
    """Return ``1 worker``, ``2 workers``, ``1,200 workers``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def listing(names: Iterable[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    items = list(names)
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)
