"""The nanny's end of the line to its guardian: there is always one, and it knows at any time what a follower must know.

A guardian that ends is followed by another, started here. What is said to one that does not read waits here; a nanny
never does. Without a guardian the nanny goes on: only its own end is then the cluster's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence

import msgspec

from jupyter_dist.core.succession import Patience, calm_after_s, plan_waits
from jupyter_dist.processes import guardian
from jupyter_dist.processes.config import NannyConfig
from jupyter_dist.processes.nursery import Pipes
from jupyter_dist.processes.will import Will

LOG = logging.getLogger("jupyter_dist.nanny")


class Guarding:
    """The guardian of one nanny, and the next one.

    Parameters
    ----------
    config : NannyConfig
        What the nanny keeps.
    held : sequence of int
        Descriptors of locks that the guardian shall hold as well.
    make_will : callable
        Returns what a follower must know by now.
    on_another : callable
        Called when the guardian is another process, or there is none any more.

    Attributes
    ----------
    pid : int
        The guardian's process; 0: there is none.
    """

    def __init__(
        self,
        config: NannyConfig,
        held: Sequence[int],
        make_will: Callable[[], Will],
        on_another: Callable[[], None],
    ) -> None:
        self.pid = 0
        self._config = config
        self._held = tuple(held)
        self._make_will = make_will
        self._on_another = on_another
        self._loop = asyncio.get_running_loop()
        self._patience = Patience(config.settings)
        self._line: Pipes | None = None
        self._said: Will | None = None
        self._unsent = b""
        self._is_child = False
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None
        self._calm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start a guardian."""
        self._timer = None
        self._patience.note_start(self._loop.time())
        try:
            pid, line = _spawn(self._config, self._held)
        except OSError:
            LOG.exception("no guardian can be started")
            self._on_end()
            return
        LOG.info("guardian started, pid %d", pid)
        self._is_child = True
        self._begin(pid, line)
        self._say(guardian.WAITS, _words(plan_waits(self._config.settings)))

    def adopt(self, pid: int, line: Pipes) -> None:
        """Have the guardian that started this nanny. It counts this nanny's end as one in a row until that has lived."""
        self._begin(pid, line)
        self._calm = self._loop.call_later(calm_after_s(self._config.settings), self._renew)

    def tell(self) -> None:
        """Say what a follower must know, if that has changed."""
        if self._line is None or self._is_over:
            return
        will = self._make_will()
        if will != self._said:
            self._said = will
            self._say(guardian.WILL, msgspec.msgpack.encode(will))

    def end(self) -> None:
        """Say that this nanny ends in order, and that nobody shall follow. More than once is as once."""
        if self._is_over:
            return
        self._say(guardian.OVER, b"")
        self._is_over = True
        for timer in (self._timer, self._calm):
            if timer is not None:
                timer.cancel()

    def _renew(self) -> None:
        self._say(guardian.WAITS, _words(plan_waits(self._config.settings)))

    def _begin(self, pid: int, line: Pipes) -> None:
        self.pid, self._line = pid, line
        os.set_blocking(line.reading, False)
        os.set_blocking(line.writing, False)
        self._loop.add_reader(line.reading, self._on_readable)
        self._said, self._unsent = None, b""
        self.tell()

    def _say(self, kind: bytes, body: bytes) -> None:
        if self._line is not None:
            self._unsent += kind + len(body).to_bytes(guardian.HEAD_BYTES - 1, "little") + body
            self._send()

    def _send(self) -> None:
        if self._line is None:
            return
        try:
            self._unsent = self._unsent[os.write(self._line.writing, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # it is gone, which is read in a moment
        if self._unsent:
            self._loop.add_writer(self._line.writing, self._send)
        else:
            self._loop.remove_writer(self._line.writing)

    def _on_readable(self) -> None:
        """Take the end of the line: a guardian says nothing, so there is nothing else to read."""
        if self._line is None:
            return
        with contextlib.suppress(BlockingIOError):
            if os.read(self._line.reading, 64):
                return
            self._loop.remove_reader(self._line.reading)
            self._loop.remove_writer(self._line.writing)
            for end in self._line:
                os.close(end)
            self._line = None
            if self._is_child:
                os.waitpid(self.pid, 0)
            self._on_end()

    def _on_end(self) -> None:
        self.pid = 0
        if self._is_over:
            return
        self._on_another()
        wait_s = self._patience.take(self._loop.time())
        if wait_s is None:
            LOG.error("no guardian lives: when this nanny dies, nobody follows it")
            return
        LOG.info("the guardian has gone; another is started in %g s", wait_s)
        self._timer = self._loop.call_later(wait_s, self._start_another)

    def _start_another(self) -> None:
        self.start()
        self._on_another()


def _words(waits: Sequence[float]) -> bytes:
    return " ".join(f"{wait_s:g}" for wait_s in waits).encode()


def _spawn(config: NannyConfig, held: Sequence[int]) -> tuple[int, Pipes]:
    """Start a guardian and return its process, and this end of the line to it."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    inherited = (theirs_in, theirs_out, *held)
    numbers = [str(theirs_in), str(theirs_out), ",".join(map(str, held))]
    command = [sys.executable, "-I", "-S", guardian.__file__, *numbers]
    names = [config.folder, config.connection_file, config.identity.cluster]
    try:
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        pid = os.posix_spawn(sys.executable, [*command, *names], os.environ)
    except BaseException:
        os.close(ours_in)
        os.close(ours_out)
        raise
    finally:
        for descriptor in held:
            os.set_inheritable(descriptor, False)
        os.close(theirs_in)
        os.close(theirs_out)
    return pid, Pipes(ours_in, ours_out)
