"""Where a cluster's objects are on a host: in memory where that can be, and in the cluster's own folder on the disk.

The folder in memory has the name of the cluster's own, so whoever removes that knows this one. The launcher makes it and
the nanny holds it as long as it lives. One of this user's that nobody holds is removed by whoever sees it: memory is
not given back by itself.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from jupyter_dist.errors import StorageError
from jupyter_dist.storage import room
from jupyter_dist.storage.hold import hold_folder, is_held
from jupyter_dist.storage.shared import ObjectFolder

FOLDER_NAME = "objects"
MEMORY_BYTES_MIN = 1024 * 1024 * 1024  # a smaller room in memory (Docker's is 64 MB) is left to others
UNHELD_S = 60.0  # a younger folder that nobody holds may just be made


def memory_folder(cluster_folder: Path) -> Path:
    """Return where a cluster's folder in memory is, or would be."""
    return room.MEMORY_ROOT / f"{_prefix()}{cluster_folder.name.rpartition('-')[2]}"


def _prefix() -> str:
    return f"jupyter_dist-{os.geteuid()}-"


def make_folders(cluster_folder: Path) -> tuple[str, ...]:
    """Make the folders of a new cluster and return them, in the order in which they are to be tried.

    Raises
    ------
    StorageError
        The one in the cluster's folder cannot be made.
    """
    found = []
    memory = ObjectFolder(memory_folder(cluster_folder))
    if memory.free_bytes() >= MEMORY_BYTES_MIN:
        with contextlib.suppress(StorageError):
            memory.make()
            found.append(str(memory.path))
    disk = ObjectFolder(cluster_folder / FOLDER_NAME)
    disk.make()
    return (*found, str(disk.path))


def hold_memory(cluster_folder: Path) -> int | None:
    """Hold a cluster's folder in memory, if it has one; return the descriptor, to be kept open."""
    with contextlib.suppress(OSError):
        return hold_folder(memory_folder(cluster_folder))
    return None


def remove_memory(cluster_folder: Path) -> None:
    """Remove a cluster's folder in memory, if it has one. The other one goes with the cluster's."""
    ObjectFolder(memory_folder(cluster_folder)).remove_all()


def sweep() -> None:
    """Remove this user's folders in memory whose nanny died without a word."""
    for path in room.MEMORY_ROOT.glob(f"{_prefix()}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > UNHELD_S and not is_held(path):
                ObjectFolder(path).remove_all()
