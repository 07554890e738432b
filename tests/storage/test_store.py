import pytest

from jupyter_dist.errors import StorageError, StorageFullError
from jupyter_dist.storage.object_file import UnreadableError
from jupyter_dist.storage.store import ObjectStore
from tests.storage.folders import NAME, SmallSystem, all_files, contents

DATA = [b"stream", b"x" * 10_000]


class TwoRooms(SmallSystem):
    """The first folder claims to have so much room, the second the rest of the world."""

    def __init__(self, first, second=1 << 40):
        super().__init__(1 << 40)
        self.rooms = {"first": first, "second": second}

    def free_bytes(self, folder):
        return self.rooms[folder.name]


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / "first", tmp_path / "second"]
    for path in found:
        path.mkdir(mode=0o700)
    return [str(path) for path in found]


def test_write_goes_to_the_first_folder_that_has_room(paths):
    store = ObjectStore(paths)
    name, size = store.write(DATA)
    assert all_files(paths[0]) == [name] == store.names()
    assert size > 10_000
    assert contents(store.read(name)) == DATA
    store.remove([NAME, name])
    assert store.names() == []


def test_write_that_does_not_fit_into_the_first_goes_to_the_second(paths):
    store = ObjectStore(paths, TwoRooms(9_999))
    name, _size = store.write(DATA)
    assert (all_files(paths[0]), all_files(paths[1])) == ([], [name])
    assert contents(store.read(name)) == DATA
    assert store.has(name)
    store.remove([name])
    assert not store.has(name)


def test_write_that_finds_the_first_full_only_when_writing_goes_to_the_second(paths):
    store = ObjectStore(paths)
    store.folders[0]._system = SmallSystem(5_000)
    name, _size = store.write(DATA)
    assert (all_files(paths[0]), all_files(paths[1])) == ([], [name])


def test_write_that_fits_nowhere_tells_the_room_of_each(paths):
    store = ObjectStore(paths, TwoRooms(1, 2))
    with pytest.raises(StorageFullError, match=r"10,128 bytes.*first.* 1 bytes are free.*second.* 2 bytes are free"):
        store.write(DATA)
    assert store.names() == []


def test_store_without_a_folder_refuses_in_words():
    with pytest.raises(StorageError, match="no object store"):
        ObjectStore(()).write(DATA)
    with pytest.raises(UnreadableError, match="no object store"):
        ObjectStore(()).read(NAME)
    ObjectStore(()).remove([NAME])


def test_read_of_what_is_nowhere_is_unreadable(paths):
    with pytest.raises(UnreadableError, match=NAME):
        ObjectStore(paths).read(NAME)
