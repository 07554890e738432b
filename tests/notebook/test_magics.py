from __future__ import annotations

import _thread
import re
import threading

import pytest

from jupyter_dist.errors import CaptureError, NoClusterError, UsageError
from jupyter_dist.notebook.magics import COMMANDS, SUBMIT_OPTIONS, _split_options
from jupyter_dist.notebook.run import CellRun


@pytest.fixture
def shown(monkeypatch):
    """Bundles as they are displayed; a display id is replaced in place."""
    bundles: list[dict[str, str]] = []

    class Handle:
        def __init__(self, place):
            self.place = place

        def update(self, bundle, raw):
            bundles[self.place] = bundle

    def display(bundle, **options):
        bundles.append(bundle)
        return Handle(len(bundles) - 1)

    monkeypatch.setattr("jupyter_dist.notebook.progress.display", display)
    monkeypatch.setattr("jupyter_dist.notebook.run.display", display)
    return bundles


@pytest.fixture
def runs(monkeypatch):
    """The runs that were started, so that a test can wait for their receipts."""
    started = []
    start = CellRun.start

    def noted(run):
        started.append(run)
        start(run)

    monkeypatch.setattr(CellRun, "start", noted)
    return started


@pytest.fixture
def notebook(magics, shell, shown, runs):
    """Run a cell as a user would; an error of its own is raised."""

    def run(source):
        result = shell.run_cell(source)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return result.result

    yield run
    for one in runs:
        one.executor.hold.set()
        assert one.finished.wait(10)


@pytest.fixture
def started(notebook, clusters):
    notebook("%distributed start -n 2")
    return clusters.latest


def test_a_cell_makes_futures_of_its_names(notebook, started, shell):
    notebook("%%distributed\nx = 20\ny = x + 1")
    assert shell.user_ns["x"].result(10) == 20
    assert shell.user_ns["y"].result(10) == 21


def test_outputs_are_the_inputs_of_the_next_cell(notebook, started, shell):
    notebook("k = 2")
    notebook("%%distributed -o a\na = k * 10\nb = 3")
    notebook("%%distributed\nc = a + 1")
    assert shell.user_ns["c"].result(10) == 21
    assert "b" not in shell.user_ns


def test_the_last_value_is_displayed_and_the_receipt_replaces_the_status(notebook, started, shown, runs):
    notebook("%%distributed --name fit\n40 + 2")
    assert runs[0].finished.wait(10)
    receipt, value = shown
    assert value["text/plain"] == "42"
    assert receipt["text/plain"].startswith("● done")
    assert "fit-" in receipt["text/plain"]
    assert "worker-0" in receipt["text/html"]


def test_a_cell_does_not_block(notebook, started, shown, runs):
    started.hold.clear()
    notebook("%%distributed\nx = 1")
    assert shown[0]["text/plain"].startswith("○ sent")
    assert not runs[0].finished.is_set()


def test_a_blocking_cell_raises_what_it_raised(notebook, started, shell):
    with pytest.raises(ZeroDivisionError):
        notebook("%%distributed --block\nx = 1\ny = x / 0")
    with pytest.raises(ZeroDivisionError):
        shell.user_ns["x"].result(10)


def test_a_failure_is_in_the_receipt_with_its_line(notebook, started, shown, runs):
    notebook("%%distributed\nx = 1\ny = x / 0")
    assert runs[0].finished.wait(10)
    assert shown[0]["text/plain"].startswith("✖ failed")
    assert "ZeroDivisionError: division by zero, cell [" in shown[0]["text/plain"]
    assert "line 2" in shown[0]["text/plain"]


def test_an_interrupt_while_blocking_cancels_and_says_so(notebook, started, shown, runs):
    started.hold.clear()
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        notebook("%%distributed --block\nx = 1")
    timer.join()
    assert started.calls == ["cancel 3 force=True"]
    assert shown[0]["text/plain"].startswith("⊘ cancelled")
    assert "interrupted in the notebook" in shown[0]["text/plain"]


