"""A cluster's connection file as its nanny sees it: others find by it who keeps the cluster now.

The launcher writes it; a nanny that follows another, or has another guardian, writes it anew, whole, and moves it into
place. Like everybody who writes or removes one it holds the lock of the name; when somebody else does, or the disk is
full, it tries again later. A file that is gone, or is another cluster's, means that this cluster was ended by others:
it is not written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from jupyter_dist.processes.vitals import started_s
from jupyter_dist.storage.name_lock import locked_name

LOG = logging.getLogger("jupyter_dist.nanny")
FILE_BYTES_MAX = 64 * 1024


class Listing:
    """The connection file of one cluster."""

    def __init__(self, path: str, cluster: str) -> None:
        self._path = Path(path)
        self._cluster = cluster

    def renew(self, pid: int, guardian: int) -> bool | None:
        """Say who the nanny and its guardian are. None: the cluster is not listed; False: try again later."""
        try:
            return self._renew(pid, guardian)
        except OSError as error:  # a full disk
            LOG.warning("the connection file %s cannot be written anew: %s", self._path, error)
            return False

    def _renew(self, pid: int, guardian: int) -> bool | None:
        with locked_name(self._path.with_suffix(".lock"), wait_s=0) as is_ours:
            if not is_ours:
                return False
            record = self._read()
            if record is None:
                return None
            record.update(
                pid=pid,
                process_started_s=started_s(pid),
                guardian_pid=guardian,
                guardian_started_s=started_s(guardian) if guardian else 0.0,
            )
            write_private(self._path, msgspec.json.encode(record))
        return True

    def remove(self) -> None:
        """Remove it unless it is another cluster's by now, and the lock that a nanny held when it was killed."""
        with contextlib.suppress(OSError), locked_name(self._path.with_suffix(".lock"), wait_s=0):
            if self._cluster.encode() in self._path.read_bytes():
                self._path.unlink()

    def _read(self) -> dict[str, Any] | None:
        try:
            data = self._path.read_bytes()[:FILE_BYTES_MAX]
        except OSError:
            return None
        with contextlib.suppress(msgspec.DecodeError):
            record = msgspec.json.decode(data)
            if isinstance(record, dict) and record.get("cluster") == self._cluster:
                return record
        return None


def write_private(path: Path, data: bytes) -> None:
    """Write a file that nobody else may read, whole: under a name of its own, then moved into place."""
    draft = path.with_name(f".{secrets.token_hex(8)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
