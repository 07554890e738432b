"""Runs every contestant in rounds and reports: ``python -m benchmarks [--quick] [--rounds N] [NAME …]``."""

import argparse
import compileall
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import report
from benchmarks.contestants import CONTESTANTS, US, is_installed
from benchmarks.driver import Sizes
from benchmarks.probes import MARK, PROBES, kill_marked

ROOT = Path(__file__).resolve().parent.parent
QUICK = Sizes(round_trips=300, tasks=2000, leaves=512, idle_s=1.0, budget_s=1.5)
DRIVER_S_MAX = 60.0


class BenchmarkError(Exception):
    """A driver failed; the text says how."""


def compile_ours() -> None:
    """Compile our modules, as pip does for every package it installs: a working copy may never have been."""
    spec = importlib.util.find_spec(US)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        compileall.compile_dir(folder, quiet=2)


def run_driver(name: str, sizes: Sizes) -> dict[str, float]:
    """Put one contestant through everything once; return what was measured."""
    mark = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, tempfile.TemporaryFile("w+") as errors:
        driver = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.driver", name, sizes.encode()],
            cwd=ROOT,
            env={**os.environ, MARK: mark, "JUPYTER_RUNTIME_DIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        watchdog = threading.Timer(DRIVER_S_MAX, driver.kill)
        watchdog.start()
        try:
            figures = converse(driver, mark)
            code = driver.wait()
        finally:
            watchdog.cancel()
            driver.kill()
            driver.wait()
            kill_marked(mark)
        if code:
            errors.seek(0)
            raise BenchmarkError(f"its driver ended with {code}: {errors.read()[-1500:].strip()}")
        return figures


def converse(driver: subprocess.Popen[str], mark: str) -> dict[str, float]:
    """Collect what the driver tells, and answer its probes, until it closes its output."""
    figures: dict[str, float] = {}
    if driver.stdin is None or driver.stdout is None:
        raise BenchmarkError("the driver has no pipes")
    with driver.stdin, driver.stdout:
        for line in driver.stdout:
            if not line.startswith("{"):
                continue
            told = json.loads(line)
            if "probe" in told:
                driver.stdin.write(json.dumps(PROBES[told["probe"]](mark)) + "\n")
                driver.stdin.flush()
            else:
                figures.update(told)
    return figures


def run_rounds(names: list[str], sizes: Sizes, rounds: int) -> tuple[report.Samples, list[str]]:
    """Run all contestants in turn, round after round; return the samples and who failed."""
    samples: report.Samples = {name: {} for name in names}
    failed: list[str] = []
    for turn in range(rounds):
        for name in names:
            if name in failed:
                continue
            began_s = time.monotonic()
            try:
                for measure, value in run_driver(name, sizes).items():
                    samples[name].setdefault(measure, []).append(value)
            except BenchmarkError as error:
                failed.append(name)
                print(f"FAIL {name}: {error}", flush=True)
                continue
            took_s = time.monotonic() - began_s
            print(f"round {turn + 1} of {rounds}: {name} ({took_s:.0f} s)", file=sys.stderr, flush=True)
    return samples, failed


def main(arguments: list[str]) -> int:
    """Run the benchmarks and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks beside the peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CONTESTANTS)}; all when left out")
    parser.add_argument("--rounds", type=int, help="3 by default, 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="small sizes: a look, not a result")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in CONTESTANTS]:
        parser.error(f"no contestant {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}")
    wanted = options.names or list(CONTESTANTS)
    skipped = [name for name in wanted if not is_installed(name)]
    for name in skipped:
        print(f"skip {name}: not installed (pip install '.[bench]')")
    rounds = options.rounds or (1 if options.quick else 3)
    compile_ours()
    began_s = time.monotonic()
    names = [name for name in wanted if name not in skipped]
    samples, failed = run_rounds(names, QUICK if options.quick else Sizes(), rounds)
    print(report.text(samples, rounds))
    report.write(samples, skipped, rounds)
    print(f"written to {report.RESULTS.relative_to(ROOT)}; done in {time.monotonic() - began_s:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
