"""The commands behind the Makefile: ``python -m scripts.dev test``. Each makes what it needs before it begins.

* ``test``: everything a reviewer would ask: format, lint, types, floors, the front end's checks, and all tests. Each
  kind of test has a process of its own: playwright's loop and pytest-jupyter's fixtures do not live together. The tests of
  processes wait for most of their time, so all else runs beside them.
* ``lint``: the same without the tests.
* ``demo``: run the demonstration notebook through a Jupyter server. ``lab``: open JupyterLab here.
* ``bench``, ``bench-core``: the benchmarks, of all and of the scheduler's core alone. ``simulate``: the simulator over
  as many seeds as the variable SEEDS says.
* ``chaos``: a real cluster whose processes are killed and stopped at random, for as many minutes as MINUTES says.
* ``fuzz``: each fuzzer of `tests.fuzz` for as many seconds as SECONDS says, or for RUNS inputs; TARGET names one of
  them. ``prove``: tests that take samples take all there is: each byte of a journal cut and flipped, the model of the
  client with EXAMPLES examples.
* ``screenshots``: make the pictures of the documentation anew. ``clean``: remove all that was made.

Standard library only: this runs before anything is installed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.environment import (
    BUNDLE_STAMP,
    FRONT_END,
    PYTHON,
    ROOT,
    SetupError,
    command_env,
    find_chromium,
    find_npm,
    is_ci,
    prepare,
)
from scripts.steps import Steps, say

GENERATED = (
    ".venv",
    "build",
    "dist",
    "jupyter_dist.egg-info",
    "jupyter_dist/labextension",
    "labextension/lib",
    "labextension/lib-test",
    "labextension/node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".import_linter_cache",
    ".fuzz",
)
FUZZED = ROOT / "tests" / "fuzz" / "corpus"
PROOFS = {  # name: arguments
    "journal: every byte cut and flipped": [
        "tests/storage/test_journal_damage.py",
        "tests/storage/test_journal_death.py",
    ],
    "model of the client": ["tests/model"],
}
# Tests that start processes, and wait for most of their time. All that are found elsewhere are unit tests.
PROCESS_TESTS = ("tests/integration", "tests/launch", "tests/processes")
UNIT_RUN = [f"--ignore={folder}" for folder in PROCESS_TESTS]
SERVER_RUN = ["-p", "pytest_jupyter.jupyter_server", "tests/server"]


def main(arguments: list[str]) -> int:
    """Run the command that is named, and return its exit code."""
    name = arguments[0] if arguments else ""
    if name not in COMMANDS:
        say(f"usage: python -m scripts.dev {{{','.join(COMMANDS)}}}")
        return 2
    try:
        return COMMANDS[name]()
    except SetupError as problem:
        say(f"make {name}: FAILED: {problem}")
        return 1
    except KeyboardInterrupt:
        say(f"make {name}: interrupted")
        return 130


def test() -> int:
    """Run every check and every test."""
    steps = prepare("make test", "test")
    steps.run_beside(lambda: lint_and_others(steps), lambda: pytest(steps, "process tests", *PROCESS_TESTS))
    return steps.finish()


def lint_and_others(steps: Steps) -> None:
    """Run the checks, and all tests but those of processes."""
    check(steps)
    pytest(steps, "unit tests", *UNIT_RUN)
    pytest(steps, "server tests", *SERVER_RUN)
    pytest(steps, "notebook tests", "tests/notebook")
    browser_tests(steps)


def lint() -> int:
    """Run every check that is not a test."""
    steps = prepare("make lint", "test")
    check(steps)
    return steps.finish()


def check(steps: Steps) -> None:
    """Check format, style, types and floors, and the front end."""
    steps.run("ruff format", [str(PYTHON), "-m", "ruff", "format", "--check", "."])
    steps.run("ruff check", [str(PYTHON), "-m", "ruff", "check", "."])
    steps.run("mypy", [str(PYTHON), "-m", "mypy"])
    steps.run("import-linter", [str(PYTHON.parent / "lint-imports")])
    npm = find_npm()
    if npm is None:
        steps.skip("front end's checks", "no Node")
    elif has_packages(steps, npm):
        steps.run("front end: tsc, eslint, prettier, tests", [npm, "run", "check"], folder=FRONT_END)


def has_packages(steps: Steps, npm: str) -> bool:
    """Install the front end's packages where they are missing; tell whether they are there."""
    if (FRONT_END / "node_modules").exists():
        return True
    return steps.run("front end: npm ci", [npm, "ci", "--ignore-scripts"], folder=FRONT_END)


