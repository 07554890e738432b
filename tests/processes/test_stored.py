import pytest

from jupyter_dist.core.worker.effects import Fetched, Inline, ReadyTask, Stored
from jupyter_dist.messages import AssignedTask, FunctionBody, InputMissing
from jupyter_dist.processes import stored
from jupyter_dist.processes.stored import StoredInputs
from jupyter_dist.storage import mapping
from jupyter_dist.storage.shared import ObjectFolder
from jupyter_dist.storage.store import ObjectStore

LARGE = [b"x" * mapping.MAPPED_BYTES_MIN * 2]


@pytest.fixture
def folders(tmp_path):
    ObjectFolder(tmp_path / "objects").make()
    return (str(tmp_path / "objects"),)


def mapped(inputs, **needed):
    found = inputs.map_inputs(needs(**needed))
    assert not isinstance(found, InputMissing)
    return found


def needs(**inputs):
    return ReadyTask(AssignedTask("k", 1, "f", b""), FunctionBody("f", "f", b""), inputs)


def test_map_inputs_replaces_only_what_is_stored(folders):
    name, _size = ObjectStore(folders).write([b"data"])
    small, there = Inline(b"s"), Fetched((b"f",))
    found = mapped(StoredInputs(folders), a=small, b=Stored(name), c=there)
    assert (found["a"], found["c"]) == (small, there)
    assert [bytes(buffer) for buffer in found["b"].buffers] == [b"data"]


def test_map_inputs_without_a_stored_one_is_what_it_was(folders):
    ready = needs(a=Inline(b"s"))
    assert StoredInputs(folders).map_inputs(ready) is ready.inputs


def test_second_task_finds_the_mapping_of_the_first(folders):
    name, _size = ObjectStore(folders).write(LARGE)
    inputs = StoredInputs(folders)
    first = mapped(inputs, a=Stored(name))["a"]
    assert mapped(inputs, b=Stored(name))["b"] is first


def test_tidy_lets_go_of_removed_objects_and_keeps_the_others(folders):
    store = ObjectStore(folders)
    inputs = StoredInputs(folders)
    kept, gone = (store.write(LARGE)[0] for _ in range(2))
    inputs.map_inputs(needs(a=Stored(kept), b=Stored(gone)))
    store.remove([gone])
    inputs.tidy()
    assert list(inputs._mapped) == [kept]


def test_mappings_are_bounded_and_the_least_used_goes_first(folders, monkeypatch):
    monkeypatch.setattr(stored, "MAPPED_MAX", 2)
    store = ObjectStore(folders)
    inputs = StoredInputs(folders)
    first, second, third = (store.write([b"x"])[0] for _ in range(3))
    for name in (first, second, first, third):
        inputs.map_inputs(needs(a=Stored(name)))
    assert list(inputs._mapped) == [first, third]
