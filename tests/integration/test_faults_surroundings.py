"""Where a kernel runs: no home, long and foreign paths, no mask; and forks of it. Each is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]

STRANGE = """
import os, stat, sys
os.umask(0)
from jupyter_dist import Executor
from pathlib import Path
with Executor(n_workers=1) as executor:
    big = executor.scatter(bytes(1_000_000))
    print(executor.submit(len, big).result(20), executor.submit(abs, -1).result(20))
    folder = Path(executor.info.folder)
    assert len(os.fsencode(folder)) < 90, folder
    assert stat.S_IMODE(folder.lstat().st_mode) == 0o700
assert not folder.exists()
print("gone")
"""

FORKS = """
import multiprocessing, os, sys
from jupyter_dist import Executor

def use(executor, future, answers):
    for use in (lambda: executor.submit(abs, -1), lambda: future.result(5), lambda: executor.scatter([1])):
        try:
            answers.put(f"gave {use()}")
        except Exception as error:
            answers.put(f"{type(error).__name__}: {error}")
    executor.shutdown()

def main():
    context = multiprocessing.get_context("fork")
    with Executor(n_workers=1) as executor:
        executor.submit(abs, -1).result(20)
        future = executor.submit(__import__("time").sleep, 1)
        answers = context.Queue()
        child = context.Process(target=use, args=(executor, future, answers))
        child.start()
        for _ in range(3):
            print(answers.get(timeout=20))
        child.join(20)
        print(child.exitcode, future.result(20), executor.submit(abs, -2).result(20))

main()
"""


def run(program: str, environment: dict[str, str], cwd: Path) -> str:
    """Run a program to its end and return what it printed."""
    told = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_cluster_without_a_home_with_long_and_foreign_paths_and_no_mask_works_and_is_closed_to_others(tmp_path):
    runtime = tmp_path / ("Überläufer-日本-" + "r" * 60)
    temporary = tmp_path / ("t" * 80)
    for folder in (runtime, temporary):
        folder.mkdir(mode=0o700)
    environment = {
        "HOME": "/dev/null/nobody",
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "TMPDIR": str(temporary),
        "LANG": "C",
    }
    assert run(STRANGE, environment, tmp_path) == "1000000 1\ngone\n"
    assert not [path for path in (*runtime.rglob("*"), *temporary.rglob("*")) if path.is_socket()]


def test_forked_child_of_a_kernel_is_told_so_and_harms_nobody(tmp_path):
    *told, last = run(FORKS, {}, tmp_path).splitlines()
    assert len(told) == 3
    assert all("forked" in words for words in told), told
    assert last == "0 None 2"
