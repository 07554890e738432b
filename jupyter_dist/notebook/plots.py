"""Plots of a cluster: progress by function, memory and CPU by worker, each a live Bokeh figure that also saves itself.

In a notebook a plot moves by `push_notebook` from one publisher thread, as the task stream does. `save` writes a page with
BokehJS in it, which needs no network.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bokeh.io import push_notebook
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure, show

from jupyter_dist.errors import ClusterError
from jupyter_dist.messages.observation import ClusterSnapshot, Observation
from jupyter_dist.notebook.pages import save_page
from jupyter_dist.notebook.plot_rows import PARTS, Columns, ProgressModel, SeriesModel
from jupyter_dist.notebook.ports import RunnerPort, WatchingPort
from jupyter_dist.notebook.publisher import Publisher
from jupyter_dist.notebook.stream_rows import function_colour
from jupyter_dist.notebook.task_stream import TaskStream, load_bokeh
from jupyter_dist.notebook.wording import colour

PLOTS = Publisher(1.0, "jupyter_dist-plots")
COLOURS = {"finished": "memory", "running": "processing", "queued": "queued", "failed": "erred"}
HEIGHT_PX = 240
FUNCTION_PX = 26
FRAME_PX = 150  # title, legend and axis

Push = Callable[..., Any]


class Model(Protocol):
    """What a plot draws."""

    def take(self, snapshot: ClusterSnapshot, /) -> None:
        """Learn how it is now."""

    def columns(self) -> Columns:
        """Return what to draw."""


class Plot:
    """One live figure.

    Parameters
    ----------
    executor : Executor
        Whose cluster is shown.
    """

    def __init__(
        self, executor: RunnerPort, model: Model, *, publisher: Publisher = PLOTS, push: Push = push_notebook
    ) -> None:
        self.executor, self.model = executor, model
        self.source = ColumnDataSource(model.columns())
        self.figure: Any = self._draw()
        self._publisher, self._push = publisher, push
        self._lock = threading.Lock()
        self._handle: Any = None
        self._watching: WatchingPort | None = None

    def _draw(self) -> Any:
        raise NotImplementedError

    def show(self) -> None:
        """Show the figure in the cell that is running now and keep it moving."""
        self.update()
        load_bokeh()
        self.follow(show(self.figure, notebook_handle=True))

    def follow(self, handle: Any) -> None:
        """Keep a shown figure moving."""
        self._handle = handle
        self._watching = self.executor.watch(self._hear, self._publisher.interval_s)
        self._publisher.add(self.publish)

    def update(self) -> None:
        """Draw the cluster as it is now."""
        with self._lock:
            self.model.take(self.executor.snapshot())
        self.redraw()

    def publish(self) -> None:
        """Draw what is new and push it to the page."""
        if self.executor.is_closed:
            self.close()
        elif self.redraw():
            self._push(handle=self._handle)

    def redraw(self) -> bool:
        """Draw what is known; return whether anything changed."""
        with self._lock:
            columns = self.model.columns()
        if columns == dict(self.source.data):
            return False
        self.source.data = dict(columns)
        return True

    def close(self) -> None:
        """Stop moving; what is drawn stays."""
        self._publisher.remove(self.publish)
        watching, self._watching = self._watching, None
        if watching is not None:
            with contextlib.suppress(ClusterError):  # the connection is gone, and the watch with it
                watching.close()

    def save(self, path: str | Path) -> Path:
        """Write the figure as it is now into a page of its own, which works without a network."""
        if self._watching is None and not self.executor.is_closed:
            self.update()
        return save_page([self.figure], path, str(self.figure.title.text))

    def _hear(self, observation: Observation) -> None:
        with self._lock:
            self.model.take(observation.snapshot)

    def _ipython_display_(self) -> None:
        self.show()


class ProgressPlot(Plot):
    """How far the tasks of each function are: a bar for each."""

    def __init__(self, executor: RunnerPort, **options: Any) -> None:
        super().__init__(executor, ProgressModel(), **options)

    def redraw(self) -> bool:
        """Draw what is known; the functions are the axis."""
        changed = super().redraw()
        functions = list(self.source.data["function"])
        if self.figure.y_range.factors != functions[::-1]:
            self.figure.y_range.factors = functions[::-1]  # the busiest on top
            self.figure.height = FRAME_PX + FUNCTION_PX * max(2, len(functions))
        return changed

    def _draw(self) -> Any:
        plot = _figure(f"Progress on {self.executor.name}", y_range=FactorRange(), x_range=(0, 1))
        colours = [colour(COLOURS[part]) for part in PARTS]
        bars = plot.hbar_stack(
            list(PARTS), y="function", height=0.7, color=colours, source=self.source, legend_label=list(PARTS)
        )
        plot.xaxis.formatter = NumeralTickFormatter(format="0 %")
        plot.legend.orientation = "horizontal"
        plot.add_layout(plot.legend[0], "above")  # it would hide bars
        plot.add_tools(HoverTool(renderers=bars, tooltips=[("function", "@function"), ("tasks", "@words")]))
        return plot


class SeriesPlot(Plot):
    """One number of each worker over time: a line for each."""

    def __init__(self, executor: RunnerPort, series: SeriesModel, title: str, unit: str, **options: Any) -> None:
        self._title, self._unit = title, unit
        super().__init__(executor, series, **options)

    def redraw(self) -> bool:
        """Draw what is known, each worker in its own colour."""
        with self._lock:
            columns = self.model.columns()
        columns["colour"] = [function_colour(name) for name in columns["worker"]]
        if columns == dict(self.source.data):
            return False
        self.source.data = dict(columns)
        return True

    def _draw(self) -> Any:
        self.source.data["colour"] = []
        plot = _figure(f"{self._title} on {self.executor.name}", x_axis_type="datetime")
        lines = plot.multi_line("xs", "ys", line_width=2, color="colour", source=self.source)
        plot.yaxis.axis_label = self._unit
        plot.y_range.start = 0
        plot.add_tools(HoverTool(renderers=[lines], tooltips=[("worker", "@worker")]))
        return plot


def memory_plot(executor: RunnerPort, **options: Any) -> SeriesPlot:
    """Return the plot of the workers' memory."""
    series = SeriesModel("memory_bytes", float(time.localtime().tm_gmtoff), scale=1e-6)
    return SeriesPlot(executor, series, "Memory by worker", "MB", **options)


