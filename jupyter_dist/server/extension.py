"""The Jupyter server extension: it makes the manager, hangs up the routes, and says when clusters are busy.

A cluster is detached and outlives this server: closing the extension closes connections, nothing else. While tasks run
the server counts as active, for its own idle shutdown (`current_activity`) and for a hub's culler
(``jupyter_dist_last_activity``).
"""

from datetime import UTC, datetime
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from traitlets import Dict, List, TraitError, validate

from jupyter_dist.errors import UsageError
from jupyter_dist.server.handlers import MANAGER
from jupyter_dist.server.happenings import Happenings, ignore
from jupyter_dist.server.hub import Hub
from jupyter_dist.server.inside import Inside
from jupyter_dist.server.manager import ClusterManager
from jupyter_dist.server.operations import ROUTES
from jupyter_dist.server.part_handlers import INSIDE
from jupyter_dist.server.profiles import parse_profiles
from jupyter_dist.server.websocket import HUB, LIMITS, FeedHandler
from jupyter_dist.server.websocket import ROUTE as FEED
from jupyter_dist.settings import load_settings

LAST_ACTIVITY = "jupyter_dist_last_activity"  # the ending is Jupyter's: it takes the latest of all such settings


class JupyterDist(ExtensionApp):
    """Clusters beside the notebooks of this server."""

    name = "jupyter_dist"
    load_other_extensions = True
    manager: ClusterManager | None = None
    hub: Hub | None = None

    profiles = List(
        Dict(),
        help="""Kinds of clusters to choose from in the dialog: each with a name, and any of label, description, workers,
        threads_per_worker, memory_limit ("4GB"), resources ({"GPU": 1}) and idle_stop_s.""",
    ).tag(config=True)

    @validate("profiles")
    def _validate_profiles(self, proposal: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            parse_profiles(proposal["value"], load_settings())
        except UsageError as error:
            raise TraitError(f"c.JupyterDist.{error}") from None
        return list(proposal["value"])

    def initialize_settings(self) -> None:
        """Make the manager."""
        settings = load_settings()
        events = None if self.serverapp is None else self.serverapp.event_logger
        self.manager = ClusterManager(
            settings,
            on_busy=self.on_busy,
            on_event=ignore if events is None else Happenings(events).tell,
            profiles=parse_profiles(self.profiles, settings),
            log=self.log,
        )
        self.settings[MANAGER] = self.manager
        self.hub = Hub(self.manager)
        self.settings[HUB] = self.hub
        self.settings[LIMITS] = settings
        self.settings[INSIDE] = Inside(self.manager, "" if self.serverapp is None else self.serverapp.root_dir)

    def initialize_handlers(self) -> None:
        """Hang up the routes."""
        self.handlers.extend([*ROUTES, (FEED, FeedHandler)])

    async def _start_jupyter_server_extension(self, _serverapp: ServerApp) -> None:
        """Look for clusters from now on."""
        if self.manager is not None:
            self.manager.open()

    async def stop_extension(self) -> None:
        """Let go of the clusters. They go on, and the next server finds them."""
        if self.hub is not None:
            await self.hub.stop()
        if self.manager is not None:
            await self.manager.close()

    def current_activity(self) -> list[str] | None:
        """Return the clusters that are starting or run tasks: with any, the server does not stop for idleness."""
        return self.manager.activity() if self.manager is not None else None

    def on_busy(self) -> None:
        """Note that a cluster runs tasks right now."""
        if self.serverapp is not None:
            self.serverapp.web_app.settings[LAST_ACTIVITY] = datetime.now(UTC)
