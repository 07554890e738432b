import errno
import os
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_dist.errors import StorageError, StorageFullError
from jupyter_dist.storage import draft, mapping
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.shared import ObjectFolder
from tests.storage.folders import NAME, SmallSystem, all_files, contents

BUFFERS = st.lists(st.binary(max_size=300), min_size=1, max_size=600)
LARGE = mapping.MAPPED_BYTES_MIN * 2

WRITE_AND_DIE = """
import os, signal, sys
from jupyter_dist.storage.shared import ObjectFolder, RealSystem
class Dying(RealSystem):
    def write(self, descriptor, pieces):
        super().write(descriptor, pieces)
        os.kill(os.getpid(), signal.SIGKILL)
ObjectFolder(sys.argv[1], Dying()).write("0123456789abcdef", [b"x" * 1000])
"""


@pytest.fixture
def folder(tmp_path):
    folder = ObjectFolder(tmp_path / "objects")
    folder.make()
    return folder


@pytest.fixture(params=["nameless", "named"])
def any_draft(request, monkeypatch):
    """Files without a name, and a system that has none."""
    if request.param == "named":
        monkeypatch.setattr(draft, "DESCRIPTORS", draft.DESCRIPTORS / "nothing")


@given(BUFFERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_write_of_any_buffers_is_read_again(tmp_path, buffers):
    folder = ObjectFolder(tmp_path / "objects")
    folder.make()
    folder.write(NAME, buffers)
    assert contents(folder.read(NAME)) == buffers
    folder.remove(NAME)


@given(BUFFERS, st.integers(1, 500))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_write_that_the_system_takes_in_small_portions_is_whole(tmp_path, buffers, portion):
    folder = ObjectFolder(tmp_path / "objects", SmallSystem(1 << 40, portion=portion))
    folder.make()
    size = folder.write(NAME, buffers)
    assert (folder.path / NAME).stat().st_size == size
    assert contents(folder.read(NAME)) == buffers
    folder.remove(NAME)


@pytest.mark.usefixtures("any_draft")
def test_write_leaves_one_file_that_only_its_owner_can_read(folder):
    folder.write(NAME, [b"a", b"b"])
    assert folder.names() == all_files(folder.path) == [NAME]
    assert stat.S_IMODE((folder.path / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


@pytest.mark.usefixtures("any_draft")
def test_write_of_a_name_that_exists_changes_nothing(folder):
    folder.write(NAME, [b"first"])
    with pytest.raises(StorageError, match="File exists"):
        folder.write(NAME, [b"second"])
    assert contents(folder.read(NAME)) == [b"first"]
    assert all_files(folder.path) == [NAME]


@pytest.mark.usefixtures("any_draft")
@pytest.mark.parametrize("room", [0, 1, 100, 65_000])
def test_write_without_room_tells_size_and_free_space_and_leaves_nothing(tmp_path, room):
    folder = ObjectFolder(tmp_path / "objects", SmallSystem(room, says=12_345))
    folder.make()
    with pytest.raises(StorageFullError, match=r"100,128 bytes do not fit.*12,345 bytes are free"):
        folder.write(NAME, [b"stream", b"x" * 100_000])
    assert all_files(folder.path) == []
    assert folder.names() == []


def test_write_that_fails_otherwise_is_a_storage_error_and_leaves_nothing(tmp_path):
    class Broken(SmallSystem):
        def write(self, descriptor, pieces):
            raise OSError(errno.EIO, "Input/output error")

    folder = ObjectFolder(tmp_path / "objects", Broken(0))
    folder.make()
    with pytest.raises(StorageError, match="Input/output error"):
        folder.write(NAME, [b"x"])
    assert all_files(folder.path) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no nameless files")
def test_death_of_a_writer_leaves_nothing(folder):
    ended = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(folder.path)], check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr
    assert all_files(folder.path) == []


def test_read_of_a_large_object_is_mapped_read_only_and_shared(folder):
    folder.write(NAME, [b"stream", b"x" * LARGE])
    buffers = folder.read(NAME)
    assert [buffer.readonly for buffer in buffers] == [True, True]
    assert len(mapping._mappings) == 1 or sys.version_info >= (3, 13)
    del buffers
    assert not mapping._mappings


@pytest.mark.parametrize("size", [1, LARGE])
def test_read_buffers_outlive_the_file(folder, size):
    folder.write(NAME, [b"x" * size])
    buffers = folder.read(NAME)
    assert folder.remove(NAME)
    assert contents(buffers) == [b"x" * size]
    assert not folder.remove(NAME)


def test_read_of_more_than_may_be_mapped_is_copied_and_read_only(folder, monkeypatch):
    monkeypatch.setattr(mapping, "MAPPINGS_MAX", 1)
    monkeypatch.setattr(sys, "version_info", (3, 11))
    folder.write(NAME, [b"x" * LARGE])
    first, second = folder.read(NAME), folder.read(NAME)
    assert len(mapping._mappings) == 1
    assert contents(first) == contents(second)
    assert second[0].readonly


@pytest.mark.parametrize("name", ["", "x", "../../etc/passwd", "0123456789ABCDEF", NAME + "/..", NAME * 5, "." + NAME])
def test_strange_names_are_nowhere_and_write_nothing(folder, name):
    with pytest.raises(UnreadableError, match="name"):
        folder.read(name)
    with pytest.raises(ValueError, match="cannot name"):
        folder.write(name, [b"x"])
    assert not folder.has(name)
    assert not folder.remove(name)


def test_read_of_what_is_not_there_is_unreadable(folder):
    with pytest.raises(UnreadableError, match=f"{NAME}: No such file"):
        folder.read(NAME)
    folder.remove_all()
    with pytest.raises(UnreadableError, match="No such file"):
        folder.read(NAME)


def damage_cut(path):
    os.truncate(path, path.stat().st_size - 1)


def damage_longer(path):
    os.truncate(path, path.stat().st_size + 1)


def damage_empty(path):
    os.truncate(path, 0)


def damage_magic(path):
    with path.open("r+b") as file:
        file.write(b"other")


def damage_count(path):
    with path.open("r+b") as file:
        file.seek(8)
        file.write(b"\xff" * 8)


def damage_link(path):
    path.rename(path.with_name("target"))
    path.symlink_to("target")


def damage_pipe(path):
    path.unlink()
    os.mkfifo(path)


def damage_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        damage_cut,
        damage_longer,
        damage_empty,
        damage_magic,
        damage_count,
        damage_link,
        damage_pipe,
        damage_folder,
    ],
)
def test_read_of_a_damaged_object_is_unreadable(folder, damage):
    folder.write(NAME, [b"stream", b"x" * 1000])
    damage(folder.path / NAME)
    with pytest.raises(UnreadableError, match=NAME):
        folder.read(NAME)


