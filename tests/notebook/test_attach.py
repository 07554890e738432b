"""What `%distributed attach` binds, what it leaves, and what it says; over a fake executor with lost sessions."""

from __future__ import annotations

import gc

import pytest
from IPython.core.completer import provisionalcompleter

from jupyter_dist.errors import NoClusterError, SessionConnectedError, UsageError
from jupyter_dist.notebook import attached
from jupyter_dist.notebook.commands import COMMAND_OPTIONS, COMMANDS
from jupyter_dist.notebook.completion import complete_command
from tests.notebook.fakes import FakeExecutor, FakeFuture, until

OWN = "notebook.ipynb"


@pytest.fixture
def notebook(magics, shell):
    """Run a cell as a user would; an error of its own is raised."""

    def run(source):
        result = shell.run_cell(source)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return result.result

    return run


@pytest.fixture
def cluster(clusters):
    """A running cluster that nobody is connected to."""
    clusters.running["default"] = FakeExecutor()
    return clusters.running["default"]


def test_attach_binds_names_and_tells_state_age_and_key(notebook, cluster, shell, capsys):
    cluster.lose(OWN, "fit-1", 42, names=["model"])
    cluster.lose(OWN, "score-2", None, names=["score"], state="processing", age_s=185.0)
    cluster.lose(OWN, "plot-3", ValueError("no"), names=["figure"], state="erred")
    notebook("%distributed connect\n%distributed attach")
    assert shell.user_ns["model"].result() == 42
    assert shell.user_ns["score"].status == "pending"
    assert "attached" not in shell.user_ns
    assert capsys.readouterr().out.splitlines() == [
        "Connected to cluster 'default'; `executor` is its executor.",
        "3 futures of this notebook's earlier kernel are still on the cluster: %distributed attach",
        "3 futures of 'notebook.ipynb', on cluster 'default':",
        "  name    state         age         key",
        "  model   ● finished    5.0 s       fit-1",
        "  score   ◐ processing  3 min 05 s  score-2",
        "  figure  ✖ error       5.0 s       plot-3",
        attached.PRINTED,
    ]


def test_lists_and_dicts_of_futures_are_bound_as_they_were(notebook, cluster, shell):
    for place in (1, 0, 2):
        cluster.lose(OWN, f"s-{place}", place, names=[f"scores[{place}]"])
        cluster.lose(OWN, f"t-{place}", place, names=[f"taken[{place}]"])
    cluster.lose(OWN, "p-0", 7, names=["parts['worker-0']"])
    cluster.lose(OWN, "h-1", 8, names=["half[1]"])
    notebook("taken = 1\n%distributed connect\n%distributed attach")
    assert [future.result() for future in shell.user_ns["scores"]] == [0, 1, 2]
    assert {worker: future.result() for worker, future in shell.user_ns["parts"].items()} == {"worker-0": 7}
    assert shell.user_ns["taken"] == 1
    assert sorted(shell.user_ns["attached"]) == ["half[1]", "taken[0]", "taken[1]", "taken[2]"]


def test_a_run_is_found_again_with_its_prints_its_value_and_its_receipt(notebook, cluster, shell, shown, capsys):
    run = cluster.lose(OWN, "cell-3-0123abcd", None, state="processing", label="cell")
    display = cluster.lose(OWN, "cell-3-0123abcd: display", None, state="waiting", label="pick")
    cluster.lose(OWN, "cell-3-0123abcd:model", None, names=["model"], state="waiting", label="pick")
    run.printed = [("stdout", "printed before\n")]
    notebook("%distributed connect\n%distributed attach")
    assert "printed before\n" in capsys.readouterr().out
    assert "attached" not in shell.user_ns
    [line] = shown
    assert line["text/plain"].startswith("◐ running: 0/1 done; 5.0 s")
    assert "of this notebook's earlier kernel" in line["text/plain"]
    run.listener("stdout", "printed after\n")
    run.inner.set_result(None)
    display.inner.set_result([({"text/plain": "the value"}, {})])
    until(lambda: shown[0]["text/plain"].startswith("● done"))
    assert "made:          model" in shown[0]["text/plain"]
    assert shown[1]["text/plain"] == "the value"
    assert "printed after\n" in capsys.readouterr().out


