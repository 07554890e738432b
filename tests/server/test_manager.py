import asyncio

import msgspec
import pytest

from jupyter_dist.errors import (
    ClusterClosedError,
    ClusterError,
    ClusterStartError,
    ClusterStateError,
    NoClusterError,
    UsageError,
)
from jupyter_dist.server.manager import GONE, KILLED
from jupyter_dist.server.models import ChangeRequest, StartRequest
from tests.server.fakes import SECRET, make_info, make_snapshot


def scaled(workers):
    return ChangeRequest(workers=workers)


def states(models):
    return {model.name: model.state for model in models}


async def test_start_without_a_name_is_starting_then_running(manager, host, settle):
    host.may_start.clear()
    model = await manager.start(StartRequest(workers=3))
    assert (model.name, model.state, model.wanted, model.id) == ("default", "starting", 3, "")
    await asyncio.to_thread(host.begun.wait, 10)
    model = await manager.get("default")
    assert (model.state, model.phase) == ("starting", "starting nanny")
    host.may_start.set()
    await settle(manager)
    model = await manager.get("default")
    assert (model.state, model.id, model.workers, model.cores) == ("running", "id-default", 2, 6)


async def test_start_elapsed_time_grows_with_the_clock(manager, host, clock):
    host.may_start.clear()
    await manager.start(StartRequest())
    clock.now += 2.5
    assert (await manager.get("default")).elapsed_s == 2.5


async def test_start_again_without_a_name_takes_the_next_free_one(manager, settle):
    await manager.start(StartRequest())
    assert (await manager.start(StartRequest())).name == "default-2"
    await settle(manager)
    assert (await manager.start(StartRequest())).name == "default-3"


async def test_start_name_that_is_starting_or_running_is_refused(manager, host, settle):
    host.may_start.clear()
    await manager.start(StartRequest(name="mine"))
    with pytest.raises(ClusterStateError, match="starting already"):
        await manager.start(StartRequest(name="mine"))
    host.may_start.set()
    await settle(manager)
    with pytest.raises(ClusterStateError, match="running already"):
        await manager.start(StartRequest(name="mine"))


async def test_start_name_that_another_program_started_is_refused(manager, host):
    host.add("mine")
    with pytest.raises(ClusterStateError, match="mine"):
        await manager.start(StartRequest(name="mine"))


async def test_start_more_at_once_than_allowed_is_refused(manager, host):
    host.may_start.clear()
    await manager.start(StartRequest())
    await manager.start(StartRequest())
    with pytest.raises(ClusterStateError, match="2 clusters are starting"):
        await manager.start(StartRequest())


async def test_start_bad_request_leaves_nothing_behind(manager):
    with pytest.raises(UsageError):
        await manager.start(StartRequest(name=".."))
    assert await manager.models() == []


async def test_start_fails_reason_and_log_stay_until_dismissed(manager, host, settle, clock):
    host.start_error = ClusterStartError("the nanny ended with exit code 3\nTraceback\nImportError: x")
    await manager.start(StartRequest(name="mine"))
    await settle(manager)
    clock.now += 10_000
    model = await manager.get("mine")
    assert (model.state, model.reason) == ("failed", "the nanny ended with exit code 3")
    assert model.phase == "starting nanny"
    assert model.log == "Traceback\nImportError: x" == await manager.log("mine")
    await manager.stop("mine")
    assert await manager.models() == []


async def test_start_name_that_failed_replaces_the_failure(manager, host, settle):
    host.start_error = ClusterStartError("no")
    await manager.start(StartRequest())
    await settle(manager)
    host.start_error = None
    assert (await manager.start(StartRequest())).name == "default"
    await settle(manager)
    assert states(await manager.models()) == {"default": "running"}


async def test_start_fails_unforeseen_what_the_exception_says_is_not_shown(manager, host, settle, caplog):
    host.start_error = RuntimeError(f"secret is {SECRET!r}")
    await manager.start(StartRequest())
    await settle(manager)
    model = await manager.get("default")
    assert model.state == "failed"
    assert "log" in model.reason
    assert SECRET not in msgspec.json.encode(model)
    assert "starting cluster 'default' failed" in caplog.text


