"""Connection files: one for each cluster of this user on this host, by name.

A file holds the cluster's secret. It is written whole, under a name of its own, and then moved into place, so nobody
ever reads half of it; its folder is 0700 and it is 0600; one that others could read or write is refused. A file whose
nanny and guardian are gone (their pids are free, or belong to processes that started at another time) is removed by
whoever sees it first, with the folder it points to. A nanny that follows another writes the file anew: whoever has kept
what was in it looks again (`refresh`).

Whoever writes or removes a file holds the lock of its name (`name_lock`).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from jupyter_core.paths import jupyter_runtime_dir

from jupyter_dist.errors import ClusterStartError, NoClusterError, UsageError
from jupyter_dist.processes.config import ClusterIdentity
from jupyter_dist.processes.listing import write_private
from jupyter_dist.processes.vitals import started_s
from jupyter_dist.storage import places
from jupyter_dist.storage.hold import is_held
from jupyter_dist.storage.name_lock import locked_name

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
SUFFIX = ".json"
FOLDER_PREFIX = "jd-"
FILE_BYTES_MAX = 64 * 1024
UNHELD_S = 60.0  # a folder so old, which nobody holds, is nobody's; a younger one may just be made
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ClusterInfo(msgspec.Struct, frozen=True):
    """How to reach a cluster, and what it was started as. Its repr shows no secret."""

    name: str
    cluster: str
    address: str
    secret: bytes
    host: str
    pid: int  # of the nanny that keeps the scheduler
    process_started_s: float  # when that process started, by the clock of `vitals.started_s`
    started_s: float  # seconds since the epoch
    workers: int
    threads_per_worker: int
    detached: bool
    folder: str
    objects: tuple[str, ...] = ()  # the folders of the host's object store
    guardian_pid: int = 0  # of the process that has the nanny followed by another when it dies; 0: there is none
    guardian_started_s: float = 0.0  # when that started

    def __repr__(self) -> str:
        return f"<ClusterInfo {self.name}: {self.workers} workers on {self.host}, nanny {self.pid}>"

    @property
    def identity(self) -> ClusterIdentity:
        """What a process needs to connect."""
        return ClusterIdentity(self.name, self.cluster, self.address, self.secret)


def check_name(name: str) -> None:
    """Raise `UsageError` when a cluster cannot be called so."""
    if not NAME.fullmatch(name) or not name.strip("."):
        raise UsageError(f"{name!r} cannot name a cluster: use 1 to 64 letters, digits, dots, dashes and underscores")


def runtime_folder() -> Path:
    """Return the folder of this user's connection files, made if need be, closed to everybody else.

    Raises
    ------
    ClusterStartError
        It cannot be made, or is not this user's.
    """
    folder = Path(jupyter_runtime_dir()) / "jupyter_dist"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
            raise ClusterStartError(f"{folder} is not your own folder: set JUPYTER_RUNTIME_DIR to one that is")
        if status.st_mode & OTHERS:
            folder.chmod(0o700)
    except OSError as error:
        raise ClusterStartError(
            f"connection files cannot be kept in {folder} ({error.strerror}): set JUPYTER_RUNTIME_DIR to a folder of yours"
        ) from None
    return folder


def connection_path(name: str) -> Path:
    """Return where the connection file of a cluster is, or would be."""
    check_name(name)
    return runtime_folder() / f"{name}{SUFFIX}"


def write_info(info: ClusterInfo) -> None:
    """Write a cluster's connection file. The caller holds the lock of the name."""
    write_private(connection_path(info.name), msgspec.json.encode(info))


