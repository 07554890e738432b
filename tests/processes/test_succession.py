"""What a dead nanny leaves: its session and its files."""

import os
import signal
import subprocess
import sys
import threading
from multiprocessing import util
from pathlib import Path

import pytest

from jupyter_dist.ids import new_secret
from jupyter_dist.processes import succession
from jupyter_dist.processes.config import ClusterIdentity, NannyConfig
from jupyter_dist.processes.folder import HostFolder
from jupyter_dist.processes.nursery import Pipes
from jupyter_dist.processes.vitals import session_members, started_s
from jupyter_dist.processes.will import Entries, Inherited, Will
from jupyter_dist.storage import places
from tests.processes.nanny_host import eventually, is_alive

LEADER = """
import os, signal, sys
for group in (False, True):
    if os.fork() == 0:
        if group:
            os.setpgid(0, 0)
        signal.pause()
print("up", flush=True)
signal.pause()
"""


@pytest.fixture
def leader():
    """A process that leads a session: one child in its group, one in a group of its own."""
    with subprocess.Popen([sys.executable, "-c", LEADER], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == b"up\n"
        eventually(lambda: len({os.getpgid(pid) for pid in session_members(process.pid)}) == 2)
        yield process
        for pid in session_members(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()


@pytest.mark.process
def test_end_of_a_session_whose_leader_is_dead_ends_all_of_it(leader, monkeypatch):
    monkeypatch.setattr(succession, "FAMILY_S", 0.2)
    leader.kill()
    leader.wait(30)
    members = session_members(leader.pid)
    assert len(members) == 2
    succession.end_session(leader.pid)
    assert not session_members(leader.pid)
    assert not any(map(is_alive, members))


@pytest.mark.process
def test_end_of_a_session_whose_leader_lives_and_is_not_the_one_that_is_meant_does_nothing(leader):
    members = session_members(leader.pid)
    succession.end_session(leader.pid, started_s(leader.pid) + 1.0)
    succession.end_session(leader.pid)
    assert session_members(leader.pid) == members


@pytest.mark.process
def test_end_of_a_session_whose_leader_is_just_dying_waits_for_that(leader, monkeypatch):
    monkeypatch.setattr(succession, "FAMILY_S", 0.5)
    since_s = started_s(leader.pid)
    killer = threading.Timer(0.1, leader.kill)
    killer.start()
    reaper = threading.Thread(target=leader.wait)
    reaper.start()
    succession.end_session(leader.pid, since_s)
    killer.join()
    reaper.join()
    assert not session_members(leader.pid)


def test_leavings_are_what_dead_processes_used_and_nothing_else(tmp_path):
    folder = HostFolder(str(tmp_path))
    folder.make()
    left = [folder.scratch("worker-0.1"), folder.page("worker-0.1"), folder.socket("worker-0.1"), tmp_path / "pymp-old"]
    kept = [folder.socket("scheduler"), folder.log("nanny"), tmp_path / "journal.sqlite", tmp_path / "objects"]
    for path in (*left, *kept):
        path.mkdir() if path.name in {"worker-0.1", "pymp-old", "objects"} else path.touch()
    assert sorted(succession.leavings(folder)) == sorted(left)
    assert Path(util.get_temp_dir()).exists()


def test_burial_removes_folder_shared_memory_and_file(tmp_path):
    root = tmp_path / "jd-01234567"
    root.mkdir()
    objects = places.make_folders(root)
    file = tmp_path / "try.json"
    file.write_text('{"cluster": "0123"}')
    config = NannyConfig(
        identity=ClusterIdentity("try", "0123", "unix:/nowhere", new_secret()),
        host="here",
        workers=1,
        slots=1,
        memory_bytes_max=0,
        head=True,
        detached=True,
        folder=str(root),
        connection_file=str(file),
        objects=objects,
    )
    will = Will(config, Entries(), pid=2**22 + 1, started_s=1.0, numbers=(0,), epoch=1, generation=0)
    succession.bury(Inherited(will, Pipes(0, 1), 1))
    assert list(tmp_path.iterdir()) == []
    assert not any(map(os.path.exists, objects))
