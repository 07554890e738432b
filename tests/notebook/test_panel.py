from __future__ import annotations

import threading

import pytest

from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.panel import ARMED_S, ExecutorPanel, cell_of
from jupyter_dist.notebook.publisher import Publisher
from tests.notebook.fakes import error_info, error_view, event, snapshot, task_view


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def panel(executor, clock):
    panel = ExecutorPanel(executor, publisher=Publisher(3600.0, "test"), clock=clock)
    panel.follow()
    panel.refresh()
    yield panel
    panel.close()


def show(panel, *events, **changes):
    panel.executor.tell(Observation(snapshot(**changes), events))
    panel.refresh()


def click(button):
    """Click, and wait for what the button does."""
    before = set(threading.enumerate())
    button.click()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


def test_the_header_names_the_cluster_and_its_state(panel):
    assert "default" in panel.title.value
    assert "idle" in panel.title.value


def test_nothing_is_sent_when_nothing_changed(panel):
    show(panel, event(1), counts={"memory": 1})
    sent: list[object] = []
    for widget in (panel.futures, panel.errors, panel.workers):
        widget.send = sent.append
    for widget in (panel.title, panel.message, *panel.chips.values()):
        widget.observe(sent.append)
    show(panel, counts={"memory": 1})
    panel.refresh()
    assert sent == []


def test_a_finished_task_appears(panel):
    show(panel, event(1), counts={"memory": 1})
    assert [row.id for row in panel.futures._diff.rows] == ["f-1"]
    assert panel.chips["memory"].description == "● 1 in memory"


def test_a_chip_filters_and_a_second_click_shows_all(panel):
    show(panel, event(1), running=(task_view("g-1"),))
    panel.chips["processing"].value = True
    assert [row.id for row in panel.futures._diff.rows] == ["g-1"]
    panel.chips["memory"].value = True
    assert [row.id for row in panel.futures._diff.rows] == ["f-1"]
    assert not panel.chips["processing"].value
    panel.chips["memory"].value = False
    assert len(panel.futures._diff.rows) == 2


def test_errors_are_counted_on_their_tab(panel):
    show(panel, errors=(error_view(),))
    assert panel.tabs.titles[1] == "Errors (1)"


def test_scaling_asks_the_executor(panel):
    show(panel)
    click(panel.more)
    click(panel.fewer)
    assert panel.executor.calls == ["scale 3", "scale 1"]


@pytest.mark.parametrize("name", ["restart", "cancel", "stop"])
def test_a_button_that_destroys_asks_for_a_second_click(panel, name):
    arming = getattr(panel, name)
    click(arming.button)
    assert panel.executor.calls == []
    assert arming.button.description == "Click again"
    assert "Click again" in panel.message.value
    click(arming.button)
    assert [call.split()[0] for call in panel.executor.calls] == [name]
    assert arming.button.description == arming.label


def test_an_armed_button_disarms_after_a_while(panel, clock):
    click(panel.restart.button)
    clock.now += ARMED_S
    panel.refresh()
    assert panel.restart.button.description == "Restart"
    click(panel.restart.button)
    assert panel.executor.calls == []


def test_a_restart_clears_the_futures(panel):
    show(panel, event(1))
    click(panel.restart.button)
    click(panel.restart.button)
    panel.refresh()
    assert panel.futures._diff.rows == []


def test_an_action_that_fails_is_told_and_escaped(panel):
    def scale(n):
        raise ValueError("<b>no</b>")

    panel.executor.scale = scale
    click(panel.more)
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in panel.message.value


def test_a_closed_executor_is_told_and_its_buttons_are_off(panel):
    panel.executor.is_closed = True
    panel.refresh()
    assert "closed" in panel.title.value
    assert panel.more.disabled
    assert panel.stop.button.disabled


def test_a_saved_panel_reads_well_and_is_escaped(panel):
    evil = "<img src=x>"
    show(
        panel, event(1, key=evil, label=evil, worker=evil, group=evil), cluster=evil,
        errors=(error_view(error=error_info(type_name=evil, text=evil)),),
    )  # fmt: skip
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].count("<table>") == 3
    assert evil not in bundle["text/html"]


def test_closing_ends_the_watch(executor, clock):
    panel = ExecutorPanel(executor, publisher=Publisher(3600.0, "test"), clock=clock)
    panel.follow()
    panel.follow()
    assert len(executor.watchers) == 1
    panel.close()
    assert not executor.watchers


def test_the_page_is_told_of_every_widget(panel):
    widgets = [panel, panel.futures, panel.errors, panel.workers, panel.tabs, panel.restart.button]
    assert all(widget.comm is not None for widget in widgets)


def test_a_file_of_a_cell_is_named_by_its_cell(shell):
    shell.run_cell("a = 1", store_history=True)
    name = shell.compile.cache("b = 2", 7, raw_code="b = 2")
    assert cell_of(name) == "cell [7]"
    assert cell_of("/a/model.py") == ""
