from __future__ import annotations

import pytest
from bokeh.document import Document
from bokeh.embed import json_item

from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.plot_rows import POINTS_MAX, WORKERS_MAX, ProgressModel, SeriesModel
from jupyter_dist.notebook.plots import Plots, ProgressPlot, cpu_plot, memory_plot
from jupyter_dist.notebook.publisher import Publisher
from tests.notebook.fakes import function_view, snapshot, worker_view


@pytest.fixture
def pushed():
    return []


@pytest.fixture
def quietly(pushed):
    return {"publisher": Publisher(3600.0, "test"), "push": lambda *, handle: pushed.append(handle)}


def test_progress_tells_each_functions_parts_as_shares_of_its_tasks():
    model = ProgressModel()
    model.take(
        snapshot(functions=(function_view("f", finished=6, processing=1, queued=2, erred=1), function_view("g")))
    )
    assert model.columns() == {
        "function": ["f"],
        "words": ["6 finished, 1 running, 2 queued, 1 failed"],
        "finished": [0.6],
        "running": [0.1],
        "queued": [0.2],
        "failed": [0.1],
    }


def test_a_series_has_a_line_for_each_worker_and_is_bounded():
    model = SeriesModel("memory_bytes", utc_offset_s=60.0)
    for second in range(POINTS_MAX + 10):
        workers = (worker_view("worker-10", memory_bytes=second), worker_view("worker-2", memory_bytes=5))
        model.take(snapshot(at_s=float(second), workers=workers))
    columns = model.columns()
    assert columns["worker"] == ["worker-2", "worker-10"]
    assert columns["ys"][1][-1] == POINTS_MAX + 9
    assert columns["xs"][0][-1] == (POINTS_MAX + 9 + 60) * 1000
    assert len(columns["ys"][0]) == POINTS_MAX
    model.take(snapshot(workers=tuple(worker_view(f"worker-{n}") for n in range(WORKERS_MAX + 5))))
    assert len(model.columns()["worker"]) == WORKERS_MAX


def test_memory_is_told_in_megabytes(executor, quietly):
    executor.view = snapshot(workers=(worker_view("worker-0", memory_bytes=42_000_000),))
    plot = memory_plot(executor, **quietly)
    plot.update()
    assert plot.source.data["ys"] == [[42.0]]
    assert plot.figure.yaxis.axis_label == "MB"


def test_a_plot_moves_when_something_changed_and_only_then(executor, quietly, pushed):
    plot = ProgressPlot(executor, **quietly)
    plot.follow("handle")
    executor.tell(Observation(snapshot(functions=(function_view("f", finished=1),)), ()))
    plot.publish()
    plot.publish()
    assert pushed == ["handle"]
    assert list(plot.figure.y_range.factors) == ["f"]
    plot.close()
    assert executor.watchers == []


def test_a_plot_of_a_closed_executor_stops(executor, quietly, pushed):
    plot = cpu_plot(executor, **quietly)
    plot.follow("handle")
    executor.is_closed = True
    plot.publish()
    assert executor.watchers == []


def test_figures_are_whole_documents(executor, quietly):
    for plot in (ProgressPlot(executor, **quietly), memory_plot(executor, **quietly)):
        plot.update()
        document = Document()
        document.add_root(plot.figure)
        document.validate()
        assert json_item(plot.figure)


def test_plots_save_a_page_that_needs_no_network(executor, tmp_path):
    executor.view = snapshot(functions=(function_view("<fit>", finished=3),))
    page = Plots(executor).save(tmp_path / "cluster.html").read_text()
    assert len(page) > 500_000
    assert "src=" not in page.replace("data-absolute-url", "")[:2000]
    assert "<script src" not in page
    assert "<fit>" not in page
    one = Plots(executor).memory.save(str(tmp_path / "memory.html")).read_text()
    assert "Memory by worker" in one
    assert "worker-1" in one


def test_a_plot_stays_the_same_one(executor):
    plots = Plots(executor)
    assert plots.memory is plots.memory
    assert plots.cpu is not plots.memory
    assert "progress, memory, cpu" in repr(plots)


def test_names_in_the_page_are_escaped_once(executor, tmp_path):
    executor.name = "<b>"
    page = Plots(executor).memory.save(tmp_path / "x.html").read_text()
    assert "<title>Memory by worker on &lt;b&gt;</title>" in page
