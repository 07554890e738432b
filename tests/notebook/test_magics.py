from __future__ import annotations

import _thread
import re
import threading

import pytest

from jupyter_dist.errors import CaptureError, NoClusterError, UsageError
from jupyter_dist.notebook.commands import CELL_OPTIONS, COMMANDS, SUBMIT_OPTIONS
from jupyter_dist.notebook.options import split_options
from jupyter_dist.notebook.run import CellRun


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
        ("%%distributed\n%time ls", CaptureError, "is a magic"),
        ("%%distributed -o z\ny = 1", UsageError, "-o z: the cell does not assign it; it makes y"),
        ("%%distributed -i z\ny = 1", UsageError, "-i z: the notebook has no such name"),
        ("%%distributed --bolck\ny = 1", UsageError, "Did you mean --block"),
        ("%%distributed y\ny = 1", UsageError, "takes no 'y'"),
        ("%%distributed -e e\ny = 1", UsageError, "no executor of this name"),
        (
            "%%distributed -w nobody\ny = 1",
            UsageError,
            "-w nobody: the cluster has no such worker; there are worker-0 and",
        ),
        (
            "%%distributed --on-interrupt stop\ny = 1",
            UsageError,
            "--on-interrupt of %%distributed needs one of cancel,",
        ),
        ("%%distributed --group order\ny = 1", UsageError, "--group orders the prints of many tasks"),
        ("%%distributed --map xs --each\ny = 1", UsageError, "--map runs the cell once for each element"),
        ("%%distributed --map xs\ny = xs", UsageError, "--map xs: `xs`: NameError: name 'xs' is not defined"),
        ("%%distributed --map x=[\ny = x", UsageError, "--map x: `[`: SyntaxError"),
        ("%%distributed --map 1x\ny = 1", UsageError, "'1x' is not a name; write --map x or --map x=iterable"),
        ("%%distributed --map x=3\ny = x", UsageError, "--map x: a int has no elements"),
        ("%%distributed --map x=[]\ny = x", UsageError, "--map x: there is no element"),
        ("%%distributed --map x=iter(int,1)\ny = x", UsageError, "--map x: more than 10,000 elements"),
        ("%%distributed --map x=[open]\ny = missing", CaptureError, "name 'missing' is not defined"),
        ("%%distributed --map x=[1, (i for i in [])]\ny = x", UsageError, "element 1 (a generator) cannot"),
        ("%%distributed --map x=[b'x'*60_000_000]\ny = x", UsageError, "x = executor.scatter(x)"),
        ("e = 1\n%distributed -e e", UsageError, "has no command '-e'"),
        ("%distributed strat", UsageError, "did you mean start"),
        ("%distributed scale many", UsageError, "%distributed scale 4"),
        ("%submit", UsageError, "%submit f"),
        ("%distributed scale 2 3", UsageError, "takes no '3': write `%distributed scale N`"),
        ("%distributed push", UsageError, "%distributed push a b"),
        ("%gather", UsageError, "%gather a b"),
        ("%gather nothing_here", UsageError, "no name nothing_here"),
        ("%distributed connect other", NoClusterError, "--name other"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(notebook, started, cell, error, words):
    with pytest.raises(error, match=re.escape(words)):
        notebook(cell)
    assert started.submitted == []


def test_a_mapped_cell_runs_for_each_element_and_its_names_are_lists(notebook, started, shell, shown, runs):
    notebook("seeds = [1, 2, 3]\noffset = 10")
    notebook("%%distributed --map seeds\nresult = seeds + offset\nhalf = seeds / 2")
    assert [future.result(10) for future in shell.user_ns["result"]] == [11, 12, 13]
    assert [future.result(10) for future in shell.user_ns["half"]] == [0.5, 1.0, 1.5]
    assert shell.user_ns["seeds"] == [1, 2, 3]
    assert started.names["result[1]"] == shell.user_ns["result"][1].key
    assert runs[0].finished.wait(10)
    assert "3/3 done" in shown[0]["text/plain"]
    assert "the wall time" in shown[0]["text/plain"]
    assert "seeds" not in shown[0]["text/plain"].partition("sent:")[2].partition("\n")[0]


def test_a_mapped_cell_takes_any_iterable_of_python(notebook, started, shell):
    notebook("%%distributed --map n=range(4) --block\nsquare = n * n")
    assert [future.result(10) for future in shell.user_ns["square"]] == [0, 1, 4, 9]
    notebook("%%distributed --map future=square --block\nnext_one = future + 1")
    assert [future.result(10) for future in shell.user_ns["next_one"]] == [1, 2, 5, 10]


def test_a_large_value_of_many_tasks_is_sent_once(notebook, started, shell):
    notebook("data = bytes(200_000)\nsmall = 1")
    notebook("%%distributed --map n=range(3) --block\nsize = len(data) + n + small")
    assert [future.result(10) for future in shell.user_ns["size"]] == [200_001, 200_002, 200_003]
    assert started.calls == ["scatter 1"]


def test_one_element_that_fails_fails_its_own_names_and_is_named(notebook, started, shell, shown, runs):
    notebook("%%distributed --map n=[1,0,2]\nresult = 1 / n")
    assert runs[0].finished.wait(10)
    assert [future.status for future in shell.user_ns["result"]] == ["finished", "error", "finished"]
    text = shown[0]["text/plain"]
    assert text.startswith("✖ failed")
    assert "2/3 done, 1 failed" in text
    assert "ZeroDivisionError: division by zero, cell [" in text
    assert "(n=0)" in text


def test_a_cell_on_each_worker_gives_a_dict_by_worker(notebook, started, shell):
    notebook("%%distributed --each --block\nx = 1")
    assert {worker: future.result(10) for worker, future in shell.user_ns["x"].items()} == {
        "worker-0": 1,
        "worker-1": 1,
    }
    assert [task["workers"] for task in started.submitted if task["label"] == "cell"] == [("worker-0",), ("worker-1",)]
    notebook("%%distributed --each -w worker-1 --block\nx = 1")
    assert list(shell.user_ns["x"]) == ["worker-1"]


def test_a_cell_is_bound_to_workers_by_their_names(notebook, started):
    notebook("%%distributed -w worker-1\nx = 1")
    assert started.submitted[0]["workers"] == ("worker-1",)


@pytest.mark.parametrize("how", ["order", "worker"])
def test_prints_of_many_tasks_are_shown_in_order_when_asked(notebook, started, runs, how, capsys):
    notebook(f"%%distributed --map n=range(3) --group {how}\nprint('from', n)")
    assert runs[0].finished.wait(10)
    out = capsys.readouterr().out
    assert re.findall(r"── (?:worker-0: )?n=(\d)\nfrom \1\n", out) == ["0", "1", "2"]


def test_prints_of_many_tasks_are_headed_by_whose_they_are(notebook, started, runs, capsys):
    notebook("%%distributed --map n=range(3)\nprint('from', n)")
    assert runs[0].finished.wait(10)
    assert sorted(re.findall(r"── n=(\d)\nfrom \1\n", capsys.readouterr().out)) == ["0", "1", "2"]


def test_values_of_many_tasks_are_shown_in_order(notebook, started, shown, runs):
    notebook("%%distributed --map n=range(3)\nn + 40")
    assert runs[0].finished.wait(10)
    assert [bundle["text/plain"] for bundle in shown[1:]] == ["── n=0", "40", "── n=1", "41", "── n=2", "42"]


def test_a_figure_of_a_mapped_cell_without_a_value_is_shown(notebook, started, shown, runs):
    notebook("%%distributed --map n=[1,2]\nimport matplotlib.pyplot as plt\nplt.figure(num=n + 700).add_subplot();")
    assert runs[0].finished.wait(30)
    assert [list(bundle) for bundle in shown[1:]] == [["text/plain"], ["text/plain", "image/png"]] * 2


def test_a_cell_that_is_run_again_replaces_its_run_and_says_so(notebook, started, shown, runs, shell, capsys):
    started.hold.clear()
    notebook("%%distributed\nx = 1")
    notebook("%%distributed\ny = 2")
    notebook("%%distributed\nx = 1")
    assert started.calls == ["cancel 3 force=True"]
    assert (
        f"The earlier run of this cell, {runs[0].name}, was still going and was cancelled." in capsys.readouterr().out
    )
    assert shown[0]["text/plain"].startswith("⊘ cancelled")
    assert "replaced: its cell was run again" in shown[0]["text/plain"]
    started.hold.set()
    assert shell.user_ns["x"].result(10) == 1
    assert runs[-1].finished.wait(10)
    notebook("%%distributed\nx = 1")
    assert len(started.calls) == 1  # the run before was over


def interrupted(started, runs, *stuck):
    """Interrupt the kernel once its cell waits; later again when a worker does not come back."""
    timers = []

    def first():
        started.stuck = {worker: {runs[-1].name} for worker in stuck}
        runs[-1]._facts.running = {runs[-1].name: "worker-0"}
        _thread.interrupt_main()

    timers.append(threading.Timer(0.3, first))
    if stuck:
        timers.append(threading.Timer(1.9, _thread.interrupt_main))
    for timer in timers:
        timer.start()
    return timers


def test_a_second_interrupt_kills_the_worker_that_does_not_come_back(notebook, started, shown, runs, capsys):
    started.hold.clear()
    timers = interrupted(started, runs, "worker-0")
    with pytest.raises(KeyboardInterrupt):
        notebook("%%distributed --block\nx = 1")
    for timer in timers:
        timer.join()
    assert started.calls == ["cancel 3 force=True", "kill worker-0"]
    out = capsys.readouterr().out
    assert "Cancelled, but worker-0 has not come back from the code yet. Interrupt again to kill." in out
    assert "worker-0 did not stop and was killed" in out


def test_an_interrupt_kills_at_once_when_asked(notebook, started, runs):
    started.hold.clear()
    [timer, _second] = interrupted(started, runs, "worker-0")
    _second.cancel()
    with pytest.raises(KeyboardInterrupt):
        notebook("%%distributed --block --on-interrupt kill\nx = 1")
    timer.join()
    assert started.calls == ["cancel 3 force=True", "kill worker-0"]


def test_an_interrupt_leaves_the_run_alone_when_asked(notebook, started, shown, runs, shell):
    started.hold.clear()
    [timer] = interrupted(started, runs)
    with pytest.raises(KeyboardInterrupt):
        notebook("%%distributed --block --on-interrupt detach\nx = 1")
    timer.join()
    assert started.calls == []
    started.hold.set()
    assert shell.user_ns["x"].result(10) == 1
    assert runs[0].finished.wait(10)
    assert "it goes on, and its names are futures" in shown[0]["text/plain"]


def test_cancel_stops_the_cells_that_go_on_or_the_one_of_a_name(notebook, started, runs, shown, magics, capsys):
    notebook("%distributed cancel")
    assert "No distributed cell of this notebook is going on." in capsys.readouterr().out
    started.hold.clear()
    for name in ("a", "b", "c"):
        notebook(f"%%distributed --name {name}\n{name} = 1")
    assert magics.suggestions.complete("%distributed cancel b") == [runs[1].name]
    notebook(f"%distributed cancel {runs[1].name}")
    assert capsys.readouterr().out == f"{runs[1].name} was cancelled.\n"
    with pytest.raises(UsageError, match=f"no run 'nobody' is going on; there are: {runs[0].name} and {runs[2].name}"):
        notebook("%distributed cancel nobody")
    notebook("%distributed cancel")
    assert [line["text/plain"].splitlines()[0] for line in shown] == ["⊘ cancelled"] * 3
    assert "cancelled by %distributed cancel" in shown[0]["text/plain"]


def test_push_and_pull_are_opposites(notebook, started, shell, capsys):
    notebook("a = [1]\nb = 2\n%distributed push a, b")
    assert "a and b are futures now" in capsys.readouterr().out
    assert started.names == {name: shell.user_ns[name].key for name in ("a", "b")}
    with pytest.raises(UsageError, match="a is a future already"):
        notebook("%distributed push a")
    notebook("%distributed pull a b")
    assert (shell.user_ns["a"], shell.user_ns["b"]) == ([1], 2)


def test_restart_workers_is_restart(notebook, started):
    notebook("%restart_workers")
    assert started.calls == ["restart"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%%distributed --bl", ["--block"]),
        ("%%distributed --on-interrupt ", ["cancel", "detach", "kill"]),
        ("%%distributed --on-interrupt k", ["kill"]),
        ("%%distributed -w worker-0,wor", ["worker-0,worker-0", "worker-0,worker-1"]),
        ("%%distributed -i nu", ["number"]),
        ("%%distributed --map nu", ["number"]),
        ("%%distributed -e exe", ["executor"]),
        ("%%distributed ", []),
        ("%gather ", ["future", "several"]),
        ("%gather -", ["-e", "--executor", "-h", "--help"]),
        ("%submit -o", ["-o"]),
        ("%distributed push numb", ["number"]),
        ("%distributed pull fut", ["future"]),
        ("something else", []),
        ("", []),
    ],
)
def test_tab_offers_options_choices_and_names(notebook, started, magics, line, offered):
    notebook("number = 1\nfuture = executor.scatter([1])[0]\nseveral = [future]\nempty = []")
    assert magics.suggestions.complete(line) == offered


def test_every_option_of_a_cell_is_offered(magics):
    assert set(magics.suggestions.complete("%%distributed -")) >= {flag for o in CELL_OPTIONS for flag in o.flags}


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


HELPS = {f"%distributed {name} --help": name for name in COMMANDS}


@pytest.mark.parametrize("line", HELPS)
def test_every_command_has_a_help_and_does_nothing_else(notebook, started, line, capsys):
    capsys.readouterr()
    notebook(line)
    assert capsys.readouterr().out.startswith(f"%distributed {HELPS[line]}")
    assert started.calls == []


@pytest.mark.parametrize(
    "line",
    [
        "%distributed",
        "%distributed --help",
        "%gather --help",
        "%restart_workers --help",
        "%distributed start --help",
        "%submit --help",
        "%%distributed --help\n1",
    ],
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
    assert split_options(line, SUBMIT_OPTIONS) == parts
