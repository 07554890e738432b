from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.stream_rows import (
    BAR_COLUMNS,
    BARS_TICK_MAX,
    FAILED,
    LANES_MAX,
    Bar,
    StreamModel,
    function_colour,
    merge_bars,
)
from tests.notebook.fakes import event, snapshot, task_view, worker_view


def model(*events, **changes):
    stream = StreamModel()
    stream.take(Observation(snapshot(**changes), events))
    return stream


def bar(left_s=0.0, right_s=1.0, lane=0, function="f", state="finished"):
    return Bar(left_s, right_s, lane, function, "k", "w", "c", state)


def test_lanes_are_slots_and_keep_their_places():
    stream = model(workers=(worker_view("worker-10"), worker_view("worker-2", slots=2)))
    assert stream.lane_names() == ("worker-2 · 0", "worker-2 · 1", "worker-10")
    stream.take(Observation(snapshot(workers=(worker_view("worker-1"),)), ()))
    assert stream.lane_names() == ("worker-2 · 0", "worker-2 · 1", "worker-10", "worker-1")


def test_a_finished_task_is_a_bar_told_once():
    stream = model(event(1))
    patch = stream.drain(1010.0)
    assert set(patch.bars) == set(BAR_COLUMNS)
    assert {name: column[0] for name, column in patch.bars.items()} == {
        "left": 1_000_000.0, "right": 1_002_000.0, "lane": 0, "fill": function_colour("f"),
        "edge": function_colour("f"), "function": "f", "key": "f-1", "took": "2.0 s", "worker": "worker-0",
        "cell": "cell [3]", "state": "finished",
    }  # fmt: skip
    assert stream.drain(1011.0).bars["left"] == []


def test_columns_are_lists_of_one_length():
    patch = model(event(1), event(2), running=(task_view(),)).drain(1010.0)
    for columns in (patch.bars, patch.running, patch.crosses, patch.lines):
        assert all(isinstance(column, list) for column in columns.values())
        assert len({len(column) for column in columns.values()}) == 1


def test_a_failed_task_is_outlined_and_crossed():
    patch = model(event(1, "erred")).drain(1010.0)
    assert patch.bars["edge"] == [FAILED]
    assert patch.crosses == {"x": [1_002_000.0], "lane": [0]}


def test_a_running_task_grows():
    stream = model(running=(task_view(started_s=1000.0),))
    assert stream.drain(1005.0).running["right"] == [1_005_000.0]
    assert stream.drain(1006.0).running["right"] == [1_006_000.0]
    assert stream.drain(1006.0).running["state"] == ["running"]


def test_a_lost_worker_is_a_line_with_its_reason():
    patch = model(event(1, "worker-lost", worker="worker-1", detail="killed by SIGSEGV", started_s=0.0)).drain(1010.0)
    assert patch.lines == {"x": [1_002_000.0], "text": ["worker-1: killed by SIGSEGV"]}


def test_nothing_new_is_empty_and_the_last_running_bar_is_taken_away():
    stream = model(running=(task_view(),))
    assert not stream.drain(1010.0).is_empty
    stream.take(Observation(snapshot(), ()))
    assert not stream.drain(1010.0).is_empty
    assert stream.drain(1010.0).is_empty


def test_lanes_are_told_only_when_they_changed():
    stream = model()
    assert stream.drain(0.0).lanes == ("worker-0", "worker-1")
    assert stream.drain(0.0).lanes is None


def test_a_flood_is_merged_before_anything_is_left_out():
    short = [event(n, key="", started_s=n / 1000, stopped_s=n / 1000 + 0.0009) for n in range(1, 5001)]
    patch = model(*short).drain(1010.0)
    assert len(patch.bars["left"]) == 1
    assert patch.bars["took"][0].startswith("5,000 tasks in 5.0 s")
    assert patch.left_out == 0


def test_what_cannot_be_merged_is_left_out_oldest_first_and_counted():
    events = [event(n, started_s=float(n), stopped_s=n + 0.9, label=f"f{n % 7}") for n in range(1, 701)]
    patch = model(*events).drain(1010.0)
    assert len(patch.bars["left"]) == BARS_TICK_MAX
    assert patch.left_out == 200
    assert patch.bars["left"][-1] == 700_000.0


def test_dropped_events_are_counted():
    stream = StreamModel()
    stream.take(Observation(snapshot(), (), dropped=7))
    assert stream.drain(0.0).left_out == 7


def test_lanes_are_bounded():
    stream = model(workers=tuple(worker_view(f"w-{n}", slots=4) for n in range(200)))
    assert len(stream.lane_names()) == LANES_MAX


def test_times_are_local():
    stream = StreamModel(utc_offset_s=3600.0)
    stream.take(Observation(snapshot(), (event(1),)))
    assert stream.drain(0.0).bars["left"] == [4_600_000.0]


def test_a_few_bars_are_never_merged():
    bars = [bar(0.0, 0.1), bar(0.1, 0.2)]
    assert merge_bars(bars, 10.0) == bars


def test_failed_and_long_bars_are_never_merged():
    many = [bar(n * 1.0, n + 0.9, state="failed" if n % 2 else "finished") for n in range(600)]
    assert len(merge_bars(many, 5.0)) == 600
    assert len(merge_bars([bar(n * 10.0, n * 10 + 9.99) for n in range(600)], 5.0)) == 600


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 3), st.integers(0, 3), st.sampled_from("fg")), min_size=1, max_size=50
    )
)
def test_merging_loses_no_task_and_reaches_no_further(spans):
    bars = [bar(left, left + length, lane, function) for left, length, lane, function in spans]
    merged = merge_bars(bars, 0.15, bars_max=0)
    assert sum(bar.count for bar in merged) == len(bars)
    assert min(bar.left_s for bar in merged) == min(bar.left_s for bar in bars)
    assert max(bar.right_s for bar in merged) == max(bar.right_s for bar in bars)


def test_a_functions_colour_is_the_same_in_every_session():
    assert function_colour("fit") == "#2F6690"
    assert len({function_colour(f"f{n}") for n in range(100)}) > 8


def test_a_failure_told_as_a_run_and_as_a_task_is_one_bar():
    patch = model(event(1, "failed"), event(2, "erred", key="f-1", started_s=0.0)).drain(1010.0)
    assert patch.bars["state"] == ["failed"]
    assert patch.crosses["lane"] == [0]


def test_a_run_that_is_tried_again_is_marked():
    patch = model(event(1, "retried")).drain(1010.0)
    assert patch.bars["state"] == ["tried again"]
    assert patch.bars["edge"] == [FAILED]