def test_prints_appear_below_the_cell(notebook, started, runs, capsys):
    notebook("%%distributed\nprint('from afar')")
    assert runs[0].finished.wait(10)
    assert "from afar" in capsys.readouterr().out


def test_prints_are_kept_away_when_asked(notebook, started, runs):
    notebook("%%distributed --no-capture\nx = 1")
    assert runs[0].output._hidden == 0
    assert "on_output" not in started.submitted[0]


def test_options_reach_the_task(notebook, started):
    notebook("%%distributed --timeout 5 --retries 2 --name fit\nx = 1")
    task = started.submitted[0]
    assert (task["timeout_s"], task["retries"], task["label"]) == (5.0, 2, "cell")
    assert task["group"].startswith("cell [")
    assert task["rerun"] == "always"


def test_cell_that_must_not_run_twice_says_so(notebook, started):
    notebook("%%distributed --rerun never\nx = 1")
    assert started.submitted[0]["rerun"] == "never"


def test_what_was_sent_is_told(notebook, started, shown, runs):
    notebook("import math\ndata = list(range(1000))")
    notebook("%%distributed\nx = math.pi + len(data)")
    assert runs[0].finished.wait(10)
    assert "data (2.8 kB)" in shown[0]["text/plain"]
    assert "math (module)" in shown[0]["text/plain"]


