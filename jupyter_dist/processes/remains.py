"""What nobody needs any more, removed beside everything else: gigabytes that are given back must not delay a pulse."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from jupyter_dist.storage.store import ObjectStore


class Remains:
    """Removals under way. One that is unfinished when the nanny ends is finished with its whole folder."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def remove(self, *paths: Path) -> None:
        """Begin to remove files and folders that may or may not be there."""
        self._begin(partial(_remove, paths))

    def remove_objects(self, store: ObjectStore, names: Sequence[str]) -> None:
        """Begin to remove objects from the host's store."""
        self._begin(partial(store.remove, names))

    def _begin(self, remove: Callable[[], None]) -> None:
        task = asyncio.create_task(asyncio.to_thread(remove))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
