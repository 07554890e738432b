"""Where a cluster's files are on one host, and how each of them ends.

One folder holds them all, readable by its owner alone::

    <folder>/scheduler.sock      <folder>/worker-0.3.sock      sockets; the number tells two starts of a name apart
    <folder>/logs/worker-0.log                                 what a process printed, bounded, kept across restarts
    <folder>/scratch/worker-0.3  <folder>/pages/worker-0.3     what a worker writes, removed when it dies
    <folder>/objects             and a folder in memory        the host's object store, see `storage.places`

The nanny and the launcher read and write here; a worker is told its own paths and knows no others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from jupyter_dist.storage import places

FOLDER_MODE = 0o700
FILE_MODE = 0o600
NANNY = "nanny"
LONGEST_NAME = "pymp-12345678/listener-12345678"  # the longest socket below a folder is the fork server's
TAIL_BYTES_MAX = 64 * 1024


class HostFolder:
    """The paths below one cluster's folder on this host."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def make(self) -> None:
        """Make the folders that do not exist yet."""
        for path in (self.root, self.root / "logs", self.root / "scratch", self.root / "pages"):
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)

    def socket(self, name: str) -> Path:
        """Return where a process serves."""
        return self.root / f"{name}.sock"

    def log(self, name: str) -> Path:
        """Return where a process prints."""
        return self.root / "logs" / f"{name}.log"

    def scratch(self, name: str) -> Path:
        """Return a worker's own folder."""
        return self.root / "scratch" / name

    def page(self, name: str) -> Path:
        """Return the file a worker shares with its nanny."""
        return self.root / "pages" / name

    def journals(self) -> Path:
        """Return where the scheduler keeps what must outlive it."""
        return self.root

    def remove(self) -> None:
        """Remove everything, its objects in memory as well. Errors are nobody's concern: a cluster that ends must end."""
        places.remove_memory(self.root)
        shutil.rmtree(self.root, ignore_errors=True)


def open_log(path: Path) -> int:
    """Open a log to be written at its end, whoever else writes to it, and return the descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)


def read_tail(path: Path, lines: int, bytes_max: int = TAIL_BYTES_MAX) -> str:
    """Return the last lines of a file, empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - bytes_max))
            text = file.read(bytes_max).decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:]) if lines > 0 else ""


def trim_log(path: Path, bytes_max: int) -> None:
    """Cut a log that has outgrown its limit back to its last quarter, under the hands of who writes to it."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= bytes_max:
            return
        tail = read_tail(path, lines=bytes_max, bytes_max=bytes_max // 4)
        os.truncate(path, 0)
        log = open_log(path)
        try:
            os.write(log, f"[earlier output was removed: the limit is {bytes_max} bytes]\n{tail}\n".encode())
        finally:
            os.close(log)
