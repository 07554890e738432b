"""What a run found: as a table for people and as JSON for whoever quotes it."""

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import US

RESULTS = Path(__file__).resolve().parent / "results" / "latest.json"
PACKAGES = ("jupyter_dist", "distributed", "loky", "cloudpickle", "msgspec", "uvloop")


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the table."""

    name: str
    title: str
    is_more_better: bool = False


MEASURES = (
    Measure("first_result_s", "call to first result, s"),
    Measure("first_result_with_import_s", "the same with the import, s"),
    Measure("round_trip_ms", "round trip, median, ms"),
    Measure("round_trip_p99_ms", "round trip, p99, ms"),
    Measure("tasks_per_s", "trivial tasks, tasks/s", is_more_better=True),
    Measure("cpu_us_per_task", "CPU of all processes, us/task"),
    Measure("tree_tasks_per_s", "tree of futures, tasks/s", is_more_better=True),
    Measure("pss_mb", "idle memory, PSS MB"),
    Measure("cluster_pss_mb", "the same without the driver"),
    Measure("rss_mb", "idle memory, RSS MB"),
    Measure("cluster_rss_mb", "the same without the driver"),
    Measure("processes", "processes with the driver"),
    Measure("idle_cpu_percent", "idle CPU, % of a core"),
    Measure("stop_s", "stop, s"),
)

Samples = dict[str, dict[str, list[float]]]  # contestant -> measure -> one value a round


def number(value: float) -> str:
    """Return a value in three digits or so."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def median_entry(values: Sequence[float], ours: Sequence[float]) -> str:
    """Return the median and its ratio to ours."""
    if not values:
        return "-"
    middle = statistics.median(values)
    own = statistics.median(ours) if ours else 0.0
    return number(middle) if values is ours or not own else f"{number(middle)} x{middle / own:.2g}"


def range_entry(values: Sequence[float], _ours: Sequence[float]) -> str:
    """Return the smallest and the largest value."""
    return f"{number(min(values))} - {number(max(values))}" if values else "-"


def table(samples: Samples, title: str, entry: Callable[[Sequence[float], Sequence[float]], str]) -> str:
    """Return one entry for each measure and contestant."""
    names = list(samples)
    rows = [[title, *names]]
    for measure in MEASURES:
        ours = samples.get(US, {}).get(measure.name, [])
        cells = [entry(samples[name].get(measure.name, []), ours) for name in names]
        rows.append([f"{measure.title}{' (more is better)' * measure.is_more_better}", *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def text(samples: Samples, rounds: int) -> str:
    """Return what was found, for people."""
    medians = table(samples, "medians, and times ours", median_entry)
    return medians if rounds == 1 else f"{medians}\n\n{table(samples, 'smallest and largest', range_entry)}"


def versions() -> dict[str, str]:
    """Return what was measured."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write(samples: Samples, skipped: Sequence[str], rounds: int, path: Path = RESULTS) -> None:
    """Write everything that was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "load": list(os.getloadavg()),  # what else the machine did
        "versions": versions(),
        "rounds": rounds,
        "skipped": list(skipped),
        "medians": {
            name: {measure: statistics.median(values) for measure, values in measures.items()}
            for name, measures in samples.items()
        },
        "samples": samples,
    }
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
