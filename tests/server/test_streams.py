"""What a feed remembers: whoever was away hears what is new, once, or everything."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.messages import Observation, TaskEvent
from jupyter_dist.server import streams
from jupyter_dist.server.models import ClusterModel
from jupyter_dist.server.streams import ClusterStream, EventStream, StateStream
from tests.server.fakes import make_info, make_snapshot

SNAPSHOT = make_snapshot(make_info("mine"))


def cluster(name, **fields):
    return ClusterModel(name=name, state="running", **fields)


def heard(stream, epoch, after):
    told = stream.since(epoch, after)
    assert told is not None
    return told


def names(told, field="changed"):
    return sorted(model.name for model in told[field])


def test_list_first_listener_gets_everything_even_of_nothing():
    stream = ClusterStream()
    stream.update([])
    told = heard(stream, "", 0)
    assert (told["kind"], told["clusters"], told["from"], told["number"]) == ("snapshot", [], 0, 1)
    assert stream.since(told["epoch"], 1) is None


def test_list_listener_hears_what_changed_and_what_went_since_its_number():
    stream = ClusterStream()
    stream.update([cluster("a"), cluster("b"), cluster("c")])
    first = stream.number
    stream.update([cluster("a"), cluster("b", workers=2), cluster("c")])
    stream.update([cluster("a"), cluster("b", workers=3)])
    told = heard(stream, stream.epoch, first)
    assert (told["kind"], names(told), told["removed"]) == ("delta", ["b"], ["c"])
    assert (told["changed"][0].workers, told["from"], told["number"]) == (3, first, first + 2)


def test_list_cluster_that_only_grew_older_is_nothing_new():
    stream = ClusterStream()
    stream.update([cluster("a", elapsed_s=1.0)])
    number = stream.number
    stream.update([cluster("a", elapsed_s=2.0)])
    assert stream.since(stream.epoch, number) is None


def test_list_listener_of_another_epoch_or_of_the_future_gets_everything():
    stream = ClusterStream()
    stream.update([cluster("a")])
    for epoch, after in (("other", 1), (stream.epoch, 99), (stream.epoch, -5)):
        assert heard(stream, epoch, after)["kind"] == "snapshot"


def test_list_listener_that_was_away_for_too_long_gets_everything():
    stream = ClusterStream()
    stream.update([cluster("first")])
    number = stream.number
    for count in range(streams.REMOVED_MAX + 1):
        stream.update([cluster(f"c{count}")])
    assert heard(stream, stream.epoch, number)["kind"] == "snapshot"
    assert heard(stream, stream.epoch, stream.number - 1)["kind"] == "delta"


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2)), max_size=4), min_size=1), st.data())
def test_list_any_listener_ends_with_what_is_there(steps, data):
    stream, epoch, after = ClusterStream(), "", 0
    held: dict[str, ClusterModel] = {}
    for step in steps:
        now = {name: cluster(name, workers=workers) for name, workers in step}
        stream.update(list(now.values()))
        is_away = data.draw(st.booleans())
        told = None if is_away else stream.since(epoch, after)
        if told is not None:
            held = {} if told["kind"] == "snapshot" else held
            assert told["kind"] == "snapshot" or told["from"] == after
            held |= {model.name: model for model in told.get("clusters", told.get("changed"))}
            for name in told.get("removed", ()):
                held.pop(name, None)  # one that came and went meanwhile
            epoch, after = told["epoch"], told["number"]
        if not is_away:
            assert held == now


def observe(*numbers, last=0):
    events = tuple(TaskEvent(number, "finished", 1.0, f"k{number}") for number in numbers)
    return Observation(msgspec.structs.replace(SNAPSHOT, last_event=last or max(numbers, default=0)), events)


def test_events_are_told_once_and_from_where_a_listener_is():
    stream = EventStream(10)
    stream.update(observe(1, 2, 3))
    first = heard(stream, "", 0)
    assert ([event.number for event in first["events"]], first["skipped"]) == ([1, 2, 3], 0)
    stream.update(observe(3, 4))
    again = heard(stream, first["epoch"], 3)
    assert ([event.number for event in again["events"]], again["from"]) == ([4], 3)


def test_events_more_than_one_message_carries_the_newest_are_told_and_the_rest_counted():
    stream = EventStream(2)
    stream.update(observe(*range(1, 8)))
    told = heard(stream, "", 0)
    assert ([event.number for event in told["events"]], told["skipped"], told["number"]) == ([6, 7], 5, 7)


def test_events_that_left_the_ring_before_a_listener_came_back_are_counted(monkeypatch):
    monkeypatch.setattr(streams, "RING_MAX", 2)
    stream = EventStream(10)
    stream.update(observe(1))
    epoch = stream.epoch
    stream.update(observe(*range(2, 7)))
    told = heard(stream, epoch, 1)
    assert ([event.number for event in told["events"]], told["skipped"]) == ([5, 6], 3)


def test_events_of_another_scheduler_are_another_epoch():
    stream = EventStream(10)
    stream.update(observe(1, 2, 3))
    epoch = stream.epoch
    stream.update(observe(1))
    told = heard(stream, epoch, 3)
    assert (told["epoch"] != epoch, told["kind"], [event.number for event in told["events"]]) == (True, "snapshot", [1])


def test_state_is_told_whole_when_it_changed():
    stream = StateStream()
    assert heard(stream, "", 5)["state"] is None
    stream.update(observe())
    told = heard(stream, "", 0)
    assert [worker.name for worker in told["state"]["workers"]] == ["worker-0", "worker-1"]
    assert stream.since(told["epoch"], told["number"]) is None
