"""Runs of an earlier kernel that are found again: they go on in the cell that attaches, with their prints from the start.

Shown are runs of which nobody has seen the end: that go on, or ended after the kernel was gone. Of the others there are
only tasks that somebody still held; what these were for is done, and they are let go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jupyter_dist.notebook.output import CellOutput
from jupyter_dist.notebook.plan import Share
from jupyter_dist.notebook.ports import FuturePort, LostFuturePort, RunnerPort
from jupyter_dist.notebook.receipt import RunView
from jupyter_dist.notebook.run import CELL_LABEL, DISPLAYS
from jupyter_dist.notebook.running import Part, Run
from jupyter_dist.notebook.watching import SharedWatch

KEY = re.compile(r"^(?P<run>.+-[0-9a-f]{8})(?:-(?P<place>.+))?$", re.DOTALL)
OVER = frozenset({"memory", "erred"})
NOTE = "of this notebook's earlier kernel"


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run of which tasks were found: their keys with the places these have, the names it makes, since when it is on.

    ``is_seen``: it had ended before its kernel was lost.
    """

    name: str
    places: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    since_s: float
    is_seen: bool = False

    @property
    def plumbing(self) -> tuple[str, ...]:
        """The keys of its tasks that no variable stands for."""
        return tuple(name for key, _ in self.places for name in (key, f"{key}:{DISPLAYS}"))


def find_runs(lost: Iterable[LostFuturePort], lost_s: float = 0.0) -> list[FoundRun]:
    """Return the runs among lost futures, in the order in which they were found; their kernel is lost since a time. Pure."""
    runs: dict[str, list[tuple[str, str, float]]] = {}
    unseen: set[str] = set()
    names: dict[str, list[str]] = {}
    for future in lost:
        key, colon, _what = future.key.rpartition(":")
        found = KEY.match(key if colon else future.key)
        if found is None:
            continue
        if not colon and future.label == CELL_LABEL:
            runs.setdefault(found["run"], []).append((future.key, found["place"] or "", future.since_s))
            if future.state not in OVER or future.since_s >= lost_s:
                unseen.add(found["run"])
        names.setdefault(found["run"], []).extend(name.partition("[")[0] for name in future.names)
    return [
        FoundRun(
            name,
            tuple((key, place) for key, place, _ in sorted(tasks, key=lambda task: _in_order(task[1]))),
            tuple(dict.fromkeys(names.get(name, ()))),
            min(since_s for *_, since_s in tasks),
            name not in unseen,
        )
        for name, tasks in runs.items()
    ]


def _in_order(place: str) -> tuple[int, str]:
    return (int(place), "") if place.isdigit() else (0, place)


class AttachedRun(Run):
    """A run that was found again.

    Parameters
    ----------
    futures
        What was taken over, by key.
    """

    def __init__(
        self,
        executor: RunnerPort,
        found: FoundRun,
        futures: Mapping[str, FuturePort],
        output: CellOutput,
        watch: SharedWatch,
        now_s: float,
    ) -> None:
        places = [(key, place) for key, place in found.places if key in futures]
        view = RunView(
            found.name, "running", max(0.0, now_s - found.since_s), total=len(places), outputs=found.outputs, note=NOTE
        )
        super().__init__(executor, view, [key for key, _ in places], output, watch)
        self.parts = [
            Part(Share(place, place), key, futures[key], {}, futures.get(f"{key}:{DISPLAYS}")) for key, place in places
        ]

    def start(self) -> None:
        """Show what was printed so far and what will be, and follow the run to its end."""
        self._watch.add(self._hear)
        super().start()

    def _follow(self, part: Part) -> None:
        part.future.watch_output(self.output.writer(part.share.label))
        super()._follow(part)
