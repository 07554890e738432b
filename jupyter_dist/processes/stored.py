"""Inputs that are in files: in the host's object store, or spilled by this worker; as its slots see them.

What was mapped stays mapped for the next task that needs it: a fresh mapping of 256 MB costs 20 ms more at first touch.
Only so many stay, and one whose object was removed goes with the next look, because it keeps the memory of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from jupyter_dist.core.worker.effects import Fetched, InputValue, ReadyTask, Spilled, Stored
from jupyter_dist.messages import STORE, InputMissing
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.spill import SpillFolder
from jupyter_dist.storage.store import ObjectStore

MAPPED_MAX = 32

Inputs = Mapping[str, InputValue]


class StoredInputs:
    """The objects this process has mapped. Thread-safe.

    Parameters
    ----------
    folders : sequence of str
        Those of the object store.
    spilled : SpillFolder, optional
        Where this worker's results are that are not in memory.

    Attributes
    ----------
    address : str
        Where this worker serves its results: who it is as their holder.
    """

    def __init__(self, folders: Sequence[str] = (), spilled: SpillFolder | None = None) -> None:
        self.address = ""
        self._store = ObjectStore(folders)
        self._spilled = spilled
        self._lock = threading.Lock()
        self._mapped: OrderedDict[str, Fetched] = OrderedDict()  # least recently used first

    def map_inputs(self, ready: ReadyTask) -> Inputs | InputMissing:
        """Return a task's inputs with those in files mapped, or which of them cannot be read.

        Raises
        ------
        OSError
            This process has no memory or no descriptor left.
        """
        inputs = ready.inputs
        for key, value in inputs.items():
            if isinstance(value, Stored | Spilled):
                try:
                    inputs = {**inputs, key: self._map(value)}
                except UnreadableError as error:
                    holder = STORE + value.name if isinstance(value, Stored) else self.address
                    return InputMissing(ready.task.attempt, key, holder, str(error))
        return inputs

    def _map(self, value: Stored | Spilled) -> Fetched:
        name = value.name
        with self._lock:
            mapped = self._mapped.get(name)
            if mapped is None:
                mapped = self._mapped[name] = Fetched(self._source(value).read(name))
                if len(self._mapped) > MAPPED_MAX:
                    self._mapped.popitem(last=False)
            self._mapped.move_to_end(name)
            return mapped

    def _source(self, value: Stored | Spilled) -> ObjectStore | SpillFolder:
        return self._spilled if isinstance(value, Spilled) and self._spilled is not None else self._store

    def tidy(self) -> None:
        """Let go of objects that were removed."""
        with self._lock:
            for name in [name for name in self._mapped if not self._is_there(name)]:
                del self._mapped[name]

    def _is_there(self, name: str) -> bool:
        return self._store.has(name) or (self._spilled is not None and self._spilled.has(name))
