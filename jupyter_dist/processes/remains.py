"""What dead workers leave on the disk, removed beside everything else: a spill of gigabytes must not delay a pulse."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path


class Remains:
    """Removals under way. One that is unfinished when the nanny ends is finished with its whole folder."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def remove(self, *paths: Path) -> None:
        """Begin to remove files and folders that may or may not be there."""
        task = asyncio.create_task(asyncio.to_thread(_remove, paths))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
