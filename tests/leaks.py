"""What a test leaves behind, seen from outside: descriptors, threads, processes, mappings, shared memory, folders.

`Footprint.now()` says what there is; `Footprint.assert_restored()` waits until no more is there than then, and names
what is. What others do on this machine is not seen: folders and processes are those of `own_places`, and shared memory
counts when this process had it made.

What a process makes once and keeps is made before the first look: the I/O thread and the callbacks' thread. The pool of
threads that belongs to an event loop is bounded, and not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jupyter_dist.client.callbacks import run_later
from jupyter_dist.client.loop import loop_thread
from jupyter_dist.storage import places, room

PATIENCE_S = 30.0  # for what ends by itself
LOOP_POOL = "asyncio_"
RUNTIME = "JUPYTER_RUNTIME_DIR"
MARK = "LEAKS_OF"  # a variable by which whatever was started from here is known

Thing = tuple[str, object]  # in words, and what tells it from another of the same words
_memory: set[str] = set()  # folders in shared memory that this process had made


@contextlib.contextmanager
def own_places(paths: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the clusters and temporary files of this process, and of those it starts, folders of their own."""
    paths.getbasetemp()  # pytest's are elsewhere
    root = Path(tempfile.mkdtemp(prefix="jd-own-"))
    make_folders = places.make_folders

    def make_and_note(folder: Path) -> tuple[str, ...]:
        _memory.add(places.memory_folder(folder).name)
        return make_folders(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, str(root))
        for variable, name in ((RUNTIME, "r"), ("TMPDIR", "t")):
            (root / name).mkdir(mode=0o700)
            patch.setenv(variable, str(root / name))
        patch.setattr(tempfile, "tempdir", str(root / "t"))
        patch.setattr(places, "make_folders", make_and_note)
        try:
            yield root
        finally:
            shutil.rmtree(root)


@dataclasses.dataclass(frozen=True)
class Footprint:
    """What a process has at one moment."""

    things: frozenset[tuple[str, Thing]]

    @classmethod
    def now(cls) -> Footprint:
        """Look."""
        return cls(frozenset((kind, thing) for kind, look in LOOKS.items() for thing in look()))

    def grown(self) -> list[str]:
        """Return in words what is there now and was not then."""
        return sorted(f"{kind} {words}" for kind, (words, _which) in Footprint.now().things - self.things)

    def assert_restored(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until nothing is there that was not there then; fail with what is."""
        end_s = time.monotonic() + patience_s
        while grown := self.grown():
            assert time.monotonic() < end_s, "left behind:\n" + "\n".join(grown)
            gc.collect()
            time.sleep(0.01)


@contextlib.contextmanager
def none_left(patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Check that a block leaves nothing behind."""
    before = begin()
    yield
    before.assert_restored(patience_s)


def begin() -> Footprint:
    """Have what a process makes once and keeps, and look."""
    loop_thread().run(_open_a_stream())
    run_later(lambda: None)
    return Footprint.now()


async def _open_a_stream() -> None:
    """With the first one uvloop takes a descriptor to spare."""
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport.abort()
        await asyncio.sleep(0)


# -- looks ---------------------------------------------------------------------------------------------------------------


def _descriptors() -> Iterator[Thing]:
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            yield str(path.readlink()), path.name


def _threads() -> Iterator[Thing]:
    for thread in threading.enumerate():
        if not thread.name.startswith(LOOP_POOL):
            yield thread.name, thread.ident


def _children() -> Iterator[Thing]:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # but not of those that nobody has buried
            is_over = process.status() == psutil.STATUS_ZOMBIE
            words = "is not buried" if is_over else " ".join(process.cmdline())
            yield f"{process.pid} {words}", process.create_time()


def _strays() -> Iterator[Thing]:
    """Yield the processes that were started from here, whoever is their parent by now."""
    mark = f"{MARK}={os.environ.get(MARK, '')}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if int(path.parent.name) != os.getpid() and mark in path.read_bytes().split(b"\0"):
                yield path.parent.name, path.parent.stat().st_ino


def _mappings() -> Iterator[Thing]:
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        if f"{room.MEMORY_ROOT}/jupyter_dist-" in line:
            yield line.split(maxsplit=5)[5], line.split()[0]


def _memory_folders() -> Iterator[Thing]:
    for name in _memory:
        if (room.MEMORY_ROOT / name).exists():
            yield name, None


def _files() -> Iterator[Thing]:
    root = Path(os.environ.get(MARK, "/nowhere"))
    for folder in (root / "r" / "jupyter_dist", root / "t"):
        if folder.exists():
            yield from ((str(path), None) for path in folder.iterdir())


LOOKS: dict[str, Callable[[], Iterator[Thing]]] = {
    "descriptor": _descriptors,
    "thread": _threads,
    "child process": _children,
    "process": _strays,
    "mapping": _mappings,
    "shared memory": _memory_folders,
    "file": _files,
}
