from __future__ import annotations

import pytest

from jupyter_dist.messages.base import DeathCertificate
from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.panel_rows import RECENT_MAX, ROWS_MAX, Link, PanelModel, natural, where
from tests.notebook.fakes import (
    error_info,
    error_view,
    event,
    function_view,
    snapshot,
    task_view,
    worker_view,
)

COUNTS = {"waiting": 1, "queued": 73, "processing": 1, "memory": 2, "erred": 1}


def model(*events, **changes):
    panel = PanelModel()
    panel.take(Observation(snapshot(**changes), events))
    return panel


@pytest.mark.parametrize(
    ("changes", "link", "word"),
    [
        ({}, Link(), "idle"),
        ({"counts": {"processing": 1}}, Link(), "running"),
        ({"workers": ()}, Link(), "no workers"),
        ({"wanted": 3}, Link(), "some workers missing"),
        ({}, Link(is_connected=False), "disconnected, trying again"),
        ({}, Link(is_closed=True), "closed"),
    ],
)
def test_the_header_has_a_word_for_each_state(changes, link, word):
    header = model(**changes).header("default", link)
    assert header.word == word
    assert header.name == "default"


def test_the_header_tells_workers_cores_memory_and_uptime():
    assert model(at_s=1130.0).header("d", Link()).facts == ("2/2 workers", "2 cores", "100 MB of 200 MB", "up 2 min")


def test_a_journal_that_cannot_be_written_is_in_the_header():
    facts = model(trouble="disk full").header("d", Link()).facts
    assert facts[-1] == "no longer survives its scheduler: the journal cannot be written"


def test_a_disconnected_panel_says_as_of_when():
    assert model().header("d", Link(is_connected=False)).facts[-1].startswith("as of ")


def test_before_the_first_word_there_is_something_to_read():
    panel = PanelModel()
    assert panel.header("d", Link()).word == "connecting"
    assert panel.futures().caption.startswith("waiting for")
    assert panel.errors().caption == "no errors"


def test_chips_count_by_state():
    assert [text for _, text in model(counts=COUNTS).chips()] == [
        "1 waiting", "73 queued", "1 processing", "2 in memory", "1 failed",
    ]  # fmt: skip


def test_futures_are_running_first_then_the_newest_finished():
    panel = model(event(1), event(2), event(3, "erred"), running=(task_view("g-1"),), counts=COUNTS)
    rows = panel.futures().rows
    assert [row.id for row in rows] == ["g-1", "f-3", "f-2", "f-1"]
    assert rows[0].cells == ("running", "g-1", "f", "cell [3]", "worker-0", "10 s", "")
    assert rows[3].cells == ("finished", "f-1", "f", "cell [3]", "worker-0", "2.0 s", "1.0 kB")


@pytest.mark.parametrize(("state", "ids"), [("processing", ["g-1"]), ("memory", ["f-2", "f-1"]), ("erred", ["f-3"])])
def test_a_chip_filters(state, ids):
    panel = model(event(1), event(2), event(3, "erred"), running=(task_view("g-1"),), counts=COUNTS)
    assert [row.id for row in panel.futures(state).rows] == ids


def test_queued_tasks_are_told_by_function():
    rows = model(functions=(function_view("f", queued=3), function_view("g", queued=70))).futures("queued").rows
    assert [row.cells[1:3] for row in rows] == [("× 70", "g"), ("× 3", "f")]


def test_a_task_that_runs_again_is_not_listed_twice():
    assert [row.id for row in model(event(1), running=(task_view("f-1"),)).futures().rows] == ["f-1"]


def test_lists_are_bounded_and_say_so():
    counts = COUNTS | {"memory": 12_340}
    panel = model(*(event(number) for number in range(3000)), counts=counts)
    assert len(panel.recent) == RECENT_MAX
    listing = panel.futures("memory")
    assert len(listing.rows) == ROWS_MAX
    assert listing.caption == "showing 200, newest first; the cluster knows 12,340"


def test_an_empty_cluster_shows_an_example():
    assert "executor.submit(" in model().futures().caption


def test_a_restart_forgets_what_was_finished():
    panel = model(event(1))
    panel.clear()
    assert panel.futures().rows == ()


