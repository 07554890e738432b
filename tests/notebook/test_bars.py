from __future__ import annotations

import re
import threading

import pytest

from jupyter_dist import Executor, progress
from jupyter_dist.client.progress import Following
from jupyter_dist.client.tally import Tally
from jupyter_dist.notebook.bar_html import LINES_MAX, bars_html, bars_text
from jupyter_dist.notebook.bars import ProgressBars
from jupyter_dist.notebook.publisher import Publisher
from tests.client.quiet import QuietCluster


@pytest.fixture
def quiet():
    cluster = QuietCluster()
    yield cluster
    cluster.end()


@pytest.fixture
def publisher():
    return Publisher(3600.0, "test")


def make_tally(*statuses, label="f", total=None):
    tally = Tally([label] * (total or len(statuses)), 0.0, multi=True)
    for status in statuses:
        tally.note(label, status, 2.0)
    return tally


def test_bar_has_a_part_for_each_way_of_being_done_and_says_it_in_words():
    tally = make_tally("finished", "error", "cancelled", total=4)
    html = bars_html(tally, tally.lines(), 3.0)
    assert re.findall(r"width:([\d.]+)%;background:(#\w+)", html) == [
        ("25.000", "#009E73"),
        ("25.000", "#D55E00"),
        ("25.000", "#999999"),
    ]
    assert "running: 3 of 4 · ✖ 1 erred · ⊘ 1 cancelled · 3.0 s" in html
    assert 'role="progressbar" aria-label="f" aria-valuemin="0" aria-valuemax="4" aria-valuenow="3"' in html
    assert bars_text(tally, tally.lines(), 3.0) == "f: running: 3 of 4 · ✖ 1 erred · ⊘ 1 cancelled · 3.0 s"


@pytest.mark.parametrize(
    ("statuses", "sign"),
    [(("finished",), "● done"), (("error",), "✖ done"), (("cancelled",), "⊘ done"), ((), "◐ running")],
)
def test_state_of_a_line_has_its_sign_and_its_word(statuses, sign):
    tally = make_tally(*statuses, total=1)
    assert sign in re.sub("<[^>]+>", "", bars_html(tally, tally.lines(), 3.0))


def test_time_left_is_told_when_it_is_known():
    tally = Tally(["f"] * 10, 0.0, multi=True)
    for second in range(1, 6):
        tally.note("f", "finished", float(second))
    assert "5.0 s left" in bars_html(tally, tally.lines(), 5.0)


def test_name_of_a_function_is_escaped_and_shortened():
    tally = make_tally(label="<script>" + "x" * 100, total=1)
    html = bars_html(tally, tally.lines(), 0.0)
    assert "<script>" not in html
    assert "x" * 50 not in html


def test_many_functions_are_folded_and_none_is_said_so():
    tally = Tally([f"f{index}" for index in range(100)], 0.0, multi=True)
    assert bars_html(tally, tally.lines(), 0.0).count("progressbar") == LINES_MAX
    assert "no futures" in bars_html(Tally([], 0.0, multi=True), [], 0.0)


def test_widget_follows_until_all_are_done_and_leaves_nothing(quiet, publisher):
    futures = quiet.executor.map(abs, range(4))
    quiet.finish(futures[0], 1)
    bars = ProgressBars(Following(futures), publisher=publisher)
    assert "running: 1 of 4" in bars.value
    quiet.fail(futures[1], ValueError("no"))
    bars.refresh()
    assert "running: 2 of 4 · ✖ 1 erred" in bars.value
    assert publisher._views
    for future in futures[2:]:
        quiet.finish(future, 1)
    bars.refresh()
    assert "done: 4 of 4" in bars.value
    assert not publisher._views
    assert all(not future.wish.watchers for future in futures)


def test_widget_of_what_is_done_already_follows_nothing(quiet, publisher):
    future = quiet.executor.submit(abs, -1)
    quiet.finish(future, 1)
    assert "done: 1 of 1" in ProgressBars(Following([future]), publisher=publisher).value
    assert not publisher._views


def test_closed_widget_follows_nothing_and_the_task_goes_on(quiet, publisher):
    future = quiet.executor.submit(abs, -1)
    bars = ProgressBars(Following([future]), publisher=publisher)
    bars.close()
    assert not publisher._views
    assert not future.wish.watchers
    assert future.status == "pending"


def test_updates_are_at_most_four_a_second_and_the_thread_ends(quiet):
    futures = quiet.executor.map(abs, range(50))
    bars = ProgressBars(Following(futures), publisher=(publisher := Publisher(0.25, "test-bars")))
    values: list[object] = []
    bars.observe(values.append, "value")
    over = threading.Event()
    bars.observe(lambda change: over.set() if "done: 50" in change["new"] else None, "value")
    for future in futures:
        quiet.finish(future, 1)
    assert over.wait(10)
    assert len(values) <= 2
    thread = publisher._thread
    if thread is not None:
        thread.join(5)
    assert publisher._thread is None


def test_progress_in_a_kernel_returns_the_widget_at_once(quiet, shell, monkeypatch):
    future = quiet.executor.submit(abs, -1)
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    bars = progress(future)
    assert isinstance(bars, ProgressBars)
    bundle = bars._repr_mimebundle_()
    assert bundle["text/html"] == bars.value
    assert bundle["text/plain"].startswith("abs: running: 0 of 1")
    bars.close()


def test_progress_asked_for_as_a_widget_is_one_anywhere(quiet):
    executor: Executor = quiet.executor
    bars = progress(executor.submit(abs, -1), notebook=True)
    assert isinstance(bars, ProgressBars)
    bars.close()
