"""Which cluster an Executor means, and what its session is called."""

from __future__ import annotations

import os
import sys

from jupyter_dist.errors import NoClusterError
from jupyter_dist.launch.cluster import LocalCluster
from jupyter_dist.launch.connection_file import ClusterInfo, find_cluster

DEFAULT_NAME = "default"

Address = str | ClusterInfo | LocalCluster


def find(address: Address | None) -> ClusterInfo:
    """Return how to reach a cluster that is named, or given.

    Raises
    ------
    NoClusterError
        None of that name runs.
    TypeError
        It is no address.
    """
    if isinstance(address, ClusterInfo):
        return address
    if isinstance(address, LocalCluster):
        return address.info
    if address is None or isinstance(address, str):
        return find_cluster(address or DEFAULT_NAME)
    raise TypeError(f"an Executor connects to the name of a cluster or to a LocalCluster, not to {address!r}")


def is_running(name: str) -> bool:
    """Whether a cluster of that name runs."""
    try:
        find_cluster(name)
    except NoClusterError:
        return False
    return True


def session_kind() -> str:
    """Return what this process is to the scheduler: a notebook's kernel or a script."""
    return "kernel" if "ipykernel" in sys.modules else "script"


def session_name() -> str:
    """Return the notebook or script, as others see this session."""
    notebook = os.environ.get("JPY_SESSION_NAME", "")  # set by the Jupyter server for a notebook's kernel
    return notebook or sys.argv[0]
