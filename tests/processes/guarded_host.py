"""A detached nanny with a guardian, as a launcher starts it; its children are stubs."""

import contextlib
import os
import signal
import threading

import msgspec

from jupyter_dist.processes.launcher_line import RELEASE
from jupyter_dist.processes.succession import end_session
from jupyter_dist.processes.vitals import session_members, started_s
from tests.processes.nanny_host import NannyHost, eventually, is_alive


class GuardedHost(NannyHost):
    """A context; whoever is the nanny and its guardian at its end is ended with all they have."""

    def __init__(self, **options):
        super().__init__(detached=True, **options)
        self.connection_file.unlink()

    def __exit__(self, *error):
        for _ in range(20):
            nannies = {self.pid, self.listed("pid")} - {0}
            for pid in nannies:
                kill(pid, signal.SIGSTOP)
            kill(self.listed("guardian_pid") or self.first_guardian(), signal.SIGKILL)
            for pid in nannies:
                kill(pid, signal.SIGKILL)
                eventually(lambda pid=pid: not is_alive(pid))
                end_session(pid)
            if not self.listed("pid") or not is_alive(self.listed("pid")):
                break
        super().__exit__(*error)

    def launch(self):
        """Wait until it is up, write the connection file, and let it go."""
        while (progress := self.progress()).phase != "ready":
            assert not progress.error, progress
        names: dict[str, object] = {"name": "try", "cluster": self.identity.cluster, "secret": "none", "other": [1]}
        names |= {"pid": self.pid, "process_started_s": started_s(self.pid)}
        names |= {"guardian_pid": progress.guardian, "guardian_started_s": started_s(progress.guardian)}
        self.connection_file.write_bytes(msgspec.json.encode(names))
        self.process.stdin.write(RELEASE)
        self.process.stdin.close()
        # as init would, if this process did not live: its nanny is buried at once
        threading.Thread(target=self.process.wait, daemon=True).start()
        return self

    def listed(self, name):
        """Return what the connection file says; 0 when there is none."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(self.connection_file.read_bytes())[name]
        return 0

    def first_guardian(self):
        """Return the guardian that the first nanny started first."""
        with contextlib.suppress(OSError, IndexError):
            return int(self.log("nanny").partition("guardian started, pid ")[2].split()[0])
        return 0

    def kill(self, name):
        """Kill the nanny (``pid``) or the guardian (``guardian_pid``), and return the process that follows."""
        dead = self.listed(name)
        kill(dead, signal.SIGKILL)
        return eventually(lambda: self.listed(name) not in (0, dead) and self.listed(name), words=f"no other {name}")

    def kill_both(self):
        """Kill nanny and guardian before either can follow the other."""
        nanny, guardian = self.listed("pid"), self.listed("guardian_pid")
        kill(nanny, signal.SIGSTOP)
        kill(guardian, signal.SIGKILL)
        kill(nanny, signal.SIGKILL)
        return nanny, guardian

    def wait_workers(self, names):
        """Wait until these workers, and no others, serve their sockets under the nanny there is."""

        def serve():
            sockets = {path.name.partition(".")[0] for path in self.folder.glob("worker-*.sock")}
            return sockets == set(names)

        eventually(serve, words=f"not {names}: {[path.name for path in self.folder.glob('*.sock')]}")

    def assert_gone(self, *pids):
        """Fail unless the cluster ends: no process, no folder, no file."""
        for pid in pids:
            eventually(lambda pid=pid: not is_alive(pid), words=f"{pid} lives")
            eventually(lambda pid=pid: not session_members(pid), words=f"processes of the session of {pid} live")
        eventually(lambda: not self.folder.exists(), words="the folder is there")
        assert not any(map(os.path.exists, self.objects))
        assert not self.connection_file.exists()


def kill(pid, number):
    """Send a signal to a process that may be gone."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
