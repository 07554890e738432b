import os
import stat
import subprocess
import sys

import msgspec
import pytest

from jupyter_dist.errors import ClusterStartError, NoClusterError, UsageError
from jupyter_dist.launch.connection_file import (
    ClusterInfo,
    connection_path,
    find_cluster,
    is_guardian_there,
    is_live,
    is_nanny_there,
    read_clusters,
    read_info,
    refresh,
    remove_folder,
    runtime_folder,
    write_info,
)
from jupyter_dist.launch.host import make_folder
from jupyter_dist.processes.vitals import started_s
from jupyter_dist.storage.hold import hold_folder
from jupyter_dist.storage.name_lock import locked_name

SECRET = b"this-is-the-secret-of-a-cluster!"


def make_info(name="try", pid=None, process_started_s=None, folder="/nowhere"):
    """Return the description of a cluster whose nanny is this process, so that it lives."""
    pid = os.getpid() if pid is None else pid
    return ClusterInfo(
        name=name,
        cluster="0123456789abcdef",
        address="unix:/nowhere/scheduler.sock",
        secret=SECRET,
        host="here",
        pid=pid,
        process_started_s=started_s(pid) if process_started_s is None else process_started_s,
        started_s=1_700_000_000.0,
        workers=2,
        threads_per_worker=1,
        detached=True,
        folder=folder,
    )


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_write_then_find_is_the_same_and_closed_to_others(runtime):
    info = make_info()
    write_info(info)
    assert find_cluster("try") == info
    assert read_clusters() == [info]
    assert mode_of(runtime / "try.json") == 0o600
    assert mode_of(runtime) == 0o700
    assert [path.name for path in runtime.iterdir()] == ["try.json"]


def test_write_over_an_open_folder_closes_it(runtime):
    runtime.mkdir(mode=0o777)
    assert mode_of(runtime_folder()) == 0o700


def test_write_that_fails_leaves_no_draft(runtime):
    (runtime_folder() / "try.json").mkdir()
    with pytest.raises(OSError, match=r"try\.json"):
        write_info(make_info())
    assert [path.name for path in runtime.iterdir()] == ["try.json"]


def test_repr_shows_no_secret():
    info = make_info()
    for text in (repr(info), str(info), repr(info.identity), f"{[info]}"):
        assert "secret" not in text


@pytest.mark.parametrize("pid", ["ended", "reused"])
def test_find_when_the_nanny_is_gone_removes_the_file_and_the_folder(runtime, pid):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    folder = make_folder()
    (folder / "scheduler.sock").touch()
    pid, process_started_s = (process.pid, 12.5) if pid == "ended" else (os.getpid(), 12.5)
    info = make_info(pid=pid, process_started_s=process_started_s, folder=str(folder))
    assert not is_live(info)
    write_info(info)
    with pytest.raises(NoClusterError, match=r"there is no cluster 'try'.*jupyter dist start --name try"):
        find_cluster("try")
    assert list(runtime.iterdir()) == []
    write_info(info)
    dead: list[ClusterInfo] = []
    assert read_clusters(dead.append) == []
    assert (dead, list(runtime.iterdir())) == ([info], [])


def test_nanny_that_is_gone_beside_a_guardian_that_is_there_is_a_cluster_that_lives(runtime):
    own = {"guardian_pid": os.getpid(), "guardian_started_s": started_s(os.getpid())}
    info = msgspec.structs.replace(make_info(process_started_s=12.5), **own)
    assert is_live(info)
    assert not is_nanny_there(info)
    assert is_guardian_there(info)
    write_info(info)
    assert find_cluster("try") == info
    assert read_clusters() == [info]
    dead = msgspec.structs.replace(info, guardian_started_s=12.5)
    assert not is_live(dead)


def test_look_removes_a_draft_whose_writer_was_killed(runtime):
    write_info(make_info())
    old, young = runtime / ".0123.new", runtime / ".4567.new"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    assert [info.name for info in read_clusters()] == ["try"]
    assert (old.exists(), young.exists()) == (False, True)
    young.unlink()


