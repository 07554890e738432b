"""The OpenAPI file says what the handlers do: it is compared with them, and requests made from it are sent."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.httpclient import HTTPClientError
from tornado.httputil import url_concat

import jupyter_dist
from jupyter_dist.server.handlers import ClusterHandler
from jupyter_dist.server.openapi import document
from jupyter_dist.server.operations import OPERATIONS, ROUTES
from tests.server.fakes import make_task

FILE = Path(jupyter_dist.__file__).parents[1] / "docs" / "openapi.json"
VERBS = ("get", "head", "post", "put", "patch", "delete")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def test_file_is_what_the_handlers_make():
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(document())), (
        "write it anew: python -m jupyter_dist.server.openapi > docs/openapi.json"
    )


def test_every_verb_of_every_route_is_an_operation_and_no_other():
    answered = {
        (pattern, verb)
        for pattern, handler in ROUTES
        for verb in VERBS
        if getattr(handler, verb) is not getattr(ClusterHandler, verb)
    }
    described = {
        (re.sub(r"{\w+}", "([^/]+)", path), verb) for path, verbs in document()["paths"].items() for verb in verbs
    }
    assert answered == described
    assert len(described) == len(OPERATIONS)


def test_every_operation_has_an_id_of_its_own_and_every_reference_leads_somewhere():
    made = document()
    ids = [verb["operationId"] for path in made["paths"].values() for verb in path.values()]
    assert len(set(ids)) == len(ids)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(made)):
        place = made
        for part in reference.split("/"):
            place = place[part]


class Schemas:
    """Checks answers against the document."""

    def __init__(self):
        self.document = document()

    def check(self, operation, status, body):
        answers = self.document["paths"][f"/jupyter_dist/api/v1{operation.path}"][operation.verb]["responses"]
        answer = answers[str(status)]
        if "$ref" in answer:
            answer = self.document["components"]["responses"][str(status)]
        if "content" not in answer:
            assert body == b""
            return
        schema = {**answer["content"]["application/json"]["schema"], "components": self.document["components"]}
        jsonschema.validate(json.loads(body), schema)


@pytest.fixture
def schemas():
    return Schemas()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.verb} {operation.path}")
def test_answers_to_whatever_is_sent_are_as_described(
    http_server_client, jp_base_url, jp_auth_header, jp_asyncio_loop, served, host, schemas, operation
):
    @settings(
        max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
    )
    @given(
        value=st.text(min_size=1, max_size=12) | st.just("mine"),
        part=st.sampled_from(["worker-0", "fit-1", "nobody"]),
        body=VALUES | st.fixed_dictionaries({"keys": st.lists(st.text(max_size=5), min_size=1, max_size=3)}),
        query=st.dictionaries(st.sampled_from(["count", "before", "lines", "state", "text"]), st.text(max_size=6)),
    )
    def send(value, part, body, query):
        host.infos.clear()
        host.add("mine")
        host.tasks["fit-1"] = make_task("fit-1", "erred", error="no")
        host.process_logs["worker-0"] = "hello"
        jp_asyncio_loop.run_until_complete(fetch(value, part, body, query))

    async def fetch(value, part, body, query):
        made = operation.path.format(name=quoted(value), worker=part, key=part)
        text = json.dumps(body) if operation.verb in {"post", "patch"} else None
        url = url_concat(f"{jp_base_url}jupyter_dist/api/v1{made}", query)
        options = {"method": operation.verb.upper(), "headers": jp_auth_header, "allow_nonstandard_methods": True}
        try:
            answer = await http_server_client.fetch(url, body=text, **options)
        except HTTPClientError as error:
            answer = error.response
        schemas.check(operation, answer.code, answer.body)
        assert answer.code < 500

    send()


def quoted(value):
    """Return a name so that no client or server takes it for more than one part of a path."""
    return "".join(f"%{byte:02X}" for byte in value.encode("utf-8", errors="replace"))
