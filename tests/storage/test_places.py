import os
import time
from pathlib import Path

import pytest

from jupyter_dist.storage import places, room
from jupyter_dist.storage.hold import hold_folder, is_held
from tests.storage.folders import all_files


@pytest.fixture
def memory(tmp_path, monkeypatch):
    root = tmp_path / "shm"
    root.mkdir()
    monkeypatch.setattr(room, "MEMORY_ROOT", root)
    monkeypatch.setattr(room, "free_memory_bytes", lambda: 1 << 40)
    monkeypatch.setattr(places, "MEMORY_BYTES_MIN", 0)
    return root


@pytest.fixture
def cluster(tmp_path):
    folder = tmp_path / "jd-cluster"
    folder.mkdir(mode=0o700)
    return folder


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_make_folders_prefers_memory_and_has_the_disk_behind_it(memory, cluster):
    first, second = places.make_folders(cluster)
    assert Path(first).parent == memory
    assert second == str(cluster / "objects")
    assert {Path(path).stat().st_mode & 0o777 for path in (first, second)} == {0o700}


def test_make_folders_without_memory_uses_the_disk(memory, cluster, monkeypatch):
    monkeypatch.setattr(room, "MEMORY_ROOT", memory / "absent")
    assert places.make_folders(cluster) == (str(cluster / "objects"),)


def test_make_folders_leaves_a_small_memory_to_others(memory, cluster, monkeypatch):
    monkeypatch.setattr(places, "MEMORY_BYTES_MIN", 1 << 60)
    assert places.make_folders(cluster) == (str(cluster / "objects"),)
    assert all_files(memory) == []


def test_remove_memory_removes_only_that_of_its_cluster(memory, cluster, tmp_path):
    other = tmp_path / "jd-other"
    other.mkdir(mode=0o700)
    for folder in (cluster, other):
        places.make_folders(folder)
    (memory / "stranger").mkdir()
    places.remove_memory(cluster)
    places.remove_memory(cluster)
    assert all_files(memory) == [places.memory_folder(other).name, "stranger"]
    assert all_files(cluster) == ["objects"]  # goes with the cluster's folder


def test_sweep_removes_old_folders_that_nobody_holds(memory, tmp_path):
    names = ("held", "old", "young")
    clusters = [tmp_path / f"jd-{name}" for name in names]
    for folder in clusters:
        folder.mkdir(mode=0o700)
        places.make_folders(folder)
    held, old, young = (places.memory_folder(folder) for folder in clusters)
    (memory / "stranger").mkdir()
    for path in (held, old, memory / "stranger"):
        age(path, 1000)
    descriptor = places.hold_memory(clusters[0])
    assert descriptor is not None
    places.sweep()
    assert all_files(memory) == sorted([held.name, young.name, "stranger"])
    os.close(descriptor)
    places.sweep()
    assert all_files(memory) == sorted([young.name, "stranger"])


def test_hold_memory_of_a_cluster_without_one_is_no_error(memory, cluster):
    assert places.hold_memory(cluster) is None


def test_hold_folder_twice_keeps_the_first_holder(tmp_path):
    first = hold_folder(tmp_path)
    second = hold_folder(tmp_path)  # it takes no part, and does not fail
    os.close(second)
    os.close(first)


def test_folder_that_two_hold_is_held_until_both_have_let_go(tmp_path):
    first, second = hold_folder(tmp_path), hold_folder(tmp_path)
    assert is_held(tmp_path)
    os.close(first)
    assert is_held(tmp_path)
    os.close(second)
    assert not is_held(tmp_path)
