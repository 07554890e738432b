"""Cells of many tasks, and what the stop button does to code that does not want to stop: a real kernel and cluster."""

from __future__ import annotations

import pytest

from tests.notebook.kernels import real_notebook, receipt

pytestmark = pytest.mark.kernel

STUBBORN = """%%distributed --block
import time
print('begun', flush=True)
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print('no', flush=True)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with real_notebook(tmp_path_factory.mktemp("runtime"), "test-runs") as kernel:
        yield kernel


def test_a_mapped_cell_shares_its_large_inputs_and_tells_speed_and_memory(kernel):
    kernel.run(
        "import numpy as np, time\ndata = np.arange(100_000)\n"
        "while [worker.memory_bytes > 0 for worker in executor.snapshot().workers] != [True, True]: time.sleep(0.05)"
    )
    cell = kernel.run("%%distributed --map n=range(6) --block\nprint('part', n)\ntotal = int(data.sum()) + n")
    assert kernel.error(cell) == ""
    check = kernel.run("print([future.result(30) - 4999950000 for future in total])")
    assert kernel.text(check) == "[0, 1, 2, 3, 4, 5]\n", kernel.error(check)
    text = receipt(kernel, cell)
    assert "6/6 done" in text
    assert "× the wall time" in text
    assert "peak memory:" in text
    assert all(f"── n={n}\npart {n}\n" in kernel.text(cell) for n in range(6))


def test_a_cell_on_each_worker_runs_in_each(kernel):
    kernel.run("%%distributed --each --block\nimport os\npid = os.getpid()")
    check = kernel.run(
        "pids = {worker: future.result(30) for worker, future in pid.items()}\n"
        "print(sorted(pids), pids == {w.name: w.pid for w in executor.snapshot().workers})"
    )
    assert kernel.text(check) == "['worker-0', 'worker-1'] True\n", kernel.error(check)


def test_a_cell_of_one_worker_runs_there(kernel):
    kernel.run("%%distributed -w worker-1 --block\nimport os\nwhere = os.getpid()")
    check = kernel.run("print([w.name for w in executor.snapshot().workers if w.pid == where.result(30)])")
    assert kernel.text(check) == "['worker-1']\n", kernel.error(check)


def test_a_second_interrupt_kills_code_that_does_not_stop_and_says_so(kernel):
    cell = kernel.start(STUBBORN)
    kernel.listen(lambda: "begun" in kernel.text(cell))
    kernel.manager.interrupt_kernel()
    kernel.listen(lambda: "Interrupt again to kill" in kernel.text(cell))
    kernel.manager.interrupt_kernel()
    kernel.listen(lambda: cell in kernel.done)
    assert "did not stop and was killed" in kernel.text(cell)
    assert receipt(kernel, cell).startswith("⊘ cancelled")
    again = kernel.run("%%distributed --each --block\nalive = True")
    assert kernel.error(again) == ""
    check = kernel.run("print(len(alive), {future.result(30) for future in alive.values()})")
    assert kernel.text(check) == "2 {True}\n", kernel.error(check)


def test_everything_a_cell_prints_and_shows_arrives_in_it(kernel):
    source = """%%distributed --block
import logging, os, subprocess, sys, warnings
import matplotlib.pyplot as plt
from IPython.display import HTML, display
print('printed')
print('to stderr', file=sys.stderr)
logging.warning('logged')
warnings.warn('warned')
for step in range(3):
    sys.stderr.write(f'\\rstep {step}')
os.system('echo from a system call')
!echo from a shell line of $(whoami)
pid = os.fork()
if pid == 0:
    os.write(1, b'from a fork' + bytes([10]))
    os._exit(0)
os.waitpid(pid, 0)
display(HTML('<i>shown</i>'))
plt.plot([1, 2, 3])
plt.show()
await __import__('asyncio').sleep(0, 'the value')
"""
    cell = kernel.start(source)
    other = kernel.start("print('another cell')")
    kernel.listen(lambda: cell in kernel.done and other in kernel.done)
    assert kernel.error(cell) == ""
    text = kernel.text(cell)
    words = ["printed", "to stderr", "WARNING:root:logged", "UserWarning: warned", "\rstep 2", "from a system call",
             "from a shell line of ", "from a fork"]  # fmt: skip
    assert [word for word in words if word not in text] == []
    assert kernel.text(other) == "another cell\n"
    shown = [content["data"] for content in kernel.of(cell, "display_data")[1:]]
    assert shown[0]["text/html"] == "<i>shown</i>"
    assert len(shown[1]["image/png"]) > 1000
    assert shown[2]["text/plain"] == "'the value'"


def test_prints_of_a_cell_survive_its_workers_death(kernel):
    cell = kernel.run(
        "%%distributed --block\nimport os, time\nprint('last words', flush=True)\ntime.sleep(1)\nos._exit(3)"
    )
    assert "last words" in kernel.text(cell)
    assert "WorkerCrashedError" in kernel.error(cell)
    assert receipt(kernel, cell).startswith("✖ failed")


def test_an_interrupt_while_gathering_stops_what_the_cell_had_submitted(kernel):
    kernel.run("import os, time\ndef slow(n):\n    time.sleep(60)")
    cell = kernel.start("print('go', flush=True)\nexecutor.gather(executor.map(slow, range(6)))")
    kernel.listen(lambda: "go" in kernel.text(cell))
    watch = "len([t for t in executor.snapshot().running if t.label == 'slow'])"
    kernel.manager.interrupt_kernel()
    kernel.listen(lambda: cell in kernel.done)
    assert "KeyboardInterrupt" in kernel.error(cell)
    check = kernel.run(f"while {watch}: time.sleep(0.02)\nprint('none left')")
    assert kernel.text(check) == "none left\n", kernel.error(check)