async def test_start_many_failures_only_the_newest_are_kept(manager, host, settle, clock):
    host.start_error = ClusterStartError("no")
    for number in range(25):
        clock.now += 1
        await manager.start(StartRequest(name=f"c{number}"))
        await settle(manager)
    assert len(await manager.models()) == manager.settings.ended_max
    assert (await manager.get("c24")).state == "failed"
    with pytest.raises(NoClusterError):
        await manager.get("c0")


async def test_stop_while_starting_it_is_stopped_as_soon_as_it_is_up(manager, host, settle):
    host.may_start.clear()
    await manager.start(StartRequest(name="mine"))
    await manager.stop("mine")
    assert (await manager.get("mine")).state == "stopping"
    host.may_start.set()
    await settle(manager)
    assert host.stopped == ["mine"]
    assert await manager.models() == []


async def test_stop_while_starting_and_it_fails_nothing_is_shown(manager, host, settle):
    host.may_start.clear()
    host.start_error = ClusterStartError("no")
    await manager.start(StartRequest(name="mine"))
    await manager.stop("mine")
    host.may_start.set()
    await settle(manager)
    assert await manager.models() == []


async def test_models_clusters_of_other_programs_are_adopted_and_watched(manager, host):
    host.add("theirs")
    (model,) = await manager.models()
    assert (model.state, model.workers, model.sessions) == ("running", 2, ("notebook.ipynb",))
    host.tell("theirs", make_snapshot(host.infos["theirs"], workers=5))
    assert (await manager.get("theirs")).workers == 5
    assert len(host.observers) == 1


async def test_models_two_servers_see_the_same_clusters(make_manager, settle):
    one, other = make_manager(), make_manager()
    await one.start(StartRequest(name="mine"))
    await settle(one)
    assert states(await other.models()) == {"mine": "running"}
    await other.stop("mine")
    assert states(await other.models()) == {}
    assert states(await one.models()) == {"mine": "lost"}


async def test_models_cluster_that_vanished_is_lost_and_then_forgotten(manager, host, clock):
    info = host.add("mine")
    await manager.models()
    del host.infos["mine"]
    (model,) = await manager.models()
    assert (model.state, model.id, model.reason) == ("lost", info.cluster, GONE)
    assert host.observers[0].is_closed
    clock.now += manager.settings.ended_shown_s + 1
    assert await manager.models() == []


async def test_models_cluster_that_was_killed_is_lost_with_the_end_of_its_log(manager, host):
    host.add("mine")
    await manager.models()
    host.cut("mine")
    del host.infos["mine"]
    (model,) = await manager.models()
    assert (model.state, model.reason, model.log) == ("lost", KILLED, host.log)
    assert (model.workers, model.cores, model.wanted, model.finished) == (0, 0, 2, 7)
    assert await manager.log("mine") == host.log


async def test_models_cluster_found_dead_is_shown_for_a_while_with_the_reason_and_the_end_of_its_log(
    manager, host, clock, caplog
):
    host.dead.append(make_info("mine"))
    (model,) = await manager.models()
    assert (model.state, model.reason, model.log) == ("lost", KILLED, host.log)
    assert "cluster 'mine' (nanny 1)" in caplog.text
    assert host.events == [("lost", "mine")]
    clock.now += manager.settings.ended_shown_s + 1
    assert await manager.models() == []


async def test_models_cluster_found_dead_that_was_watched_is_told_once(manager, host):
    host.add("mine")
    await manager.models()
    host.dead.append(host.infos.pop("mine"))
    assert states(await manager.models()) == {"mine": "lost"}
    assert [action for action, _ in host.events] == ["found", "lost"]


async def test_models_name_taken_over_by_another_cluster_is_that_one(manager, host):
    host.add("mine", cluster="old")
    await manager.models()
    host.add("mine", cluster="new")
    (model,) = await manager.models()
    assert (model.state, model.id) == ("running", "new")
    assert [observer.is_closed for observer in host.observers] == [True, False]


