"""The REST interface to what is inside clusters, and to what is there besides them; the rules are those of `handlers`."""

from http import HTTPStatus
from typing import cast

from jupyter_server.auth.decorator import authorized
from tornado import web

from jupyter_dist.errors import UsageError
from jupyter_dist.server.handlers import ClusterHandler
from jupyter_dist.server.inside import Inside
from jupyter_dist.server.models import LOG_LINES, EmptyRequest, parse
from jupyter_dist.server.part_models import PAGE_COUNT, CancelRequest, TasksRequest
from jupyter_dist.server.profiles import ProfileList

INSIDE = "jupyter_dist_inside"  # where the application's settings keep the requests to the inside of clusters


class PartHandler(ClusterHandler):
    """What these routes share."""

    @property
    def inside(self) -> Inside:
        """The inside of this user's clusters."""
        return cast("Inside", self.settings[INSIDE])

    def number(self, field: str, default: int) -> int:
        """Return a number from the query.

        Raises
        ------
        UsageError
            It is none.
        """
        text = self.get_query_argument(field, str(default))
        if not (text.isascii() and text.lstrip("-").isdigit() and len(text) <= 20):
            raise UsageError(f"field `{field}`: must be a whole number")
        return int(text)


class ProfilesHandler(PartHandler):
    """The kinds of clusters that are prepared."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List them."""
        await self.answer(self._profiles())

    async def _profiles(self) -> ProfileList:
        return ProfileList(list(self.manager.profiles))


class NotebooksHandler(PartHandler):
    """Which notebook is attached to which cluster."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List them."""
        await self.answer(self.inside.notebooks())


class WorkersHandler(PartHandler):
    """The workers of a cluster."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """List them."""
        await self.answer(self.inside.workers(name))


class OneWorkerHandler(PartHandler):
    """One worker of a cluster."""

    @web.authenticated
    @authorized
    async def delete(self, name: str, worker: str) -> None:
        """Have it leave when it has done what it runs; what only it holds goes to others."""
        await self.answer(self.inside.retire_worker(name, worker), HTTPStatus.ACCEPTED)


class WorkerRestartHandler(PartHandler):
    """A worker's restart, whatever it does."""

    @web.authenticated
    @authorized
    async def post(self, name: str, worker: str) -> None:
        """Restart it and answer when the fresh one is there."""
        await self.answer(self._restart(name, worker), HTTPStatus.NO_CONTENT)

    async def _restart(self, name: str, worker: str) -> None:
        parse(self.request.body, EmptyRequest)
        await self.inside.restart_worker(name, worker)


class WorkerLogHandler(PartHandler):
    """What a worker, the scheduler or the nanny printed."""

    @web.authenticated
    @authorized
    async def get(self, name: str, worker: str) -> None:
        """Return the last lines."""
        await self.answer(self._tail(name, worker))

    async def _tail(self, name: str, worker: str) -> object:
        return await self.inside.log(name, worker, self.number("lines", LOG_LINES))


class WorkHandler(PartHandler):
    """What a cluster works on."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Return its functions and its newest errors."""
        await self.answer(self.inside.work(name))


class TasksHandler(PartHandler):
    """The tasks of a cluster."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Return a page of them."""
        await self.answer(self._page(name))

    async def _page(self, name: str) -> object:
        return await self.inside.tasks(
            name,
            state=self.get_query_argument("state", ""),
            text=self.get_query_argument("text", ""),
            before=self.number("before", 0),
            count=self.number("count", PAGE_COUNT),
        )


class OneTaskHandler(PartHandler):
    """One task of a cluster."""

    @web.authenticated
    @authorized
    async def get(self, name: str, key: str) -> None:
        """Tell all there is to tell."""
        await self.answer(self.inside.task(name, key))


class CancelHandler(PartHandler):
    """Tasks that are given up for everybody."""

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Give them up."""
        await self.answer(self._cancel(name))

    async def _cancel(self, name: str) -> object:
        request = parse(self.request.body, CancelRequest)
        return await self.inside.cancel(name, request.keys, force=request.force)


class RetryHandler(PartHandler):
    """Erred tasks that are tried again for everybody."""

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Try them again."""
        await self.answer(self._retry(name))

    async def _retry(self, name: str) -> object:
        return await self.inside.retry(name, parse(self.request.body, TasksRequest).keys)
