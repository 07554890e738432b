"""What a session says again when its connection was made anew."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_dist.messages import WantKeys, Welcome
from tests.client.quiet import QuietCluster

ALL = 1000  # more messages than were said


@pytest.fixture
def quiet(quiet: QuietCluster, monkeypatch: pytest.MonkeyPatch) -> QuietCluster:
    """A scheduler that hears, and does not answer."""
    monkeypatch.setattr(QuietCluster, "_answer", lambda *_: None)
    return quiet


def want(quiet: QuietCluster) -> asyncio.Task[object]:
    """Ask for a key."""

    async def begin() -> asyncio.Task[object]:
        return asyncio.ensure_future(quiet.session.ask(lambda request: WantKeys((("a", 1),), request)))

    asked = quiet.executor.loop.run(begin())
    quiet.settle()
    return asked


def resume(quiet: QuietCluster, received: int) -> list[WantKeys]:
    """Connect with a scheduler that has so many messages; return which wants are said again."""
    quiet.said.clear()

    async def welcome() -> None:
        quiet.session.welcomed(Welcome(2, 1, "quiet", "", 1.0, 3.0, 100, received), is_first=False)

    quiet.executor.loop.run(welcome())
    return [message for message in quiet.settle() if isinstance(message, WantKeys)]


def test_want_that_was_heard_and_not_answered_is_asked_again(quiet):
    asked = want(quiet)
    assert resume(quiet, ALL) == [WantKeys((("a", 1),), 1)]
    quiet.executor.loop.loop.call_soon_threadsafe(asked.cancel)


def test_want_that_nobody_waits_for_any_more_is_not_asked_again_after_its_release(quiet):
    asked = want(quiet)
    quiet.executor.loop.loop.call_soon_threadsafe(asked.cancel)
    quiet.settle()
    assert resume(quiet, ALL) == []


def test_want_that_was_not_heard_is_said_again_in_its_place(quiet):
    asked = want(quiet)
    quiet.executor.loop.loop.call_soon_threadsafe(asked.cancel)
    quiet.settle()
    assert resume(quiet, 0) == [WantKeys((("a", 1),), 1)]