async def test_models_connection_cut_short_values_stay_and_it_comes_back(manager, host, settle, clock):
    host.add("mine")
    await manager.models()
    host.cut("mine")
    host.mute["mine"] = "its scheduler restarts"
    await manager.models()
    await manager._clusters["mine"].attaching
    (model,) = await manager.models()
    assert (model.state, model.phase, model.reason, model.workers) == (
        "running",
        "reconnecting",
        "its scheduler restarts",
        2,
    )
    clock.now += manager.settings.lease_s + 1
    (model,) = await manager.models()
    assert model.state == "lost"
    assert "its scheduler restarts" in model.reason
    assert model.workers == 2
    host.mute.clear()
    await manager._clusters["mine"].attaching
    await manager.models()
    await manager._clusters["mine"].attaching
    assert states(await manager.models()) == {"mine": "running"}


async def test_models_read_while_a_cluster_is_stopped_does_not_bring_it_back(manager, host):
    host.add("mine")
    await manager.models()
    host.may_read.clear()
    stale = asyncio.create_task(manager.refresh())
    cluster = manager._clusters["mine"]
    cluster.stopping = manager._spawn(manager._run_stop(cluster))
    host.may_read.set()
    await asyncio.gather(stale, cluster.stopping)
    assert host.stopped == ["mine"]
    assert await manager.models() == []


async def test_stop_running_is_asked_first_and_then_made_sure_of(manager, host):
    host.add("mine")
    await manager.stop("mine")
    assert (host.asked_to_stop, host.stopped) == (["mine"], ["mine"])
    assert await manager.models() == []


async def test_stop_twice_at_once_stops_once(manager, host):
    host.add("mine")
    await manager.models()
    await asyncio.gather(manager.stop("mine"), manager.stop("mine"))
    assert host.stopped == ["mine"]


async def test_stop_cluster_that_does_not_answer_is_ended_all_the_same(manager, host):
    host.add("mine")
    host.mute["mine"] = "stuck"
    await manager.stop("mine")
    assert (host.asked_to_stop, host.stopped) == ([], ["mine"])


async def test_stop_fails_cluster_is_still_there_and_the_error_says_why(manager, host):
    host.add("mine")
    host.stop_error = ClusterClosedError("pid 7 cannot be signalled")
    with pytest.raises(ClusterError, match="pid 7"):
        await manager.stop("mine")
    host.stop_error = None
    assert states(await manager.models()) == {"mine": "running"}


async def test_scale_running_cluster_answers_with_the_new_number(manager, host):
    host.add("mine")
    assert (await manager.change("mine", scaled(4))).wanted == 4
    assert (await manager.change("mine", scaled(0))).workers == 0


async def test_scale_out_of_bounds_names_the_field(manager, host):
    host.add("mine")
    with pytest.raises(UsageError, match="workers"):
        await manager.change("mine", scaled(-1))
    with pytest.raises(UsageError, match="workers"):
        await manager.change("mine", scaled(10**6))


async def test_restart_running_cluster_restarts_it(manager, host):
    host.add("mine")
    assert (await manager.restart("mine")).state == "running"
    assert host.restarts == 1


async def test_requests_unknown_name_say_so(manager):
    for asking in (
        manager.get("x"),
        manager.stop("x"),
        manager.log("x"),
        manager.restart("x"),
        manager.change("x", scaled(1)),
    ):
        with pytest.raises(NoClusterError, match="'x'"):
            await asking


async def test_requests_cluster_that_does_not_run_say_what_it_is(manager, host, settle):
    host.may_start.clear()
    await manager.start(StartRequest(name="mine"))
    with pytest.raises(ClusterStateError, match="it is starting"):
        await manager.change("mine", scaled(2))
    host.start_error = ClusterStartError("no")
    host.may_start.set()
    await settle(manager)
    with pytest.raises(ClusterStateError, match="it is failed"):
        await manager.restart("mine")
    host.start_error = None


async def test_requests_cluster_that_does_not_answer_say_why(manager, host):
    host.add("mine")
    host.mute["mine"] = "its scheduler hangs"
    with pytest.raises(ClusterStateError, match="its scheduler hangs"):
        await manager.change("mine", scaled(2))


