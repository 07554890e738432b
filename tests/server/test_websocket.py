"""The feed over a real WebSocket: who is let in, what is told, what was missed, what is not told to whom."""

import asyncio
import json

import msgspec
import pytest
from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.utils import url_path_join
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_dist.messages import TaskEvent
from jupyter_dist.server.handlers import MANAGER
from jupyter_dist.server.hub import Hub
from jupyter_dist.server.websocket import HUB, LIMITS
from jupyter_dist.settings import Settings
from tests.server.fakes import SECRET, make_snapshot

WAIT_S = 20.0


async def until(is_so):
    """Wait for a state that nobody tells of."""
    async with asyncio.timeout(WAIT_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def is_feeding(task):
    return task.get_name().startswith(("tell ", "keep "))


class Page:
    """A page that listens."""

    def __init__(self, socket):
        self.socket = socket

    def say(self, **said):
        self.socket.write_message(json.dumps(said))

    async def hear(self):
        text = await asyncio.wait_for(self.socket.read_message(), WAIT_S)
        assert text is not None, "the socket was closed"
        assert SECRET.decode() not in text
        return json.loads(text)

    async def hear_until(self, is_reached):
        while not is_reached(told := await self.hear()):
            pass
        return told


@pytest.fixture
def manager(make_manager):
    return make_manager({"observe_interval_s": 0.02, "feed_interval_s_min": 0.0})


@pytest.fixture
def connect(jp_base_url, http_server_port, http_server_client, jp_auth_header, served, jp_asyncio_loop):
    pages = []

    async def open_page(headers=None, origin=None):
        url = f"ws://localhost:{http_server_port[-1]}{url_path_join(jp_base_url, 'jupyter_dist/api/v1/feed')}"
        sent = dict(jp_auth_header if headers is None else headers)
        socket = await websocket_connect(HTTPRequest(url, headers=sent | ({"Origin": origin} if origin else {})))
        pages.append(Page(socket))
        return pages[-1]

    yield open_page
    for page in pages:
        page.socket.close()

    async def drained():
        await until(lambda: not any(is_feeding(task) for task in asyncio.all_tasks()))

    jp_asyncio_loop.run_until_complete(drained())


# -------------------------------------------------------------------------------------------------------- who may listen


async def test_feed_without_a_token_is_refused(connect):
    for headers in ({}, {"Authorization": "token 0123"}):
        with pytest.raises(HTTPClientError) as caught:
            await connect(headers)
        assert caught.value.code == 403


async def test_feed_user_who_may_not_read_is_refused(connect, jp_serverapp):
    asked = []

    class RefuseAll(Authorizer):
        def is_authorized(self, handler, user, action, resource):
            asked.append((action, resource))
            return False

    jp_serverapp.web_app.settings["authorizer"] = RefuseAll()
    with pytest.raises(HTTPClientError) as caught:
        await connect()
    assert (caught.value.code, asked) == (403, [("read", "jupyter_dist")])


async def test_feed_page_of_another_origin_is_refused(connect):
    with pytest.raises(HTTPClientError) as caught:
        await connect({}, origin="http://evil.example")
    assert caught.value.code == 403


# ---------------------------------------------------------------------------------------------------------- the list


async def test_list_is_told_and_then_what_changes(connect, host):
    info = host.add("mine")
    page = await connect()
    page.say(watch="clusters", interval_s=0)
    told = await page.hear()
    assert (told["topic"], told["kind"], told["clusters"][0]["name"]) == ("clusters", "snapshot", "mine")
    number = told["number"]
    host.tell("mine", make_snapshot(info, workers=5))
    told = await page.hear()
    assert (told["kind"], told["from"], told["changed"][0]["workers"]) == ("delta", number, 5)


async def test_list_page_that_comes_back_hears_only_what_it_missed(connect, host):
    host.add("mine")
    other = await connect()  # keeps the stream
    other.say(watch="clusters", interval_s=0)
    await other.hear()
    page = await connect()
    page.say(watch="clusters", interval_s=0)
    told = await page.hear()
    page.socket.close()
    host.add("another")
    await other.hear()
    page = await connect()
    page.say(watch="clusters", interval_s=0, epoch=told["epoch"], after=told["number"])
    told = await page.hear()
    assert (told["kind"], [model["name"] for model in told["changed"]]) == ("delta", ["another"])


async def test_list_unwatched_is_not_told_nor_kept(connect, host, jp_serverapp):
    hub = jp_serverapp.web_app.settings[HUB]
    page = await connect()
    page.say(watch="clusters", interval_s=0)
    await page.hear()
    page.say(unwatch="clusters")
    page.say(watch="nonsense")  # its answer tells that the first was taken
    assert (await page.hear())["kind"] == "error"
    await until(lambda: not hub._topics)
    host.add("mine")


async def test_list_of_a_slow_page_comes_in_one_message(connect, host):
    info = host.add("mine")
    page, quick = await connect(), await connect()
    page.say(watch="clusters", interval_s=0.5)
    quick.say(watch="clusters", interval_s=0)
    first = await page.hear()
    await quick.hear()
    for workers in (3, 4, 5):
        host.tell("mine", make_snapshot(info, workers=workers))
        await quick.hear_until(lambda told, workers=workers: told["changed"][0]["workers"] == workers)
    told = await page.hear()
    assert (told["from"], told["number"] >= first["number"] + 3) == (first["number"], True)
    assert told["changed"][0]["workers"] == 5


# -------------------------------------------------------------------------------------------------------- one cluster


async def test_events_are_told_while_somebody_listens_and_no_longer(connect, host, served):
    info = host.add("mine")
    await served.models()
    (observer,) = host.observers
    assert len(observer.watchings) == 1  # the server's own look
    page = await connect()
    page.say(watch="tasks/mine", interval_s=0)
    await until(lambda: len(observer.watchings) > 1)
    snapshot = msgspec.structs.replace(make_snapshot(info), last_event=1)
    host.tell("mine", snapshot, TaskEvent(1, "finished", 5.0, "fit-1", "fit"))
    told = await page.hear()
    assert (told["kind"], told["events"][0][:5]) == ("snapshot", [1, "finished", 5.0, "fit-1", "fit"])
    page.say(unwatch="tasks/mine")
    await until(lambda: len(observer.watchings) == 1)


async def test_state_of_a_cluster_has_its_workers_and_functions(connect, host):
    info = host.add("mine")
    page = await connect()
    page.say(watch="cluster/mine", interval_s=0)
    await until(lambda: host.observers and len(host.observers[0].watchings) > 1)
    host.tell("mine", make_snapshot(info, workers=3))
    told = await page.hear()
    assert [worker["name"] for worker in told["state"]["workers"]] == ["worker-0", "worker-1", "worker-2"]


async def test_cluster_that_is_not_there_is_said_and_heard_when_it_comes(connect, host):
    page = await connect()
    page.say(watch="cluster/mine", interval_s=0)
    told = await page.hear()
    assert (told["kind"], "'mine'" in told["message"]) == ("trouble", True)
    info = host.add("mine")
    told = await page.hear()
    assert (told["kind"], told["message"]) == ("trouble", "")
    host.tell("mine", make_snapshot(info))
    assert (await page.hear())["kind"] == "snapshot"


async def test_cluster_whose_connection_was_cut_is_heard_again(connect, host, served):
    info = host.add("mine")
    page = await connect()
    page.say(watch="tasks/mine", interval_s=0)
    await until(lambda: host.observers and len(host.observers[0].watchings) > 1)
    host.cut("mine")
    await until(lambda: len(host.observers) > 1 and len(host.observers[1].watchings) > 1)
    host.tell("mine", msgspec.structs.replace(make_snapshot(info), last_event=4), TaskEvent(4, "finished", 5.0, "k"))
    assert (await page.hear())["events"][0][0] == 4


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "said",
    [
        *(
            "",
            "{",
            "[]",
            "{}",
            "null",
            '{"watch": 3}',
            '{"watch": "clusters", "x": 1}',
            '{"watch": "a", "unwatch": "a"}',
        ),
        *('{"watch": "cluster/../x"}', '{"watch": "cluster/"}', '{"watch": "secrets"}', '{"watch": "tasks/a b"}'),
        *('{"watch": "clusters", "after": "x"}', '{"watch": "clusters", "interval_s": null}', "[" * 2000),
    ],
)
async def test_page_that_talks_nonsense_is_told_so_and_may_go_on(connect, said):
    page = await connect()
    page.socket.write_message(said)
    told = await page.hear()
    assert (told["kind"], bool(told["message"])) == ("error", True)
    page.say(watch="clusters")
    assert (await page.hear())["kind"] == "snapshot"


async def test_page_that_says_too_much_at_once_is_cut_off(connect):
    page = await connect()
    page.socket.write_message("x" * 100_000)
    assert await asyncio.wait_for(page.socket.read_message(), WAIT_S) is None


async def test_page_that_watches_too_much_is_refused(connect, jp_serverapp):
    jp_serverapp.web_app.settings[LIMITS] = Settings(feed_topics_max=1)
    page = await connect()
    page.say(watch="clusters")
    page.say(watch="cluster/mine")
    assert (await page.hear_until(lambda told: told["kind"] == "error"))["message"]


async def test_pages_that_come_and_go_leave_nothing(connect, host, jp_serverapp):
    host.add("mine")
    for _ in range(20):
        page = await connect()
        page.say(watch="clusters", interval_s=0)
        page.say(watch="tasks/mine", interval_s=0)
        await page.hear()
        page.socket.close()
    hub = jp_serverapp.web_app.settings[HUB]
    assert isinstance(hub, Hub)
    await until(lambda: not hub._topics)
    (observer,) = [observer for observer in host.observers if not observer.is_closed]
    assert len(observer.watchings) == 1
    assert jp_serverapp.web_app.settings[MANAGER].activity() == []