def read_info(path: Path) -> ClusterInfo:
    """Read a connection file.

    Raises
    ------
    NoClusterError
        There is none, others may read or write it, or it is damaged.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NoClusterError(f"connection file {path} cannot be opened: {error.strerror}") from None
    try:
        _check_private(os.fstat(descriptor), path)
        data = os.read(descriptor, FILE_BYTES_MAX)
    finally:
        os.close(descriptor)
    try:
        return msgspec.json.decode(data, type=ClusterInfo)
    except msgspec.DecodeError:
        raise NoClusterError(f"connection file {path} is damaged: remove it and start the cluster anew") from None


def _check_private(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise NoClusterError(f"connection file {path} is not your own file: remove it")
    if status.st_mode & OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise NoClusterError(
            f"connection file {path} is open to others (mode {mode:04o}), so its secret is none any more: stop that "
            "cluster, remove the file, and start a new one"
        )


def is_live(info: ClusterInfo) -> bool:
    """Return whether a cluster lives: its nanny is there, or its guardian, who has another nanny start."""
    return is_nanny_there(info) or is_guardian_there(info)


def is_nanny_there(info: ClusterInfo) -> bool:
    """Return whether the nanny of a cluster is there."""
    return info.process_started_s != 0 and started_s(info.pid) == info.process_started_s


def is_guardian_there(info: ClusterInfo) -> bool:
    """Return whether there is a process that has another nanny start when this one dies."""
    return info.guardian_started_s != 0 and started_s(info.guardian_pid) == info.guardian_started_s


def refresh(info: ClusterInfo) -> ClusterInfo:
    """Return how a cluster is reached by now: its nanny may be another one. As it was when it is not listed any more."""
    with contextlib.suppress(NoClusterError, ClusterStartError, UsageError):
        found = read_info(connection_path(info.name))
        if found.cluster == info.cluster:
            return found
    return info


def read_clusters(on_dead: Callable[[ClusterInfo], None] | None = None) -> list[ClusterInfo]:
    """Return this user's clusters that live on this host, by name. Files of dead ones are removed.

    ``on_dead`` is told of each of these before what it left is removed.

    Files that cannot be trusted or read are passed over; `find_cluster` says what is wrong with one.
    """
    found = []
    folder = runtime_folder()
    _sweep(folder)
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with contextlib.suppress(NoClusterError):
            info = read_info(path)
            if is_live(info):
                found.append(info)
            else:
                remove_dead(path, on_dead)
    return found


def find_cluster(name: str) -> ClusterInfo:
    """Return the live cluster of this name.

    Raises
    ------
    NoClusterError
        There is none; the text says how to start one, or which others there are.
    """
    path = connection_path(name)
    if path.exists():
        info = read_info(path)
        if is_live(info):
            return info
        remove_dead(path)
    others = ", ".join(repr(info.name) for info in read_clusters())
    known = f"; running: {others}" if others else ""
    raise NoClusterError(
        f"there is no cluster {name!r}{known}. Start one with `jupyter dist start --name {name}` or `%distributed start`"
    )


def _sweep(folder: Path) -> None:
    """Remove what was left by launchers and nannies that were killed in the middle of a start or a write."""
    for path in folder.glob(".*.new"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > UNHELD_S:
                path.unlink()
    for path in folder.glob("*.lock"):
        with locked_name(path, wait_s=0):  # a free one is removed
            pass
    for path in folder.glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > UNHELD_S and not is_held(path):
                remove_folder(str(path))
    places.sweep()


def remove_dead(path: Path, on_dead: Callable[[ClusterInfo], None] | None = None) -> None:
    """Remove the connection file of a dead cluster and what it left, unless the name is being started anew."""
    with locked_name(path.with_suffix(".lock"), wait_s=0) as is_ours, contextlib.suppress(NoClusterError):
        if not is_ours:
            return
        info = read_info(path)  # again: it may be another cluster's by now
        if not is_live(info):
            if on_dead is not None:
                on_dead(info)
            path.unlink(missing_ok=True)
            remove_folder(info.folder)


def remove_folder(folder: str) -> None:
    """Remove the folders of a cluster that is gone. Only what was made as one by `make_folder` and is ours."""
    path = Path(folder)
    if not path.name.startswith(FOLDER_PREFIX):
        return
    places.remove_memory(path)
    with contextlib.suppress(OSError):
        if path.lstat().st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)
