"""The guardian: a process beside a detached cluster's nanny, which has another one start when that ends without a word.

It is run as a file, by an interpreter without its site, and loads three modules of the standard library: it occupies
some 3 MB. So it decides nothing and understands nothing. The nanny tells it down a pipe what to hand on: a *will*, as
bytes, and how long to wait after each end in a row (`core.succession`). The end of the pipe without an ``OVER`` is the
nanny's death; then a follower is started, is given the will down a pipe of its own, and is the nanny from then on.

It holds the locks of the cluster's folders (inherited), so nobody sweeps them while there is no nanny. A cluster whose
connection file is gone has nobody who could come back to it: it is not followed. When nobody follows, or the nanny did
not tidy up, another process is given the will, to remove everything. The guardian's own end is seen by the nanny.
"""

from __future__ import annotations

import os
import sys
import time

WILL = b"W"
WAITS = b"P"
OVER = b"O"
HEAD_BYTES = 5  # of a frame: its kind, and the length of what follows
FOLLOW = """
import sys
from jupyter_dist.processes import nursery, will
inherited = will.take(*map(int, sys.argv[1:]))
nursery.open_nursery(inherited.config.folder, inherited.entries.preload)
from jupyter_dist.processes.nanny import follow
follow(inherited)
"""
BURY = """
import sys
from jupyter_dist.processes import succession, will
succession.bury(will.take(*map(int, sys.argv[1:])))
"""


class Guardian:
    """What it knows of the nanny: its line, its will, and how often it may be followed."""

    def __init__(self, reading: int, writing: int, folder: str, connection_file: str, cluster: str) -> None:
        self._reading = reading
        self._writing = writing  # nothing is ever said: its end is what the nanny sees
        self._folder = folder
        self._connection_file = connection_file
        self._cluster = cluster.encode()
        self._will = b""
        self._waits: list[float] = []
        self._pid = 0  # of a nanny that was started here
        self._is_over = False

    def run(self) -> None:
        """Watch one nanny after another, until one ends in order or none is to follow."""
        while True:
            self._listen()
            self._let_go()
            if not self._may_follow():
                break
            time.sleep(self._waits.pop(0))
            if not self._is_listed():
                break
            self._start(FOLLOW)
        if os.path.exists(self._folder):  # noqa: PTH110  # pathlib is a megabyte
            self._start(BURY)
            self._let_go()

    def _listen(self) -> None:
        """Hear the nanny out, to its end."""
        data = b""
        while piece := os.read(self._reading, 65536):
            data += piece
            while len(data) >= HEAD_BYTES:
                end = HEAD_BYTES + int.from_bytes(data[1:HEAD_BYTES], "little")
                if len(data) < end:
                    break
                self._hear(data[:1], data[HEAD_BYTES:end])
                data = data[end:]

    def _hear(self, kind: bytes, body: bytes) -> None:
        if kind == WILL:
            self._will = body
        elif kind == WAITS:
            self._waits = [float(word) for word in body.split()]
        elif kind == OVER:
            self._is_over = True

    def _let_go(self) -> None:
        """Close the line to a nanny that is gone, and bury it if it was started here."""
        os.close(self._reading)
        os.close(self._writing)
        if self._pid:
            os.waitpid(self._pid, 0)

    def _may_follow(self) -> bool:
        return bool(not self._is_over and self._will and self._waits and self._is_listed())

    def _is_listed(self) -> bool:
        try:
            file = os.open(self._connection_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return self._cluster in os.read(file, 65536)
        finally:
            os.close(file)

    def _start(self, code: str) -> None:
        """Start a process, with a line to it, and give it the will."""
        theirs_in, self._writing = os.pipe()
        self._reading, theirs_out = os.pipe()
        for end in (theirs_in, theirs_out):
            os.set_inheritable(end, True)
        arguments = [sys.executable, "-c", code, str(theirs_in), str(theirs_out), str(os.getpid())]
        try:
            self._pid = os.posix_spawn(sys.executable, arguments, os.environ)
        except OSError as error:  # no room for one more: as one that ended at once
            self._pid = 0
            os.write(2, f"guardian: no other nanny can be started: {error}\n".encode())
        os.close(theirs_in)
        os.close(theirs_out)
        data = len(self._will).to_bytes(4, "little") + self._will
        try:
            while data:
                data = data[os.write(self._writing, data) :]
        except BrokenPipeError:
            return  # it has ended already, which `_listen` will see


def main(arguments: list[str]) -> None:
    """Run a guardian. The descriptors it holds are not for those it starts."""
    reading, writing, held, *texts = arguments
    for descriptor in (reading, writing, *held.split(",")):
        os.set_inheritable(int(descriptor), False)
    os.setsid()
    Guardian(int(reading), int(writing), *texts).run()


if __name__ == "__main__":
    main(sys.argv[1:])
