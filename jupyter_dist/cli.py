"""The command `jupyter dist`: clusters started, seen, changed and stopped from a terminal.

What it prints is plain and aligned; ``--json`` is for programs and has a stable form. It ends with 0, or with 1 and one
sentence on standard error; a traceback is a bug. No secret is ever printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from jupyter_dist._version import __version__
from jupyter_dist.client.observer import Observer
from jupyter_dist.core.resources import parse_resources
from jupyter_dist.errors import JupyterDistError
from jupyter_dist.launch.connection_file import ClusterInfo, find_cluster, read_clusters
from jupyter_dist.launch.host import parse_bytes
from jupyter_dist.launch.local import ClusterSpec, Phase, cluster_log, start_cluster, stop_cluster
from jupyter_dist.messages import ClusterSnapshot

DEFAULT = "default"
LOG_LINES = 50


class ClusterLine(msgspec.Struct, frozen=True):
    """A cluster as ``list --json`` shows it."""

    name: str
    workers: int
    threads_per_worker: int
    host: str
    pid: int
    started_s: float
    detached: bool
    folder: str


class WorkerLine(msgspec.Struct, frozen=True):
    """A worker as ``status --json`` shows it."""

    name: str
    state: str
    pid: int
    slots: int
    running: int
    queued: int
    memory_bytes: int
    cpu_percent: float
    restarts: int
    last_death: str


class ClusterSnapshotView(msgspec.Struct, frozen=True):
    """What a cluster does, as ``status --json`` shows it."""

    wanted: int
    workers: list[WorkerLine]
    tasks: dict[str, int]
    finished: int
    erred: int
    sessions: list[str]


class Status(msgspec.Struct, frozen=True):
    """A cluster as ``status --json`` shows it."""

    cluster: ClusterLine
    snapshot: ClusterSnapshotView


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    do: Callable[[argparse.Namespace], None] = options.do
    try:
        do(options)
        sys.stdout.flush()
    except (JupyterDistError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # who reads the output has seen enough
            return 0
        print(f"jupyter dist: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("jupyter dist: interrupted", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jupyter dist", description="Clusters that run your notebooks' work.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    start = commands.add_parser("start", help="start a cluster that lives until it is stopped")
    start.add_argument(
        "-n", "--workers", type=int, default=0, metavar="N", help="worker processes (default: one a core)"
    )
    start.add_argument("--name", default=DEFAULT, help=f"what to call it (default: {DEFAULT})")
    start.add_argument("--threads", type=int, default=1, metavar="T", help="tasks a worker runs at a time (default: 1)")
    start.add_argument("--memory-limit", metavar="SIZE", help="memory of each worker, such as 2GB (default: no limit)")
    start.add_argument(
        "--resources", metavar="NAMES", help="what each worker has besides threads, such as GPU=1,memory=4e9"
    )
    start.add_argument("--idle-stop", type=float, metavar="S", help="stop after so many seconds without a user")
    start.set_defaults(do=_start)

    listing = commands.add_parser("list", help="show the clusters that run")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(do=_list)

    status = _named(commands.add_parser("status", help="show what a cluster does"))
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(do=_status)

    _named(commands.add_parser("stop", help="stop a cluster and all its work")).set_defaults(do=_stop)
    _named(commands.add_parser("restart", help="cancel all work and replace all workers")).set_defaults(do=_restart)

    scale = commands.add_parser("scale", help="change how many workers a cluster has")
    scale.add_argument("name")
    scale.add_argument("workers", type=int)
    scale.set_defaults(do=_scale)

    logs = _named(commands.add_parser("logs", help="show what a cluster's processes have printed"))
    logs.add_argument("-n", "--lines", type=int, default=LOG_LINES, help=f"lines of each (default: {LOG_LINES})")
    logs.set_defaults(do=_logs)
    return parser


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", nargs="?", default=DEFAULT, help=f"which cluster (default: {DEFAULT})")
    return parser


def _start(options: argparse.Namespace) -> None:
    spec = ClusterSpec(
        name=options.name,
        workers=options.workers,
        threads_per_worker=options.threads,
        memory_limit_bytes=parse_bytes(options.memory_limit),
        detached=True,
        idle_stop_s=options.idle_stop,
        resources=parse_resources(options.resources),
    )
    info = start_cluster(spec, on_phase=_tell_phase)
    size = f"{_count(info.workers, 'worker')} of {_count(info.threads_per_worker, 'thread')}"
    print(f"cluster {info.name!r} is up: {size}.")
    print(f"In a notebook: from jupyter_dist import Executor; executor = Executor({info.name!r})")


def _tell_phase(phase: Phase) -> None:
    print(f"{phase.elapsed_s:6.2f} s  {phase.name}", file=sys.stderr)


def _list(options: argparse.Namespace) -> None:
    clusters = read_clusters()
    if options.json:
        print(msgspec.json.encode([_line(info) for info in clusters]).decode())
        return
    if not clusters:
        print("No cluster runs. Start one with `jupyter dist start`.")
        return
    rows = [("NAME", "WORKERS", "THREADS", "HOST", "NANNY", "UP", "ENDS")]
    for info in clusters:
        ends = "when stopped or idle" if info.detached else "with its program"
        age = _duration(time.time() - info.started_s)
        rows.append((info.name, str(info.workers), str(info.threads_per_worker), info.host, str(info.pid), age, ends))
    _print_table(rows)


def _status(options: argparse.Namespace) -> None:
    info = find_cluster(options.name)
    snapshot = asyncio.run(_describe(info))
    if options.json:
        print(msgspec.json.encode(Status(_line(info), _view(snapshot))).decode())
        return
    tasks = ", ".join(f"{count} {state}" for state, count in snapshot.counts.items() if count) or "none"
    facts = [
        ("cluster", f"{info.name}, on {info.host}, up {_duration(time.time() - info.started_s)}"),
        ("workers", f"{len(snapshot.workers)} of {snapshot.wanted}"),
        ("tasks", f"{tasks}; {snapshot.finished} finished and {snapshot.erred} erred so far"),
        ("users", str(len(snapshot.sessions))),
    ]
    _print_table(facts)
    if snapshot.workers:
        print()
        _print_table(_worker_rows(snapshot))


def _worker_rows(snapshot: ClusterSnapshot) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("WORKER", "STATE", "PID", "RUNNING", "QUEUED", "MEMORY", "CPU", "RESTARTS")]
    rows += [
        (
            worker.name,
            worker.state,
            str(worker.pid),
            f"{worker.running}/{worker.slots}",
            str(worker.queued),
            f"{worker.memory_bytes / 1e6:.0f} MB",
            f"{worker.cpu_percent:.0f} %",
            str(worker.restarts),
        )
        for worker in snapshot.workers
    ]
    return rows


def _stop(options: argparse.Namespace) -> None:
    info = find_cluster(options.name)
    stop_cluster(info)
    print(f"cluster {info.name!r} is stopped.")


def _restart(options: argparse.Namespace) -> None:
    info = find_cluster(options.name)
    asyncio.run(_with_observer(info, lambda observer: observer.restart()))
    print(f"cluster {info.name!r} has fresh workers and no tasks.")


def _scale(options: argparse.Namespace) -> None:
    info = find_cluster(options.name)
    asyncio.run(_with_observer(info, lambda observer: observer.scale(options.workers)))
    print(f"cluster {info.name!r} will have {_count(options.workers, 'worker')}.")


def _logs(options: argparse.Namespace) -> None:
    info = find_cluster(options.name)
    print(cluster_log(info, options.lines))


async def _describe(info: ClusterInfo) -> ClusterSnapshot:
    async with Observer(info) as observer:
        return await observer.describe()


async def _with_observer(info: ClusterInfo, do: Callable[[Observer], Awaitable[None]]) -> None:
    async with Observer(info) as observer:
        await do(observer)


def _line(info: ClusterInfo) -> ClusterLine:
    return msgspec.convert(info, ClusterLine, from_attributes=True)


def _view(snapshot: ClusterSnapshot) -> ClusterSnapshotView:
    workers = [msgspec.convert(worker, WorkerLine, from_attributes=True) for worker in snapshot.workers]
    return ClusterSnapshotView(
        wanted=snapshot.wanted,
        workers=workers,
        tasks=snapshot.counts,
        finished=snapshot.finished,
        erred=snapshot.erred,
        sessions=list(snapshot.sessions),
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
