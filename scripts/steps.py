"""Runs steps one after another, each told in one line, and says at the end what came of them all.

A step that fails does not stop those after it: one run shows everything there is to mend. A quiet step's output is
shown only when it fails; a loud one's (a test run's) as it comes. No step may run for ever. Standard library only:
this runs before anything is installed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
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

    def run(self, name: str, command: Sequence[str], *, loud: bool = False, folder: Path | None = None) -> bool:
        """Run one step and tell whether it went well."""
        if loud:
            say(f"---- {name}")
        began_s = time.monotonic()
        code, output = self._call(command, folder or self.folder, loud=loud)
        took_s = time.monotonic() - began_s
        if code == 0:
            say(f"ok   {name} ({took_s:.1f} s)")
            return True
        sys.stdout.write(output)
        say(f"FAIL {name}: {' '.join(command)} ended with {code} ({took_s:.1f} s)")
        self.failed.append(name)
        return False

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

    def _call(self, command: Sequence[str], folder: Path, *, loud: bool) -> tuple[int, str]:
        # Into a file, not a pipe: a grandchild that outlives its step would keep a pipe open and us waiting.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=None if loud else output,
                stderr=None if loud else subprocess.STDOUT,
                start_new_session=True,
            )
            code = wait_or_stop(process)
            output.seek(0)
            return code, output.read()


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
