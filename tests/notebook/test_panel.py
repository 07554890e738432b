from __future__ import annotations

import threading

import pytest

from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.panel import ARMED_S, ExecutorPanel, cell_of
from jupyter_dist.notebook.publisher import Publisher
from tests.notebook.fakes import error_info, error_view, event, function_view, snapshot, task_view


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
    assert bundle["text/html"].count("<table>") == 4
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


def act(panel, table, action, row):
    """Click a button in a row, as the browser does, and return what the panel says."""
    before = set(threading.enumerate())
    table._handle_custom_msg({"act": action, "id": row}, [])
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    panel.refresh()
    return panel.message.value


def test_a_running_task_can_be_cancelled_and_explained_in_its_row(panel, executor):
    executor.hold.clear()
    future = executor.submit_task(len, ([],), label="f")
    future.explain = lambda: "it waits for the test"
    show(panel, running=(task_view("f-1"), task_view("g-1")))
    assert "it waits for the test" in act(panel, panel.futures, "explain", "f-1")
    assert "f-1 was cancelled" in act(panel, panel.futures, "cancel", "f-1")
    assert executor.calls == ["cancel 1 force=True"]
    assert "this notebook has no future on g-1" in act(panel, panel.futures, "cancel", "g-1")
    assert act(panel, panel.futures, "retry", "f-1") == act(panel, panel.futures, "no such", "f-1")  # it has none


def failing(executor, number):
    future = executor.submit_task(len, ([],), label="f")
    future.inner.exception()
    future.inner = type(future.inner)()
    future.inner.set_exception(ValueError("bad"))
    return error_view(f"f-{number}")


def test_errors_are_tried_again_together_and_dismissed_until_there_is_another(panel, executor):
    errors = tuple(failing(executor, number) for number in (1, 2))
    show(panel, errors=(*errors, error_view("of another session")), erred=3)
    [row] = panel.errors._diff.rows
    assert row.actions[0][1] == "Retry these 3"
    assert "2 tasks tried again; 1 other of other sessions" in act(panel, panel.errors, "retry", row.id)
    assert executor.calls == ["retry f-1 f-2"]
    act(panel, panel.errors, "dismiss", row.id)
    assert panel.errors._diff.rows == []
    assert panel.errors._diff.caption == "no errors but those dismissed"
    show(panel, errors=(*errors, error_view("f-9")), erred=4)
    assert [row.cells[2] for row in panel.errors._diff.rows] == ["× 1"]


def test_a_worker_is_restarted_and_retired_in_its_row_after_a_warning(panel, executor):
    show(panel)
    assert all(warning for row in panel.workers._diff.rows for _, _, warning in row.actions)
    assert "worker-1 was restarted" in act(panel, panel.workers, "restart", "worker-1")
    assert "worker-0 was retired" in act(panel, panel.workers, "retire", "worker-0")
    assert executor.calls == ["kill worker-1", "retire worker-0"]


def test_an_action_that_fails_is_told_where_it_was_clicked(panel, executor, monkeypatch):
    def fail(_workers):
        raise RuntimeError("no nanny")

    monkeypatch.setattr(executor, "restart_workers", fail)
    show(panel)
    assert "RuntimeError: no nanny" in act(panel, panel.workers, "restart", "worker-1")


def test_a_text_filters_the_futures(panel):
    show(panel, event(1), event(2, label="other", worker="worker-7"), counts={"memory": 2})
    panel.filter.value = "WORKER-7"
    assert [row.id for row in panel.futures._diff.rows] == ["f-2"]
    assert "1 row with 'WORKER-7'" in panel.futures._diff.caption
    panel.filter.value = ""
    assert len(panel.futures._diff.rows) == 2


def test_functions_tell_how_long_their_tasks_ran(panel):
    runs = [event(n, started_s=1000.0, stopped_s=1000.0 + n) for n in range(1, 21)]
    show(panel, *runs, functions=(function_view("f", finished=20, queued=3), function_view("g", erred=1)))
    cells = {row.id: row.cells for row in panel.functions._diff.rows}
    assert cells["f"] == ("queued", "f", "3", "0", "20", "0", "11 s", "20 s", "")
    assert cells["g"][:2] == ("failed", "g")