@pytest.mark.parametrize(
    ("cell", "error", "words"),
    [
        ("%%distributed\ny = missing", CaptureError, "line 1: name 'missing' is not defined"),
        ("%%distributed\n!ls", CaptureError, "is a shell line"),
        ("%%distributed -o z\ny = 1", UsageError, "-o z: the cell does not assign it; it makes y"),
        ("%%distributed -i z\ny = 1", UsageError, "-i z: the notebook has no such name"),
        ("%%distributed --bolck\ny = 1", UsageError, "Did you mean --block"),
        ("%%distributed y\ny = 1", UsageError, "takes no 'y'"),
        ("%%distributed -e e\ny = 1", UsageError, "no executor of this name"),
        ("e = 1\n%distributed -e e", UsageError, "has no command '-e'"),
        ("%distributed strat", UsageError, "did you mean start"),
        ("%distributed scale many", UsageError, "%distributed scale 4"),
        ("%submit", UsageError, "%submit f"),
        ("%gather", UsageError, "%gather a b"),
        ("%gather nothing_here", UsageError, "no name nothing_here"),
        ("%distributed connect other", NoClusterError, "--name other"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(notebook, started, cell, error, words):
    with pytest.raises(error, match=re.escape(words)):
        notebook(cell)
    assert started.submitted == []


def test_a_syntax_error_is_shown_as_pythons_own(notebook, started, capsys):
    with pytest.raises(SyntaxError) as caught:
        notebook("%%distributed\nx = = 1")
    assert caught.value.lineno == 1
    assert started.submitted == []
    assert "x = = 1" in "".join(capsys.readouterr())


def test_an_error_is_shown_as_its_sentence(notebook, started, capsys):
    with pytest.raises(UsageError):
        notebook("%distributed strat")
    shown = "".join(capsys.readouterr())
    assert "UsageError: %distributed has no command 'strat'" in shown
    assert "Traceback" not in shown


def test_an_error_is_escaped_nowhere_else_than_in_html(notebook, started, shown, runs):
    notebook("%%distributed\nraise ValueError('<b>')")
    assert runs[0].finished.wait(10)
    assert "&lt;b&gt;" in shown[0]["text/html"]
    assert "<b>" in shown[0]["text/plain"]


@pytest.mark.parametrize("line", ["%%distributed\nx = 1", "%distributed status", "%submit len([])"])
def test_without_a_cluster_it_says_how_to_start_one(notebook, line):
    with pytest.raises(NoClusterError, match="`%distributed start` starts one"):
        notebook(line)


def test_start_binds_executor_when_the_name_is_free(notebook, clusters, shell, capsys):
    notebook("%distributed start")
    assert shell.user_ns["executor"] is clusters.latest
    assert capsys.readouterr().out == ("Cluster 'default' started in 1.2 s: 2 workers; `executor` is its executor.\n")
    notebook("%distributed start")
    assert "was running already" in capsys.readouterr().out


def test_start_leaves_a_users_own_name_alone(notebook, clusters, shell, capsys):
    notebook("executor = 'mine'")
    notebook("%distributed start --name other")
    assert shell.user_ns["executor"] == "mine"
    assert "was left as it is" in capsys.readouterr().out
    notebook("%%distributed\nx = 1")
    assert len(clusters.running["other"].submitted) == 3


def test_another_executor_can_be_named(notebook, clusters, shell):
    notebook("%distributed start --name one")
    notebook("first = executor\n%distributed start --name two")
    notebook("%%distributed -e first\nx = 1")
    assert clusters.running["one"].submitted
    assert not clusters.running["two"].submitted


def test_status_list_scale_restart_and_stop(notebook, started, shell, capsys):
    capsys.readouterr()
    notebook("%distributed status\n%distributed list\n%distributed scale 4\n%distributed restart\n%distributed stop")
    assert capsys.readouterr().out.splitlines() == [
        "● default: idle; 2/2 workers, 2 cores, 100 MB of 200 MB, up less than a minute",
        "  tasks: 0 waiting, 0 queued, 0 processing, 0 in memory, 0 failed",
        "default: 2 x 1 on here",
        "Asked for 4 workers.",
        "Cluster 'default' was restarted with fresh workers; 0 futures cancelled.",
        "Cluster 'default' was stopped.",
    ]
    assert started.calls == ["scale 4", "restart", "stop"]
    with pytest.raises(NoClusterError):
        notebook("%distributed status")


def test_nothing_to_list_says_how_to_start(notebook, capsys):
    notebook("%distributed list")
    assert "`%distributed start` starts one" in capsys.readouterr().out


def test_submit_gives_a_future_in_underscore_and_in_a_name(notebook, started, shell):
    notebook("k = 2\ndef power(a, b): return a ** b")
    future = notebook("%submit -o f power(3, b=k + 1)")
    assert future is shell.user_ns["f"]
    assert future.result(10) == 27
    assert shell.user_ns["_"] is future


def test_gather_rebinds_names_to_values(notebook, started, shell):
    notebook("%%distributed\na = 1\nb = 2")
    notebook("%gather a b")
    assert (shell.user_ns["a"], shell.user_ns["b"]) == (1, 2)


@pytest.mark.parametrize(
    "line",
    ["%distributed", "%distributed --help", "%distributed start --help", "%submit --help", "%%distributed --help\n1"],
)
def test_help_is_printed(notebook, line, capsys):
    notebook(line)
    assert capsys.readouterr().out.startswith(("%", "  %"))


def test_the_help_names_every_command(notebook, capsys):
    notebook("%distributed --help")
    printed = capsys.readouterr().out
    assert all(f"%distributed {name}" in printed for name in COMMANDS)


def test_an_earlier_failure_of_a_cell_does_not_fail_its_next_run(notebook, started, shell):
    notebook("items = [0]")
    notebook("%%distributed\nfor item in items:\n    last = 1 / item")
    with pytest.raises(ZeroDivisionError):
        shell.user_ns["last"].result(10)
    notebook("items = [4]")
    notebook("%%distributed\nfor item in items:\n    last = 1 / item")
    assert shell.user_ns["last"].result(10) == 0.25


@pytest.mark.parametrize(
    ("line", "parts"),
    [("f(-1)", ("", "f(-1)")), ("-o a f(x, '-o b')", ("-o a", "f(x, '-o b')")), ("-o=a f()", ("-o=a", "f()"))],
)
def test_the_call_of_submit_is_not_read_as_options(line, parts):
    assert _split_options(line, SUBMIT_OPTIONS) == parts