def cpu_plot(executor: RunnerPort, **options: Any) -> SeriesPlot:
    """Return the plot of what the workers take of the processors."""
    series = SeriesModel("cpu_percent", float(time.localtime().tm_gmtoff))
    return SeriesPlot(executor, series, "CPU by worker", "% of a core", **options)


class Plots:
    """The plots of one executor: ``executor.plots``.

    Each is made when it is first asked for and stays the same; as a cell's last expression it is shown, and moves.
    """

    def __init__(self, executor: RunnerPort) -> None:
        self._executor = executor
        self._made: dict[str, Any] = {}

    @property
    def progress(self) -> ProgressPlot:
        """How far the tasks of each function are."""
        made: ProgressPlot = self._get("progress", lambda: ProgressPlot(self._executor))
        return made

    @property
    def memory(self) -> SeriesPlot:
        """The memory of each worker."""
        made: SeriesPlot = self._get("memory", lambda: memory_plot(self._executor))
        return made

    @property
    def cpu(self) -> SeriesPlot:
        """What each worker takes of the processors."""
        made: SeriesPlot = self._get("cpu", lambda: cpu_plot(self._executor))
        return made

    def task_stream(self) -> TaskStream:
        """Return a new task stream."""
        return TaskStream(self._executor)

    def save(self, path: str | Path) -> Path:
        """Write progress, memory and CPU as they are now into one page, which works without a network."""
        plots: list[Plot] = [self.progress, self.memory, self.cpu]
        for plot in plots:
            plot.update()
        return save_page([plot.figure for plot in plots], path, f"Cluster {self._executor.name}")

    def __repr__(self) -> str:
        return f"<Plots of {self._executor.name}: progress, memory, cpu; save(path)>"

    def _get(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def _figure(title: str, **options: Any) -> Any:
    plot = figure(
        title=title,
        height=HEIGHT_PX,
        sizing_mode="stretch_width",
        tools="xpan,xwheel_zoom,reset,save",
        toolbar_location="above",
        **options,
    )
    plot.toolbar.logo = None
    return plot
