"""What the operating system tells of a process, read from outside it: state, memory, processor time.

On Linux from ``/proc``, at some ten microseconds a process; elsewhere through psutil. A process that is gone is a value
here, never an exception. Nothing here needs the process's help, so a worker that holds its interpreter lock is seen.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

if sys.platform != "linux":  # it costs 30 ms to import, which a nanny on Linux does not need to spend
    import psutil

PROC = Path("/proc")
STATES = {"R": "running", "T": "stopped", "Z": "gone", "X": "gone"}  # all others are ways to sleep


class Stat(NamedTuple):
    """One look at a process. ``state`` is running, sleeping, stopped or gone; ``started_s`` is by an arbitrary clock."""

    state: str
    session: int
    cpu_s: float
    memory_bytes: int
    started_s: float


GONE = Stat("gone", 0, 0.0, 0, 0.0)


class Sample(NamedTuple):
    """A process since the last look at it."""

    state: str
    memory_bytes: int
    cpu_percent: float


class Vitals:
    """One process, looked at again and again. ``memory_bytes_peak`` is the most memory it was ever seen to have used."""

    def __init__(self, pid: int, now: float) -> None:
        self.pid = pid
        self.memory_bytes_peak = 0
        self._at_s = now
        self._cpu_s = 0.0

    def sample(self, now: float) -> Sample:
        """Look at it."""
        stat = read_stat(self.pid)
        elapsed_s = max(now - self._at_s, 1e-3)
        percent = max(0.0, 100 * (stat.cpu_s - self._cpu_s) / elapsed_s)
        self._at_s, self._cpu_s = now, stat.cpu_s
        self.memory_bytes_peak = max(self.memory_bytes_peak, stat.memory_bytes, _read_peak(self.pid))
        return Sample(stat.state, stat.memory_bytes, round(percent, 1))


def private_bytes(pid: int) -> int:
    """Return the memory only this process uses: without what it has mapped of files that others have mapped as well."""
    return _read_private(pid)


def started_s(pid: int) -> float:
    """Return when a process started, 0 when there is none (or only its unburied remains).

    With the pid it names one process: a later one that was given the same pid has started at another time. Clocks that
    are set do not change it.
    """
    stat = read_stat(pid)
    return 0.0 if stat.state == "gone" else stat.started_s


def read_oom_kills() -> int:
    """Return how many processes the system has killed for want of memory since it started; 0 when it does not say."""
    try:
        text = (PROC / "vmstat").read_text()
    except OSError:
        return 0
    _before, _name, after = text.partition("\noom_kill ")
    return int(after.split("\n", 1)[0]) if after else 0


if sys.platform == "linux":
    TICK_S = 1 / os.sysconf("SC_CLK_TCK")
    PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

    def session_members(session: int) -> list[int]:
        """Return the processes of a session: whatever a nanny, its workers and their tasks started and did not hide."""
        pids = [int(name) for name in os.listdir(PROC) if name.isdigit()]  # noqa: PTH208  # ten times as fast
        stats = ((pid, read_stat(pid)) for pid in pids)
        return [pid for pid, stat in stats if stat.session == session and stat.state != "gone"]

    def read_stat(pid: int) -> Stat:
        """Look at a process once."""
        try:
            text = _read(f"/proc/{pid}/stat")
        except OSError:
            return GONE
        fields = text.rpartition(b")")[2].split()  # the name before may hold anything
        return Stat(
            STATES.get(fields[0].decode(), "sleeping"),
            int(fields[3]),
            (int(fields[11]) + int(fields[12])) * TICK_S,
            int(fields[21]) * PAGE_BYTES,
            int(fields[19]) * TICK_S,
        )

    def _read_private(pid: int) -> int:
        try:
            _size, resident, shared, *_others = _read(f"/proc/{pid}/statm").split()
        except (OSError, ValueError):
            return 0
        return (int(resident) - int(shared)) * PAGE_BYTES

    def _read_peak(pid: int) -> int:
        try:
            text = _read(f"/proc/{pid}/status")
        except OSError:
            return 0
        _before, _name, after = text.partition(b"\nVmHWM:")
        return int(after.split(None, 1)[0]) * 1024 if after else 0

    def _read(path: str) -> bytes:
        """Read a file of /proc; an unbuffered descriptor costs a third of a file object."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 8192)
        finally:
            os.close(descriptor)

else:

    def session_members(session: int) -> list[int]:
        """Return the processes of a session: whatever a nanny, its workers and their tasks started and did not hide."""
        return [pid for pid in psutil.pids() if read_stat(pid).session == session]

    def read_stat(pid: int) -> Stat:
        """Look at a process once."""
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                memory = process.memory_info().rss
                status = process.status()
                state = {"stopped": "stopped", "zombie": "gone", "running": "running"}.get(status, "sleeping")
                return Stat(state, os.getsid(pid), times.user + times.system, memory, process.create_time())
        except (psutil.Error, OSError):
            return GONE

    def _read_private(pid: int) -> int:
        return read_stat(pid).memory_bytes

    def _read_peak(pid: int) -> int:
        return 0 * pid  # the system does not say; what was seen is what there is
