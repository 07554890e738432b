"""Large data in the host's object store, under a real executor: shared, outliving workers, and gone afterwards."""

import gc
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_dist import Executor
from jupyter_dist.errors import ClusterClosedError, DataLostError, PackingError, StorageFullError, UsageError
from jupyter_dist.settings import Settings
from jupyter_dist.storage import room
from tests.integration.conftest import wait_until

MIB = 1024 * 1024

SCATTER_AND_DIE = """
import os, signal, threading
import numpy as np
from jupyter_dist import Executor
executor = Executor(n_workers=1)
print(executor.info.objects[0], flush=True)
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()
kept = []
while True:
    kept = [*kept[-5:], executor.scatter(np.ones(4_000_000))]  # written for as long as it lives, a few kept
"""


def objects_of(executor: Executor) -> list[str]:
    return [path.name for folder in executor.info.objects for path in Path(folder).iterdir()]


def look_at(array: np.ndarray) -> tuple[int, float, bool]:
    return os.getpid(), float(array.sum()), array.flags.writeable


def add_in_place(array: np.ndarray) -> None:
    array += 1


@pytest.fixture(autouse=True)
def emptied(request):
    """Begin each test with nothing in the store of the shared cluster."""
    if "executor" in request.fixturenames:
        executor = request.getfixturevalue("executor")
        gc.collect()
        wait_until(lambda: not objects_of(executor), f"the store is empty, not {executor.futures}")


def kill_all_workers(executor: Executor) -> None:
    before = {worker.pid for worker in executor.snapshot().workers}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: len({worker.pid for worker in executor.snapshot().workers} - before) == len(before), "they are back"
    )


@pytest.fixture
def small() -> Iterator[Executor]:
    """An executor whose objects may be of 1 MB at most."""
    with Executor(n_workers=1, settings=Settings(object_bytes_max=1_000_000)) as executor:
        yield executor


