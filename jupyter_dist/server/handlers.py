"""The REST interface to clusters, ``/jupyter_dist/api/v1/clusters``: who may ask, what was asked, how it failed.

Each verb is for users who are logged in (`authenticated`) and allowed to (`authorized`, resource ``jupyter_dist``: GET
is read, all others are write); cookies need the XSRF token as everywhere in Jupyter. A handler holds no state and
takes no decision: it calls the manager, and `answer` is the one place where an error becomes a status. A name in a
URL is only ever looked up in the manager's table, never made into a path. Looking is no activity of the user's, so
that an open browser tab does not keep a server from being culled.
"""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, cast

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from jupyter_dist.errors import ClusterClosedError, ClusterStateError, JupyterDistError, NoClusterError, UsageError
from jupyter_dist.server.manager import ClusterManager
from jupyter_dist.server.models import (
    ChangeRequest,
    ClusterList,
    CodeModel,
    EmptyRequest,
    ErrorModel,
    LogModel,
    StartRequest,
    UnknownPartError,
    code_for,
    parse,
)

MANAGER = "jupyter_dist_manager"  # where the application's settings keep the manager
RESOURCE = "jupyter_dist"
API = "/jupyter_dist/api/v1"
UNFORESEEN = "the server could not do this because of a fault of its own; its log has the traceback"
STATUS: tuple[tuple[type[JupyterDistError], HTTPStatus], ...] = (
    (UnknownPartError, HTTPStatus.NOT_FOUND),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (NoClusterError, HTTPStatus.NOT_FOUND),
    (ClusterStateError, HTTPStatus.CONFLICT),
    (ClusterClosedError, HTTPStatus.CONFLICT),
    (JupyterDistError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


class ClusterHandler(APIHandler):
    """What all routes share."""

    auth_resource = RESOURCE

    def initialize(self) -> None:
        """Count only what changes something as activity of the user."""
        self._track_activity = self.request.method != "GET"

    @property
    def manager(self) -> ClusterManager:
        """The clusters of this server's user."""
        return cast("ClusterManager", self.settings[MANAGER])

    @property
    def content_security_policy(self) -> str:
        """Forbid a browser to make anything of an answer that echoes a user's text."""
        return f"{super().content_security_policy}; sandbox"

    async def answer(self, doing: Awaitable[Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send what the manager returns, or its error under the status that fits."""
        try:
            model = await doing
        except JupyterDistError as error:
            status = next(status for kind, status in STATUS if isinstance(error, kind))
            model = ErrorModel(str(error))
        self.send(model, status)

    def send(self, model: object, status: HTTPStatus) -> None:
        """Send a model as JSON; None has no body."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        if model is None:
            self.finish()
        else:
            self.finish(msgspec.json.encode(model))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say in one sentence what tornado, Jupyter or a bug refused; never what an unforeseen exception says."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        status = HTTPStatus(status_code)
        is_foreseen = isinstance(error, web.HTTPError)
        self.send(ErrorModel((error.log_message or status.phrase) if is_foreseen else UNFORESEEN), status)


class ClustersHandler(ClusterHandler):
    """All clusters."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List them."""
        await self.answer(self._list())

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Start one; the answer does not wait for it."""
        await self.answer(self._start(), HTTPStatus.ACCEPTED)

    async def _list(self) -> ClusterList:
        return ClusterList(await self.manager.models())

    async def _start(self) -> object:
        return await self.manager.start(parse(self.request.body, StartRequest))


class OneClusterHandler(ClusterHandler):
    """One cluster by its name."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Describe it."""
        await self.answer(self.manager.get(name))

    @web.authenticated
    @authorized
    async def patch(self, name: str) -> None:
        """Scale it, or have it scale itself."""
        await self.answer(self._change(name))

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        """Stop it, or dismiss one that has ended."""
        await self.answer(self.manager.stop(name), HTTPStatus.NO_CONTENT)

    async def _change(self, name: str) -> object:
        return await self.manager.change(name, parse(self.request.body, ChangeRequest))


class RestartHandler(ClusterHandler):
    """A restart: every task forgotten, every worker fresh."""

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Restart and answer when the fresh workers are there."""
        await self.answer(self._restart(name))

    async def _restart(self, name: str) -> object:
        parse(self.request.body, EmptyRequest)
        return await self.manager.restart(name)


class LogHandler(ClusterHandler):
    """The end of a cluster's log."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Return the last lines."""
        await self.answer(self._tail(name))

    async def _tail(self, name: str) -> LogModel:
        return LogModel(await self.manager.log(name))


class CodeHandler(ClusterHandler):
    """The lines that use a cluster in a notebook."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Return them."""
        await self.answer(self._code(name))

    async def _code(self, name: str) -> CodeModel:
        return CodeModel(code_for((await self.manager.get(name)).name))
