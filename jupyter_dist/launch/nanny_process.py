"""One nanny as the launcher's child: its pipes, its phases, its end.

A detached nanny outlives this process, but while both live it is this process's child, so somebody must take note of
its end: `NannyProcess.forget`, or the next start. Pipes of nannies that are not detached stay open here; a child this
process forks closes them, because the end of the last copy ends the cluster.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import ClassVar

import msgspec

import jupyter_dist
from jupyter_dist.errors import ClusterStartError
from jupyter_dist.processes.config import NannyConfig
from jupyter_dist.processes.folder import NANNY, HostFolder, open_log
from jupyter_dist.processes.launcher_line import RELEASE, Progress, encode_config
from jupyter_dist.storage.hold import hold_folder

# The fork server comes before the nanny's own imports, so both load at the same time.
CODE = """
import sys
from jupyter_dist.processes import nursery
pipes = nursery.take_pipes()
nursery.open_nursery(sys.argv[1])
from jupyter_dist.processes.nanny import main
main(pipes=pipes, folder=sys.argv[1])
"""
END_S = 2.0
LINE_BYTES_MAX = 1024 * 1024


class NannyProcess:
    """A nanny that this process started.

    Attributes
    ----------
    pid : int
        Its process, which leads a session of its own.
    guardian_pid : int
        The process that has it followed by another when it dies; 0: none does, or it is not up yet.
    failure_log : str
        What it said about why it failed.
    """

    _started: ClassVar[dict[int, NannyProcess]] = {}  # those whose end nobody has taken note of yet

    def __init__(self, folder: HostFolder, code: str = CODE) -> None:
        self.failure_log = ""
        self.guardian_pid = 0
        self._unread = b""
        self.forget_ended()
        hold = hold_folder(folder.root)
        log = open_log(folder.log(NANNY))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(folder.root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                start_new_session=True,
                pass_fds=(hold,),
                bufsize=0,
            )
        finally:
            os.close(log)
            os.close(hold)
        self.pid = self._process.pid
        self._started[self.pid] = self

    @classmethod
    def forget(cls, pid: int) -> None:
        """Take note of the end of a nanny, if it was started here."""
        nanny = cls._started.get(pid)
        if nanny is not None and nanny._process.poll() is not None:  # noqa: SLF001  # our own
            nanny.close()
            del cls._started[pid]

    @classmethod
    def is_unburied(cls, pid: int) -> bool:
        """Return whether this is a nanny of this process whose end nobody has taken note of: its pid is its own still."""
        return pid in cls._started

    @classmethod
    def close_all_lines(cls) -> None:
        """Close this process's ends of all pipes: in a forked child, they are copies that must not be there."""
        for nanny in cls._started.values():
            nanny.close()

    @classmethod
    def forget_ended(cls) -> None:
        """Take note of the ends of all nannies that were started here."""
        for pid in tuple(cls._started):
            cls.forget(pid)

    def configure(self, config: NannyConfig) -> None:
        """Tell it what to start. That it has ended already is told by `next_phase`, in better words."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(encode_config(config))

    def next_phase(self, end_s: float) -> str:
        """Wait for the next phase, until ``end_s`` of the monotonic clock.

        Raises
        ------
        ClusterStartError
            It failed, it ended, or time is up.
        """
        progress = None
        while progress is None:
            with contextlib.suppress(msgspec.DecodeError):  # an interpreter's `sitecustomize` may print
                progress = msgspec.json.decode(self._read_line(end_s), type=Progress)
        if progress.error:
            self.failure_log = progress.log
            raise ClusterStartError(progress.error)
        self.guardian_pid = progress.guardian
        return progress.phase

    def release(self, *, keep_line: bool) -> None:
        """Let the nanny live on without this process, now that the cluster is up, unless the line is kept."""
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._process.stdin is not None and not keep_line:
            self._process.stdin.write(RELEASE)
            self._process.stdin.close()

    def end(self) -> int:
        """End it, in order if it can, and return its exit code."""
        with contextlib.suppress(OSError):
            self._process.terminate()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self.forget(self.pid)
        return code

    def close(self) -> None:
        """Close this process's ends of the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _read_line(self, end_s: float) -> bytes:
        pipe = self._process.stdout
        if pipe is None:
            raise ClusterStartError("the line to the nanny is closed")
        while b"\n" not in self._unread:
            if not _wait_readable(pipe.fileno(), end_s):
                raise ClusterStartError("it was not up in time (start_s_max)")
            piece = os.read(pipe.fileno(), 65536)
            if not piece or len(self._unread) > LINE_BYTES_MAX:
                raise ClusterStartError("its nanny ended")
            self._unread += piece
        line, _newline, self._unread = self._unread.partition(b"\n")
        return line


def _wait_readable(descriptor: int, end_s: float) -> bool:
    with selectors.DefaultSelector() as selector:  # unlike `select`, it takes descriptors over 1023
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(max(0.0, end_s - time.monotonic())))


def _environment() -> dict[str, str]:
    """Return the environment of a nanny: ours, and a way to find this package if it is not an installed one."""
    root = str(Path(jupyter_dist.__file__).parent.parent)
    environment = dict(os.environ)
    if root != sysconfig.get_path("purelib"):
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{known}" if known else root
    return environment


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=NannyProcess.close_all_lines)
