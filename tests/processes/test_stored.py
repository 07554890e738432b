import pytest

from jupyter_dist.core.worker.effects import Fetched, Inline, ReadyTask, Spilled, Stored
from jupyter_dist.messages import AssignedTask, FunctionBody, InputMissing
from jupyter_dist.processes import stored
from jupyter_dist.processes.stored import StoredInputs
from jupyter_dist.storage import mapping
from jupyter_dist.storage.shared import ObjectFolder
from jupyter_dist.storage.spill import SpillFolder
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


NAME = f"{1:016x}"


def test_spilled_input_is_mapped_once_and_let_go_when_its_file_is_removed(tmp_path):
    spilled = SpillFolder(tmp_path)
    spilled.write(NAME, LARGE)
    inputs = StoredInputs((), spilled)
    first = mapped(inputs, a=Spilled(NAME, 1, 1))["a"]
    assert [bytes(buffer) for buffer in first.buffers] == LARGE
    assert mapped(inputs, b=Spilled(NAME, 1, 1))["b"] is first
    inputs.tidy()
    assert list(inputs._mapped) == [NAME]
    spilled.remove([NAME])
    inputs.tidy()
    assert not inputs._mapped


def test_spilled_input_that_cannot_be_read_is_missing_at_this_worker(tmp_path):
    inputs = StoredInputs((), SpillFolder(tmp_path))
    inputs.address = "unix:/me"
    missing = inputs.map_inputs(needs(a=Spilled(NAME, 1, 1)))
    assert isinstance(missing, InputMissing)
    assert (missing.attempt, missing.key, missing.holder) == (1, "a", "unix:/me")
    assert NAME in missing.reason
