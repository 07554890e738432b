"""A nanny that dies, its guardian, or both: what goes on, what is said, and that nothing is left."""

import asyncio
import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from jupyter_dist import Executor, Future, LocalCluster, as_completed, wait
from jupyter_dist.cli import main as dist
from jupyter_dist.errors import ClusterClosedError, ClusterError, JupyterDistError
from jupyter_dist.launch.connection_file import find_cluster, is_live, read_clusters
from jupyter_dist.processes.vitals import session_members
from jupyter_dist.server.manager import ClusterManager
from jupyter_dist.server.models import ChangeRequest
from jupyter_dist.settings import load_settings
from tests.integration.conftest import wait_until
from tests.integration.test_scheduler_death import LARGE, count_runs, note, total

WHOLE_S = 30.0  # on a busy machine; about two seconds on an idle one


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(2, detached=True) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Executor]:
    with Executor(cluster) as client:
        client.wait_for_workers(timeout=30)
        yield client


def kill_nanny(name: str) -> int:
    """Kill a cluster's nanny; return its process."""
    pid = find_cluster(name).pid
    os.kill(pid, signal.SIGKILL)
    return pid


def kill_both(name: str) -> None:
    """Kill nanny and guardian before either can follow the other."""
    info = find_cluster(name)
    os.kill(info.pid, signal.SIGSTOP)
    os.kill(info.guardian_pid, signal.SIGKILL)
    os.kill(info.pid, signal.SIGKILL)


def has_guardian_after(name: str, dead: int) -> bool:
    return find_cluster(name).guardian_pid not in (0, dead)


def wait_whole(client: Executor, dead: int) -> None:
    """Wait until a nanny that follows the dead one has brought all workers back."""
    wait_until(lambda: find_cluster(client.name).pid != dead, "another nanny is listed", WHOLE_S)
    wait_until(lambda: client.info.pid != dead, "the client knows the other nanny", WHOLE_S)
    client.wait_for_workers(2, timeout=WHOLE_S)
    assert client.info == find_cluster(client.name)


def pids_of(info) -> list[int]:
    return [info.guardian_pid, *session_members(info.pid)]


def assert_ended(pids: list[int]) -> None:
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), f"all of {pids} end", WHOLE_S)


def test_nanny_killed_while_idle_the_cluster_is_whole_again(client, tmp_path):
    data = client.scatter(bytes(LARGE))
    done = client.map(note, [str(tmp_path)] * 4, range(4), pure=False)
    client.gather(done)
    before, name = client.info, client.name
    dead = kill_nanny(name)
    assert client.submit(len, data).result(timeout=WHOLE_S) == LARGE  # it only waits longer
    wait_whole(client, dead)
    assert (client.info.name, client.info.cluster, client.info.address) == (name, before.cluster, before.address)
    assert client.info.guardian_pid == before.guardian_pid
    assert client.gather(client.map(len, done)) == [2] * 4  # from the journal
    assert count_runs(tmp_path) == dict.fromkeys(range(4), 1)
    assert not any(worker.last_death for worker in client.snapshot().workers)


def test_nanny_killed_while_tasks_run_they_run_once_more_and_nobody_is_blamed(client, tmp_path):
    running = client.map(note, [str(tmp_path)] * 6, range(6), seconds=1.0, pure=False)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "two run")
    dead = kill_nanny(client.name)
    after = client.submit(total, running, pure=False)
    assert after.result(timeout=60) == sum(range(6))
    wait_whole(client, dead)
    runs = count_runs(tmp_path)
    assert sorted(runs) == list(range(6))
    assert sum(runs.values()) == 6 + 2