def pytest(steps: Steps, name: str, *arguments: str) -> None:
    """Run one kind of test in a process of its own."""
    steps.run(name, [str(PYTHON), "-m", "pytest", "-q", *arguments], loud=True)


def browser_tests(steps: Steps) -> None:
    """Run the browser tests, or say why they cannot be run here. In continuous integration they must be."""
    missing = "no Chromium" if find_chromium() is None else "" if BUNDLE_STAMP.exists() else "no Lab sidebar"
    if missing and not is_ci():
        steps.skip("browser tests", missing)
    else:
        pytest(steps, "browser tests", "tests/browser")


def demo() -> int:
    """Run the demonstration notebook on a cluster, through a real Jupyter server."""
    prepare("make demo", "demo")
    return hand_over(PYTHON, "scripts/demo.py")


def lab() -> int:
    """Open JupyterLab here."""
    prepare("make lab", "lab")
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    return hand_over(PYTHON, "-m", "jupyterlab", *as_root)


def bench() -> int:
    """Run the benchmarks of this package and its peers."""
    prepare("make bench", "bench")
    return hand_over(PYTHON, "-m", "benchmarks")


def bench_core() -> int:
    """Run the benchmark of the scheduler's core alone: no process, no socket."""
    prepare("make bench-core", "bench")
    return hand_over(PYTHON, "-m", "benchmarks.core")


def simulate() -> int:
    """Run the simulator over many seeds: ``make simulate SEEDS=100000``."""
    prepare("make simulate", "test")
    return hand_over(PYTHON, "-m", "tests.simulator", "--seeds", os.environ.get("SEEDS", "2000"))


def chaos() -> int:
    """Kill and stop a real cluster's processes at random: ``make chaos MINUTES=10``."""
    prepare("make chaos", "test")
    return hand_over(PYTHON, "-m", "scripts.chaos", "--minutes", os.environ.get("MINUTES", "1"))


def fuzz() -> int:
    """Run the fuzzers, each in a process of its own: ``make fuzz SECONDS=600 TARGET=codec``."""
    steps = prepare("make fuzz", "test", "fuzz")
    environ = os.environ
    limit = ["--runs", environ["RUNS"]] if environ.get("RUNS") else ["--seconds", environ.get("SECONDS", "60")]
    for target in [environ["TARGET"]] if environ.get("TARGET") else sorted(path.name for path in FUZZED.iterdir()):
        steps.run(f"fuzz {target}", [str(PYTHON), "-m", "tests.fuzz", target, *limit], loud=True)
    return steps.finish()


def prove() -> int:
    """Run the tests that take samples with all there is to take."""
    steps = prepare("make prove", "test")
    steps.env |= {"THOROUGH": "1", "EXAMPLES": os.environ.get("EXAMPLES", "2000")}
    for name, arguments in PROOFS.items():
        pytest(steps, name, *arguments, "-o", "faulthandler_timeout=1100")  # just below what a step may take
    return steps.finish()


def screenshots() -> int:
    """Make the documentation's pictures anew."""
    prepare("make screenshots", "test")
    return hand_over(PYTHON, "-m", "scripts.screenshots")


def hand_over(*command: str | Path) -> int:
    """Run a program of ours with the terminal; its interrupt is its own affair."""
    sys.stdout.flush()
    return subprocess.run(command, cwd=ROOT, env=command_env(), check=False).returncode


def clean() -> int:
    """Remove all that the commands have made."""
    for name in GENERATED:
        shutil.rmtree(ROOT / name, ignore_errors=True)
    say("make clean: done")
    return 0


COMMANDS: dict[str, Callable[[], int]] = {
    "demo": demo,
    "test": test,
    "lab": lab,
    "lint": lint,
    "bench": bench,
    "bench-core": bench_core,
    "simulate": simulate,
    "chaos": chaos,
    "fuzz": fuzz,
    "prove": prove,
    "screenshots": screenshots,
    "clean": clean,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
