"""Runs steps one after another or in lanes beside each other, and says at the end what came of them all.

A step that fails does not stop those after it: one run shows everything there is to mend. A quiet step's output is
shown only when it fails; a loud one's (a test run's) as it comes, but in a lane as a whole when the step is over: what
two say at a time could not be read. No step may run for ever. Standard library only: this runs before anything is
installed.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STEP_S_MAX = 1200.0
STOP_S_MAX = 10.0


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


class Steps:
    """What was run so far under one name, and what failed or was skipped."""

    def __init__(self, title: str, folder: Path, env: Mapping[str, str]) -> None:
        self.title = title
        self.folder = folder
        self.env = dict(env)
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self.started_s = time.monotonic()
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()  # that run just now
        self._has_lanes = False
        self._over = threading.Event()  # it was stopped: nothing begins any more

    def run(self, name: str, command: Sequence[str], *, loud: bool = False, folder: Path | None = None) -> bool:
        """Run one step and tell whether it went well."""
        if self._over.is_set():
            return False
        is_live = loud and not self._has_lanes
        if loud:
            say(f"---- {name}" if is_live else f"     begun: {name}")
        began_s = time.monotonic()
        code, output = self._call(command, folder or self.folder, live=is_live)
        took_s = time.monotonic() - began_s
        head = f"---- {name}\n" if loud and not is_live else ""
        if self._over.is_set():
            so_far = output.rstrip("\n") + "\n" if loud and output else ""
            say(f"{head}{so_far}stop {name} ({took_s:.1f} s)")
            return False
        if code:
            self.failed.append(name)
        verdict = f"FAIL {name}: {' '.join(command)} ended with {code}" if code else f"ok   {name}"
        say(f"{head}{output if code or loud else ''}{verdict} ({took_s:.1f} s)")
        return not code

    def run_beside(self, *lanes: Callable[[], object]) -> None:
        """Run lanes beside each other, each in a thread: a lane is a function that runs one step after another."""
        self._has_lanes = True
        with ThreadPoolExecutor(len(lanes)) as threads:
            ends = [threads.submit(lane) for lane in lanes]
            try:
                for end in ends:
                    end.result()
            except BaseException:
                self._stop()
                raise
        self._has_lanes = False

    def skip(self, name: str, reason: str) -> None:
        """Say that a step cannot be done here, and why."""
        self.skipped.append(f"{name}: {reason}")
        say(f"skip {name}: {reason}")

    def finish(self) -> int:
        """Say what came of it all, and return the exit code."""
        outcome = f"FAILED ({', '.join(self.failed)})" if self.failed else "all green"
        skipped = f" (skipped: {'; '.join(self.skipped)})" if self.skipped else ""
        say(f"{self.title}: {outcome} in {time.monotonic() - self.started_s:.0f} s{skipped}")
        return 1 if self.failed else 0

    def _call(self, command: Sequence[str], folder: Path, *, live: bool) -> tuple[int, str]:
        # Into a file, not a pipe: a grandchild that outlives its step would keep a pipe open and us waiting.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            with self._lock:
                if self._over.is_set():
                    return 1, ""
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=None if live else output,
                    stderr=None if live else subprocess.STDOUT,
                    start_new_session=True,
                )
                self._processes.add(process)
            try:
                code = wait_or_stop(process)
            finally:
                self._processes.discard(process)
            output.seek(0)
            return code, output.read()

    def _stop(self) -> None:
        """End what runs in the lanes, and let nothing else begin there."""
        with self._lock:
            self._over.set()
            running = tuple(self._processes)
        for process in running:
            stop_group(process)


def wait_or_stop(process: subprocess.Popen[bytes], limit_s: float = STEP_S_MAX) -> int:
    """Wait for a process to end; past the limit, or when the person interrupts, end its whole group."""
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        say(f"it ran longer than {limit_s:.0f} s and was stopped")
        return stop_group(process)
    except KeyboardInterrupt:
        stop_group(process)
        raise


def stop_group(process: subprocess.Popen[bytes]) -> int:
    """Ask a process and its children to end, then kill what is left: a child may outlive its parent."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S_MAX)
    return process.wait()
