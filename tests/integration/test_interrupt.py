"""Ctrl-C in each blocking call: the wait ends, nothing is cancelled, the executor goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import pathlib, queue, signal, sys, threading, time
from jupyter_dist import Executor, Queue, Variable, as_completed, progress, wait

def wait_for_file(path, number):
    while not pathlib.Path(path).exists():
        time.sleep(0.005)
    return number

WAITS = {
    "result": lambda e, fs: fs[0].result(),
    "exception": lambda e, fs: fs[0].exception(),
    "gather": lambda e, fs: e.gather(fs),
    "gather of an iterator": lambda e, fs: list(e.gather(iter(fs))),
    "wait": lambda e, fs: wait(fs),
    "wait_for_workers": lambda e, fs: e.wait_for_workers(9),
    "run": lambda e, fs: e.run(wait_for_file, sys.argv[1], 0),
    "get of a queue": lambda e, fs: Queue("empty", executor=e).get(),
    "get of a variable": lambda e, fs: Variable("unset", e).get(),
    "as_completed": lambda e, fs: list(as_completed(fs)),
    "with results": lambda e, fs: list(as_completed(fs, with_results=True)),
    "batches": lambda e, fs: list(as_completed(fs).batches()),
}

RESUMABLE = ("as_completed", "with results", "batches")

def strike(call):
    main = threading.main_thread().ident
    done = threading.Event()
    def waits():
        frame = sys._current_frames().get(main)
        return frame is not None and frame.f_code.co_name == "wait"
    def send():
        in_a_row = 0
        while in_a_row < 5 and not done.wait(0.02):  # struck where it waits, not on its way there
            in_a_row = in_a_row + 1 if waits() else 0
        if not done.is_set():
            signal.pthread_kill(main, signal.SIGINT)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        done.set()
        thread.join()
    return False

def main(gate):
    with Executor(n_workers=2) as executor:
        futures = executor.map(wait_for_file, [gate] * 4, range(4))
        for name, call in WAITS.items():
            assert strike(lambda: call(executor, futures)), name
            assert [future.status for future in futures] == ["pending"] * 4, name
            assert name in RESUMABLE or not any(future.wish.watchers for future in futures), name
        assert not strike(lambda: progress(futures)), "progress takes it for itself"
        assert executor.submit(abs, -1, pure=False).status == "pending"
        pathlib.Path(gate).touch()
        assert executor.gather(futures) == [0, 1, 2, 3]
        assert executor.submit(abs, -2).result(10) == 2
        assert executor.snapshot().counts["erred"] == 0
    print("all is well")

if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.mark.process
def test_interrupt_ends_the_wait_cancels_nothing_and_leaves_the_executor_usable(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program, tmp_path / "gate"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all is well\n")
    assert "the tasks go on" in done.stdout
