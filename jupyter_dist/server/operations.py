"""Every route and verb of the REST interface as one table: who answers, what comes in, what goes out.

The routes are hung up from it and the OpenAPI file is written from it, so neither can have what the other lacks.
"""

import dataclasses
from http import HTTPStatus

from jupyter_dist.server import handlers, part_handlers
from jupyter_dist.server.handlers import API, ClusterHandler
from jupyter_dist.server.models import (
    LOG_LINES_MAX,
    ChangeRequest,
    ClusterList,
    ClusterModel,
    CodeModel,
    EmptyRequest,
    LogModel,
    StartRequest,
)
from jupyter_dist.server.part_models import (
    PAGE_COUNT_MAX,
    TASK_STATES,
    CancelRequest,
    KeysModel,
    NotebookList,
    TaskDetailModel,
    TaskPageModel,
    TasksRequest,
    WorkerList,
    WorkModel,
)
from jupyter_dist.server.profiles import ProfileList

Schema = dict[str, object]
COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": PAGE_COUNT_MAX}
LINES: Schema = {"type": "integer", "minimum": 1, "maximum": LOG_LINES_MAX}
PLACE: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53}
STATE: Schema = {"type": "string", "enum": ["", *TASK_STATES]}
TEXT: Schema = {"type": "string"}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One verb of one route. ``path`` has its variables in braces; ``answer`` None is an answer without a body."""

    verb: str
    path: str
    handler: type[ClusterHandler]
    summary: str
    answer: type | None
    status: HTTPStatus = HTTPStatus.OK
    request: type | None = None
    query: tuple[tuple[str, Schema], ...] = ()


ONE = "/clusters/{name}"
WORKER = f"{ONE}/workers/{{worker}}"
TASK_QUERY = (("state", STATE), ("text", TEXT), ("before", PLACE), ("count", COUNT))

OPERATIONS = (
    Operation("get", "/profiles", part_handlers.ProfilesHandler, "The kinds of clusters there are", ProfileList),
    Operation("get", "/notebooks", part_handlers.NotebooksHandler, "Which notebook uses which cluster", NotebookList),
    Operation("get", "/clusters", handlers.ClustersHandler, "All clusters", ClusterList),
    Operation(
        "post",
        "/clusters",
        handlers.ClustersHandler,
        "Start a cluster; the answer does not wait for it",
        ClusterModel,
        HTTPStatus.ACCEPTED,
        StartRequest,
    ),
    Operation("get", ONE, handlers.OneClusterHandler, "One cluster", ClusterModel),
    Operation("patch", ONE, handlers.OneClusterHandler, "Scale a cluster", ClusterModel, HTTPStatus.OK, ChangeRequest),
    Operation("delete", ONE, handlers.OneClusterHandler, "Stop or dismiss a cluster", None, HTTPStatus.NO_CONTENT),
    Operation(
        "post",
        f"{ONE}/restart",
        handlers.RestartHandler,
        "Forget every task and replace every worker",
        ClusterModel,
        HTTPStatus.OK,
        EmptyRequest,
    ),
    Operation("get", f"{ONE}/log", handlers.LogHandler, "The end of a cluster's log", LogModel),
    Operation("get", f"{ONE}/code", handlers.CodeHandler, "The lines that use a cluster in a notebook", CodeModel),
    Operation("get", f"{ONE}/workers", part_handlers.WorkersHandler, "The workers of a cluster", WorkerList),
    Operation(
        "delete", WORKER, part_handlers.OneWorkerHandler, "Have a worker leave in order", None, HTTPStatus.ACCEPTED
    ),
    Operation(
        "post",
        f"{WORKER}/restart",
        part_handlers.WorkerRestartHandler,
        "Replace a worker at once",
        None,
        HTTPStatus.NO_CONTENT,
        EmptyRequest,
    ),
    Operation(
        "get",
        f"{WORKER}/log",
        part_handlers.WorkerLogHandler,
        "The end of what a process of a cluster printed",
        LogModel,
        query=(("lines", LINES),),
    ),
    Operation("get", f"{ONE}/work", part_handlers.WorkHandler, "Functions and newest errors", WorkModel),
    Operation(
        "get", f"{ONE}/tasks", part_handlers.TasksHandler, "Tasks, page by page", TaskPageModel, query=TASK_QUERY
    ),
    Operation("get", f"{ONE}/tasks/{{key}}", part_handlers.OneTaskHandler, "One task in full", TaskDetailModel),
    Operation(
        "post",
        f"{ONE}/cancel",
        part_handlers.CancelHandler,
        "Give tasks up for everybody",
        KeysModel,
        HTTPStatus.OK,
        CancelRequest,
    ),
    Operation(
        "post",
        f"{ONE}/retry",
        part_handlers.RetryHandler,
        "Try erred tasks again for everybody",
        KeysModel,
        HTTPStatus.OK,
        TasksRequest,
    ),
)


def pattern_of(path: str) -> str:
    """Return the route of a path: a variable is one part of a URL, whatever it says."""
    parts = ("([^/]+)" if part.startswith("{") else part for part in path.split("/"))
    return API + "/".join(parts)


ROUTES: list[tuple[str, type[ClusterHandler]]] = list(
    {pattern_of(operation.path): operation.handler for operation in OPERATIONS}.items()
)
