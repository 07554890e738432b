"""What a dead nanny leaves behind, and what becomes of it.

The kernel ends its fork server, scheduler and workers with it, within milliseconds. What its tasks had started lives on
in its session and is ended here; so are those that are still there after ``FAMILY_S``. Sockets, pages and scratch
folders belong to processes that are gone, so they go as well. What the next ones need stays: the journal, the logs, and
the objects of the store, of which the next scheduler says which are still somebody's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing import util
from pathlib import Path

from jupyter_dist.processes.folder import HostFolder
from jupyter_dist.processes.listing import Listing
from jupyter_dist.processes.vitals import session_members, started_s
from jupyter_dist.processes.will import Inherited

POLL_S = 0.003
FAMILY_S = 2.0
FORK_SERVER = "pymp-*"  # multiprocessing's folder for its sockets


def end_session(leader: int, leader_started_s: float = 0.0) -> None:
    """End every process of the session of a nanny that is dead or dying, and return when they are gone.

    What is in its own group ends by itself: the fork server, and multiprocessing's tracker, which first removes the
    shared memory that tasks left. So that has some time to do so. When the nanny started tells it from another process
    that has its pid by now.
    """
    end_s = time.monotonic() + FAMILY_S
    while started_s(leader) in (0.0, leader_started_s) and (members := session_members(leader)):
        is_late = time.monotonic() >= end_s
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if is_late or os.getpgid(pid) != leader:
                    os.kill(pid, signal.SIGKILL)
        if time.monotonic() >= end_s + FAMILY_S:
            return  # it is not for us to kill, or cannot die
        time.sleep(POLL_S)


def leavings(folder: HostFolder) -> list[Path]:
    """Return what a dead nanny's processes have left in a folder, and nobody uses any more."""
    own = Path(util.get_temp_dir())
    forks = [path for path in folder.root.glob(FORK_SERVER) if path != own]
    of_workers = [path for kind in ("scratch", "pages") for path in (folder.root / kind).glob("*")]
    return [*forks, *of_workers, *folder.root.glob("worker-*.sock")]


def bury(inherited: Inherited) -> None:
    """End a cluster whose nanny is dead and will not be followed: nothing of it is left."""
    config = inherited.config
    end_session(inherited.will.pid, inherited.will.started_s)
    Listing(config.connection_file, config.identity.cluster).remove()
    HostFolder(config.folder).remove()
