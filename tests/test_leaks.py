"""The check for leaks sees a leak of each kind, and what is gone again is none."""

import contextlib
import mmap
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_dist.launch.connection_file import runtime_folder
from jupyter_dist.storage import places
from tests import leaks

pytestmark = pytest.mark.process
VARIABLES = (leaks.MARK, leaks.RUNTIME, "TMPDIR")
ORPHAN = "import os, sys, time\nif os.fork() == 0:\n    print(os.getpid(), flush=True)\n    time.sleep(600)\n"


@contextlib.contextmanager
def open_file() -> Iterator[str]:
    with tempfile.TemporaryFile():
        yield "descriptor"


@contextlib.contextmanager
def open_socket() -> Iterator[str]:
    with socket.socket(socket.AF_UNIX):
        yield "descriptor socket:"


@contextlib.contextmanager
def running_thread() -> Iterator[str]:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="planted")
    thread.start()
    yield "thread planted"
    over.set()
    thread.join()


@contextlib.contextmanager
def running_child() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield f"child process {process.pid}"
        process.kill()


@contextlib.contextmanager
def unburied_child() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield f"child process {process.pid} is not buried"


@contextlib.contextmanager
def orphan() -> Iterator[str]:
    """A process whose parent is gone."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        process.wait()
        yield f"process {pid}"
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def memory_folder() -> Iterator[str]:
    """What a cluster has in shared memory; and with it in its own folder."""
    folder = runtime_folder() / "jd-12345678"
    folder.mkdir()
    found = places.make_folders(folder)
    if len(found) == 1:
        pytest.skip("this machine has little shared memory")
    yield f"shared memory {Path(found[0]).name}"
    places.remove_memory(folder)
    (folder / "objects").rmdir()
    folder.rmdir()


@contextlib.contextmanager
def mapping() -> Iterator[str]:
    folder = Path("/dev/shm/jupyter_dist-planted")
    folder.mkdir()
    try:
        (folder / "object").write_bytes(b"x" * 4096)
        with (folder / "object").open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    finally:
        (folder / "object").unlink()
        folder.rmdir()
    yield f"mapping {folder}"
    mapped.close()


@contextlib.contextmanager
def runtime_file() -> Iterator[str]:
    path = runtime_folder() / "planted.json"
    path.touch()
    yield f"file {path}"
    path.unlink()


@contextlib.contextmanager
def temporary_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as path:
        yield f"file {path}"


@pytest.fixture
def own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with leaks.own_places(tmp_path_factory) as root:
        yield root


@pytest.mark.parametrize(
    "plant",
    [
        open_file,
        open_socket,
        running_thread,
        running_child,
        unburied_child,
        orphan,
        memory_folder,
        mapping,
        runtime_file,
        temporary_folder,
    ],
    ids=lambda plant: plant.__name__,
)
def test_leak_of_each_kind_is_seen_and_its_end_too(own_places, plant):
    before = leaks.begin()
    with plant() as words, pytest.raises(AssertionError, match=rf"left behind:(?s:.*)\n{re.escape(words)}"):
        before.assert_restored(patience_s=0.05)
    before.assert_restored()


def test_own_places_are_of_this_block_alone(tmp_path_factory):
    before = {name: os.environ.get(name) for name in VARIABLES}, tempfile.gettempdir()
    with leaks.own_places(tmp_path_factory) as root:
        assert runtime_folder().is_relative_to(root)
        assert Path(tempfile.gettempdir()).is_relative_to(root)
    assert not root.exists()
    assert ({name: os.environ.get(name) for name in VARIABLES}, tempfile.gettempdir()) == before
