"""The host's object store: folders in the order in which they are tried, memory first and the disk last.

What does not fit into memory goes to the disk: slower, and right. Where an object is, is nobody's concern but ours: it
is looked for in each folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyter_dist.errors import StorageError, StorageFullError
from jupyter_dist.ids import new_token
from jupyter_dist.protocol.framing import Buffer
from jupyter_dist.storage.object_file import UnreadableError, place
from jupyter_dist.storage.shared import REAL, ObjectFolder, System


class ObjectStore:
    """The objects of one cluster on one host. Thread-safe; keeps nothing open.

    Parameters
    ----------
    folders : sequence of str
        Where they are kept.
    """

    def __init__(self, folders: Sequence[str], system: System = REAL) -> None:
        self.folders = tuple(ObjectFolder(path, system) for path in folders)

    def write(self, buffers: Sequence[Buffer], name: str = "") -> tuple[str, int]:
        """Keep the buffers of a packed value; return the name it has from now on, and the bytes it takes.

        The name is a fresh one unless it is given: then it must be one that no object ever had.

        Raises
        ------
        StorageFullError
            No folder has room for it; the text names its size and what is free.
        StorageError
            There is no folder, or none that can be written to.
        """
        _offsets, size = place([memoryview(buffer).nbytes for buffer in buffers])
        refusals: list[StorageError] = []
        for folder in self.folders:
            try:
                if folder.free_bytes() < size:
                    raise StorageFullError(folder.lacks_room(size))
                name = name or new_token()
                return name, folder.write(name, buffers)
            except StorageError as error:
                refusals.append(error)
        if not refusals:
            raise StorageError("this cluster has no object store on this host")
        kind = StorageFullError if any(isinstance(error, StorageFullError) for error in refusals) else StorageError
        words = "; ".join(map(str, refusals))
        raise kind(f"the data cannot be kept on this host: {words}. Release data that is not needed any more")

    def read(self, name: str) -> list[memoryview]:
        """Return the buffers of an object, read-only: mapped when it is large. They stay when it is removed.

        Raises
        ------
        UnreadableError
            It is in no folder, or damaged.
        OSError
            This process has no memory or no descriptor left for it.
        """
        reason = UnreadableError("there is no object store on this host")
        for folder in self.folders:
            try:
                return folder.read(name)
            except UnreadableError as error:
                reason = error
                if folder.has(name):
                    break
        raise reason

    def has(self, name: str) -> bool:
        """Whether there is an object of this name."""
        return any(folder.has(name) for folder in self.folders)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects that may or may not be there. Who has mapped one keeps it."""
        for name in names:
            for folder in self.folders:
                if folder.remove(name):
                    break

    def names(self) -> list[str]:
        """Return the names of all objects."""
        return sorted(name for folder in self.folders for name in folder.names())
