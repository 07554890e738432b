"""Processes that a distributed cell starts, on the worker: what they print is the cell's, as its own prints are.

A child inherits the descriptors of the worker, which are its log. While a cell runs, `subprocess`, `os.system` and forks
of its task give their children a pipe instead, and a thread prints what comes out of it, as the task. At the end of the
cell a marker is written into the pipe: what was printed before it has been read when the marker has. A child that lives
on writes on, into the log.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from jupyter_dist.ids import new_token
from jupyter_dist.processes.output import current_capture

CHUNK_BYTES = 64 * 1024
DRAIN_S_MAX = 5.0
Part = str | tuple[str, Callable[[], object]]

_pipes_of: dict[object, Pipes] = {}  # by the capture of the task, which its threads know too
_forking = threading.local()


class Pipes:
    """The pipes of one cell's children, made when the first is needed."""

    def __init__(self) -> None:
        self._pipes: dict[str, Pipe] = {}
        self._lock = threading.Lock()

    def descriptor(self, stream: str) -> int:
        """Return where a child writes what is for this stream."""
        with self._lock:
            if stream not in self._pipes:
                self._pipes[stream] = Pipe(stream)
            return self._pipes[stream].writing

    def finish(self) -> None:
        """Wait until all that was written has been printed."""
        for pipe in self._pipes.values():
            pipe.finish()


class Pipe:
    """One pipe and the thread that prints what comes out of it."""

    def __init__(self, stream: str) -> None:
        self._reading, self.writing = os.pipe()
        os.set_inheritable(self.writing, True)
        self._stream = stream
        self._mark = b"\0" + new_token().encode() + b"\0"
        self._drained = threading.Event()
        threading.Thread(target=self._print_all, name=f"jupyter_dist-child-{stream}", daemon=True).start()

    def finish(self) -> None:
        """Wait until all that was written has been printed, and write no more here."""
        os.write(self.writing, self._mark)
        os.close(self.writing)
        self._drained.wait(DRAIN_S_MAX)

    def _print_all(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        waiting = b""
        while chunk := os.read(self._reading, CHUNK_BYTES):
            before, mark, after = (waiting + chunk).partition(self._mark)
            if mark:
                self._print(decoder.decode(before))
                self._drained.set()
                waiting = after
                continue
            # The beginning of a mark may be the end of what was read.
            cut = before.rfind(b"\0", -len(self._mark)) if b"\0" in before[-len(self._mark) :] else len(before)
            self._print(decoder.decode(before[:cut]))
            waiting = before[cut:]
        self._print(decoder.decode(waiting, final=True))
        self._drained.set()
        os.close(self._reading)

    def _print(self, text: str) -> None:
        if text:
            stream = sys.stderr if self._stream == "stderr" else sys.stdout
            stream.write(text)
            stream.flush()


@contextlib.contextmanager
def follow_children() -> Iterator[None]:
    """Have what the children of this task print be the task's, until the end of the block."""
    _install()
    task, pipes = current_capture.get(), Pipes()
    _pipes_of[task] = pipes
    try:
        yield
    finally:
        _pipes_of.pop(task, None)
        pipes.finish()


def run_shell(*parts: Part) -> None:
    """Run a command of the shell, as ``!command`` does; what it prints is the task's."""
    _run(_command(parts), None)


def read_shell(*parts: Part) -> list[str]:
    """Run a command of the shell and return the lines it printed, as ``lines = !command`` does."""
    return _run(_command(parts), subprocess.PIPE).decode("utf-8", "replace").splitlines()


def _command(parts: tuple[Part, ...]) -> str:
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        text, value = part
        try:
            texts.append(str(value()))
        except Exception:  # noqa: BLE001  # it was not meant as Python: the shell has a look at it
            texts.append(text)
    return "".join(texts).strip()


def _run(command: str, stdout: int | None) -> bytes:
    # A session of its own: an interrupt ends all that the shell has started.
    shell = os.environ.get("SHELL") or "/bin/sh"
    process = subprocess.Popen(command, shell=True, executable=shell, stdout=stdout, start_new_session=True)  # noqa: S602  # it is what the user wrote
    try:
        printed, _ = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return printed or b""


def _pipes() -> Pipes | None:
    return _pipes_of.get(current_capture.get()) if _pipes_of else None


@functools.cache
def _install() -> None:
    """Take the places of what starts processes, once."""
    start = subprocess.Popen.__init__
    signature = inspect.signature(start)

    @functools.wraps(start)
    def start_with_pipes(self: Any, *args: Any, **kwargs: Any) -> None:
        pipes = _pipes()
        if pipes is None:
            start(self, *args, **kwargs)
            return
        given = signature.bind(self, *args, **kwargs)
        for stream, own in (("stdout", sys.stdout), ("stderr", sys.stderr)):
            wanted = given.arguments.get(stream)
            if wanted is None or wanted is own:
                given.arguments[stream] = pipes.descriptor(stream)
        start(*given.args, **given.kwargs)

    subprocess.Popen.__init__ = start_with_pipes  # type: ignore[method-assign]
    system = os.system

    def run_system(command: Any) -> int:
        if _pipes() is None:
            return system(command)  # it is what the user calls
        code = subprocess.call(command, shell=True)  # noqa: S602  # as above
        return code << 8 if code >= 0 else -code

    os.system = run_system
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)


def _before_fork() -> None:
    pipes = _pipes()
    names = ("stdout", "stderr")
    _forking.descriptors = [] if pipes is None else [pipes.descriptor(name) for name in names]


def _in_child() -> None:
    for place, descriptor in enumerate(_forking.descriptors, 1):
        os.dup2(descriptor, place)
    _pipes_of.clear()
