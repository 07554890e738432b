"""The task stream in a notebook: one Bokeh figure, moved by `push_notebook` from one publisher thread, 5 times a second.

BokehJS goes into the page inline, once, so it works without a network. Columns are lists: a list costs no message of
its own, an array costs two. The time axis follows the newest bar in the browser; panning pauses it, the reset tool
follows again. Nothing is pushed while nothing moves.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bokeh.io import output_notebook, push_notebook
from bokeh.models import ColumnDataSource, DataRange1d, FixedTicker, HoverTool, Range1d
from bokeh.plotting import figure, show
from bokeh.resources import Resources

from jupyter_dist.errors import ClusterError, UsageError
from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.pages import save_page, save_trace
from jupyter_dist.notebook.ports import RunnerPort, WatchingPort
from jupyter_dist.notebook.publisher import Publisher
from jupyter_dist.notebook.stream_rows import (
    BAR_COLUMNS,
    BARS_MAX,
    CROSS_COLUMNS,
    FAILED,
    LINE_COLUMNS,
    LINES_MAX,
    Patch,
    StreamModel,
)
from jupyter_dist.notebook.wording import count

STREAM = Publisher(0.2, "jupyter_dist-stream")
LANE_PX = 26
TOOLTIPS = [
    ("function", "@function"),
    ("key", "@key"),
    ("state", "@state"),
    ("took", "@took"),
    ("worker", "@worker"),
    ("cell", "@cell"),
]
WAITING = "waiting for tasks"

Push = Callable[..., Any]


class StreamFigure:
    """The figure and its sources; `apply` patches to it. Knows no cluster and no notebook."""

    def __init__(self, title: str, window_s: float) -> None:
        self._title = title
        self.bars = ColumnDataSource({name: [] for name in BAR_COLUMNS})
        self.running = ColumnDataSource({name: [] for name in BAR_COLUMNS})
        self.crosses = ColumnDataSource({name: [] for name in CROSS_COLUMNS})
        self.lines = ColumnDataSource({name: [] for name in LINE_COLUMNS})
        self.x_range = DataRange1d(follow="end", follow_interval=window_s * 1000, range_padding=0, only_visible=True)
        self.y_range = Range1d(start=0.6, end=-0.6)
        self.figure = self._draw()

    def apply(self, patch: Patch) -> None:
        """Draw what is new."""
        if patch.lanes is not None:
            self._set_lanes(patch.lanes)
        for source, columns, rollover in (
            (self.bars, patch.bars, BARS_MAX),
            (self.crosses, patch.crosses, BARS_MAX),
            (self.lines, patch.lines, LINES_MAX),
        ):
            if any(columns.values()):
                source.stream(dict(columns.items()), rollover)
        self.running.data = dict(patch.running)
        drawn = len(self.bars.data["left"]) + len(patch.running["left"])
        left_out = f"; {count(patch.left_out, 'older task')} not drawn" if patch.left_out else ""
        self._say(f"{self._title}{left_out}" if drawn else f"{self._title}: {WAITING}")

    def close(self, reason: str) -> None:
        """Say that the figure moves no more."""
        self.running.data = {name: [] for name in BAR_COLUMNS}
        self._say(f"{self._title}: {reason}")

    def _say(self, text: str) -> None:
        if self.figure.title.text != text:
            self.figure.title.text = text

    def _set_lanes(self, lanes: tuple[str, ...]) -> None:
        axis = self.figure.yaxis[0]
        axis.ticker = FixedTicker(ticks=list(range(len(lanes))))
        axis.major_label_overrides = dict(enumerate(lanes))
        self.y_range.start = max(1, len(lanes)) - 0.4  # the first lane on top
        self.figure.height = 90 + LANE_PX * max(2, min(len(lanes), 24))

    def _draw(self) -> Any:
        plot = figure(
            title=f"{self._title}: {WAITING}",
            x_axis_type="datetime",
            x_range=self.x_range,
            y_range=self.y_range,
            height=90 + 2 * LANE_PX,
            sizing_mode="stretch_width",
            tools="xpan,xwheel_zoom,box_zoom,reset,save",
            toolbar_location="above",
            active_drag="xpan",
            output_backend="canvas",
        )
        plot.toolbar.logo = None
        plot.ygrid.visible = False
        kept: dict[str, Any] = {"y": "lane", "height": 0.8, "left": "left", "right": "right", "line_color": "edge"}
        done = plot.hbar(fill_color="fill", fill_alpha=0.9, source=self.bars, name="bars", **kept)
        running = plot.hbar(
            fill_color="fill",
            fill_alpha=0.45,
            hatch_pattern="right_diagonal_line",
            hatch_color="edge",
            hatch_alpha=0.6,
            source=self.running,
            name="running",
            **kept,
        )
        plot.scatter("x", "lane", marker="x", size=9, line_width=2, color=FAILED, source=self.crosses, name="failed")
        lost = plot.vspan(x="x", line_color="#CC79A7", line_dash="dashed", line_width=2, source=self.lines, name="lost")
        plot.add_tools(HoverTool(renderers=[done, running], tooltips=TOOLTIPS))
        plot.add_tools(HoverTool(renderers=[lost], tooltips=[("", "@text")]))
        self.x_range.renderers = [done, running]
        return plot


class TaskStream:
    """What the cluster's workers do, live: one lane a slot, one bar a task.

    Parameters
    ----------
    executor : Executor
        Whose cluster is shown.
    window_s : float
        How much time is visible while the figure follows.
    """

    def __init__(
        self,
        executor: RunnerPort,
        window_s: float = 30.0,
        *,
        publisher: Publisher = STREAM,
        push: Push = push_notebook,
    ) -> None:
        self.executor = executor
        self.model = StreamModel(utc_offset_s=float(time.localtime().tm_gmtoff), window_s=window_s)
        self.plot = StreamFigure(f"Tasks of {executor.name}", window_s)
        self._publisher, self._push = publisher, push
        self._lock = threading.Lock()
        self._handle: Any = None
        self._watching: WatchingPort | None = None
        self._offset_s = 0.0  # the scheduler's clock against ours

    def show(self) -> None:
        """Show the figure in the cell that is running now and keep it moving."""
        load_bokeh()
        self.follow(show(self.plot.figure, notebook_handle=True))

    def follow(self, handle: Any) -> None:
        """Keep a shown figure moving."""
        self._handle = handle
        self._watching = self.executor.watch(self._hear, self._publisher.interval_s)
        self._publisher.add(self.publish)

    def publish(self) -> None:
        """Draw what is new and push it to the page."""
        if self.executor.is_closed:
            self.close("the executor is closed")
            return
        with self._lock:
            patch = self.model.drain(time.time() + self._offset_s)
        if not patch.is_empty:
            self.plot.apply(patch)
            self._push(handle=self._handle)

    def close(self, reason: str = "closed") -> None:
        """Stop moving; what is drawn stays."""
        self._publisher.remove(self.publish)
        watching, self._watching = self._watching, None
        if watching is None:
            return
        with contextlib.suppress(ClusterError):  # the connection is gone, and the watch with it
            watching.close()
        self.plot.close(reason)
        self._push(handle=self._handle)

    def save(self, path: str | Path) -> Path:
        """Write what is drawn: ``.html`` a page that works without a network, ``.json`` a trace for Chrome or Perfetto.

        Raises
        ------
        UsageError
            The file's name ends in neither.
        """
        kind = Path(path).suffix.lower()
        if kind == ".html":
            return save_page([self.plot.figure], path, f"Tasks of {self.executor.name}")
        if kind == ".json":
            return save_trace({name: list(column) for name, column in self.plot.bars.data.items()}, path)
        raise UsageError(f"save({str(path)!r}): end the name in .html for a page or in .json for a trace")

    def _hear(self, observation: Observation) -> None:
        with self._lock:
            self._offset_s = observation.snapshot.at_s - time.time()
            self.model.take(observation)

    def _ipython_display_(self) -> None:
        self.show()


_LOADED = threading.Event()


def load_bokeh() -> None:
    """Put BokehJS into the page, once a kernel."""
    if not _LOADED.is_set():
        output_notebook(Resources(mode="inline", components=["bokeh"]), hide_banner=True)
        _LOADED.set()
