"""How futures and executors are shown: from what is known in this process, never by asking the cluster.

Keys and texts of errors come from users: they are shortened, and escaped in HTML.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable

from jupyter_dist.core.futures import FutureStatus, Wish
from jupyter_dist.launch.connection_file import ClusterInfo
from jupyter_dist.launch.portrait import Fact, count, facts_html, reach_of
from jupyter_dist.messages import ClusterSnapshot

CHARS_MAX = 120  # of a key, an error's text or a reason
SIGNS: dict[FutureStatus, str] = {"pending": "○", "finished": "●", "error": "✖", "cancelled": "⊘", "lost": "?"}


def shorten(text: str) -> str:
    """Return one line by its two ends when it is long: keys differ at their ends."""
    line = " ".join(text.split()) if "\n" in text else text
    half = CHARS_MAX // 2
    return line if len(line) <= CHARS_MAX else f"{line[:half]}…{line[-half:]}"


def future_words(wish: Wish) -> str:
    """Return a future's status and what became of it: its type, its error, or why it was cancelled."""
    if wish.error is not None:
        fate = shorten(f"{wish.error.type_name}: {wish.error.text}")
    else:
        fate = shorten(wish.reason) or wish.type_name
    return f"{wish.status}, {fate}" if fate else wish.status


def future_text(wish: Wish) -> str:
    """Return a future in one line."""
    return f"<Future {shorten(wish.key)}: {future_words(wish)}>"


def future_html(wish: Wish) -> str:
    """Return a future as a notebook shows it that has not loaded our extension."""
    words, key = html.escape(future_words(wish)), html.escape(shorten(wish.key))
    return f"<span>{SIGNS[wish.status]} Future: {words} <code>{key}</code></span>"


def executor_text(info: ClusterInfo, snapshot: ClusterSnapshot | None, wishes: Iterable[Wish]) -> str:
    """Return an open executor in one line."""
    futures = _count_futures(wishes)
    return f"<Executor on {info.name!r}, {_count_workers(info, snapshot)} on {info.host}, {futures}>"


def executor_html(info: ClusterInfo, snapshot: ClusterSnapshot | None, wishes: Iterable[Wish], session: str) -> str:
    """Return an open executor as a notebook shows it."""
    when = "when last seen" if snapshot is not None else "at its start"
    facts: list[Fact] = [
        ("Host", info.host),
        ("Workers", f"{_count_workers(info, snapshot)} {when}"),
        ("Futures", _count_futures(wishes)),
        ("Reached by", reach_of(info)),
        ("Session", session),
    ]
    return facts_html("Executor on", info.name, facts)


def _count_workers(info: ClusterInfo, snapshot: ClusterSnapshot | None) -> str:
    return count(info.workers if snapshot is None else len(snapshot.workers), "worker")


def _count_futures(wishes: Iterable[Wish]) -> str:
    counts = Counter(wish.status for wish in wishes)
    parts = ", ".join(f"{counts[status]:,} {status}" for status in SIGNS if counts[status])
    return f"{count(counts.total(), 'future')}{': ' if parts else ''}{parts}"