def test_refresh_finds_who_keeps_the_cluster_now_and_never_another_cluster(runtime):
    old = make_info(process_started_s=12.5)
    assert refresh(old) is old  # it is not listed
    now = msgspec.structs.replace(old, pid=4711)
    write_info(now)
    assert refresh(old) == now
    write_info(msgspec.structs.replace(now, cluster="another"))
    assert refresh(old) is old


def test_find_a_dead_one_whose_name_is_being_started_leaves_its_file(runtime):
    write_info(make_info(process_started_s=12.5))
    with locked_name(connection_path("try").with_suffix(".lock"), wait_s=0) as is_ours:
        assert is_ours
        assert read_clusters() == []
        assert (runtime / "try.json").exists()
    assert read_clusters() == []
    assert not (runtime / "try.json").exists()


def test_find_another_name_tells_which_there_are(runtime):
    write_info(make_info("mine"))
    with pytest.raises(NoClusterError, match="there is no cluster 'default'; running: 'mine'"):
        find_cluster("default")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o604])
def test_read_a_file_open_to_others_is_refused(runtime, mode):
    write_info(make_info())
    path = runtime / "try.json"
    path.chmod(mode)
    with pytest.raises(NoClusterError, match=f"open to others \\(mode {mode:04o}\\)"):
        find_cluster("try")
    assert read_clusters() == []
    assert path.exists()


def test_read_through_a_link_is_refused(runtime):
    write_info(make_info())
    (runtime / "other.json").symlink_to(runtime / "try.json")
    with pytest.raises(NoClusterError, match="cannot be opened"):
        find_cluster("other")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_read_what_is_no_file_is_refused(runtime, make):
    make(runtime_folder() / "try.json")
    with pytest.raises(NoClusterError, match="not your own file"):
        find_cluster("try")
    assert read_clusters() == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff" * 100, b"{" * 100_000, b'{"name": "try"}'])
def test_read_a_damaged_file_says_what_to_do(runtime, data):
    path = runtime_folder() / "try.json"
    path.touch(0o600)
    path.write_bytes(data)
    with pytest.raises(NoClusterError, match="damaged: remove it"):
        read_info(path)
    assert read_clusters() == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a b", "a\n", "ä", "x" * 65, "a\0", "~"])
def test_name_that_is_none_is_refused(runtime, name):
    with pytest.raises(UsageError, match="cannot name a cluster"):
        connection_path(name)


@pytest.mark.parametrize("name", ["default", "a", "A.b-c_9", "x" * 64, ".hidden"])
def test_name_that_is_one_is_taken(runtime, name):
    write_info(make_info(name))
    assert find_cluster(name).name == name


def test_runtime_folder_that_cannot_be_made_says_what_to_set(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(ClusterStartError, match="set JUPYTER_RUNTIME_DIR"):
        runtime_folder()


def test_remove_folder_touches_nothing_that_was_not_made_as_one(tmp_path):
    (tmp_path / "home").mkdir()
    remove_folder(str(tmp_path / "home"))
    remove_folder(str(tmp_path / "jd-nowhere"))
    assert (tmp_path / "home").exists()


def test_file_holds_what_the_record_says(runtime):
    write_info(make_info())
    fields = msgspec.json.decode((runtime / "try.json").read_bytes())
    assert list(fields) == list(ClusterInfo.__struct_fields__)


def test_read_sweeps_what_killed_launchers_left(runtime):
    old, young, held = make_folder(), make_folder(), make_folder()
    for folder in (old, held):
        (folder / "logs").mkdir()
        os.utime(folder, (0, 0))
    (runtime / "try.lock").touch()
    hold = hold_folder(held)
    try:
        assert read_clusters() == []
        assert set(runtime.iterdir()) == {young, held}
    finally:
        os.close(hold)
    assert read_clusters() == []
    assert list(runtime.iterdir()) == [young]
