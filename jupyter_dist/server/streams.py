"""What a feed remembers, so that whoever was away for a moment hears what is new and not everything again.

Each stream has an epoch, a word of its own, and a number that grows with each change. A listener says which of both it
has. `since` gives it what came after that in one message, or everything when that is not known any more: a slow listener
is never sent a backlog. Nothing here knows sockets, or clocks.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from jupyter_dist.ids import new_token
from jupyter_dist.messages.observation import ClusterSnapshot, Observation, TaskEvent
from jupyter_dist.server.models import ClusterModel
from jupyter_dist.server.part_models import function_model, task_model, worker_model

REMOVED_MAX = 1000  # names of clusters that went, for listeners who have an older list
RING_MAX = 5000  # task events kept for listeners who were away
Told = dict[str, Any]


class Stream:
    """What all streams share: an epoch, and the number of the newest change."""

    def __init__(self) -> None:
        self.epoch = new_token()[:12]
        self.number = 0

    def since(self, epoch: str, after: int) -> Told | None:
        """Return what came after a number, or everything if that cannot be said; None when there is nothing new."""
        is_known = epoch == self.epoch and self._is_known(after)
        if is_known and after == self.number:
            return None
        told = self._delta(after) if is_known else self._snapshot()
        return {"epoch": self.epoch, "from": after if is_known else 0, "number": self.number, **told}

    def _is_known(self, after: int) -> bool:
        raise NotImplementedError

    def _delta(self, after: int) -> Told:
        raise NotImplementedError

    def _snapshot(self) -> Told:
        raise NotImplementedError


class ClusterStream(Stream):
    """The list of clusters: those that changed, and the names of those that went."""

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[str, tuple[int, ClusterModel]] = {}
        self._removed: deque[tuple[int, str]] = deque(maxlen=REMOVED_MAX)
        self._oldest = 0  # the number before which removals are forgotten

    def update(self, models: Sequence[ClusterModel]) -> None:
        """Note what the list is now."""
        number = self.number + 1
        now = {model.name: model for model in models}
        for name in [name for name in self._models if name not in now]:
            del self._models[name]
            if len(self._removed) == REMOVED_MAX:
                self._oldest = self._removed[0][0]
            self._removed.append((number, name))
            self.number = number
        for name, model in now.items():
            if name not in self._models or seen(self._models[name][1]) != seen(model):
                self._models[name] = number, model
                self.number = number
        self.number = max(1, self.number)  # an empty list is something to tell

    def _is_known(self, after: int) -> bool:
        return self._oldest <= after <= self.number and after > 0

    def _delta(self, after: int) -> Told:
        changed = [model for number, model in self._models.values() if number > after]
        removed = [name for number, name in self._removed if number > after and name not in self._models]
        return {"kind": "delta", "changed": changed, "removed": removed}

    def _snapshot(self) -> Told:
        return {"kind": "snapshot", "clusters": [model for _, model in self._models.values()]}


def seen(model: ClusterModel) -> ClusterModel:
    """Return a cluster without what always changes: a browser counts seconds itself."""
    return msgspec.structs.replace(model, elapsed_s=0.0)


class StateStream(Stream):
    """One cluster's inside: each change is all of it, because most of it changes at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._state: ClusterSnapshot | None = None

    def update(self, observation: Observation) -> None:
        """Note what it is now."""
        self._state = observation.snapshot
        self.number += 1

    def _is_known(self, after: int) -> bool:
        return after == self.number

    def _snapshot(self) -> Told:
        state = self._state
        if state is None:
            return {"kind": "snapshot", "state": None}
        return {
            "kind": "snapshot",
            "state": {
                "at_s": state.at_s,
                "wanted": state.wanted,
                "counts": state.counts,
                "finished": state.finished,
                "erred": state.erred,
                "sessions": state.sessions,
                "workers": [worker_model(view) for view in state.workers],
                "functions": [function_model(view) for view in state.functions],
                "running": [task_model(view) for view in state.running],
            },
        }


class EventStream(Stream):
    """What happened to a cluster's tasks and workers, newest last. The numbers are the scheduler's own."""

    def __init__(self, events_max: int) -> None:
        super().__init__()
        self._ring: deque[TaskEvent] = deque(maxlen=RING_MAX)
        self._events_max = events_max

    def update(self, observation: Observation) -> None:
        """Note what happened. Another scheduler counts from 1 again: that is another epoch."""
        if observation.snapshot.last_event < self.number:
            self.epoch, self.number = new_token()[:12], 0
            self._ring.clear()
        for event in observation.events:
            if event.number > self.number:
                self._ring.append(event)
                self.number = event.number

    def _is_known(self, after: int) -> bool:
        return 0 < after <= self.number

    def _delta(self, after: int) -> Told:
        return self._told("delta", after)

    def _snapshot(self) -> Told:
        return self._told("snapshot", self._ring[0].number - 1 if self._ring else self.number)

    def _told(self, kind: str, after: int) -> Told:
        new = [event for event in self._ring if event.number > after]
        events = new[-self._events_max :]
        return {"kind": kind, "events": events, "skipped": self.number - after - len(events)}