def test_errors_are_grouped_by_type_and_place():
    panel = model(
        errors=(
            error_view("f-1", worker="worker-0", at_s=1.0),
            error_view("f-2", worker="worker-1", at_s=3.0, error=error_info(text="newest")),
            error_view("g-1", at_s=2.0, error=error_info(line=9)),
        ),
        erred=3,
    )
    first, second = panel.errors().rows
    assert first.cells[:4] == ("ValueError", "cell [7] line 4", "× 2", "2 workers")
    assert first.cells[5] == "newest"
    assert second.cells[:4] == ("ValueError", "cell [7] line 9", "× 1", "worker-0")
    assert panel.errors().caption == "2 kinds of error; 3 tasks failed so far"


def test_an_error_opens_to_a_traceback_without_terminal_colours():
    detail = model(errors=(error_view(error=error_info(traceback="\x1b[31mTraceback\x1b[0m")),)).errors().rows[0].detail
    assert "Traceback" in detail
    assert "\x1b" not in detail


def test_a_death_is_told_in_words():
    certificate = DeathCertificate("w", "h", 1, "signal", -11, 0, (), "", "", "worker-2 was killed by SIGSEGV", 0.0)
    row = model(errors=(error_view(error=error_info(certificates=(certificate,))),)).errors().rows[0]
    assert "worker-2 was killed by SIGSEGV" in row.detail


def test_workers_are_told_in_the_order_of_their_numbers():
    panel = model(
        workers=(worker_view("worker-10"), worker_view("worker-2", running=1, restarts=2, last_death="exit 3"))
    )
    row = panel.workers().rows[0]
    assert row.cells == (
        "running", "worker-2", "here", "4211", "nanny-0", "1/1", "12 %", "50 MB of 100 MB (50 %)", "3 (1.2 kB)", "0",
        "now", "2", "exit 3",
    )  # fmt: skip
    assert panel.workers().rows[1].cells[1] == "worker-10"


def test_spilled_bytes_and_what_is_wrong_with_a_workers_memory_are_told():
    words = "it uses 90 bytes of the 100 it may use"
    spilling = worker_view(state="paused", held_bytes=3_000_000, spilled_bytes=2_000_000, trouble=words)
    row = model(workers=(spilling,)).workers().rows[0]
    assert (row.cells[0], row.cells[8]) == ("paused", "3 (3.0 MB, 2.0 MB on disk)")
    assert row.detail == f"worker-0 at unix:/tmp/worker-0\n{words}"


def test_local_code_of_a_worker_is_in_its_detail_as_plain_text():
    modules = (("helper", "3f7464c2"), ("<b>\x1b[31mlib.zip", "0f349b6a"))
    row = model(workers=(worker_view(modules=modules),)).workers().rows[0]
    assert row.detail.endswith("local code:\nhelper 3f7464c2\n<b>lib.zip 0f349b6a")
    assert "local code" not in model(workers=(worker_view(),)).workers().rows[0].detail


@pytest.mark.parametrize(("heard_s", "sign"), [(0.1, "memory"), (2.0, "lost"), (4.0, "erred")])
def test_a_silent_worker_is_marked(heard_s, sign):
    assert model(workers=(worker_view(heard_s=heard_s),)).workers().rows[0].state == sign


def test_no_workers_says_what_to_do():
    assert model(workers=(), wanted=0).workers().caption == "the scheduler is up with 0 workers; start some with +"


@pytest.mark.parametrize(
    ("filename", "words"),
    [("", ""), ("<cell [7] 0a1b2c>", "cell [7] line 4"), ("<x>", "x line 4"), ("/a/model.py", "model.py line 4")],
)
def test_places_are_said(filename, words):
    assert where(filename, 4) == words


def test_names_sort_as_people_count():
    assert sorted(["w-10", "w-9", "w", "1"], key=natural) == ["1", "w", "w-9", "w-10"]


def test_a_failure_told_as_a_run_and_as_a_task_is_one_row_with_both():
    panel = model(event(1, "failed"), event(2, "erred", key="f-1", worker="", started_s=0.0, detail="ValueError: bad"))
    (row,) = panel.futures().rows
    assert row.cells[:6] == ("failed", "f-1", "f", "cell [3]", "worker-0", "2.0 s")
    assert "ValueError: bad" in row.detail


def test_an_error_in_a_function_of_the_notebook_names_its_cell():
    panel = PanelModel(cell_of=lambda filename: "cell [4]" if filename.startswith("/tmp/ipykernel") else "")
    info = error_info(filename="/tmp/ipykernel_1/7081.py")
    panel.take(Observation(snapshot(errors=(error_view(error=info),)), ()))
    assert panel.errors().rows[0].cells[1] == "cell [4] line 4"
