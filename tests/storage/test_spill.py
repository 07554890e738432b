import errno
import os

import pytest

from jupyter_dist.errors import StorageError, StorageFullError
from jupyter_dist.storage.mapping import MAPPED_BYTES_MIN
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.shared import RealSystem
from jupyter_dist.storage.spill import FOLDER_NAME, SpillFolder

NAME = f"{1:016x}"
LARGE = [b"stream", os.urandom(2 * MAPPED_BYTES_MIN)]


@pytest.mark.parametrize("buffers", [[b"small"], LARGE, [b"", b""], [b"s", bytearray(5), memoryview(b"abcdef")[::1]]])
def test_what_is_written_comes_back_as_it_was(tmp_path, buffers):
    folder = SpillFolder(tmp_path)
    folder.write(NAME, buffers)
    assert [bytes(buffer) for buffer in folder.read(NAME)] == [bytes(buffer) for buffer in buffers]
    assert all(buffer.readonly for buffer in folder.read(NAME))


def test_nothing_is_made_before_something_is_spilled(tmp_path):
    SpillFolder(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at", [-1, 65, len(LARGE[1]) // 2])
def test_damaged_file_is_never_read(tmp_path, at):
    folder = SpillFolder(tmp_path)
    folder.write(NAME, LARGE)
    path = tmp_path / FOLDER_NAME / NAME
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match=NAME):
        folder.read(NAME)


def test_whole_file_of_another_result_is_never_read(tmp_path):
    folder, other = SpillFolder(tmp_path), f"{2:016x}"
    folder.write(NAME, [b"one"])
    folder.write(other, [b"two"])
    (tmp_path / FOLDER_NAME / other).replace(tmp_path / FOLDER_NAME / NAME)
    with pytest.raises(UnreadableError, match="checksum"):
        folder.read(NAME)


@pytest.mark.parametrize("cut", [0, 3, 1000])
def test_file_that_was_cut_is_never_read(tmp_path, cut):
    folder = SpillFolder(tmp_path)
    folder.write(NAME, LARGE)
    os.truncate(tmp_path / FOLDER_NAME / NAME, cut)
    with pytest.raises(UnreadableError):
        folder.read(NAME)


def test_file_that_is_gone_is_unreadable_and_the_next_one_is_written(tmp_path):
    folder, later = SpillFolder(tmp_path), f"{2:016x}"
    folder.write(NAME, [b"one"])
    (tmp_path / FOLDER_NAME / NAME).unlink()
    (tmp_path / FOLDER_NAME).rmdir()
    with pytest.raises(UnreadableError):
        folder.read(NAME)
    folder.write(later, [b"two"])
    assert bytes(folder.read(later)[0]) == b"two"


def test_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    with pytest.raises(StorageError, match=FOLDER_NAME):
        SpillFolder(tmp_path / "gone").write(NAME, [b"one"])


def test_removed_file_stays_for_who_has_mapped_it(tmp_path):
    folder = SpillFolder(tmp_path)
    folder.write(NAME, LARGE)
    buffers = folder.read(NAME)
    folder.remove([NAME, "0" * 16])
    assert not folder.has(NAME)
    assert not list((tmp_path / FOLDER_NAME).iterdir())
    assert bytes(buffers[1]) == LARGE[1]


class Small(RealSystem):
    def free_bytes(self, folder):
        return 100


class Broken(RealSystem):
    def __init__(self, number):
        self.number = number

    def write(self, descriptor, pieces):
        os.write(descriptor, b"half")
        raise OSError(self.number, os.strerror(self.number))


def test_file_larger_than_what_is_free_is_refused_with_the_figures(tmp_path):
    with pytest.raises(StorageFullError, match=rf"2,097,\d+ bytes do not fit into .*{FOLDER_NAME}.*100 bytes are free"):
        SpillFolder(tmp_path, Small()).write(NAME, LARGE)
    assert not list((tmp_path / FOLDER_NAME).iterdir())


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [(errno.ENOSPC, StorageFullError, "do not fit"), (errno.EIO, StorageError, "Input/output error")],
)
def test_disk_that_fails_while_it_is_written_leaves_nothing(tmp_path, number, kind, words):
    folder = SpillFolder(tmp_path, Broken(number))
    with pytest.raises(kind, match=words):
        folder.write(NAME, LARGE)
    assert not list((tmp_path / FOLDER_NAME).iterdir())
    with pytest.raises(UnreadableError):
        folder.read(NAME)
