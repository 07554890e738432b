"""From observations to the rectangles of the task stream. Pure: no Bokeh, the time is an argument.

A lane is one slot of one worker and keeps its place for ever. Finished attempts become bars, streamed once; running
ones are told anew at each tick and grow. At most ``BARS_TICK_MAX`` new bars a tick: neighbours of one function in one
lane that would be closer than a pixel are merged, and what is still too much is left out, oldest first, and counted.

Times are milliseconds since 1970 in local time, which is what a Bokeh time axis draws.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jupyter_dist.messages.observation import Observation, TaskEvent, TaskView
from jupyter_dist.notebook.panel_rows import natural
from jupyter_dist.notebook.wording import duration

BARS_TICK_MAX = 500
BARS_MAX = 20_000  # in the browser, the oldest roll over
PENDING_MAX = 20_000
LANES_MAX = 256
LINES_MAX = 200
PIXELS = 800

FAILED = "#D55E00"
PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#B8A800",
    "#5D4A9C",
    "#8C613C",
    "#4C9F8B",
    "#A05195",
    "#7A7A7A",
    "#2F6690",
)
BAR_COLUMNS = (
    "left", "right", "lane", "fill", "edge", "function", "key", "took", "worker", "cell", "state",
)  # fmt: skip
CROSS_COLUMNS = ("x", "lane")
LINE_COLUMNS = ("x", "text")
STATES = {
    "finished": "finished",
    "failed": "failed",
    "erred": "failed",
    "retried": "tried again",
    "transfer": "transfer",
}  # of an event that tells of a run

FAILURES = frozenset({"failed", "tried again"})

Columns = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle; ``count`` attempts when neighbours were merged."""

    left_s: float
    right_s: float
    lane: int
    function: str
    key: str
    worker: str
    cell: str
    state: str
    count: int = 1

    @property
    def took(self) -> str:
        """How long it ran, in words."""
        span = duration(max(0.0, self.right_s - self.left_s))
        return span if self.count == 1 else f"{self.count:,} tasks in {span}"


@dataclass(frozen=True, slots=True)
class Patch:
    """What must be drawn: new bars, crosses and lines to append, running bars to replace, all lanes when changed."""

    bars: Columns
    crosses: Columns
    lines: Columns
    running: Columns
    lanes: tuple[str, ...] | None = None
    left_out: int = 0
    is_empty: bool = True