def test_a_run_whose_end_was_seen_is_let_go_and_one_that_ended_meanwhile_is_shown(notebook, cluster, shell, shown):
    for number, age_s in ((1, 1000.0), (2, 100.0)):  # the kernel is lost since 200 s
        key = f"cell-{number}-0123abcd"
        cluster.lose(OWN, key, None, label="cell", age_s=age_s)
        cluster.lose(OWN, f"{key}: display", [], label="pick", age_s=age_s)
        cluster.lose(OWN, f"{key}:x{number}", number, names=[f"x{number}"], label="pick", age_s=age_s)
    notebook("%distributed connect\n%distributed attach")
    assert (shell.user_ns["x1"].result(), shell.user_ns["x2"].result()) == (1, 2)
    assert "attached" not in shell.user_ns
    until(lambda: len(shown) == 1 and "cell-2-0123abcd" in shown[0]["text/plain"])


def test_future_without_a_variable_is_kept_in_a_dict(notebook, cluster, shell, capsys):
    cluster.lose(OWN, "map-1", 1)
    cluster.lose(OWN, "map-2", 2, names=["no name of a variable"])
    cluster.lose(OWN, "map-3", 3, names=["class"])
    notebook("attached = 'mine'\n%distributed connect\n%distributed attach")
    assert shell.user_ns["attached"] == "mine"
    kept = shell.user_ns["attached_2"]
    assert {name: future.result() for name, future in kept.items()} == {
        "map-1": 1,
        "no name of a variable": 2,
        "class": 3,
    }
    assert "3 futures without a variable. The dict `attached_2` has all of these." in capsys.readouterr().out


def test_variable_of_another_value_is_left_and_said_and_bound_when_asked(notebook, cluster, shell, capsys):
    cluster.lose(OWN, "fit-1", 42, names=["model"])
    cluster.lose(OWN, "fit-2", 43, names=["other"])
    notebook("model = 'precious'\n%distributed connect\n%distributed attach")
    out = capsys.readouterr().out
    assert shell.user_ns["model"] == "precious"
    assert shell.user_ns["other"].result() == 43
    assert "model stands for something else here and was left so; `%distributed attach --overwrite` binds" in out
    assert shell.user_ns["attached"]["model"].result() == 42
    notebook("%distributed attach --overwrite")
    assert shell.user_ns["model"].result() == 42
    notebook("model = 'again'")
    notebook("%distributed attach --overwrite")
    assert shell.user_ns["model"] == "again"  # it was bound: nothing is left over
    assert "Nothing to attach to" in capsys.readouterr().out


def test_variable_of_the_same_future_is_bound_again(notebook, cluster, shell):
    shell.user_ns["model"] = FakeFuture(cluster, "fit-1")
    cluster.lose(OWN, "fit-1", 42, names=["model"])
    notebook("%distributed connect\n%distributed attach")
    assert shell.user_ns["model"].result() == 42


def test_what_was_left_out_is_not_kept_when_its_dict_is_gone(notebook, cluster, shell, magics):
    cluster.lose(OWN, "fit-1", 42, names=["model"])
    notebook("model = 1\n%distributed connect\n%distributed attach")
    assert dict(magics.commands._left)
    notebook("del attached")
    gc.collect()
    assert not dict(magics.commands._left)


def test_attach_without_an_executor_finds_the_cluster_that_has_the_futures(notebook, clusters, shell, capsys):
    for name in ("one", "two", "three"):
        clusters.running[name] = FakeExecutor(name)
    clusters.running["two"].lose(OWN, "fit-1", 42, names=["model"])
    notebook("%distributed attach")
    assert shell.user_ns["executor"] is clusters.running["two"]
    assert shell.user_ns["model"].result() == 42
    assert clusters.running["one"].is_closed
    out = capsys.readouterr().out
    assert out.startswith("Connected to cluster 'two'; `executor` is its executor.\n1 future of 'notebook.ipynb'")
    assert "earlier kernel" not in out


def test_attach_where_no_cluster_has_anything_says_so(notebook, cluster, shell, capsys):
    notebook("%distributed attach")
    assert "no running cluster keeps futures" in capsys.readouterr().out
    assert cluster.is_closed


def test_attach_where_no_cluster_runs_says_how_to_start_one(notebook):
    with pytest.raises(NoClusterError, match="`%distributed start` starts one"):
        notebook("%distributed attach")


def test_attach_to_nothing_names_what_there_is(notebook, cluster, capsys):
    for number in range(12):
        cluster.lose(f"other {number}.ipynb", "a", 1)
    notebook("%distributed connect\n%distributed attach")
    out = capsys.readouterr().out
    assert "Nothing to attach to: no earlier session of 'notebook.ipynb' is kept on cluster 'default'." in out
    assert "'other 0.ipynb' (kernel, pid 4242, lost 3 min 20 s ago, 1 future)" in out
    assert "… and 2 more" in out


