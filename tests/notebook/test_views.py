from __future__ import annotations

import pytest

from jupyter_dist import Executor, Future
from jupyter_dist.notebook.extension import load_ipython_extension
from jupyter_dist.notebook.panel import ExecutorPanel
from jupyter_dist.notebook.views import future_html
from tests.client.quiet import QuietCluster


@pytest.fixture
def quiet():
    cluster = QuietCluster()
    yield cluster
    cluster.end()


def test_executor_as_a_last_expression_is_shown_as_its_panel_once_the_extension_is_loaded(quiet, shell, monkeypatch):
    plain, _ = shell.display_formatter.format(quiet.executor)
    assert "<table>" in plain["text/html"]
    shown: list[object] = []
    monkeypatch.setattr("jupyter_dist.notebook.views.display", shown.append)
    load_ipython_extension(shell)
    shell.user_ns["executor"] = quiet.executor
    shell.run_cell("executor")
    [panel] = shown
    assert isinstance(panel, ExecutorPanel)
    assert isinstance(panel.executor, Executor)
    panel.close()


def test_future_is_shown_with_its_colour_and_fate(quiet):
    future: Future = quiet.executor.submit(abs, -1, key="<key>")
    quiet.fail(future, ValueError("<no>"))
    html = future_html(future)
    assert "#D55E00" in html
    assert "✖" in html
    assert "error, ValueError: &lt;no&gt; <code>&lt;key&gt;</code>" in html