async def test_scale_while_it_connects_and_is_stopped_meanwhile_says_so(make_manager, host):
    manager = make_manager({"observe_interval_s": 0.0})
    host.add("mine")
    host.may_connect = asyncio.Event()
    scaling = asyncio.create_task(manager.change("mine", scaled(2)))
    assert await asyncio.to_thread(host.connecting.wait, 10)
    await manager.stop("mine")
    with pytest.raises(ClusterStateError, match="mine"):
        await scaling


async def test_restart_that_takes_too_long_says_so(make_manager, host):
    manager = make_manager({"start_s_max": 0.01})
    host.add("mine")
    await manager.models()
    host.may_connect = asyncio.Event()
    with pytest.raises(ClusterStateError, match="did not answer within"):
        await manager.restart("mine")


async def test_models_cluster_that_does_not_let_us_in_is_connecting_and_then_lost(make_manager, host, clock):
    manager = make_manager({"observe_interval_s": 0.0, "handshake_s_max": 0.01})
    host.add("mine")
    host.may_connect = asyncio.Event()
    (model,) = await manager.models()
    assert (model.state, model.phase, model.wanted) == ("starting", "connecting", 2)
    await asyncio.wait([manager._clusters["mine"].attaching])
    clock.now += manager.settings.lease_s + 1
    model = manager._clusters["mine"].model()
    assert (model.state, "no answer within" in model.reason) == ("lost", True)


async def test_models_while_a_cluster_stops_it_is_stopping_and_cannot_be_scaled(manager, host):
    host.add("mine")
    await manager.models()
    host.may_stop.clear()
    stopping = asyncio.create_task(manager.stop("mine"))
    while manager._clusters["mine"].stopping is None:
        await manager.refresh()
    assert states(await manager.models()) == {"mine": "stopping"}
    with pytest.raises(ClusterStateError, match="it is stopping"):
        await manager.change("mine", scaled(1))
    host.may_stop.set()
    await stopping
    assert await manager.models() == []


async def test_survey_one_look_that_fails_is_logged_and_not_the_last(make_manager, host, caplog):
    seen = asyncio.Event()
    loop = asyncio.get_running_loop()
    failures = [PermissionError("no"), PermissionError("still no")]

    def read(on_dead):
        if failures:
            raise failures.pop()
        loop.call_soon_threadsafe(seen.set)
        return []

    make_manager({"survey_interval_s": 0.0}, read=read).open()
    await asyncio.wait_for(seen.wait(), 10)
    assert caplog.text.count("looking for clusters failed") == 2


async def test_log_running_cluster_is_read_and_cleaned(manager, host):
    host.add("mine")
    host.log = "bad \udcff byte"
    assert await manager.log("mine") == "bad ? byte"


async def test_activity_starting_and_working_clusters_count_idle_ones_do_not(make_manager, host):
    busy = []
    manager = make_manager(on_busy=lambda: busy.append(1))
    info = host.add("mine")
    await manager.models()
    assert (manager.activity(), busy) == ([], [])
    host.tell("mine", make_snapshot(info, counts={"processing": 2}))
    assert (manager.activity(), busy) == (["mine"], [1])
    await manager.refresh()  # nothing new from the cluster, and it is busy all the same
    assert busy == [1, 1]
    host.cut("mine")
    assert manager.activity() == []
    host.may_start.clear()
    await manager.start(StartRequest(name="new"))
    assert "new" in manager.activity()


async def test_open_clusters_are_found_though_nobody_asks(manager, host):
    host.add("mine")
    manager.open()
    assert await asyncio.to_thread(host.observed.wait, 10)
    assert "mine" in manager._clusters


async def test_close_leaves_clusters_running_and_lets_a_start_complete(manager, host):
    host.add("mine")
    await manager.models()
    host.may_start.clear()
    await manager.start(StartRequest(name="new"))
    await asyncio.to_thread(host.begun.wait, 10)
    await manager.close()
    assert host.observers[0].is_closed
    assert host.stopped == []
    host.may_start.set()
    assert await asyncio.to_thread(host.started.wait, 10)
    assert host.stopped == []


async def test_every_model_holds_no_secret(manager, host, settle):
    host.add("mine")
    await manager.start(StartRequest())
    await settle(manager)
    text = msgspec.json.encode(await manager.models())
    assert SECRET not in text
    assert b"nowhere" not in text
