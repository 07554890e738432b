"""How executors, futures and clusters look: useful, short, escaped, and without a secret or a question to the cluster."""

from __future__ import annotations

import msgspec
import pytest

from jupyter_dist import Executor
from jupyter_dist.client.portrait import CHARS_MAX, shorten
from jupyter_dist.launch.portrait import cluster_facts, facts_html, reach_of
from tests.client.quiet import SECRET, QuietCluster, cluster_info, snapshot_of


def test_open_executor_tells_cluster_workers_futures_and_reach(quiet):
    executor = quiet.executor
    futures = executor.map(abs, range(3))
    quiet.finish(futures[0], 0)
    quiet.fail(futures[1], ValueError("no"))
    assert repr(executor) == "<Executor on 'quiet', 2 workers on here, 3 futures: 1 pending, 1 finished, 1 error>"
    shown = executor._repr_html_()
    for part in ("<strong>quiet</strong>", "2 workers at its start", "Unix socket, only you", "1 error"):
        assert part in shown


def test_workers_are_those_last_seen(quiet):
    quiet.snapshot = snapshot_of("worker-0")
    quiet.executor.snapshot()
    assert "1 worker on here" in repr(quiet.executor)
    quiet.snapshot = snapshot_of("worker-0", "worker-1", "worker-2")
    with_feed = quiet.executor.watch(lambda _observation: None)
    quiet.settle()
    assert "3 workers when last seen" in quiet.executor._repr_html_()
    with_feed.close()


def test_showing_asks_the_cluster_nothing(quiet):
    future = quiet.executor.submit(abs, -1)
    said = len(quiet.settle())
    for thing in (quiet.executor, future):
        assert repr(thing)
        assert thing._repr_html_()
    assert len(quiet.settle()) == said


def test_closed_executor_says_why(quiet):
    quiet.executor.loop.run(quiet.session.close("the <cluster> is gone"))
    assert repr(quiet.executor) == "<Executor, closed: the <cluster> is gone>"
    assert "the &lt;cluster&gt; is gone" in quiet.executor._repr_html_()


def test_executor_that_is_not_started_says_so():
    executor = Executor(cluster_info(), start=False)
    assert repr(executor) == "<Executor, not started>"
    assert "not started" in executor._repr_html_()
    executor.close()
    assert "was shut down" in repr(executor)
    assert "was shut down" in executor._repr_html_()


def test_nothing_shows_a_secret(quiet):
    future = quiet.executor.submit(abs, -1)
    info = quiet.executor.info
    shown = "".join(
        [
            repr(quiet.executor),
            quiet.executor._repr_html_(),
            repr(future),
            future._repr_html_(),
            repr(info),
            facts_html("LocalCluster", "x", cluster_facts(info)),
        ]
    )
    for form in (SECRET.decode(), SECRET.hex(), repr(SECRET)):
        assert form not in shown


def test_future_tells_what_became_of_it(quiet):
    pending, finished, erred, cancelled = quiet.executor.map(abs, range(4), key=["a", "b", "<c>", "d"])
    quiet.finish(finished, 1)
    quiet.fail(erred, ValueError("no <b>\nsecond line"))
    quiet.cancel(cancelled, "by the test")
    assert repr(pending) == "<Future a: pending>"
    assert repr(finished) == "<Future b: finished, int>"
    assert repr(erred) == "<Future <c>: error, ValueError: no <b> second line>"
    assert repr(cancelled) == "<Future d: cancelled, by the test>"
    assert pending._repr_html_() == "<span>○ Future: pending <code>a</code></span>"
    assert "✖ Future: error, ValueError: no &lt;b&gt; second line <code>&lt;c&gt;</code>" in erred._repr_html_()


def test_long_key_is_shown_by_its_two_ends(quiet):
    future = quiet.executor.submit(abs, -1, key="k" * 1_000_000 + "-end")
    assert len(repr(future)) < 2 * CHARS_MAX
    assert "k…k" in repr(future)
    assert shorten("x" * CHARS_MAX) == "x" * CHARS_MAX


@pytest.mark.parametrize(
    ("address", "words"), [("tcp://127.0.0.1:1", "port of this host"), ("other:x", "only who can")]
)
def test_other_ways_to_be_reached_are_named(address, words):
    info = msgspec.structs.replace(cluster_info(), address=address)
    assert words in reach_of(info)


def test_futures_of_two_executors_are_told_apart_by_their_executors(quiet):
    other = QuietCluster(name="other")
    other.executor.submit(abs, -1)
    assert "1 future" in repr(other.executor)
    assert "0 futures" in repr(quiet.executor)
    other.end()
