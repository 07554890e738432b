from __future__ import annotations

import json

import pytest
from bokeh.document import Document
from bokeh.embed import json_item

from jupyter_dist.errors import UsageError
from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.publisher import Publisher
from jupyter_dist.notebook.task_stream import TaskStream
from tests.notebook.fakes import event, snapshot, task_view


@pytest.fixture
def pushed():
    return []


@pytest.fixture
def stream(executor, pushed):
    stream = TaskStream(executor, publisher=Publisher(3600.0, "test"), push=lambda *, handle: pushed.append(handle))
    stream.follow("handle")
    yield stream
    stream.close()


def test_an_empty_stream_waits_for_tasks(stream, pushed):
    stream.publish()
    assert stream.plot.figure.title.text == "Tasks of default: waiting for tasks"
    assert stream.plot.figure.yaxis[0].major_label_overrides == {0: "worker-0", 1: "worker-1"}
    assert pushed == ["handle"]


def test_bars_crosses_lines_and_running_bars_are_drawn(stream):
    events = (event(1), event(2, "erred"), event(3, "worker-lost", detail="gone"))
    stream.executor.tell(Observation(snapshot(running=(task_view("g-1"),)), events))
    stream.publish()
    plot = stream.plot
    assert plot.bars.data["key"] == ["f-1", "f-2"]
    assert plot.crosses.data["lane"] == [0]
    assert plot.lines.data["text"] == ["worker-0: gone"]
    assert plot.running.data["key"] == ["g-1"]
    assert plot.figure.title.text == "Tasks of default"


def test_nothing_is_pushed_while_nothing_moves(stream, pushed):
    stream.publish()
    stream.publish()
    assert pushed == ["handle"]


def test_a_closed_executor_stops_the_stream(stream, pushed):
    stream.executor.is_closed = True
    stream.publish()
    assert stream.plot.figure.title.text == "Tasks of default: the executor is closed"
    assert not stream.executor.watchers
    stream.publish()
    assert pushed == ["handle"]


def test_the_figure_can_be_saved(stream):
    stream.executor.tell(Observation(snapshot(), (event(1),)))
    stream.publish()
    document = Document()
    document.add_root(stream.plot.figure)
    document.validate()
    assert "f-1" in str(json_item(stream.plot.figure))


def test_more_lanes_make_a_taller_figure(stream):
    before = stream.plot.figure.height
    stream.plot._set_lanes(tuple(f"w{n}" for n in range(10)))
    assert stream.plot.figure.height > before
    assert (stream.plot.y_range.start, stream.plot.y_range.end) == (9.6, -0.6)


def test_stream_saves_a_page_and_a_trace(stream, tmp_path):
    stream.executor.tell(Observation(snapshot(), (event(1), event(2, "erred", worker="worker-1"))))
    stream.publish()
    assert "<script src" not in stream.save(tmp_path / "stream.html").read_text()
    trace = json.loads(stream.save(str(tmp_path / "stream.json")).read_text())["traceEvents"]
    assert [item["args"]["name"] for item in trace if item["ph"] == "M"] == ["worker-0", "worker-1"]
    runs = [item for item in trace if item["ph"] == "X"]
    assert [(run["name"], run["cat"], run["dur"], run["args"]["key"]) for run in runs] == [
        ("f", "finished", 2_000_000.0, "f-1"),
        ("f", "failed", 2_000_000.0, "f-2"),
    ]
    with pytest.raises(UsageError, match=r"end the name in \.html"):
        stream.save("stream.png")
