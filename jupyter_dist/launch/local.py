"""Starting and stopping a cluster on this host.

A start is one process, the nanny, which is told everything down its standard input and tells its phases on its standard
output. The connection file is written when the cluster is up, and only then is a detached nanny let go: whatever goes
wrong before leaves nothing behind, also when this process is killed.

For a cluster that is not detached this process keeps the pipe open as long as it lives. The end of the pipe is the end
of the cluster, so a forked child of this process closes its copy at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import Callable

import msgspec

from jupyter_dist.core.resources import check_resources
from jupyter_dist.errors import ClusterStartError, UsageError
from jupyter_dist.ids import new_secret, new_token
from jupyter_dist.launch.connection_file import (
    ClusterInfo,
    check_name,
    connection_path,
    is_guardian_there,
    is_live,
    is_nanny_there,
    read_info,
    refresh,
    remove_dead,
    remove_folder,
    write_info,
)
from jupyter_dist.launch.host import count_cores, make_folder
from jupyter_dist.launch.nanny_process import NannyProcess
from jupyter_dist.processes.config import ClusterIdentity, NannyConfig
from jupyter_dist.processes.folder import NANNY, HostFolder, read_tail
from jupyter_dist.processes.launcher_line import READY
from jupyter_dist.processes.succession import end_session
from jupyter_dist.processes.vitals import started_s
from jupyter_dist.settings import Settings, load_settings
from jupyter_dist.storage import places
from jupyter_dist.storage.name_lock import locked_name

POLL_S = 0.005
FAILED_LINES = 40


class ClusterSpec(msgspec.Struct, frozen=True):
    """What to start. ``workers`` 0: as many as this process may use cores; ``idle_stop_s`` None: as the settings say."""

    name: str = "default"
    workers: int = 0
    threads_per_worker: int = 1
    memory_limit_bytes: int = 0  # for each worker; 0: none
    detached: bool = True
    idle_stop_s: float | None = None
    resources: dict[str, float] = {}  # what each worker declares to have besides slots


class Phase(msgspec.Struct, frozen=True):
    """How far a start is."""

    name: str
    elapsed_s: float


def start_cluster(
    spec: ClusterSpec,
    *,
    on_phase: Callable[[Phase], None] | None = None,
    settings: Settings | None = None,
) -> ClusterInfo:
    """Start a cluster and return when its processes are up.

    Parameters
    ----------
    spec : ClusterSpec
        What to start.
    on_phase : callable, optional
        Told how far it is, in this thread: ``starting nanny``, ``scheduler up``, ``workers 1/2``, ``ready``.
    settings : Settings, optional
        By default from the environment.

    Raises
    ------
    ClusterStartError
        It did not come up, or its name is taken; nothing of it is left. The first line says what happened, the others
        are the end of the log.
    UsageError
        The name or a number is out of bounds.
    """
    settings = load_settings() if settings is None else settings
    if spec.idle_stop_s is not None:
        settings = dataclasses.replace(settings, idle_stop_s=spec.idle_stop_s)
    _check(spec, settings)
    began_s = time.monotonic()

    def tell(name: str) -> None:
        if on_phase is not None:
            on_phase(Phase(name, time.monotonic() - began_s))

    path = connection_path(spec.name)
    with locked_name(path.with_suffix(".lock"), wait_s=settings.start_s_max) as is_ours:
        if not is_ours:
            raise ClusterStartError(f"cluster {spec.name!r} is still being started by another process: wait for it")
        _check_free(spec.name)
        return _start(spec, settings, tell, began_s + settings.start_s_max)


def _check(spec: ClusterSpec, settings: Settings) -> None:
    check_name(spec.name)
    if not 0 <= spec.workers <= settings.workers_max:
        raise UsageError(f"{spec.workers} workers: choose 1 to {settings.workers_max}, or 0 for one a core")
    threads = spec.threads_per_worker
    if type(threads) is not int or not 1 <= threads <= settings.threads_per_worker_max:
        raise UsageError(f"{threads!r} threads per worker: choose 1 to {settings.threads_per_worker_max}")
    if spec.memory_limit_bytes < 0:
        raise UsageError("a memory limit is a number of bytes, or 0 for none")
    check_resources(spec.resources)


def _check_free(name: str) -> None:
    """Raise when the name is taken. The caller holds its lock."""
    path = connection_path(name)
    if not path.exists():
        return
    info = read_info(path)
    if is_live(info):
        raise ClusterStartError(
            f"cluster {name!r} runs already (nanny {info.pid}): connect to it, stop it with "
            f"`jupyter dist stop {name}`, or choose another name"
        )
    path.unlink(missing_ok=True)
    remove_folder(info.folder)


def _start(spec: ClusterSpec, settings: Settings, tell: Callable[[str], None], end_s: float) -> ClusterInfo:
    tell("starting nanny")
    folder = HostFolder(str(make_folder()))
    nanny: NannyProcess | None = None
    try:
        folder.make()
        objects = places.make_folders(folder.root)
        nanny = NannyProcess(folder)
        config = _configure(spec, settings, folder, objects)
        nanny.configure(config)
        while (phase := nanny.next_phase(end_s)) != READY:
            tell(phase)
        info = _describe(config, nanny, spec.threads_per_worker)
        write_info(info)
        nanny.release(keep_line=not spec.detached)
    except BaseException as error:
        words = _abandon(nanny, folder)
        if isinstance(error, ClusterStartError | OSError):
            text = f"cluster {spec.name!r} did not come up: {error}{words}"
            raise ClusterStartError(text) from None
        raise
    tell(READY)
    return info


def _configure(spec: ClusterSpec, settings: Settings, folder: HostFolder, objects: tuple[str, ...]) -> NannyConfig:
    identity = ClusterIdentity(
        name=spec.name, cluster=new_token(), address=f"unix:{folder.socket('scheduler')}", secret=new_secret()
    )
    return NannyConfig(
        identity=identity,
        host=socket.gethostname(),
        workers=spec.workers or count_cores(),
        slots=spec.threads_per_worker,
        memory_bytes_max=spec.memory_limit_bytes,
        head=True,
        detached=spec.detached,
        folder=str(folder.root),
        connection_file=str(connection_path(spec.name)),
        settings=settings,
        objects=objects,
        resources=spec.resources,
    )


def _describe(config: NannyConfig, nanny: NannyProcess, threads_per_worker: int) -> ClusterInfo:
    return ClusterInfo(
        name=config.identity.name,
        cluster=config.identity.cluster,
        address=config.identity.address,
        secret=config.identity.secret,
        host=config.host,
        pid=nanny.pid,
        process_started_s=started_s(nanny.pid),
        started_s=time.time(),
        workers=config.workers,
        threads_per_worker=threads_per_worker,
        detached=config.detached,
        folder=config.folder,
        objects=config.objects,
        guardian_pid=nanny.guardian_pid,
        guardian_started_s=started_s(nanny.guardian_pid) if nanny.guardian_pid else 0.0,
    )


def _abandon(nanny: NannyProcess | None, folder: HostFolder) -> str:
    """End a start that failed, remove what it left, and return what its log says about it."""
    words = ""
    if nanny is not None:
        code = nanny.end()
        end_session(nanny.pid)  # just buried: nobody else can have its pid yet
        tail = nanny.failure_log or read_tail(folder.log(NANNY), FAILED_LINES)
        words = f" (the nanny's exit code is {code})\n{tail}" if tail else f" (the nanny's exit code is {code})"
    folder.remove()
    return words


def stop_cluster(info: ClusterInfo, *, timeout_s: float = 5.0) -> None:
    """Stop a cluster in order, then by force what is left after ``timeout_s``. Returns when nothing of it is left.

    A nanny that dies just then may be followed by another, which is asked as well.
    """
    end_s = time.monotonic() + timeout_s
    asked = 0
    while is_live(info := refresh(info)) and time.monotonic() < end_s:
        if is_nanny_there(info) and asked != info.pid:
            _signal_nanny(info, signal.SIGTERM)
            asked = info.pid
        time.sleep(POLL_S)
    if is_live(info):
        info = _kill(info, time.monotonic() + timeout_s)
    if asked or NannyProcess.is_unburied(info.pid):  # else the pid may mean another session by now
        end_session(info.pid, info.process_started_s)
    NannyProcess.forget_ended()
    path = connection_path(info.name)
    if path.exists():
        remove_dead(path)
    remove_folder(info.folder)


def _kill(info: ClusterInfo, end_s: float) -> ClusterInfo:
    """Kill the guardian, then the nanny there is when nobody can follow it; return how the cluster was last listed."""
    if is_guardian_there(info):
        _signal(info.guardian_pid, lambda: is_guardian_there(info), signal.SIGKILL)
        _wait_until(lambda: not is_guardian_there(info), end_s)
    info = refresh(info)
    if is_guardian_there(info) and time.monotonic() < end_s:  # another one, which the nanny started
        return _kill(info, end_s)
    _signal_nanny(info, signal.SIGKILL)
    _wait_until(lambda: not is_live(info), end_s)
    return info


def _signal_nanny(info: ClusterInfo, number: signal.Signals) -> None:
    _signal(info.pid, lambda: is_nanny_there(info), number)


def _signal(pid: int, is_there: Callable[[], bool], number: signal.Signals) -> None:
    """Send a signal to this very process, not to one that has its pid by now."""
    with contextlib.suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            if is_there():
                os.kill(pid, number)
            return
        process = os.pidfd_open(pid)
        try:
            if is_there():
                signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)


def _wait_until(is_done: Callable[[], bool], end_s: float) -> None:
    while not is_done() and time.monotonic() < end_s:
        time.sleep(POLL_S)


def cluster_log(info: ClusterInfo, lines: int = 200) -> str:
    """Return the last lines of each log of a cluster, the nanny's first; empty when it is gone."""
    folder = HostFolder(info.folder)
    logs = sorted(folder.log(NANNY).parent.glob("*.log"), key=lambda path: (path.stem != NANNY, path.stem))
    parts = [(path.stem, read_tail(path, lines)) for path in logs]
    return "\n".join(f"==> {name} <==\n{text}" for name, text in parts if text)


def process_log(info: ClusterInfo, name: str, lines: int = 200) -> str | None:
    """Return the last lines that a process of a cluster printed, by its name; None when it has no log.

    A name is looked up among the logs there are, never made into a path.
    """
    logs = {path.stem: path for path in HostFolder(info.folder).log(NANNY).parent.glob("*.log")}
    return read_tail(logs[name], lines) if name in logs else None