def test_nanny_killed_in_the_middle_of_a_graph_results_in_journal_and_store_are_not_made_again(client, tmp_path):
    large = client.map(note, [str(tmp_path)] * 4, range(4), size=LARGE, pure=False)
    client.gather(large)
    first, second = sorted(worker.name for worker in client.snapshot().workers)
    client.retire_workers([first], remove=False)
    client.retire_workers([second], remove=False)  # the last one leaves its results in the object store
    client.scale(2)
    small = client.map(note, [str(tmp_path)] * 4, range(4, 8), pure=False)
    client.gather(small)
    late = client.map(note, [str(tmp_path)] * 20, range(8, 28), seconds=0.1, pure=False)
    top = client.submit(total, [*large, *small, *late], pure=False)
    wait_until(lambda: len(list(tmp_path.iterdir())) >= 14, "some have run")
    dead = kill_nanny(client.name)
    assert top.result(timeout=60) == sum(range(28))
    wait_whole(client, dead)
    assert [number for number, _ in client.gather([*large, *small])] == list(range(8))
    runs = count_runs(tmp_path)
    assert {number: runs[number] for number in range(8)} == dict.fromkeys(range(8), 1)
    assert sum(runs[number] for number in range(8, 28)) <= 20 + 4  # those that ran, and what just was not written yet
    store = client.readers.store
    assert len(store.names()) >= 4
    for future in (*large, *small, *late, top):
        future.release()
    wait_until(lambda: not store.names(), "what nobody needs is removed", WHOLE_S)


def test_nanny_and_guardian_killed_in_turn_again_and_again_all_goes_on(client, tmp_path):
    leaves = client.map(note, [str(tmp_path)] * 30, range(30), seconds=0.1, pure=False)
    sums = [client.submit(total, leaves[index : index + 6], pure=False) for index in range(0, 30, 6)]
    top = client.submit(sum, sums, pure=False)
    for _ in range(3):
        dead = kill_nanny(client.name)
        wait_whole(client, dead)
        guardian = find_cluster(client.name).guardian_pid
        os.kill(guardian, signal.SIGKILL)
        wait_until(functools.partial(has_guardian_after, client.name, guardian), "another guardian", WHOLE_S)
    assert top.result(timeout=60) == sum(range(30))
    assert max(count_runs(tmp_path).values()) <= 1 + 3


def test_guardian_killed_nobody_notices(client, tmp_path):
    running = client.map(note, [str(tmp_path)] * 4, range(4), seconds=0.3, pure=False)
    before = find_cluster(client.name)
    os.kill(before.guardian_pid, signal.SIGKILL)
    wait_until(lambda: has_guardian_after(client.name, before.guardian_pid), "another guardian", WHOLE_S)
    assert find_cluster(client.name).pid == before.pid
    assert client.gather(running) == [(number, b"") for number in range(4)]
    assert count_runs(tmp_path) == dict.fromkeys(range(4), 1)


def test_nanny_and_guardian_killed_together_whoever_waits_is_told_and_nothing_is_left(client):
    info = client.info
    pids = pids_of(info)
    waiting = client.submit(time.sleep, 60)
    client.snapshot()
    kill_both(client.name)
    with pytest.raises(CancelledError, match=rf"its nanny, process {info.pid}, has died"):
        waiting.result(timeout=WHOLE_S)
    assert_ended([pid for pid in pids if pid != info.pid])  # the nanny is this process's child, and not buried yet
    assert info.name not in {found.name for found in read_clusters()}  # and whoever looks removes what is left
    assert not any(map(os.path.exists, (info.folder, *info.objects)))


WAITS: dict[str, Callable[[Executor, list[Future]], object]] = {
    "result": lambda _client, futures: futures[0].result(),
    "exception": lambda _client, futures: futures[1].exception(),
    "gather": lambda client, futures: client.gather(futures),
    "wait_for_workers": lambda client, _futures: client.wait_for_workers(99),
    "run": lambda client, _futures: client.run(time.sleep, 60),
    "snapshot": lambda client, _futures: [client.snapshot() for _ in iter(int, 1)],
}


def test_nanny_of_a_tied_cluster_killed_every_waiting_call_says_so_at_once_and_nothing_is_left():
    with Executor(n_workers=2) as client:
        client.wait_for_workers(timeout=30)
        info = client.info
        assert info.guardian_pid == 0
        client.scatter(bytes(LARGE))
        futures = [client.submit(time.sleep, 60, pure=False) for _ in range(2)]
        raised: dict[str, BaseException] = {}

        def call(name):
            try:
                WAITS[name](client, futures)
            except (JupyterDistError, CancelledError) as error:
                raised[name] = error

        threads = [threading.Thread(target=call, args=(name,)) for name in WAITS]
        for thread in threads:
            thread.start()
        wait_until(lambda: client.snapshot().counts.get("processing") == 2, "both run")
        os.kill(info.pid, signal.SIGKILL)
        _done, pending = wait(futures, timeout=10)
        assert not pending
        assert len(list(as_completed(futures))) == 2
        for thread in threads:
            thread.join(10)
        assert sorted(raised) == sorted(WAITS)
        for name in WAITS.keys() - {"run"}:  # that one says which worker is gone
            assert f"its nanny, process {info.pid}, has died" in str(raised[name]), name
        with pytest.raises(ClusterClosedError, match="its nanny"):
            client.submit(abs, -1)
        wait_until(lambda: not any(map(os.path.exists, (info.folder, *info.objects))), "it is removed without a word")
        assert not session_members(info.pid)


