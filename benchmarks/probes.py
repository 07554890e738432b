"""Memory and CPU of all processes that belong to one driver, seen from outside.

Whatever a driver starts, and however often it forks or daemonizes, inherits a mark in its environment. The driver, this
process's child, is counted too, because some libraries keep their scheduler in it; memory is told without it as well.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psutil

MARK = "JUPYTER_DIST_BENCHMARK"
MB = 1e6


def marked(mark: str) -> Iterator[psutil.Process]:
    """Yield the living processes that carry the mark."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            continue


def cpu(mark: str) -> dict[str, float]:
    """Return the CPU seconds used so far."""
    used_s = 0.0
    for process in marked(mark):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        used_s += times.user + times.system
    return {"cpu_s": used_s}


def memory(mark: str) -> dict[str, float]:
    """Return how many processes there are and what they occupy; PSS shares out what several of them map."""
    found: Any = Counter()
    for process in marked(mark):
        try:
            info = process.memory_full_info()
            is_driver = process.ppid() == os.getpid()
        except psutil.Error:
            continue
        occupied = {"processes": 1, "rss_mb": info.rss / MB}
        if hasattr(info, "pss"):  # Linux alone
            occupied["pss_mb"] = info.pss / MB
        found.update(occupied)
        if not is_driver:
            found.update({f"cluster_{name}": value for name, value in occupied.items()})
    return {**found}


def kill_marked(mark: str) -> int:
    """Kill what is left; return how many that were."""
    left = list(marked(mark))
    for process in left:
        try:
            process.kill()
        except psutil.Error:
            continue
    return len(left)


PROBES: dict[str, Callable[[str], dict[str, float]]] = {"cpu": cpu, "memory": memory}
