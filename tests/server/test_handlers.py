"""Every route and verb, as strangers, refused users, browsers and users meet it."""

import json
from http.cookies import SimpleCookie
from typing import ClassVar

import pytest
from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.utils import url_path_join
from tornado.httpclient import HTTPClientError

from jupyter_dist.errors import ClusterClosedError, ClusterStartError, InternalError
from jupyter_dist.server.handlers import UNFORESEEN, ClusterHandler
from jupyter_dist.server.operations import OPERATIONS, ROUTES
from tests.server.fakes import SECRET, make_task

API = ("jupyter_dist", "api", "v1", "clusters")
VALUES = {"name": "mine", "worker": "worker-0", "key": "fit-1"}
BODIES = {"POST": "{}", "PATCH": '{"workers": 2}'}
BODY_OF = {"cancel": '{"keys": ["fit-1"]}', "retry": '{"keys": ["fit-1"]}'}


def path_of(operation):
    return tuple(f"jupyter_dist/api/v1{operation.path.format(**VALUES)}".split("/"))


def body_of(verb, path):
    return BODY_OF.get(path[-1]) or BODIES.get(verb)


REQUESTS = [(operation.verb.upper(), path_of(operation)) for operation in OPERATIONS]
CHANGES = [(verb, path) for verb, path in REQUESTS if verb != "GET"]
NAMED = [(verb, path) for verb, path in REQUESTS if "mine" in path]


