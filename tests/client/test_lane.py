"""A lane against a session that only notes what it is told."""

import threading
from typing import Any

import pytest

from jupyter_dist.client.calls import PackedCall
from jupyter_dist.client.concurrent_future import ConcurrentFuture
from jupyter_dist.client.explanations import Explanation
from jupyter_dist.client.lane import AHEAD_S, Lane, _Pace
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.core.futures import Wish
from jupyter_dist.errors import ClusterClosedError, FutureCancelledError
from jupyter_dist.messages import FunctionBody, TaskOptions
from jupyter_dist.protocol.payload import pack_inline
from jupyter_dist.settings import Settings

FUNCTION = FunctionBody("f", "f", b"")


class NotingSession:
    """Takes wishes, and ends them when the test says so."""

    def __init__(self) -> None:
        self.wishes: list[Wish] = []
        self.watchers: dict[Wish, Any] = {}
        self.batches: list[int] = []
        self.lock = threading.RLock()
        self.is_closed = False
        self.dropped: list[Wish] = []
        self.code = Shipping(lambda _message: None, Settings())

    def check_open(self) -> None:
        if self.is_closed:
            raise ClusterClosedError("it was stopped")

    def submit(self, _function: FunctionBody, _options: TaskOptions, calls: list[Any]) -> list[Wish]:
        self.check_open()
        new = [Wish(key, len(self.wishes) + n, "f") for n, (key, _, _) in enumerate(calls)]
        self.wishes.extend(new)
        self.batches.append(len(new))
        return new

    def watch(self, wish: Wish, watcher: Any) -> bool:
        self.watchers[wish] = watcher
        return True

    def drop(self, wish: Wish) -> None:
        self.dropped.append(wish)

    def finish(self, number: int, value: object = None) -> None:
        wish = self.wishes[number]
        wish.status, wish.value = "finished", pack_inline(value)
        self.watchers.pop(wish).notify(wish)

    def give_up(self, number: int, reason: str) -> None:
        wish = self.wishes[number]
        wish.status, wish.reason = "cancelled", reason
        self.watchers.pop(wish).notify(wish)


class Owner:
    """What a lane sees of an Executor."""

    settings: Any = None
    results: Any = None
    asynchronous = False

    def __init__(self) -> None:
        self.session: Any = NotingSession()
        self.cancelled: list[str] = []

    def cancel(self, futures: Any, force: bool = False) -> None:
        self.cancelled.extend(future.key for future in futures)
        assert force

    def retry(self, futures: Any) -> None:
        raise AssertionError(futures)

    async def explain_all(self, futures: list[Any]) -> list[Explanation]:
        raise AssertionError(futures)


def make_lane(width: int = 2) -> tuple[Lane, NotingSession]:
    owner = Owner()
    return Lane(owner, TaskOptions(), width), owner.session


def enter(lane: Lane, count: int) -> list[ConcurrentFuture]:
    return lane.enter(FUNCTION, [PackedCall(f"task-{number}", b"", ()) for number in range(count)])


def test_lane_hands_over_as_many_calls_as_it_is_wide_in_one_batch():
    lane, session = make_lane(width=3)
    futures = enter(lane, 5)
    assert session.batches == [3]
    assert [future.running() for future in futures] == [True, True, True, False, False]


def test_call_that_ends_makes_room_for_the_next_in_order():
    lane, session = make_lane()
    futures = enter(lane, 4)
    session.finish(1, "b")
    assert [wish.key for wish in session.wishes] == ["task-0", "task-1", "task-2"]
    assert futures[1].result() == "b"
    assert [future.done() for future in futures] == [False, True, False, False]


def test_task_is_not_wanted_after_its_end_unless_there_may_be_futures_in_its_value():
    lane, session = make_lane(width=2)
    plain, speaking = enter(lane, 2)
    session.finish(0, "b")
    session.finish(1, ["jupyter_dist.client.future"])  # as the bytes of a future name what loads it
    assert session.dropped == [session.wishes[0]]
    assert plain.result() == "b"
    assert speaking.result() == ["jupyter_dist.client.future"]
    assert len(session.dropped) == 1
    del speaking
    assert session.dropped == session.wishes


def test_call_that_waits_can_be_taken_back_and_is_never_sent():
    lane, session = make_lane(width=1)
    first, second, third = enter(lane, 3)
    assert not first.cancel()
    assert second.cancel()
    session.finish(0)
    session.finish(1)
    assert third.done()
    assert [wish.key for wish in session.wishes] == ["task-0", "task-2"]


def test_call_that_the_cluster_gives_up_says_why():
    lane, session = make_lane()
    [future] = enter(lane, 1)
    session.give_up(0, "the cluster was restarted")
    with pytest.raises(FutureCancelledError, match="restarted"):
        future.result()


def test_closing_refuses_new_calls_and_waits_for_the_others():
    lane, session = make_lane(width=1)
    futures = enter(lane, 2)
    closed = threading.Thread(target=lane.close, kwargs={"wait": True, "cancel": False})
    closed.start()
    session.finish(0)
    session.finish(1)
    closed.join(5)
    assert not closed.is_alive()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="after shutdown"):
        enter(lane, 1)


def test_closing_with_cancel_leaves_what_was_handed_over():
    lane, session = make_lane(width=1)
    first, second = enter(lane, 2)
    lane.close(wait=False, cancel=True)
    assert (first.cancelled(), second.cancelled()) == (False, True)
    session.finish(0, 7)
    assert first.result() == 7


def test_closing_by_force_gives_up_what_was_handed_over_too():
    lane, _ = make_lane(width=1)
    enter(lane, 2)
    lane.close(wait=False, cancel=True, force=True)
    assert lane.owner.cancelled == ["task-0"]  # type: ignore[attr-defined]  # the owner above


def test_session_that_is_over_cancels_what_was_not_sent():
    lane, session = make_lane(width=1)
    _, second = enter(lane, 2)
    session.is_closed = True
    session.finish(0)
    with pytest.raises(FutureCancelledError, match="it was not begun: it was stopped"):
        second.result()
    with pytest.raises(RuntimeError, match="cannot schedule new futures: it was stopped"):
        enter(lane, 1)
    lane.close(wait=True, cancel=False)


def test_pace_is_how_many_calls_end_in_the_time_ahead():
    pace = _Pace()
    start = pace._since_s
    for number in range(1, 101):
        pace.note(start + AHEAD_S * number / 50)
    assert 48 <= pace.count <= 51
    pace.note(start + AHEAD_S * 2 + 1)
    assert pace.count == 0
