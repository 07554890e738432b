"""A real kernel that is restarted, in order and by force: its variables come back from the cluster, and nothing runs twice."""

from __future__ import annotations

import re

import pytest

from tests.notebook.kernels import real_kernel, receipt

pytestmark = pytest.mark.kernel

CLUSTER = "test-restarts"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runtime")


@pytest.fixture(scope="module")
def kernel(folder):
    with real_kernel(folder) as kernel:
        kernel.run("%load_ext jupyter_dist")
        cell = kernel.run(f"%distributed start -n 2 --name {CLUSTER}")
        assert "started in" in kernel.text(cell), kernel.error(cell)
        yield kernel
        stop = kernel.run("%distributed stop")
        assert "was stopped" in kernel.text(stop), kernel.error(stop)


def restart(kernel, *, by_force):
    kernel.client.stop_channels()
    kernel.manager.restart_kernel(now=by_force)
    kernel.client = kernel.manager.blocking_client()
    kernel.client.start_channels()
    kernel.client.wait_for_ready(timeout=60)
    kernel.run("%load_ext jupyter_dist")


@pytest.mark.parametrize("by_force", [False, True], ids=["in order", "by force"])
def test_kernel_restarted_has_its_variables_back_and_nothing_ran_twice(kernel, folder, by_force):
    log, gate = folder / f"log-{by_force}", folder / f"gate-{by_force}"
    kernel.run(
        f"import numpy as np, os, time\n"
        f"def note(what):\n    with open({str(log)!r}, 'a') as file: file.write(what + ' ran\\n')\n"
        f"def until_gate():\n    while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    )
    cell = kernel.run("%%distributed --block\nnote('small')\nsmall = {'a': 1}\nlarge = np.arange(1_000_000)")
    assert kernel.error(cell) == ""
    kernel.run("%%distributed --block\nnote('wrong')\nwrong = 1 / 0")
    cell = kernel.run("%%distributed\nnote('slow')\nprint('begun', flush=True)\nuntil_gate()\nslow = small['a'] + 1")
    kernel.listen(lambda: "begun" in kernel.text(cell))
    cell = kernel.run("%submit -o made sum([slow, 10])\ndata = executor.scatter(np.ones(1_000_000))")
    assert kernel.error(cell) == ""
    kernel.run("executor.name_futures({'data': data})")

    restart(kernel, by_force=by_force)
    kernel.run("slow = 'mine'")
    cell = kernel.run("%distributed attach")
    text = kernel.text(cell)
    assert f"Connected to cluster {CLUSTER!r}" in text, kernel.error(cell)
    for name, state in {
        "small": "● finished",
        "large": "● finished",
        "wrong": "✖ error",
        "slow": r"○ (waiting|pending)",
        "made": r"○ (waiting|pending)",
        "data": "● finished",
    }.items():
        assert re.search(rf"^  {name} +{state} ", text, re.MULTILINE), text
    assert "slow stands for something else here" in text
    assert "begun\n" in text  # what it had printed before
    gate.touch()
    check = kernel.run("%distributed attach --overwrite\n%gather small large slow made data")
    assert kernel.error(check) == "", kernel.text(check)
    check = kernel.run("print(small, int(large.sum()), slow, made, int(data.sum()))\nwrong.result()")
    assert kernel.text(check) == "{'a': 1} 499999500000 2 12 1000000\n"
    assert "ZeroDivisionError" in kernel.error(check)
    assert log.read_text().split("\n") == ["small ran", "wrong ran", "slow ran", ""]
    cell = kernel.run("%distributed attach")
    assert "Nothing to attach to" in kernel.text(cell)


def test_run_that_ends_after_the_restart_shows_its_prints_value_and_receipt_where_it_was_attached(kernel, folder):
    gate = folder / "gate-run"
    cell = kernel.run(
        f"%%distributed\nimport os, time\nprint('before', flush=True)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('after')\nresult = 5\n'the value'"
    )
    kernel.listen(lambda: "before" in kernel.text(cell))
    restart(kernel, by_force=True)
    cell = kernel.run("%distributed attach")
    assert "before\n" in kernel.text(cell), kernel.error(cell)
    gate.touch()
    text = receipt(kernel, cell)
    assert text.startswith("● done")
    assert "result" in text
    assert "of this notebook's earlier kernel" in text
    assert kernel.text(cell).endswith("before\nafter\n")
    assert kernel.of(cell, "display_data")[-1]["data"]["text/plain"] == "'the value'"


def test_connection_to_a_cluster_that_has_an_earlier_kernels_futures_says_so(kernel):
    kernel.run("%submit -o five sum([2, 3])")
    kernel.run("five.result()")
    restart(kernel, by_force=True)
    cell = kernel.run(f"%distributed connect {CLUSTER}")
    assert "of this notebook's earlier kernel" in kernel.text(cell)
    assert kernel.text(cell).endswith("still on the cluster: %distributed attach\n")
    cell = kernel.run("%distributed attach\nprint(five.result())")
    assert kernel.text(cell).endswith("5\n"), kernel.error(cell)
