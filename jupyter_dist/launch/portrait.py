"""How a cluster is shown without asking it anything: in words and in HTML, with nothing that opens it."""

from __future__ import annotations

import html
from collections.abc import Iterable

from jupyter_dist.launch.connection_file import ClusterInfo

Fact = tuple[str, str]  # what, and how it is

REACH = {
    "unix": "Unix socket, only you",
    "tcp": "port of this host, only who can read its connection file",
    "tls": "port with TLS, only who can read its connection file",
    "inproc": "this process only",
}


def reach_of(info: ClusterInfo) -> str:
    """Return how a cluster is reached, and by whom."""
    return REACH.get(info.address.partition(":")[0], "only who can read its connection file")


def facts_html(title: str, name: str, facts: Iterable[Fact]) -> str:
    """Return a heading and a small table; every text is escaped."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{html.escape(what)}</th>'
        f'<td style="text-align:left">{html.escape(how)}</td></tr>'
        for what, how in facts
    )
    named = f" <strong>{html.escape(name)}</strong>" if name else ""
    return f"<div>{html.escape(title)}{named}<table>{rows}</table></div>"


def count(number: int, word: str) -> str:
    """Return ``1 worker``, ``2 workers``, ``1,200 workers``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def cluster_facts(info: ClusterInfo) -> list[Fact]:
    """Return what a cluster was started as."""
    threads = f" of {count(info.threads_per_worker, 'thread')}" if info.threads_per_worker != 1 else ""
    return [
        ("Host", info.host),
        ("Started with", count(info.workers, "worker") + threads),
        ("Reached by", reach_of(info)),
        ("Ends", "by itself when idle, or when it is stopped" if info.detached else "with the process that started it"),
    ]
