from __future__ import annotations

import logging
import threading

from jupyter_dist.notebook.publisher import Publisher


def test_views_are_called_until_removed_and_the_thread_ends_with_the_last():
    publisher, called = Publisher(0.001, "test"), threading.Event()
    publisher.add(called.set)
    assert called.wait(5)
    thread = publisher._thread
    publisher.remove(called.set)
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive()


def test_a_publisher_begins_again():
    publisher, called = Publisher(0.001, "test"), threading.Event()
    publisher.add(called.set)
    publisher.remove(called.set)
    again = threading.Event()
    publisher.add(again.set)
    assert again.wait(5)
    publisher.remove(again.set)


def test_a_broken_view_is_dropped_and_the_others_go_on(caplog):
    publisher, called, failed = Publisher(0.001, "test"), threading.Semaphore(0), []

    def broken():
        failed.append(1)
        raise ValueError

    publisher.add(broken)
    publisher.add(called.release)
    with caplog.at_level(logging.CRITICAL):
        assert all(called.acquire(timeout=5) for _ in range(5))
    publisher.remove(called.release)
    assert failed == [1]
