"""The status line of a run where there is a kernel: with a button, and without a widget in the end."""

from __future__ import annotations

import threading

import pytest

from jupyter_dist.notebook import progress
from jupyter_dist.notebook.progress import StatusDisplay
from jupyter_dist.notebook.publisher import Publisher
from jupyter_dist.notebook.receipt import RunView

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def shown(monkeypatch):
    shown: list[dict[str, object]] = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    def display(bundle, **options):
        shown.append(bundle)
        return Handle()

    monkeypatch.setattr(progress, "display", display)
    monkeypatch.setattr(progress, "has_widgets", lambda: True)
    return shown


class Run:
    def __init__(self):
        self.state = "running"
        self.cancelled = threading.Event()

    def view(self):
        return RunView("run-1", self.state, 1.0, running=int(self.state == "running"))

    def cancel(self):
        self.state = "cancelled"
        self.cancelled.set()


def test_the_line_has_a_button_that_cancels_and_the_receipt_has_no_widget(shown):
    run = Run()
    status = StatusDisplay(run.view, run.cancel, Publisher(3600.0, "test"))
    status.open()
    assert VIEW in shown[0]
    assert "running" in str(shown[0]["text/html"])  # for a file that is saved meanwhile
    line = status._line
    assert line is not None
    line._button.click()
    assert run.cancelled.wait(10)
    assert line._button.disabled
    status.refresh()
    assert VIEW not in shown[-1]
    assert str(shown[-1]["text/plain"]).startswith("⊘ cancelled")
    assert line._box.comm is None


def test_the_line_changes_in_its_widget_while_the_run_goes_on(shown):
    run = Run()
    run.state = "sent"
    status = StatusDisplay(run.view, run.cancel, Publisher(3600.0, "test"))
    status.open()
    run.state = "running"
    status.refresh()
    assert len(shown) == 1
    assert status._line is not None
    assert "running" in status._line._text.value


def test_without_a_kernel_there_is_no_button(shown, monkeypatch):
    monkeypatch.setattr(progress, "has_widgets", lambda: False)
    StatusDisplay(Run().view, lambda: None, Publisher(3600.0, "test")).open()
    assert set(shown[0]) == {"text/plain", "text/html"}
