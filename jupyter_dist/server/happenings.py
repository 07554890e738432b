"""What happens to clusters, told through the Jupyter server's event log, for those who record what users do.

An event has the cluster's name and id, what happened in a word, and why; never a secret, nor anything of a user's code.
"""

from typing import Any, Protocol

from jupyter_dist.server.models import ClusterModel

SCHEMA_ID = "https://events.jupyter.org/jupyter_dist/cluster/v1"
ACTIONS = ("requested", "started", "failed", "found", "scaled", "restarted", "stopped", "lost")
SCHEMA: dict[str, Any] = {
    "$id": SCHEMA_ID,
    "version": "1",
    "title": "What happens to a cluster",
    "description": "A cluster was asked for, came up, failed, was found, changed, stopped or lost.",
    "personal-data": True,
    "type": "object",
    "required": ["action", "name"],
    "properties": {
        "action": {"enum": list(ACTIONS), "description": "What happened"},
        "name": {"type": "string", "description": "The cluster's name"},
        "id": {"type": "string", "description": "Its id; empty until it runs"},
        "workers": {"type": "integer", "description": "How many workers it is to have"},
        "reason": {"type": "string", "description": "Why it failed or was lost"},
    },
}


class EventLog(Protocol):
    """What is needed of `jupyter_events.EventLogger`."""

    def register_event_schema(self, schema: dict[str, Any]) -> None:
        """Make a kind of event known."""

    def emit(self, *, schema_id: str, data: dict[str, Any]) -> Any:
        """Record an event."""


class Happenings:
    """Tells the event log of this server."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        log.register_event_schema(SCHEMA)

    def tell(self, action: str, model: ClusterModel) -> None:
        """Record what happened to a cluster."""
        data = {
            "action": action,
            "name": model.name,
            "id": model.id,
            "workers": model.wanted,
            "reason": model.reason,
        }
        self._log.emit(schema_id=SCHEMA_ID, data=data)


def ignore(_action: str, _model: ClusterModel) -> None:
    """Record nothing: there is no event log."""