def test_nanny_stopped_work_goes_on_and_restart_says_what_it_could_not_do(client):
    nanny = psutil.Process(client.info.pid)
    nanny.suspend()
    try:
        assert client.submit(abs, -3).result(timeout=10) == 3
        pending = client.submit(time.sleep, 60)
        with pytest.raises(
            ClusterError, match=rf"future is cancelled, .* process {nanny.pid}, has been silent for \d s"
        ):
            client.restart()
        assert pending.cancelled()
    finally:
        nanny.resume()
    client.wait_for_workers(2, timeout=WHOLE_S)
    assert client.submit(abs, -4).result(timeout=10) == 4


def test_stopped_nanny_killed_another_follows(client):
    nanny = psutil.Process(client.info.pid)
    nanny.suspend()
    dead = kill_nanny(client.name)
    assert client.submit(abs, -4).result(timeout=WHOLE_S) == 4
    wait_whole(client, dead)


def test_client_that_comes_while_there_is_no_nanny_waits_for_the_next(cluster):
    kill_nanny(cluster.name)
    with Executor(cluster.name) as client:
        assert client.submit(abs, -4).result(timeout=WHOLE_S) == 4
        assert client.info == find_cluster(cluster.name)


def test_nanny_killed_the_command_line_lists_scales_and_stops_the_cluster(client, cluster, capsys):
    wait_whole(client, kill_nanny(cluster.name))
    info = find_cluster(cluster.name)
    pids = pids_of(info)
    assert dist(["list"]) == 0
    assert f" {info.pid} " in capsys.readouterr().out
    assert dist(["scale", cluster.name, "3"]) == 0
    client.wait_for_workers(3, timeout=WHOLE_S)
    client.close()
    assert dist(["stop", cluster.name]) == 0
    assert_ended(pids)
    assert not any(map(os.path.exists, (info.folder, *info.objects)))
    assert read_clusters() == []


def test_nanny_killed_the_jupyter_server_lists_scales_and_stops_the_cluster(cluster):
    async def story():
        manager = ClusterManager()
        try:
            (first,) = await manager.models()
            dead = await asyncio.to_thread(kill_nanny, cluster.name)
            (gap,) = await manager.models()
            assert gap.state == first.state == "running"
            await asyncio.to_thread(
                wait_until, lambda: find_cluster(cluster.name).pid != dead, "another is listed", WHOLE_S
            )
            info = find_cluster(cluster.name)
            scaled = await manager.change(cluster.name, ChangeRequest(workers=3))
            assert scaled.wanted == 3
            (model,) = await manager.models()
            assert (model.name, model.state) == (cluster.name, "running")
            pids = pids_of(info)
            await manager.stop(cluster.name)
            assert await manager.models() == []
            await asyncio.to_thread(assert_ended, pids)
        finally:
            await manager.close()

    asyncio.run(story())


@pytest.mark.parametrize("how", ["by a client", "by itself"])
def test_end_of_a_cluster_ends_its_guardian_and_leaves_nothing(how):
    settings = load_settings(heartbeat_s=0.1)
    idle_s = 0.2 if how == "by itself" else None
    with LocalCluster(1, detached=True, idle_stop_s=idle_s, settings=settings) as cluster:
        info = cluster.info
        pids = pids_of(info)
        assert len(pids) > 4
        if how == "by a client":
            with Executor(cluster) as client:
                client.stop_cluster()
        wait_until(lambda: not is_live(info), "it ends", WHOLE_S)
        wait_until(lambda: not Path(info.folder).exists(), "its folder is removed", WHOLE_S)
        assert_ended([pid for pid in pids if pid != info.pid])
        assert not any(map(os.path.exists, info.objects))
        with contextlib.suppress(ProcessLookupError):
            assert not session_members(info.pid)