def test_attach_to_another_name(notebook, cluster, shell):
    cluster.lose("other one.ipynb", "a-1", 7, names=["x"])
    notebook("%distributed connect\n%distributed attach 'other one.ipynb'")
    assert shell.user_ns["x"].result() == 7


def test_session_that_is_connected_is_said_as_a_sentence(notebook, cluster, monkeypatch, capsys):
    def refuse(_self, _name=None):
        raise SessionConnectedError("'notebook.ipynb' is not lost but connected: a kernel with pid 7")

    monkeypatch.setattr(FakeExecutor, "attach", refuse)
    notebook("%distributed connect")
    with pytest.raises(SessionConnectedError):
        notebook("%distributed attach")
    shown = "".join(capsys.readouterr())
    assert "a kernel with pid 7" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("line", "words"), [("a b", "a name with spaces is written in quotes"), ("--overwirte", "Did you mean --overwrite")]
)
def test_line_that_makes_no_sense_is_refused_and_nothing_is_taken(notebook, cluster, line, words):
    cluster.lose(OWN, "a", 1)
    notebook("%distributed connect")
    with pytest.raises(UsageError, match=words):
        notebook(f"%distributed attach {line}")
    assert cluster.lost


def test_help_lists_attach_and_its_options(notebook, capsys):
    notebook("%distributed --help\n%distributed attach --help")
    out = capsys.readouterr().out
    assert "%distributed attach [NAME]   take over the futures of this notebook's earlier kernel" in out
    assert "--overwrite" in out


def test_hint_is_said_where_the_notebooks_own_executor_is_used_first(notebook, clusters, cluster, capsys):
    clusters.latest = cluster  # as `Executor()` in a cell
    cluster.lose(OWN, "a", 1)
    notebook("%distributed list")
    assert "earlier kernel" not in capsys.readouterr().out
    notebook("%distributed status\n%distributed status")
    assert capsys.readouterr().out.count("1 future of this notebook's earlier kernel is still on the cluster") == 1


def test_distributed_cell_and_submit_tell_the_cluster_their_names(notebook, cluster, shell):
    notebook("%distributed connect")
    notebook("%%distributed --block\nx = 1\ny = 2")
    notebook("%submit -o length,again len([])")
    names = {name: shell.user_ns[name].key for name in ("x", "y", "length", "again")}
    assert cluster.names == names
    notebook("%submit len([1])")
    assert cluster.names == names


# -- pure parts


def test_table_of_many_futures_is_cut_and_names_are_made_plain():
    futures = {f"\x1b[31mf{number}": FakeFuture(None, f"key\n{number}" + "x" * 100) for number in range(100)}
    lines = attached.describe_attached(futures, [], 0.0, "head").splitlines()
    assert len(lines) == attached.ROWS_MAX + 3
    assert lines[-1] == "  … and 70 more"
    assert all("\x1b" not in line and len(line) < 150 for line in lines)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%distributed", []),
        ("%distributed ", list(COMMANDS)),
        ("%distributed st", [command for command in COMMANDS if command.startswith("st")]),
        ("%distributed attach ", ["nb.ipynb", "'my nb.ipynb'"]),
        ("%distributed attach nb", ["nb.ipynb"]),
        ("%distributed attach --", ["--overwrite", "--help"]),
        ("%distributed status ", []),
        ("%distributed status -", ["-h", "--help"]),
        ("%distributed unknown x", []),
    ],
)
def test_completion_offers_commands_options_and_names(line, offered):
    names = {"attach": lambda: ["nb.ipynb", "my nb.ipynb"]}
    assert complete_command(line, COMMANDS, {"attach": COMMAND_OPTIONS["attach"]}, names) == offered


def test_completion_of_a_name_asks_for_lost_sessions_and_clusters(notebook, magics, cluster):
    assert magics.suggestions.complete("%distributed attach ") == []  # there is no executor, and none is made
    cluster.lose("nb.ipynb", "a", 1)
    notebook("%distributed connect")
    assert magics.suggestions.complete("%distributed attach n") == ["nb.ipynb"]
    assert magics.suggestions.complete("%distributed connect ") == ["default"]


def test_extension_completes_its_commands_in_the_shell(shell):
    shell.run_line_magic("load_ext", "jupyter_dist")
    line = "%distributed att"
    with provisionalcompleter():
        offered = [completion.text for completion in shell.Completer.completions(line, len(line))]
    assert "attach" in offered