@dataclass(slots=True)
class StreamModel:
    """What is known of one cluster's attempts. `take` observations, `drain` what is new."""

    utc_offset_s: float = 0.0
    window_s: float = 60.0
    lanes: dict[tuple[str, int], int] = field(default_factory=dict)
    left_out: int = 0
    _bars: list[Bar] = field(default_factory=list)
    _lines: list[tuple[float, str]] = field(default_factory=list)
    _running: tuple[TaskView, ...] = ()
    _lanes_told: int = 0
    _was_running: bool = False

    def take(self, observation: Observation) -> None:
        """Learn what happened."""
        workers = sorted(observation.snapshot.workers, key=lambda worker: natural(worker.name))
        for worker in workers:
            for slot in range(worker.slots):
                self._lane(worker.name, slot)
        for event in observation.events:
            self._take_event(event)
        self._running = observation.snapshot.running
        self.left_out += observation.dropped + max(0, len(self._bars) - PENDING_MAX)
        del self._bars[:-PENDING_MAX]
        del self._lines[:-LINES_MAX]

    def drain(self, now_s: float) -> Patch:
        """Return what is new since the last call; running bars end at ``now_s``."""
        bars, self._bars = merge_bars(self._bars, 2 * self.window_s / PIXELS), []
        self.left_out += sum(bar.count for bar in bars[:-BARS_TICK_MAX])
        bars = bars[-BARS_TICK_MAX:]
        lines, self._lines = self._lines, []
        running = [self._running_bar(task, now_s) for task in self._running if task.started_s]
        lanes = self.lane_names() if len(self.lanes) != self._lanes_told else None
        empty = not (bars or lines or running or lanes or self._was_running)
        self._was_running, self._lanes_told = bool(running), len(self.lanes)
        failed = [bar for bar in bars if bar.state in FAILURES]
        return Patch(
            bars=self._columns(bars),
            crosses={"x": [self._ms(bar.right_s) for bar in failed], "lane": [bar.lane for bar in failed]},
            lines={"x": [self._ms(at_s) for at_s, _ in lines], "text": [text for _, text in lines]},
            running=self._columns(running),
            lanes=lanes,
            left_out=self.left_out,
            is_empty=empty,
        )

    def lane_names(self) -> tuple[str, ...]:
        """Return what each lane is called, by its place."""
        several = {worker for worker, slot in self.lanes if slot > 0}
        return tuple(f"{worker} · {slot}" if worker in several else worker for worker, slot in self.lanes)

    def _take_event(self, event: TaskEvent) -> None:
        if event.kind in ("worker-lost", "worker-left"):
            self._lines.append((event.at_s, f"{event.worker}: {event.detail}".rstrip(": ")))
        elif event.kind in STATES and event.started_s:
            self._bars.append(
                Bar(
                    event.started_s,
                    max(event.stopped_s, event.started_s),
                    self._lane(event.worker, event.slot),
                    event.label,
                    event.key,
                    event.worker,
                    event.group,
                    STATES[event.kind],
                )
            )

    def _running_bar(self, task: TaskView, now_s: float) -> Bar:
        lane = self._lane(task.worker, task.slot)
        right_s = max(now_s, task.started_s)
        return Bar(task.started_s, right_s, lane, task.label, task.key, task.worker, task.group, "running")

    def _lane(self, worker: str, slot: int) -> int:
        known = self.lanes.get((worker, slot))
        if known is not None:
            return known
        if len(self.lanes) >= LANES_MAX:
            return LANES_MAX - 1
        return self.lanes.setdefault((worker, slot), len(self.lanes))

    def _ms(self, at_s: float) -> float:
        return (at_s + self.utc_offset_s) * 1000

    def _columns(self, bars: Sequence[Bar]) -> Columns:
        rows = [
            (
                self._ms(bar.left_s),
                self._ms(bar.right_s),
                bar.lane,
                function_colour(bar.function) if bar.state != "transfer" else "#999999",
                FAILED if bar.state in FAILURES else function_colour(bar.function),
                bar.function,
                bar.key,
                bar.took,
                bar.worker,
                bar.cell,
                bar.state,
            )
            for bar in bars
        ]
        return {name: [row[place] for row in rows] for place, name in enumerate(BAR_COLUMNS)}


def function_colour(function: str) -> str:
    """Return a function's colour, the same in every session."""
    return PALETTE[zlib.crc32(function.encode()) % len(PALETTE)]


def merge_bars(bars: Sequence[Bar], gap_s: float, bars_max: int = BARS_TICK_MAX) -> list[Bar]:
    """Return the bars; when they are too many, with neighbours merged that nobody could tell apart."""
    if len(bars) <= bars_max:
        return list(bars)
    merged: list[Bar] = []
    last: dict[int, int] = {}  # lane -> place of its newest bar
    for bar in sorted(bars, key=lambda bar: bar.left_s):
        place = last.get(bar.lane)
        before = merged[place] if place is not None else None
        if place is not None and before is not None and _may_merge(before, bar, gap_s):
            right_s = max(before.right_s, bar.right_s)
            merged[place] = replace(before, right_s=right_s, key="", count=before.count + bar.count)
            continue
        last[bar.lane] = len(merged)
        merged.append(bar)
    return merged


def _may_merge(before: Bar, bar: Bar, gap_s: float) -> bool:
    return (
        before.function == bar.function
        and before.state == bar.state == "finished"
        and bar.left_s - before.right_s < gap_s
        and bar.right_s - bar.left_s < gap_s
    )
