"""What a process of a cluster is told when it starts. Handed down a pipe, never on a command line or in the environment.

This module imports no other of this floor: the nanny must be able to name a worker's configuration without loading it.
"""

import msgspec

from jupyter_dist.settings import Settings


class ClusterIdentity(msgspec.Struct, frozen=True):
    """Which cluster a process belongs to, and what proves it. Its repr shows no secret."""

    name: str
    cluster: str  # a fresh token: two clusters of one name are not the same cluster
    address: str  # of the scheduler, ``unix:/path``
    secret: bytes

    def __repr__(self) -> str:
        return f"<ClusterIdentity {self.name} {self.address}>"


class SchedulerConfig(msgspec.Struct, frozen=True):
    """For `jupyter_dist.processes.scheduler.main`."""

    identity: ClusterIdentity
    epoch: int
    workers: int
    detached: bool  # stop by itself after settings.idle_stop_s without a session
    folder: str  # for the journal and logs
    settings: Settings = Settings()


class WorkerConfig(msgspec.Struct, frozen=True):
    """For `jupyter_dist.processes.worker.main`."""

    identity: ClusterIdentity
    name: str
    host: str
    nanny: str
    address: str  # where it serves its results
    slots: int
    memory_bytes_max: int
    scratch: str  # an empty folder of its own; the nanny removes it
    page: str  # a file shared with the nanny: the attempts inside user code, see storage/page.py
    settings: Settings = Settings()
    objects: tuple[str, ...] = ()  # the folders of the host's object store, see storage/store.py
    resources: dict[str, float] = {}  # what it declares to have besides slots


class NannyConfig(msgspec.Struct, frozen=True):
    """For `jupyter_dist.processes.nanny.main`."""

    identity: ClusterIdentity
    host: str
    workers: int
    slots: int
    memory_bytes_max: int  # for each worker; 0: no limit
    head: bool  # this nanny keeps the scheduler as well
    detached: bool  # live without the launcher; else end when its standard input ends
    folder: str  # sockets, logs and scratch of this cluster on this host
    connection_file: str  # removed when the cluster ends
    settings: Settings = Settings()
    objects: tuple[str, ...] = ()  # the folders of the host's object store, which the nanny removes at its end
    resources: dict[str, float] = {}  # what each worker declares to have besides slots
