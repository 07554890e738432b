"""Clusters with real processes: what starts, who may have the name, and that nothing is ever left."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_dist
from jupyter_dist.errors import ClusterStartError, UsageError
from jupyter_dist.launch.connection_file import find_cluster, is_live, read_clusters
from jupyter_dist.launch.local import ClusterSpec, cluster_log, start_cluster, stop_cluster
from jupyter_dist.processes.vitals import read_stat, session_members
from jupyter_dist.settings import Settings
from jupyter_dist.storage import places
from tests.processes.nanny_host import eventually, is_alive

pytestmark = pytest.mark.process
ROOT = str(Path(jupyter_dist.__file__).parent.parent)
SPEC = ClusterSpec(name="try", workers=1)
LAUNCH = """
import os, sys, time
from jupyter_dist.launch.local import ClusterSpec, start_cluster
def stop_here(phase):
    if "pause" in sys.argv and phase.name == "scheduler up":
        os.write(1, b"in the middle\\n")
        time.sleep(600)
start_cluster(ClusterSpec(name="try", workers=1, detached=sys.argv[1] == "detached"), on_phase=stop_here)
if "fork" in sys.argv and os.fork() == 0:
    os.write(1, b"forked\\n")
    time.sleep(60)
os.write(1, b"up\\n")
if "stay" in sys.argv:
    time.sleep(60)
"""


class Launcher:
    """Another process that launches a cluster."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ROOT},
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for pid in session_members(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        self.process.stdout.close()

    def wait_up(self, lines=1):
        heard = sorted(self.process.stdout.readline() for _ in range(lines))
        assert heard[-1] == b"up\n", heard
        return find_cluster("try")


def kill_both(info):
    """Kill a nanny and its guardian, so that neither can have another follow the other."""
    os.kill(info.pid, signal.SIGSTOP)
    os.kill(info.guardian_pid, signal.SIGKILL)
    os.kill(info.pid, signal.SIGKILL)


def assert_nothing_left(info, runtime, seconds=20.0):
    eventually(lambda: not session_members(info.pid), seconds, "processes of its session live")
    eventually(lambda: not is_alive(info.pid), seconds, "the nanny lives")
    assert read_clusters() == []
    assert list(runtime.iterdir()) == []
    assert not any(Path(folder).exists() for folder in info.objects)


def test_start_then_stop_leaves_nothing(runtime):
    phases: list = []
    info = start_cluster(SPEC, on_phase=phases.append)
    assert [phase.name for phase in phases] == ["starting nanny", "scheduler up", "workers 1/1", "ready"]
    assert sorted(phase.elapsed_s for phase in phases) == [phase.elapsed_s for phase in phases]
    assert find_cluster("try") == info
    assert is_live(info)
    assert (info.workers, info.threads_per_worker, info.detached) == (1, 1, True)
    assert len(session_members(info.pid)) >= 4
    stop_cluster(info)
    assert_nothing_left(info, runtime)
    assert cluster_log(info) == ""
    stop_cluster(info)  # again: nothing to do


def test_started_processes_show_no_secret(runtime):
    info = start_cluster(SPEC)
    for pid in session_members(info.pid):
        for source in ("cmdline", "environ"):
            data = Path(f"/proc/{pid}/{source}").read_bytes()
            assert info.secret not in data
            assert info.secret.hex().encode() not in data
    folder = Path(info.folder)
    modes = {path.name: path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir(), *folder.glob("logs/*"))}
    assert not any(modes.values()), modes
    assert info.secret not in cluster_log(info).encode()
    stop_cluster(info)


def test_start_of_a_name_that_runs_is_refused_and_says_what_to_do(runtime):
    info = start_cluster(SPEC)
    with pytest.raises(ClusterStartError, match=r"'try' runs already.*jupyter dist stop try"):
        start_cluster(SPEC)
    assert is_live(info)
    stop_cluster(info)


def test_start_twice_at_once_one_wins(runtime):
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        starts = [threads.submit(start_cluster, SPEC) for _ in range(2)]
    errors = [start.exception() for start in starts]
    assert sorted(type(error).__name__ for error in errors) == ["ClusterStartError", "NoneType"]
    stop_cluster(find_cluster("try"))


