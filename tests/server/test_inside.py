"""The inside of clusters over REST: workers, tasks, logs, notebooks, code and profiles."""

import asyncio
import json

import pytest
from jupyter_server.utils import url_path_join
from tornado.httpclient import HTTPClientError
from tornado.httputil import url_concat
from traitlets.config import Config

from jupyter_dist.errors import UsageError
from jupyter_dist.messages import SessionView, TaskEvent
from jupyter_dist.server import JupyterDist
from jupyter_dist.server.models import ClusterModel, StartRequest
from jupyter_dist.server.part_handlers import INSIDE
from jupyter_dist.server.profiles import LOCAL, Profile, parse_profiles, with_profile
from jupyter_dist.settings import Settings
from tests.server.fakes import make_snapshot, make_task

MINE = ("clusters", "mine")


@pytest.fixture
def ask(http_server_client, jp_base_url, jp_auth_header, served, host):
    """Make a request; return the status and the JSON of the answer."""
    host.add("mine")

    async def fetch(verb, *path, body=None, **query):
        text = json.dumps(body) if body is not None else "{}" if verb == "POST" else None
        options = {"method": verb, "body": text, "headers": jp_auth_header, "allow_nonstandard_methods": True}
        url = url_concat(url_path_join(jp_base_url, "jupyter_dist", "api", "v1", *path), query)
        try:
            answer = await http_server_client.fetch(url, **options)
        except HTTPClientError as error:
            return error.code, json.loads(error.response.body)["message"]
        return answer.code, json.loads(answer.body) if answer.body else None

    return fetch


async def test_workers_are_listed_in_full(ask):
    code, answer = await ask("GET", *MINE, "workers")
    assert (code, [worker["name"] for worker in answer["workers"]]) == (200, ["worker-0", "worker-1"])
    assert answer["workers"][0] | {"pid": 2, "memory_bytes_max": 1000, "state": "running"} == answer["workers"][0]


async def test_worker_restart_and_retire_ask_the_cluster(ask, host):
    assert await ask("POST", *MINE, "workers", "worker-1", "restart") == (204, None)
    assert await ask("DELETE", *MINE, "workers", "worker-0") == (202, None)
    assert (host.workers_restarted, host.workers_retired) == (["worker-1"], ["worker-0"])


async def test_worker_that_leaves_slowly_is_not_waited_for(ask, host, jp_serverapp, monkeypatch):
    inside = jp_serverapp.web_app.settings[INSIDE]
    monkeypatch.setattr("jupyter_dist.server.inside.LEAVE_S", 0.0)
    host.may_retire = asyncio.Event()
    assert await ask("DELETE", *MINE, "workers", "worker-0") == (202, None)
    assert host.workers_retired == []
    (leaving,) = inside._leaving
    host.may_retire.set()
    await leaving
    assert host.workers_retired == ["worker-0"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [("DELETE", ("workers", "nobody")), ("POST", ("workers", "nobody", "restart")), ("GET", ("workers", "x", "log"))],
)
async def test_worker_that_is_not_there_is_not_found(ask, verb, path):
    code, message = await ask(verb, *MINE, *path)
    assert (code, "'mine'" in message) == (404, True)


async def test_log_of_a_process_is_told_and_its_lines_are_bounded(ask, host):
    host.process_logs["scheduler"] = "hello"
    assert await ask("GET", *MINE, "workers", "scheduler", "log", lines=5) == (200, {"log": "hello"})
    for lines in ("0", "-1", "100000", "many", "1e3", "٣"):
        code, message = await ask("GET", *MINE, "workers", "scheduler", "log", lines=lines)
        assert (code, "lines" in message) == (400, True), lines


async def test_log_name_that_is_a_path_is_not_found(ask):
    code, _ = await ask("GET", *MINE, "workers", "..%2F..%2Fetc%2Fpasswd", "log")
    assert code == 404


async def test_tasks_page_passes_on_what_was_asked(ask, host):
    host.tasks["a"] = make_task("a")
    code, page = await ask("GET", *MINE, "tasks", state="erred", text="fit", before=40, count=10)
    assert (code, page["next"], page["total"], [task["key"] for task in page["tasks"]]) == (200, 7, 9, ["a"])
    assert host.asked_for_tasks == [{"state": "erred", "text": "fit", "before": 40, "count": 10}]


