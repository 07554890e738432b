"""The claims that only a real kernel with a real cluster can show."""

from __future__ import annotations

import re

import pytest

from tests.notebook.kernels import real_notebook, receipt

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with real_notebook(tmp_path_factory.mktemp("runtime"), "test-notebook") as kernel:
        yield kernel


def test_a_cell_runs_in_another_process_and_its_names_are_futures(kernel):
    kernel.run("import os\nhere = os.getpid()")
    cell = kernel.run("%%distributed --block\nthere = os.getpid()\nthere != here")
    assert kernel.error(cell) == ""
    text = receipt(kernel, cell)
    assert text.startswith("● done")
    assert "here (" in text
    assert "os (module)" in text
    assert kernel.of(cell, "display_data")[-1]["data"]["text/plain"] == "True"
    check = kernel.run("print(there.result(30) != here, type(there).__name__)")
    assert kernel.text(check) == "True Future\n"


def test_progress_is_a_widget_that_ends_by_itself(kernel):
    cell = kernel.run(
        "import threading\nfrom jupyter_dist import default_executor, progress, wait\n"
        "followed = default_executor().map(abs, range(20))\nbars = progress(followed)\nbars"
    )
    [shown] = kernel.of(cell, "execute_result")
    assert "application/vnd.jupyter.widget-view+json" in shown["data"], kernel.error(cell)
    assert shown["data"]["text/plain"].startswith("abs: ")
    check = kernel.run(
        "wait(followed)\nbars.refresh()\nprint('done: 20 of 20' in bars.value, [f.wish.watchers for f in followed] == [None] * 20)"
    )
    assert kernel.text(check) == "True True\n", kernel.error(check)


def test_error_of_a_submitted_function_shows_its_cell_and_none_of_our_frames(kernel):
    kernel.run("def broken(number):\n    return 1 / number  # the line of the cell")
    cell = kernel.run("from jupyter_dist import default_executor\ndefault_executor().submit(broken, 0).result()")
    error = re.sub(r"\x1b\[[\d;]*m", "", kernel.error(cell))
    assert "ZeroDivisionError" in error
    assert "return 1 / number  # the line of the cell" in error
    assert "jupyter_dist/" not in error


def test_prints_land_in_the_cell_that_submitted_while_another_runs(kernel):
    slow = kernel.run(
        "%%distributed\nimport time\nfor step in range(8):\n    print('far', step, flush=True)\n    time.sleep(0.2)\n'over'"
    )
    other = kernel.start("import time\nfor n in range(10):\n    print('near')\n    time.sleep(0.2)")
    kernel.listen(lambda: other in kernel.done and "far 7" in kernel.text(slow))
    assert kernel.text(slow) == "".join(f"far {step}\n" for step in range(8))
    assert kernel.text(other) == "near\n" * 10
    receipt(kernel, slow)
    kernel.listen(lambda: any(c["data"].get("text/plain") == "'over'" for c in kernel.of(slow, "display_data")))


def test_a_print_lands_in_its_cell_when_the_kernel_is_idle(kernel, tmp_path):
    gate = tmp_path / "gate"
    cell = kernel.run(
        f"%%distributed\nimport os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\nprint('late')"
    )
    assert "late" not in kernel.text(cell)
    gate.touch()
    kernel.listen(lambda: "late" in kernel.text(cell))


def test_a_rich_value_is_shown_richly(kernel):
    cell = kernel.run("%%distributed --block\nfrom IPython.display import HTML\nHTML('<b>bold</b>')")
    assert kernel.of(cell, "display_data")[-1]["data"]["text/html"] == "<b>bold</b>"


def test_an_error_shows_the_cells_own_lines(kernel):
    cell = kernel.run("%%distributed --block\nx = 1\ny = x / 0  # the line")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", kernel.error(cell))
    assert "ZeroDivisionError" in shown
    assert "y = x / 0  # the line" in shown
    assert "magics.py" not in shown
    text = receipt(kernel, cell)
    assert text.startswith("✖ failed")
    assert "line 2" in text
    check = kernel.run("y.result(30)")
    assert "ZeroDivisionError" in kernel.error(check)


def test_a_chain_of_cells_with_functions_of_the_notebook(kernel):
    kernel.run("factor = 3\ndef triple(n): return factor * n")
    kernel.run("%%distributed -o a\na = triple(4)")
    kernel.run("%%distributed\nclass Box:\n    def __init__(self, v): self.v = v\nbox = Box(a + 1)")
    check = kernel.run("%gather a box\nprint(a, box.v)")
    assert kernel.text(check) == "12 13\n", kernel.error(check)


def test_submit_leaves_a_future_in_underscore(kernel):
    cell = kernel.run("%submit -o power pow(2, 10)")
    assert "Future" in kernel.of(cell, "execute_result")[0]["data"]["text/html"]
    check = kernel.run("print(_.result(30), power.result(30))")
    assert kernel.text(check) == "1024 1024\n", kernel.error(check)


def test_an_interrupt_stops_the_run_and_says_so(kernel):
    cell = kernel.start("%%distributed --block\nimport time\nprint('begun', flush=True)\ntime.sleep(60)")
    kernel.listen(lambda: "begun" in kernel.text(cell))
    kernel.manager.interrupt_kernel()
    kernel.listen(lambda: cell in kernel.done)
    assert "KeyboardInterrupt" in kernel.error(cell)
    text = receipt(kernel, cell)
    assert text.startswith("⊘ cancelled")
    assert "interrupted in the notebook" in text
    again = kernel.run("%%distributed --block\n'alive'")
    assert kernel.of(again, "display_data")[-1]["data"]["text/plain"] == "'alive'"


def test_nothing_is_sent_for_a_name_that_is_nowhere(kernel):
    cell = kernel.run("%%distributed\nz = nowhere + 1")
    assert "CaptureError: line 1: name 'nowhere' is not defined" in kernel.error(cell)
    assert kernel.of(cell, "display_data") == []


def test_the_executor_is_shown_as_its_panel(kernel):
    cell = kernel.run("executor")
    (content,) = kernel.of(cell, "display_data")
    assert "application/vnd.jupyter.widget-view+json" in content["data"]
    assert "test-notebook" in content["data"]["text/html"]


def test_the_task_stream_is_shown_without_a_network(kernel):
    cell = kernel.run("%distributed stream")
    assert kernel.error(cell) == ""
    load, place, figure = (content["data"] for content in kernel.of(cell, "display_data"))
    assert len(load["application/javascript"]) > 500_000
    assert "src=" not in place["text/html"] + figure["application/javascript"]
    kernel.run("%%distributed --block\nx = 1")


def test_status_tells_the_cluster(kernel):
    cell = kernel.run("%distributed status\n%distributed list")
    assert re.search(r"test-notebook: \w+; 2/2 workers", kernel.text(cell)), kernel.text(cell) + kernel.error(cell)
