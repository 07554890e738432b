"""What a client tells of a task's prints: each once, from the beginning that is kept."""

from __future__ import annotations

import threading

import pytest

from jupyter_dist.messages import KeyOutput
from tests.client.quiet import QuietCluster


@pytest.fixture
def quiet():
    cluster = QuietCluster()
    yield cluster
    cluster.end()


def say(quiet, future, *texts):
    quiet.tell(*(KeyOutput(future.wish.number, future.key, "stdout", text) for text in texts))


def test_listener_is_told_what_was_printed_before_and_after_each_once(quiet):
    future = quiet.executor.submit(abs, -1)
    say(quiet, future, "one\n", "two\n")
    heard: list[tuple[str, str]] = []
    future.watch_output(lambda stream, text: heard.append((stream, text)))
    assert heard == [("stdout", "one\n"), ("stdout", "two\n")]
    say(quiet, future, "three\n")
    quiet.finish(future, 1)
    assert future.result(10) == 1
    assert heard[2:] == [("stdout", "three\n")]
    assert future.output == "one\ntwo\nthree\n"


def test_listener_that_comes_while_a_task_prints_misses_nothing_and_hears_nothing_twice(quiet):
    future = quiet.executor.submit(abs, -1)
    lines = [f"{number}\n" for number in range(300)]
    printing = threading.Thread(target=lambda: [say(quiet, future, line) for line in lines])
    printing.start()
    heard: list[str] = []
    future.watch_output(lambda _stream, text: heard.append(text))
    printing.join()
    quiet.finish(future, 1)
    future.result(10)
    assert "".join(heard) == "".join(lines)


def test_number_of_wishes_made_grows_with_each_future_and_never_shrinks(quiet):
    before = quiet.executor.wishes_made
    future = quiet.executor.submit(abs, -2)
    assert future.wish.number == quiet.executor.wishes_made == before + 1
    del future
    assert quiet.executor.wishes_made == before + 1


def test_plots_of_an_executor_are_the_same_ones(quiet):
    assert quiet.executor.plots is quiet.executor.plots
    assert "progress" in repr(quiet.executor.plots)
    assert quiet.executor.task_stream().executor is quiet.executor