@pytest.mark.parametrize(
    ("field", "value"), [("state", "gone"), ("count", "0"), ("count", "501"), ("before", "-1"), ("before", "x")]
)
async def test_tasks_bad_query_names_the_field(ask, field, value):
    code, message = await ask("GET", *MINE, "tasks", **{field: value})
    assert (code, f"`{field}`" in message) == (400, True)


async def test_task_in_full_has_error_and_output_but_not_the_bytes_of_either(ask, host):
    host.tasks["a/b"] = make_task("a/b", "erred", error="no <b>luck</b>")
    code, told = await ask("GET", *MINE, "tasks", "a%2Fb")
    assert (code, told["task"]["key"], told["output"], told["output_cut"]) == (200, "a/b", "printed", 5)
    assert told["error"] == {
        "type_name": "ValueError",
        "text": "no <b>luck</b>",
        "traceback": "Traceback: no <b>luck</b>",
        "filename": "cell",
        "line": 3,
        "function": "fit",
        "key": "",
    }


async def test_task_nobody_knows_is_not_found(ask):
    code, message = await ask("GET", *MINE, "tasks", "x")
    assert (code, "'x'" in message) == (404, True)


async def test_cancel_and_retry_answer_with_the_keys(ask, host):
    assert await ask("POST", *MINE, "cancel", body={"keys": ["a"], "force": True}) == (200, {"keys": ["a"]})
    assert await ask("POST", *MINE, "retry", body={"keys": ["b", "c"]}) == (200, {"keys": ["b", "c"]})
    assert (host.cancelled, host.retried) == ([(("a",), True)], [("b", "c")])


@pytest.mark.parametrize("body", [{}, {"keys": []}, {"keys": "a"}, {"keys": [1]}, {"keys": ["a"] * 1001}, {"x": 1}])
@pytest.mark.parametrize("action", ["cancel", "retry"])
async def test_cancel_and_retry_bad_body_is_refused(ask, action, body):
    assert (await ask("POST", *MINE, action, body=body))[0] == 400


async def test_work_tells_functions_and_errors(ask):
    assert await ask("GET", *MINE, "work") == (200, {"functions": [], "errors": []})


async def test_code_is_for_this_cluster_and_has_no_secret(ask):
    code, answer = await ask("GET", *MINE, "code")
    assert (code, answer["code"]) == (200, 'from jupyter_dist import Executor\nexecutor = Executor("mine")')


async def test_notebooks_are_told_with_their_cluster_and_paths_from_the_root(ask, host):
    def session(name, kind, *, is_connected=True):
        return SessionView(f"id-{name}", name, kind, 1, is_connected, 0.0, 0.0, 3)

    host.sessions = (
        session("/notebooks/work/a.ipynb", "kernel"),
        session("/elsewhere/b.ipynb", "kernel", is_connected=False),
        session("script.py", "script"),
    )
    code, answer = await ask("GET", "notebooks")
    assert code == 200
    assert answer["notebooks"] == [
        {"path": "/elsewhere/b.ipynb", "cluster": "mine", "is_connected": False, "futures": 3},
        {"path": "work/a.ipynb", "cluster": "mine", "is_connected": True, "futures": 3},
    ]


async def test_notebooks_cluster_that_does_not_answer_is_passed_over(ask, host, served):
    host.add("other")
    await served.models()
    host.cut("other")
    host.mute["other"] = "stuck"
    assert (await ask("GET", "notebooks"))[0] == 200


async def test_adapt_is_said_and_ended(ask):
    code, model = await ask("PATCH", *MINE, body={"adapt": {"minimum": 1, "maximum": 4}})
    assert (code, model["adapting"]) == (200, {"minimum": 1, "maximum": 4})
    code, model = await ask("PATCH", *MINE, body={"adapt": None})
    assert (code, model["adapting"]) == (200, None)


