"""One feed for all watchers of a session: the scheduler is asked for the rate of the fastest among them."""

from typing import cast

from jupyter_dist.client.feed import Feed
from jupyter_dist.client.session import Session
from jupyter_dist.messages import Unwatch, Watch


class FakeSession:
    """A session that notes what is said."""

    is_closed = False

    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


def test_fastest_watcher_that_leaves_the_others_are_told_at_their_rate_and_nothing_twice():
    session = FakeSession()
    feed = Feed(cast("Session", session))
    slow = feed.add(print, 1.0)
    fast = feed.add(print, 0.1)
    slow.number = 7
    fast.close()
    fast.close()
    slow.close()
    assert session.said == [Watch(1.0, 0), Watch(0.1, 0), Watch(1.0, 7), Unwatch()]


def test_slow_watcher_that_leaves_changes_nothing_and_a_closed_session_is_told_nothing():
    session = FakeSession()
    feed = Feed(cast("Session", session))
    slow, fast = feed.add(print, 1.0), feed.add(print, 0.1)
    slow.close()
    session.is_closed = True
    fast.close()
    assert session.said == [Watch(1.0, 0), Watch(0.1, 0)]