def test_start_after_its_nanny_was_killed_cleans_up_first(runtime):
    info = start_cluster(SPEC)
    kill_both(info)
    eventually(lambda: not is_live(info))
    again = start_cluster(SPEC)
    assert again.cluster != info.cluster
    assert not any(Path(folder).exists() for folder in (info.folder, *info.objects))
    assert all(Path(folder).exists() for folder in again.objects)
    stop_cluster(again)
    stop_cluster(info)
    assert_nothing_left(info, runtime)


def test_start_that_takes_too_long_fails_and_leaves_nothing(runtime, monkeypatch):
    made: list[str] = []
    make_folders = places.make_folders

    def make_and_note(folder):
        made.extend(make_folders(folder))
        return tuple(made)

    monkeypatch.setattr(places, "make_folders", make_and_note)
    with pytest.raises(ClusterStartError, match=r"'try' did not come up: it was not up in time \(start_s_max\)"):
        start_cluster(SPEC, settings=Settings(start_s_max=0.02))
    assert list(runtime.iterdir()) == []
    assert made
    assert not any(Path(folder).exists() for folder in made)


def test_start_with_a_broken_interpreter_fails_with_its_words(runtime, monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho this python is broken >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(ClusterStartError, match=r"exit code is 7.*\nthis python is broken") as raised:
        start_cluster(SPEC)
    assert str(raised.value).startswith("cluster 'try' did not come up: ")
    assert list(runtime.iterdir()) == []


def test_start_when_the_interpreter_prints_something_first_is_not_confused(runtime, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('hello from your administrator')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stop_cluster(start_cluster(SPEC))


def test_start_that_is_interrupted_leaves_nothing(runtime):
    def interrupt(phase):
        if phase.name == "scheduler up":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_cluster(SPEC, on_phase=interrupt)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize(
    "spec",
    [
        ClusterSpec(name="a b"),
        ClusterSpec(workers=-1),
        ClusterSpec(workers=10**6),
        ClusterSpec(threads_per_worker=0),
        ClusterSpec(memory_limit_bytes=-1),
    ],
)
def test_start_of_what_makes_no_sense_is_refused(runtime, spec):
    with pytest.raises(UsageError):
        start_cluster(spec)


@pytest.mark.parametrize("forks", [(), ("fork",)])
def test_launcher_killed_its_cluster_goes_too(runtime, forks):
    with Launcher("tied", "stay", *forks) as launcher:
        info = launcher.wait_up(1 + len(forks))
        launcher.process.kill()
        assert_nothing_left(info, runtime)


def test_launcher_that_forgot_to_stop_its_cluster_goes_too(runtime):
    with Launcher("tied") as launcher:
        eventually(lambda: launcher.process.poll() is not None)
        eventually(lambda: list(runtime.iterdir()) == [])


def test_launcher_ended_a_detached_cluster_lives(runtime):
    with Launcher("detached") as launcher:
        info = launcher.wait_up()
        launcher.process.wait(30)
        assert is_live(info)
    assert read_stat(info.pid).session == info.pid
    stop_cluster(info)
    assert_nothing_left(info, runtime)


def test_launcher_killed_in_the_middle_of_a_start_leaves_nothing(runtime):
    with Launcher("detached", "pause") as launcher:
        assert launcher.process.stdout.readline() == b"in the middle\n"
        [folder] = runtime.glob("jd-*")
        launcher.process.kill()
        eventually(lambda: not folder.exists())
        eventually(lambda: not places.memory_folder(folder).exists())
    assert read_clusters() == []
    assert list(runtime.iterdir()) == []


def test_folder_of_a_cluster_that_lives_is_never_swept(runtime):
    info = start_cluster(SPEC)
    os.utime(info.folder, (0, 0))
    (runtime / "try.json").unlink()  # what a person may do
    assert read_clusters() == []
    assert Path(info.folder).exists()
    stop_cluster(info)
    assert_nothing_left(info, runtime)


def test_stop_when_the_nanny_does_not_listen_is_done_by_force(runtime):
    info = start_cluster(SPEC)
    os.kill(info.pid, signal.SIGSTOP)
    stop_cluster(info, timeout_s=0.3)
    assert_nothing_left(info, runtime)


def test_log_has_each_process(runtime):
    info = start_cluster(SPEC)
    text = cluster_log(info, 5)
    assert text.startswith("==> nanny <==")
    assert "worker-0 started" in text
    stop_cluster(info)