async def test_worker_that_dies_is_told_with_the_reason(served, host):
    info = host.add("mine")
    await served.models()
    old = TaskEvent(1, "worker-lost", 1.0, worker="worker-0", detail="before we looked")
    new = TaskEvent(2, "worker-lost", 9e9, worker="worker-1", detail="killed by SIGSEGV")
    host.tell("mine", make_snapshot(info), old, TaskEvent(3, "finished", 9e9), new)
    (loss,) = (await served.get("mine")).losses
    assert (loss.number, loss.worker, loss.reason) == (2, "worker-1", "killed by SIGSEGV")


# ---------------------------------------------------------------------------------------------------------- profiles


async def test_profiles_none_configured_this_host_is_one(ask):
    code, answer = await ask("GET", "profiles")
    assert (code, [profile["name"] for profile in answer["profiles"]]) == (200, ["local"])


def test_profiles_are_read_as_configured():
    (profile,) = parse_profiles([{"name": "big", "workers": 8, "memory_limit": "4GB"}], Settings())
    assert (profile.workers, profile.memory_limit, profile.threads_per_worker) == (8, "4GB", None)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"workers": 1}, ["profiles[1]", "name"]),
        ({"name": "x", "wrokers": 1}, ["profiles[1]", "wrokers"]),
        ({"name": "x", "workers": "many"}, ["profiles[1]", "workers"]),
        ({"name": "x", "workers": 0}, ["profiles[1]", "(x)", "workers"]),
        ({"name": "x", "memory_limit": "lots"}, ["profiles[1]", "(x)", "memory_limit"]),
        ({"name": "../x"}, ["profiles[1]", "name"]),
        ({"name": "ok"}, ["profiles[1]", "name", "ok"]),
    ],
)
def test_profiles_bad_one_is_named_with_its_field(profile, words):
    with pytest.raises(UsageError) as caught:
        parse_profiles([{"name": "ok"}, profile], Settings())
    assert all(word in str(caught.value) for word in words)


def test_profiles_bad_one_in_the_configuration_is_refused_where_it_is_set():
    with pytest.raises(Exception, match=r"c\.JupyterDist\.profiles\[0\] \(x\), field `workers`"):
        JupyterDist(config=Config(JupyterDist={"profiles": [{"name": "x", "workers": -1}]}))


def test_start_says_more_than_its_profile():
    profiles = (LOCAL, Profile(name="big", workers=8, memory_limit="4GB"))
    request = with_profile(StartRequest(profile="big", workers=2), profiles)
    assert (request.workers, request.memory_limit) == (2, "4GB")
    with pytest.raises(UsageError, match="local, big"):
        with_profile(StartRequest(profile="huge"), profiles)


# ------------------------------------------------------------------------------------------------------------ events


async def test_events_tell_the_life_of_a_cluster(manager, host, settle):
    await manager.start(StartRequest(name="new"))
    await settle(manager)
    await manager.restart("new")
    await manager.stop("new")
    host.add("found")
    await manager.models()
    del host.infos["found"]
    await manager.models()
    assert host.events == [
        *(("requested", "new"), ("started", "new"), ("restarted", "new"), ("stopped", "new")),
        *(("found", "found"), ("lost", "found")),
    ]


async def test_events_are_recorded_by_the_servers_own_log(jp_serverapp):
    (extension,) = jp_serverapp.extension_manager.extension_apps["jupyter_dist.server"]
    recorded = []

    async def listen(logger, schema_id, data):
        recorded.append((schema_id, data))

    from_here = "https://events.jupyter.org/jupyter_dist/cluster/v1"
    jp_serverapp.event_logger.add_listener(schema_id=from_here, listener=listen)
    with pytest.raises(UsageError):
        await extension.manager.start(StartRequest(workers=0))
    extension.manager._tell("lost", ClusterModel(name="gone", state="lost", reason="killed"))
    await jp_serverapp.event_logger.gather_listeners()
    ((schema_id, data),) = recorded
    assert (schema_id, data["action"], data["name"]) == (from_here, "lost", "gone")


async def test_events_listener_that_fails_does_not_keep_a_cluster_from_starting(make_manager, settle, caplog):
    def fail(action, model):
        raise RuntimeError("full disk")

    manager = make_manager(on_event=fail)
    await manager.start(StartRequest(name="new"))
    await settle(manager)
    assert (await manager.get("new")).state == "running"
    assert "telling of cluster 'new' failed" in caplog.text