def test_scatter_of_an_array_is_one_object_that_every_worker_maps(executor):
    array = np.arange(100 * MIB // 8, dtype=float)
    future = executor.scatter(array)
    workers = [worker.name for worker in executor.snapshot().workers]
    seen = executor.gather([executor.submit(look_at, future, workers=name, pure=False) for name in workers])
    assert len({pid for pid, _sum, _writeable in seen}) == 2
    assert {(total, writeable) for _pid, total, writeable in seen} == {(float(array.sum()), False)}
    assert len(objects_of(executor)) == 1
    assert (future.type, future.nbytes > array.nbytes, future.status) == ("ndarray", True, "finished")
    result = future.result()
    assert result is future.result()
    assert not result.flags.writeable
    assert executor.gather([future])[0] is result
    np.testing.assert_array_equal(result, array)


def test_release_frees_the_memory_once_no_task_needs_it(executor):
    future = executor.scatter(np.ones(MIB))
    total = executor.submit(np.sum, future)
    assert len(objects_of(executor)) == 1
    assert total.result(10) == MIB
    mapped = future.result()
    del future
    wait_until(lambda: not objects_of(executor), "it is freed")
    assert mapped.sum() == MIB  # who has it keeps it
    assert total.result() == MIB


def test_release_before_the_task_began_frees_it_afterwards(executor):
    total = executor.submit(np.sum, executor.scatter(np.ones(MIB)), pure=False)
    assert total.result(10) == MIB
    wait_until(lambda: not objects_of(executor), "it is freed")


def test_write_to_scattered_data_is_the_tasks_error(executor):
    future = executor.scatter(np.ones(MIB))
    with pytest.raises(ValueError, match="read-only"):
        executor.submit(add_in_place, future).result(10)
    assert future.result().sum() == MIB


def test_deaths_of_all_workers_lose_nothing(own_executor):
    future = own_executor.scatter(np.arange(MIB))
    expected = MIB * (MIB - 1) // 2
    assert own_executor.submit(np.sum, future).result(10) == expected
    kill_all_workers(own_executor)
    assert own_executor.submit(np.sum, future, pure=False).result(20) == expected
    assert future.result()[-1] == MIB - 1


def test_restart_frees_all_and_cancels(own_executor):
    future = own_executor.scatter(np.ones(MIB))
    own_executor.restart()
    assert future.cancelled()
    wait_until(lambda: not objects_of(own_executor), "it is freed")
    assert own_executor.submit(np.sum, own_executor.scatter(np.ones(MIB))).result(20) == MIB


def test_shutdown_leaves_nothing_in_shared_memory():
    executor = Executor(n_workers=1)
    future = executor.scatter(np.ones(MIB))
    folders = [Path(folder) for folder in executor.info.objects]
    assert any(folder.parent == room.MEMORY_ROOT for folder in folders) or not room.MEMORY_ROOT.exists()
    executor.shutdown()
    assert not any(folder.exists() for folder in folders)
    with pytest.raises(ClusterClosedError):
        executor.scatter(np.ones(MIB))
    assert not any(folder.exists() for folder in folders)
    assert future.cancelled()


def test_client_killed_while_it_writes_leaves_nothing():
    with subprocess.Popen([sys.executable, "-c", SCATTER_AND_DIE], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        folder = Path(client.stdout.readline().strip())
        assert folder.exists()
        assert client.wait(20) == -signal.SIGKILL
    wait_until(lambda: not folder.exists(), "its cluster's objects are gone")


def test_nanny_killed_what_it_left_is_removed_by_the_next_look():
    executor = Executor(n_workers=1)
    kept = executor.scatter(np.ones(MIB))
    folder = Path(executor.info.objects[0])
    os.kill(executor.info.pid, signal.SIGKILL)
    wait_until(lambda: executor.is_closed and kept.cancelled(), "the client notices")
    executor.shutdown()
    assert not folder.exists()


@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_damaged_object_errs_what_needs_it_and_says_why(executor, damage):
    before = set(objects_of(executor))
    future = executor.scatter(np.ones(MIB))
    assert future.status in {"pending", "finished"}
    (name,) = set(objects_of(executor)) - before
    path = next(path for folder in executor.info.objects if (path := Path(folder, name)).exists())
    if damage == "cut":
        os.truncate(path, 1000)
    else:
        path.unlink()
    with pytest.raises(DataLostError, match=rf"{future.key}.*ndarray.*{name}.*scatter it again"):
        executor.submit(np.sum, future).result(10)
    with pytest.raises(DataLostError, match="scatter it again"):
        future.result(10)
    with pytest.raises(DataLostError):
        executor.submit(len, future).result(10)  # also what comes later


def test_damaged_object_read_by_its_client_first_errs_its_future(executor):
    before = set(objects_of(executor))
    future = executor.scatter(np.ones(MIB))
    (name,) = set(objects_of(executor)) - before
    for folder in executor.info.objects:
        Path(folder, name).unlink(missing_ok=True)
    with pytest.raises(DataLostError, match="No such file"):
        future.result(10)
    assert future.status == "error"


@pytest.mark.parametrize(
    "value",
    [
        np.empty((0, 5)),
        np.asfortranarray(np.arange(40_000.0).reshape(200, 200)),
        np.arange(80_000.0)[::2],
        np.arange(40_000.0).reshape(200, 200)[::3, ::-1],
        np.array(["a" * 10] * 20_000),
        "text " * 50_000,
        b"bytes" * 50_000,
        bytearray(b"bytes" * 50_000),
        {"a": np.ones(20_000), "b": [np.zeros(3), np.ones(30_000)], "c": np.empty(0)},
        list(range(100_000)),
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_scatter_of_any_value_is_loaded_as_it_was_by_a_task_and_here(executor, value):
    [future] = executor.scatter([value])
    packed = executor.submit(pickle.dumps, future).result(10)
    np.testing.assert_equal(pickle.loads(packed), value)
    np.testing.assert_equal(future.result(10), value)


def test_scatter_of_many_small_pieces_makes_no_files(executor):
    futures = executor.scatter(list(range(20_000)))
    assert not objects_of(executor)
    assert executor.gather(futures[::1000]) == list(range(0, 20_000, 1000))


def test_scatter_of_many_middle_sized_pieces_exhausts_no_descriptors(executor):
    pieces = [np.full(20_000, number) for number in range(1500)]
    futures = executor.scatter(pieces)
    assert len(objects_of(executor)) >= 1500
    assert [array[0] for array in executor.gather(futures)] == list(range(1500))
    del futures
    wait_until(lambda: not objects_of(executor), "they are freed")


def test_scatter_of_large_pieces_beyond_the_mappings_is_right(executor):
    pieces = [np.full(MIB // 8 + 1000, number) for number in range(300)]
    futures = executor.scatter(pieces)
    assert [int(array[-1]) for array in executor.gather(futures)] == list(range(300))


def test_scatter_of_a_dict_names_its_tasks_and_a_known_name_is_not_written_again(executor):
    named = executor.scatter({"left": np.ones(MIB), "right": np.zeros(MIB)})
    assert [named["left"].key, named["right"].key] == ["left", "right"]
    before = sorted(objects_of(executor))
    again = executor.scatter({"left": np.zeros(MIB)})
    assert sorted(objects_of(executor)) == before
    assert executor.submit(np.sum, again["left"], pure=False).result(10) == MIB


def test_name_that_two_clients_give_is_the_first_ones(executor):
    with Executor(executor.info) as other:
        mine = executor.scatter({"shared": np.ones(MIB)})["shared"]
        assert mine.result(10).sum() == MIB
        objects = sorted(objects_of(executor))
        theirs = other.scatter({"shared": np.zeros(MIB)})["shared"]
        assert theirs.result(10).sum() == MIB
        wait_until(lambda: sorted(objects_of(executor)) == objects, "the second one's object is freed")


def test_scatter_of_what_is_too_large_is_refused_and_leaves_nothing(small):
    with pytest.raises(PackingError, match=r"8,388,.* bytes packed, more than the 1,000,000"):
        small.scatter(np.ones(MIB))
    assert not objects_of(small)
    assert not small.futures


def test_scatter_of_more_than_an_argument_may_have_is_used_by_a_task(executor):
    [future] = executor.scatter([bytes(executor.settings.argument_bytes_max + 1)])
    assert executor.submit(len, future).result(20) == executor.settings.argument_bytes_max + 1


def test_scatter_without_room_says_so_and_leaves_nothing(executor, monkeypatch):
    monkeypatch.setattr(room, "free_bytes", lambda _folder: 1000)
    before = sorted(objects_of(executor))
    with pytest.raises(StorageFullError, match=r"1,000 bytes are free"):
        executor.scatter(np.ones(MIB))
    assert sorted(objects_of(executor)) == before


def test_scatter_without_room_in_memory_goes_to_the_disk(executor, monkeypatch):
    monkeypatch.setattr(room, "free_memory_bytes", lambda: 0)
    future = executor.scatter(np.ones(MIB))
    assert list(Path(executor.info.objects[-1]).iterdir())
    assert executor.submit(np.sum, future, pure=False).result(10) == MIB
    assert future.result().sum() == MIB


@pytest.mark.parametrize(
    "options", [{}, {"broadcast": True}, {"broadcast": 2}, {"workers": "worker-0"}, {"workers": ["worker-1"]}]
)
def test_scatter_with_workers_and_broadcast_is_there_for_all(executor, options):
    future = executor.scatter(np.ones(MIB), **options)
    seen = [executor.submit(look_at, future, workers=f"worker-{n}", pure=False) for n in range(2)]
    assert {total for _pid, total, _writeable in executor.gather(seen)} == {float(MIB)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": "worker-9"}, r"no worker 'worker-9'; there are: worker-0, worker-1"),
        ({"workers": ["worker-0", "elsewhere"]}, "no worker 'elsewhere'"),
        ({"broadcast": 0}, "broadcast=0"),
        ({"broadcast": -1}, "broadcast=-1"),
        ({"broadcast": "yes"}, "broadcast='yes'"),
        ({"broadcast": None}, "broadcast=None"),
    ],
)
def test_scatter_with_options_that_make_no_sense_is_refused(executor, options, words):
    before = sorted(objects_of(executor))
    with pytest.raises(UsageError, match=words):
        executor.scatter([np.ones(MIB)], **options)
    assert sorted(objects_of(executor)) == before


def test_scatter_of_empty_containers_is_empty(executor):
    assert (executor.scatter([]), executor.scatter({}), executor.scatter(())) == ([], {}, ())


def test_worker_with_a_limit_maps_more_than_that_and_lives():
    with Executor(n_workers=1, memory_limit="400MB") as executor:
        future = executor.scatter(np.ones(80 * MIB))  # 640 MB
        pid, total, _writeable = executor.submit(look_at, future).result(30)
        assert total == 80 * MIB
        naps = executor.settings.heartbeat_s * 3
        again, _total, _writeable = executor.submit(nap_and_look, future, naps).result(30)
        assert again == pid


def nap_and_look(array: np.ndarray, seconds: float) -> tuple[int, float, bool]:
    array.sum()
    subprocess.run(["sleep", str(seconds)], check=True)  # all of it stays mapped meanwhile
    return look_at(array)
