"""Between a nanny and whoever launched it: a configuration comes in, progress goes out, and the end of one is a message.

To the nanny: one frame (length, then `NannyConfig` in MessagePack), later one byte, ``RELEASE``: the launcher has
written the connection file, and a detached nanny lives on without it. The end of the pipe before that, or at any time
for one that is not detached, means that the launcher is gone and so must the cluster be.

From the nanny: a line of JSON for each `Progress`; the last one says ``ready`` or has an ``error``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import Callable
from typing import TypeVar

import msgspec

from jupyter_dist.errors import ProtocolError
from jupyter_dist.processes.config import NannyConfig
from jupyter_dist.processes.nursery import Pipes

LENGTH = struct.Struct("<I")
CONFIG_BYTES_MAX = 64 * 1024
RELEASE = b"\x01"
READY = "ready"

T = TypeVar("T")


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a start is: a phase, or how it failed, with the last lines of the log.

    With ``ready`` comes the process that guards the nanny; 0: none does.
    """

    phase: str = ""
    error: str = ""
    log: str = ""
    guardian: int = 0


def encode_config(config: NannyConfig) -> bytes:
    """Return the frame that starts a nanny."""
    body = msgspec.msgpack.encode(config)
    return LENGTH.pack(len(body)) + body


def read_config(pipe: int) -> NannyConfig:
    """Wait for the frame that starts this nanny. Raises as `read_frame` does."""
    return read_frame(pipe, NannyConfig)


def read_frame(pipe: int, kind: type[T]) -> T:
    """Wait for a frame that holds one record.

    Raises
    ------
    EOFError
        The pipe ended early: whoever was to say it is gone.
    ProtocolError
        What came is no such record.
    """
    (length,) = LENGTH.unpack(_read_exactly(pipe, LENGTH.size))
    if length > CONFIG_BYTES_MAX:
        raise ProtocolError(f"a nanny's configuration of {length} bytes: at most {CONFIG_BYTES_MAX} are allowed")
    try:
        return msgspec.msgpack.decode(_read_exactly(pipe, length), type=kind)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a nanny's configuration cannot be read: {error}") from None


def _read_exactly(pipe: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(pipe, size - len(data))
        if not piece:
            raise EOFError("the launcher went before it had said what to start")
        data += piece
    return data


class LauncherLine:
    """The nanny's end, after the configuration was read."""

    def __init__(self, pipes: Pipes, *, is_detached: bool, on_gone: Callable[[], None]) -> None:
        self._pipes = pipes
        self._is_detached = is_detached
        self._on_gone = on_gone
        self._is_told = False
        os.set_blocking(pipes.reading, False)
        os.set_blocking(pipes.writing, False)  # a launcher that does not read must not stop a nanny

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call ``on_gone`` when the launcher is gone and this cluster is not to outlive it."""
        loop.add_reader(self._pipes.reading, self._on_readable, loop)

    def report(self, progress: Progress) -> None:
        """Tell the launcher how far it is. Nothing is said after ``ready`` or an error."""
        if self._is_told:
            return
        with contextlib.suppress(OSError):
            os.write(self._pipes.writing, msgspec.json.encode(progress) + b"\n")
        if progress.error or progress.phase == READY:
            self._is_told = True
            os.close(self._pipes.writing)

    def _on_readable(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            data = os.read(self._pipes.reading, 64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and not self._is_detached:
            return
        loop.remove_reader(self._pipes.reading)
        os.close(self._pipes.reading)
        if not data:
            self._on_gone()


class NoLauncher:
    """In place of the line, for a nanny that follows another: nobody launched it, nobody is told how far it is."""

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch nothing."""

    def report(self, progress: Progress) -> None:
        """Tell nobody."""
