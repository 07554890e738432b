from __future__ import annotations

from jupyter_dist.messages.observation import Observation
from jupyter_dist.notebook.watching import SharedWatch
from tests.notebook.fakes import snapshot


def test_one_watch_serves_all_and_ends_with_the_last(executor):
    shared, heard = SharedWatch(executor), []
    first, second = (lambda _: heard.append(1)), (lambda _: heard.append(2))
    shared.add(first)
    shared.add(second)
    assert len(executor.watchers) == 1
    heard.clear()
    executor.tell(Observation(snapshot(), ()))
    assert heard == [1, 2]
    shared.remove(first)
    assert len(executor.watchers) == 1
    shared.remove(second)
    assert not executor.watchers


def test_a_watch_opens_again(executor):
    shared = SharedWatch(executor)
    heard: list[Observation] = []
    shared.add(heard.append)
    shared.remove(heard.append)
    shared.add(heard.append)
    assert len(executor.watchers) == 1
