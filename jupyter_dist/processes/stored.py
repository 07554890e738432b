"""Inputs that are in the host's object store, as a worker's slots see them.

What was mapped stays mapped for the next task that needs it: a fresh mapping of 256 MB costs 20 ms more at first touch.
Only so many stay, and one whose object was removed goes with the next look, because it keeps the memory of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from jupyter_dist.core.worker.effects import Fetched, InputValue, ReadyTask, Stored
from jupyter_dist.messages import STORE, InputMissing
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.store import ObjectStore

MAPPED_MAX = 32

Inputs = Mapping[str, InputValue]


class StoredInputs:
    """The objects this process has mapped. Thread-safe.

    Parameters
    ----------
    folders : sequence of str
        Those of the object store.
    """

    def __init__(self, folders: Sequence[str] = ()) -> None:
        self._store = ObjectStore(folders)
        self._lock = threading.Lock()
        self._mapped: OrderedDict[str, Fetched] = OrderedDict()  # least recently used first

    def map_inputs(self, ready: ReadyTask) -> Inputs | InputMissing:
        """Return a task's inputs with the stored ones mapped, or which of them cannot be read.

        Raises
        ------
        OSError
            This process has no memory or no descriptor left.
        """
        inputs = ready.inputs
        for key, value in inputs.items():
            if isinstance(value, Stored):
                try:
                    inputs = {**inputs, key: self._map(value.name)}
                except UnreadableError as error:
                    return InputMissing(ready.task.attempt, key, STORE + value.name, str(error))
        return inputs

    def _map(self, name: str) -> Fetched:
        with self._lock:
            mapped = self._mapped.get(name)
            if mapped is None:
                mapped = self._mapped[name] = Fetched(self._store.read(name))
                if len(self._mapped) > MAPPED_MAX:
                    self._mapped.popitem(last=False)
            self._mapped.move_to_end(name)
            return mapped

    def tidy(self) -> None:
        """Let go of objects that were removed."""
        with self._lock:
            for name in [name for name in self._mapped if not self._store.has(name)]:
                del self._mapped[name]
