from __future__ import annotations

import subprocess
import sys
import threading
import traceback

import cloudpickle
import pytest

from jupyter_dist.errors import ResultError
from jupyter_dist.notebook.remote import bundle_of, pick, pick_displays, run_cell


def run(source, values=None, modules=None, outputs=(), has_value=False):
    return run_cell(source, "<cell [1] abc123>", values or {}, modules or {}, outputs, has_value)


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


def test_a_worker_needs_no_ipython_for_a_cell_that_shows_nothing():
    program = (
        "import sys\n"
        "from jupyter_dist.notebook.remote import run_cell\n"
        "run_cell('a = 1', '<cell>', {}, {}, ('a',), False)\n"
        "assert not {'IPython', 'ipywidgets', 'bokeh', 'ipykernel'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
