from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import threading
import traceback

import cloudpickle
import pytest

from jupyter_dist.errors import ResultError
from jupyter_dist.notebook.cell import analyse_cell
from jupyter_dist.notebook.remote import CellCode, await_cell, pick, pick_displays, run_cell
from jupyter_dist.notebook.showing import bundle_of


def made(source, modules=None, outputs=(), has_value=False):
    return CellCode(source, "<cell [1] abc123>", analyse_cell(source).code, modules or {}, outputs, has_value)


def run(source, values=None, modules=None, outputs=(), has_value=False):
    return run_cell(made(source, modules, outputs, has_value), values or {})


def test_a_cell_makes_what_it_is_asked_for():
    result = run("y = x + 1\nz = 3", {"x": 1}, outputs=("y",))
    assert pick(result, "y") == 2
    assert result.values == {"y": 2}


def test_modules_come_by_name():
    assert pick(run("y = m.sqrt(4)", modules={"m": "math"}, outputs=("y",)), "y") == 2


def test_a_module_that_is_not_there_says_so():
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        run("m", modules={"m": "nowhere_at_all"})


def test_a_function_made_in_the_cell_travels_by_value():
    result = run("k = 2\ndef double(n): return k * n", outputs=("double",))
    assert cloudpickle.loads(cloudpickle.dumps(pick(result, "double")))(4) == 8


def test_a_dataclass_made_in_the_cell_travels_by_value():
    result = run("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\np = P(3)", outputs=("p",))
    assert cloudpickle.loads(cloudpickle.dumps(pick(result, "p"))).x == 3


def test_a_value_that_cannot_leave_spoils_only_its_own_name():
    result = run("import threading\na = 1\nlock = threading.Lock()", outputs=("a", "lock"))
    assert pick(result, "a") == 1
    with pytest.raises(ResultError, match=r"`lock` was made but cannot leave the worker: lock: .*pickle"):
        pick(result, "lock")


def test_a_name_that_stayed_unassigned_says_so():
    with pytest.raises(NameError, match="without assigning 'x'"):
        pick(run("if False: x = 1", outputs=("x",)), "x")


def test_the_last_expression_is_shown_richly():
    ((data, _metadata),) = pick_displays(
        run("class H:\n    def _repr_html_(self): return '<b>h</b>'\nH()", has_value=True)
    )
    assert data["text/html"] == "<b>h</b>"


def test_what_is_displayed_comes_before_the_last_value():
    shown = pick_displays(run("display(1, 2)\n3", has_value=True))
    assert [data["text/plain"] for data, _ in shown] == ["1", "2", "3"]


def test_none_is_not_shown():
    assert pick_displays(run("None", has_value=True)) == []


def test_displays_are_bounded():
    assert len(pick_displays(run("for i in range(1000): display(i)"))) == 64


def test_a_value_whose_repr_fails_is_shown_all_the_same():
    class Bad:
        def __repr__(self):
            raise ValueError

    data, _ = bundle_of(Bad())
    assert "Bad" in data["text/plain"]


def test_a_traceback_shows_the_cells_lines():
    with pytest.raises(ZeroDivisionError) as caught:
        run("a = 1\nb = a / 0  # here")
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "<cell [1] abc123>", line 2' in text
    assert "b = a / 0  # here" in text


def test_a_cell_does_not_see_this_process():
    threading.current_thread()
    with pytest.raises(NameError):
        run("threading")


def test_a_cell_awaits_at_its_top_level():
    source = "import asyncio\nx = await asyncio.sleep(0, 5)\nawait asyncio.sleep(0, x + 1)"
    result = asyncio.run(await_cell(made(source, outputs=("x",), has_value=True), {}))
    assert pick(result, "x") == 5
    assert [data["text/plain"] for data, _ in pick_displays(result)] == ["6"]


def test_ipythons_display_is_the_cells():
    result = run("from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))")
    assert pick_displays(result)[0][0]["text/html"] == "<b>x</b>"
    result = run("import IPython.display as d\nd.display(1)\nd.display(2)")
    assert [data["text/plain"] for data, _ in pick_displays(result)] == ["1", "2"]


def test_ipythons_display_outside_a_cell_is_ipythons(capsys):
    run("from IPython.display import display")
    importlib.import_module("IPython.display").display("outside")
    assert "outside" in capsys.readouterr().out


@pytest.fixture
def no_figures(monkeypatch):
    pyplot = importlib.import_module("matplotlib.pyplot")
    pyplot.close("all")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize("end", ["", "\nplt.show()", "\nplt.show(block=True)\nprint()"])
def test_open_figures_are_shown_once_and_closed(no_figures, end):
    shown = pick_displays(run(f"import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.figure().add_subplot(){end}"))
    assert len(shown) == 2
    assert all(len(data["image/png"]) > 1000 for data, _ in shown)
    assert no_figures.get_fignums() == []


def test_a_figure_of_somebody_else_is_left_open(no_figures):
    before = no_figures.figure().number
    assert pick_displays(run("import matplotlib.pyplot as plt\nplt.close(plt.figure())")) == []
    assert no_figures.get_fignums() == [before]


def test_a_figure_that_is_the_last_value_is_shown_once(no_figures):
    assert len(pick_displays(run("import matplotlib.pyplot as plt\nplt.figure()", has_value=True))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "!echo hello {x}; echo wrong >&2",
        "import os\nos.system(f'echo hello {x}; echo wrong >&2')",
        "import subprocess\nsubprocess.run(f'echo hello {x}; echo wrong >&2', shell=True, check=True)",
        "import subprocess, sys\nsubprocess.Popen(['sh', '-c', f'echo hello {x}; echo wrong >&2'], -1, None, None, sys.stdout).wait()",
        "import os\npid = os.fork()\nif pid == 0:\n    os.write(1, f'hello {x}\\n'.encode())\n    os.write(2, b'wrong\\n')\n    os._exit(0)\nos.waitpid(pid, 0)",
    ],
)
def test_what_children_print_is_the_cells(source, capsys):
    run(source, {"x": "3"})
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("hello 3\n", "wrong\n")


def test_a_child_prints_while_it_runs_and_its_long_output_is_whole(capsys):
    run("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(\"é\\\\0\" * 200_000)'])")
    assert capsys.readouterr().out == "é\0" * 200_000 + "\n"


def test_lines_of_a_command_are_read(capsys):
    result = run("lines = !printf 'a\\nb\\n'\nstatus = !echo $HOME_THAT_IS_NOWHERE", outputs=("lines", "status"))
    assert pick(result, "lines") == ["a", "b"]
    assert pick(result, "status") == [""]
    assert capsys.readouterr().out == ""


def test_a_pipe_of_the_users_own_is_left_alone(capsys):
    source = "import subprocess\nx = subprocess.run(['echo', 'a'], capture_output=True, text=True).stdout"
    assert pick(run(source, outputs=("x",)), "x") == "a\n"
    assert capsys.readouterr().out == ""


def test_children_outside_a_cell_print_where_they_did(capfd):
    run("!true")
    subprocess.run(["echo", "outside"], check=True)
    assert capfd.readouterr().out == "outside\n"


def test_a_worker_needs_no_ipython_for_a_cell_that_shows_nothing():
    program = (
        "import sys\n"
        "from jupyter_dist.notebook.remote import CellCode, run_cell\n"
        "run_cell(CellCode('a = 1', '<cell>', 'a = 1', {}, ('a',), False), {})\n"
        "assert not {'IPython', 'ipywidgets', 'bokeh', 'ipykernel'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