def test_read_without_descriptors_is_not_the_objects_fault(folder, monkeypatch):
    def fail(*_args, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    folder.write(NAME, [b"x"])
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Too many open files"):
        folder.read(NAME)


def test_folder_that_others_may_enter_is_not_used(folder):
    folder.write(NAME, [b"x"])
    folder.path.chmod(0o755)
    with pytest.raises(StorageError, match="not your own folder"):
        folder.write(NAME[::-1], [b"x"])
    with pytest.raises(StorageError, match="not your own folder"):
        folder.make()
    with pytest.raises(UnreadableError, match="not your own folder"):
        folder.read(NAME)
    assert not folder.remove(NAME)


def test_folder_that_is_a_link_is_not_used(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o700)
    (tmp_path / "objects").symlink_to("theirs")
    folder = ObjectFolder(tmp_path / "objects")
    with pytest.raises(StorageError):
        folder.write(NAME, [b"x"])
    assert all_files(tmp_path / "theirs") == []


def test_write_after_the_folder_was_removed_does_not_bring_it_back(folder):
    folder.write(NAME, [b"x"])
    folder.remove_all()
    folder.remove_all()
    assert folder.names() == []
    with pytest.raises(StorageError, match="No such file"):
        folder.write(NAME, [b"y"])
    assert not folder.path.exists()


def test_make_where_no_folder_can_be_is_a_storage_error(tmp_path):
    folder = ObjectFolder(tmp_path / "nothing" / "objects")
    assert folder.free_bytes() == 0
    with pytest.raises(StorageError, match="cannot be made"):
        folder.make()


def test_write_from_several_threads_keeps_objects_apart(folder):
    def write(number):
        for index in range(20):
            folder.write(f"{number:08x}{index:08x}", [bytes([number]) * 10_000])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folder.names()) == 80
    assert all(contents(folder.read(name)) == [bytes([int(name[:8], 16)]) * 10_000] for name in folder.names())


def test_sparse_object_beyond_four_gibibytes_is_mapped_where_the_head_says(folder):
    """No memory is used: the file has a hole where the second buffer would be."""
    folder.write(NAME, [b"stream", b""])
    huge = 2**32 + 5
    path = folder.path / NAME
    with path.open("r+b") as file:
        file.seek(24)
        file.write(huge.to_bytes(8, "little"))
        file.truncate(128 + huge)
        file.seek(128 + huge - 3)
        file.write(b"end")
    stream, data = folder.read(NAME)
    assert (bytes(stream), data.nbytes, bytes(data[-4:])) == (b"stream", huge, b"\0end")
