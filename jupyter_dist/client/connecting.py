"""Which cluster an Executor means, and what its session is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jupyter_dist.errors import NoClusterError
from jupyter_dist.launch.cluster import LocalCluster
from jupyter_dist.launch.connection_file import ClusterInfo, find_cluster

DEFAULT_NAME = "default"
KERNEL_FILE = frozenset({"-f", "--f"})  # how a kernel is told its connection file

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
    """Return the notebook, kernel or script, as others see this session. A restart of a kernel does not change it."""
    notebook = os.environ.get("JPY_SESSION_NAME", "")  # set by the Jupyter server for a notebook's kernel
    if notebook or session_kind() != "kernel":
        return notebook or sys.argv[0]
    return kernel_name(sys.argv) or sys.argv[0]


def kernel_name(argv: Sequence[str]) -> str:
    """Return the name of the connection file that a kernel was started with, which is its own; empty without one."""
    for index, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag in KERNEL_FILE:
            value = value if equals else next(iter(argv[index + 1 :]), "")
            return Path(value).stem
    return ""
