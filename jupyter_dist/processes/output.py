"""What tasks print: caught per task, bounded, told apart from what the process itself prints.

`sys.stdout` and `sys.stderr` of a worker are `RoutedStream`s. Each write goes to the `Capture` of the task that is
running in this context: a context variable says which, so coroutines and `asyncio.to_thread` are right by themselves,
and threads a task starts are given it (`follow_threads`). What is printed outside a task, by a thread that outlived its
task, or by C code goes to the original descriptors, which the nanny keeps in a log.

A capture keeps the tail: when more than its bound waits, the oldest text goes, and a line says how much went.
"""

from __future__ import annotations

import codecs
import io
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial, wraps
from threading import RLock
from typing import Any, TextIO

CHUNK_CHARS = 4096  # small writes to one stream are joined up to about this size

Chunk = tuple[str, str]  # the stream's name, its text

current_capture: ContextVar[Capture | None] = ContextVar("current_capture", default=None)


class Capture:
    """What one task printed and nobody took yet.

    Parameters
    ----------
    bytes_max : int
        How much of it is kept.
    note : callable, optional
        Is told each text as well.
    """

    __slots__ = ("_bytes_max", "_chunks", "_cut", "_is_closed", "_lock", "_note", "_size")

    def __init__(self, bytes_max: int, note: Callable[[str], object] | None = None) -> None:
        self._bytes_max = bytes_max
        self._note = note
        self._chunks: deque[Chunk] | None = None  # made by the first write: most tasks print nothing
        self._lock = RLock()  # reentrant: a finalizer may print in the middle of a print
        self._size = 0
        self._cut = 0
        self._is_closed = False

    def write(self, stream: str, text: str) -> bool:
        """Add text; return whether it was taken: after `close` it is not."""
        with self._lock:
            if self._is_closed:
                return False
            self._append(stream, text)
        if self._note is not None:
            self._note(text)
        return True

    def take(self) -> list[Chunk]:
        """Return what waits, in the order it was printed, and forget it."""
        if self._chunks is None:
            return []
        with self._lock:
            chunks, self._chunks = self._chunks, None
            cut, self._cut, self._size = self._cut, 0, 0
        if chunks and cut:
            stream, text = chunks[0]
            chunks[0] = (stream, f"[{cut} characters of output were cut here]\n{text}")
        return list(chunks or ())

    def close(self) -> list[Chunk]:
        """Take the rest. What is written later, by a thread left behind, is not the task's any more."""
        self._is_closed = True
        return self.take()

    def _append(self, stream: str, text: str) -> None:
        kept = text[-self._bytes_max :]
        chunks = self._chunks
        if chunks is None:
            chunks = self._chunks = deque()
        self._cut += len(text) - len(kept)
        self._size += _size(kept)
        if chunks and chunks[-1][0] == stream and len(chunks[-1][1]) < CHUNK_CHARS:
            chunks[-1] = (stream, chunks[-1][1] + kept)
        else:
            chunks.append((stream, kept))
        while self._size > self._bytes_max:
            self._trim(chunks)

    def _trim(self, chunks: deque[Chunk]) -> None:
        stream, text = chunks.popleft()
        spare = min(CHUNK_CHARS, self._bytes_max // 8)  # cut a little more, so that not every write has to cut
        count = self._size - self._bytes_max + spare
        if count < len(text):
            chunks.appendleft((stream, text[count:]))
            text = text[:count]
        self._cut += len(text)
        self._size -= _size(text)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def join_tail(chunks: list[Chunk]) -> str:
    """Return the text of chunks, both streams as they were printed."""
    return "".join(text for _, text in chunks)


class RoutedStream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`.

    Parameters
    ----------
    name : str
        ``stdout`` or ``stderr``.
    original : TextIO
        Where text goes that is no task's.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, original: TextIO) -> None:
        super().__init__()
        self._stream = name
        self._original = original
        self.name = f"<{name}>"
        self.mode = "w"
        self.buffer = _RoutedBytes(self)

    def write(self, text: str, /) -> int:
        """Add text to what the running task printed."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        capture = current_capture.get()
        if capture is None or not capture.write(self._stream, str(text)):
            self._write_outside(text)
        return len(text)

    def _write_outside(self, text: str) -> None:
        try:
            self._original.write(text)
            self._original.flush()
        except (OSError, ValueError):
            pass  # the log is gone; a print must not fail because of it

    def writable(self) -> bool:
        """Return True."""
        return True

    def flush(self) -> None:
        """Do nothing: what was printed is on its way."""

    def close(self) -> None:
        """Do nothing: the stream belongs to every task of the process."""

    def isatty(self) -> bool:
        """Return False."""
        return False

    def fileno(self) -> int:
        """Return the original's descriptor, so that a child process can inherit it."""
        return self._original.fileno()


class _RoutedBytes(io.BufferedIOBase):
    """The ``buffer`` of a `RoutedStream`, for those who print bytes."""

    def __init__(self, stream: RoutedStream) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: Any, /) -> int:
        """Add bytes, read as UTF-8."""
        view = bytes(data)
        self._stream.write(self._decoder.decode(view))
        return len(view)

    def writable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing, like the stream."""


def install_streams() -> None:
    """Replace the process's standard streams."""
    sys.stdout = RoutedStream("stdout", sys.stdout)
    sys.stderr = RoutedStream("stderr", sys.stderr)


def follow_threads() -> None:
    """Let threads that a task starts print into its capture: Python starts them with an empty context."""
    start = threading.Thread.start

    @wraps(start)
    def start_with_capture(thread: threading.Thread) -> None:
        capture = current_capture.get()
        if capture is not None:
            thread.run = partial(_run_with, capture, thread.run)  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = start_with_capture  # type: ignore[method-assign, assignment]


def _run_with(capture: Capture, run: Callable[[], None]) -> None:
    current_capture.set(capture)
    run()