class RefuseAll(Authorizer):
    """Lets nobody do anything, and remembers what was asked."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def is_authorized(self, handler, user, action, resource):
        self.asked.append((action, resource))
        return False


async def refused(asking):
    """Return the status and the message of an answer that is not a success."""
    with pytest.raises(HTTPClientError) as caught:
        await asking
    answer = caught.value.response
    body = json.loads(answer.body)
    assert set(body) == {"message"}
    assert answer.headers["Content-Type"].startswith("application/json")
    assert SECRET.decode() not in answer.body.decode()
    return answer.code, body["message"]


def content(answer):
    return json.loads(answer.body)


@pytest.fixture
def ask(jp_fetch, served):
    """Make a request as the logged-in user; the path is sent as it is given, percent-encoded."""

    def fetch(verb, path=API, body=None, **options):
        text = body_of(verb, path) if body is None else body
        return jp_fetch(*path, method=verb, body=text, allow_nonstandard_methods=True, **options)

    return fetch


@pytest.fixture
def bare(http_server_client, jp_base_url, served):
    """Make a request without a token, with just these headers."""

    def fetch(verb, path=API, headers=None):
        url = url_path_join(jp_base_url, *path)
        return http_server_client.fetch(
            url, method=verb, body=body_of(verb, path), headers=headers or {}, allow_nonstandard_methods=True
        )

    return fetch


# -------------------------------------------------------------------------------------------------------- who may ask


def test_routes_every_verb_of_every_route_is_in_the_tests():
    answered = sum(
        getattr(handler, verb.lower()) is not getattr(ClusterHandler, verb.lower())
        for _, handler in ROUTES
        for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    )
    assert answered == len(REQUESTS)


@pytest.mark.parametrize(("verb", "path"), REQUESTS)
async def test_request_without_a_token_is_refused(bare, host, verb, path):
    host.add("mine")
    code, _ = await refused(bare(verb, path))
    assert code == 403
    assert "mine" in host.infos


@pytest.mark.parametrize(("verb", "path"), REQUESTS)
async def test_request_with_a_wrong_token_is_refused(bare, host, verb, path):
    code, _ = await refused(bare(verb, path, {"Authorization": "token 0123"}))
    assert code == 403


@pytest.mark.parametrize(("verb", "path"), REQUESTS)
async def test_request_user_who_is_not_allowed_is_refused_by_resource(jp_serverapp, ask, host, verb, path):
    host.add("mine")
    jp_serverapp.web_app.settings["authorizer"] = authorizer = RefuseAll()
    authorizer.asked.clear()
    code, message = await refused(ask(verb, path))
    assert (code, "not authorized" in message) == (403, True)
    assert authorizer.asked == [("read" if verb == "GET" else "write", "jupyter_dist")]
    assert "mine" in host.infos


@pytest.fixture
def log_in(jp_serverapp, http_server_client, jp_base_url):
    """Return the headers of a browser that has logged in, without and with the XSRF token."""

    async def headers():
        login, jar = url_path_join(jp_base_url, "login"), SimpleCookie()
        for url in (login, f"{login}?token={jp_serverapp.identity_provider.token}"):
            answer = await http_server_client.fetch(url, follow_redirects=False, raise_error=False)
            for header in answer.headers.get_list("Set-Cookie"):
                jar.load(header)
        cookie = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())}
        return cookie, cookie | {"X-XSRFToken": jar["_xsrf"].value}

    return headers


@pytest.mark.parametrize(("verb", "path"), CHANGES)
async def test_change_with_cookie_but_without_xsrf_token_is_refused(bare, host, log_in, verb, path):
    host.add("mine")
    without_token, _ = await log_in()
    code, message = await refused(bare(verb, path, without_token))
    assert (code, "_xsrf" in message) == (403, True)
    assert "mine" in host.infos


@pytest.mark.parametrize(("verb", "path"), CHANGES)
async def test_change_with_cookie_and_foreign_origin_is_refused(bare, host, log_in, verb, path):
    host.add("mine")
    _, with_token = await log_in()
    code, _ = await refused(bare(verb, path, with_token | {"Origin": "http://evil.example"}))
    assert code in {403, 404}
    assert "mine" in host.infos


@pytest.mark.parametrize(("verb", "path"), CHANGES)
async def test_change_with_cookie_and_xsrf_token_is_done(bare, host, log_in, verb, path):
    host.tasks["fit-1"] = make_task("fit-1")
    host.add("mine")
    _, with_token = await log_in()
    answer = await bare(verb, path, with_token)
    assert answer.code in {200, 202, 204}


# ------------------------------------------------------------------------------------------------------ what they get


async def test_clusters_none_there_list_is_empty(ask):
    answer = await ask("GET")
    assert content(answer) == {"clusters": []}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_cluster_its_whole_life_over_rest(ask, served, settle):
    answer = await ask("POST", body='{"name": "mine", "workers": 2, "threads_per_worker": 1}')
    assert (answer.code, content(answer)["state"]) == (202, "starting")
    await settle(served)
    (model,) = content(await ask("GET"))["clusters"]
    assert model == content(await ask("GET", (*API, "mine"))) | {"elapsed_s": model["elapsed_s"]}
    assert model["state"] == "running"
    assert set(model) == {
        *(
            "name",
            "id",
            "state",
            "phase",
            "elapsed_s",
            "reason",
            "log",
            "workers",
            "wanted",
            "cores",
            "memory_bytes",
            "running",
        ),
        *("counts", "finished", "erred", "sessions", "started_s", "detached", "adapting", "trouble", "losses"),
    }
    assert content(await ask("PATCH", (*API, "mine"), '{"workers": 5}'))["wanted"] == 5
    assert content(await ask("POST", (*API, "mine", "restart")))["state"] == "running"
    assert content(await ask("GET", (*API, "mine", "log"))) == {"log": "line 1\nline 2\n"}
    answer = await ask("DELETE", (*API, "mine"))
    assert (answer.code, answer.body) == (204, b"")
    assert content(await ask("GET")) == {"clusters": []}


async def test_start_without_a_body_takes_the_first_free_name(ask, host):
    host.add("default")
    assert content(await ask("POST", body=""))["name"] == "default-2"


async def test_start_name_is_taken_conflicts(ask, host):
    host.add("mine")
    code, message = await refused(ask("POST", body='{"name": "mine"}'))
    assert (code, "'mine'" in message) == (409, True)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("{", "JSON"),
        ("nothing", "JSON"),
        ("[]", "object"),
        ("[" * 5000, "object"),
        ('{"nane": "x"}', "nane"),
        ('{"name": 5}', "name"),
        ('{"name": ""}', "name"),
        ('{"name": "../../etc"}', "name"),
        ('{"name": "..."}', "name"),
        ('{"name": "<script>alert(1)</script>"}', "name"),
        ('{"name": "\\u202eevil"}', "name"),
        ('{"name": "größe"}', "name"),
        ('{"workers": "many"}', "workers"),
        ('{"workers": 0}', "workers"),
        ('{"workers": -3}', "workers"),
        ('{"workers": 1e99}', "workers"),
        ('{"workers": 100000000000000000000000}', "workers"),
        ('{"workers": 2.5}', "workers"),
        ('{"threads_per_worker": 0}', "threads_per_worker"),
        ('{"threads_per_worker": 99999}', "threads_per_worker"),
        ('{"memory_limit": "a lot"}', "memory_limit"),
        ('{"memory_limit": -1}', "memory_limit"),
        ('{"memory_limit": []}', "memory_limit"),
        ('{"resources": {"GPU": -1}}', "resources"),
        ('{"resources": {"GPU": "two"}}', "resources"),
        ('{"idle_stop_s": 0}', "idle_stop_s"),
        ('{"idle_stop_s": 1e99}', "idle_stop_s"),
        ('{"profile": "no-such"}', "profile"),
    ],
)
async def test_start_bad_body_is_refused_and_names_the_field(ask, served, body, word):
    code, message = await refused(ask("POST", body=body))
    assert (code, word in message) == (400, True)
    assert "%%" not in message
    assert served._clusters == {}


BAD_CHANGES = [
    *(
        "",
        "{}",
        "[1]",
        '{"workers": null}',
        '{"workers": -1}',
        '{"workers": 2, "x": 1}',
        '{"workers": 2, "adapt": null}',
    ),
    *('{"adapt": 3}', '{"adapt": {"minimum": 2, "maximum": 1}}', '{"adapt": {"minimum": 0, "maximum": 0}}'),
    *('{"adapt": {"minimum": -1, "maximum": 1}}', '{"adapt": {"minimum": 1, "maximum": 99999}}', '{"adapt": {}}'),
]


@pytest.mark.parametrize("body", BAD_CHANGES)
async def test_scale_bad_body_is_refused(ask, host, body):
    host.add("mine")
    code, _ = await refused(ask("PATCH", (*API, "mine"), body))
    assert code == 400


async def test_restart_unknown_field_is_refused(ask, host):
    host.add("mine")
    code, message = await refused(ask("POST", (*API, "mine", "restart"), '{"hard": true}'))
    assert (code, "hard" in message, host.restarts) == (400, True, 0)


@pytest.mark.parametrize(
    "name", ["other", "%2e%2e", "..%2f..", "a%2fb", "%00", "%E2%80%AEx", "%3Cscript%3E", "x" * 2000, "..."]
)
@pytest.mark.parametrize(("verb", "path"), NAMED)
async def test_request_name_that_is_not_there_is_not_found(bare, jp_auth_header, host, verb, path, name):
    host.add("mine")
    code, message = await refused(bare(verb, [part.replace("mine", name) for part in path], jp_auth_header))
    assert (code, "named" in message, len(message) < 300) == (404, True, True)
    assert message.isascii()


async def test_request_name_that_is_no_text_is_refused(bare, jp_auth_header):
    code, _ = await refused(bare("GET", (*API, "%ff%fe"), jp_auth_header))
    assert code == 400


@pytest.mark.parametrize(("verb", "path"), [("PUT", API), ("DELETE", API), ("GET", (*API, "mine", "restart"))])
async def test_request_verb_that_does_not_exist_is_refused(ask, verb, path):
    code, _ = await refused(ask(verb, path))
    assert code == 405


async def test_request_cluster_that_does_not_run_conflicts(ask, host, served, settle):
    host.start_error = ClusterStartError("exit code 3\nlast line")
    await ask("POST", body='{"name": "mine"}')
    await settle(served)
    model = content(await ask("GET", (*API, "mine")))
    assert (model["state"], model["reason"], model["log"]) == ("failed", "exit code 3", "last line")
    assert (await refused(ask("PATCH", (*API, "mine"))))[0] == 409
    assert (await refused(ask("POST", (*API, "mine", "restart"))))[0] == 409
    assert (await ask("DELETE", (*API, "mine"))).code == 204


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ClusterClosedError("it is gone, 100 %"), 409, "it is gone, 100 %"),
        (InternalError("a table is wrong"), 500, "a table is wrong"),
        (RuntimeError(f"secret {SECRET!r}"), 500, UNFORESEEN),
        (OSError("/home/me/secret/path"), 500, UNFORESEEN),
    ],
)
async def test_request_that_fails_says_what_a_person_may_know(ask, host, error, status, words):
    host.add("mine")
    host.stop_error = error
    assert await refused(ask("DELETE", (*API, "mine"))) == (status, words)


# ---------------------------------------------------------------------------------------------------------- activity


@pytest.mark.parametrize(("verb", "path"), REQUESTS)
async def test_request_only_changes_count_as_activity(jp_serverapp, ask, host, verb, path):
    host.add("mine")
    host.tasks["fit-1"] = make_task("fit-1")
    host.process_logs["worker-0"] = "hello"
    settings = jp_serverapp.web_app.settings
    settings.pop("api_last_activity", None)
    await ask(verb, path)
    assert ("api_last_activity" in settings) == (verb != "GET")
