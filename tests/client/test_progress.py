from __future__ import annotations

import asyncio
import gc
import io
import re
import sys
import threading
import weakref
from types import SimpleNamespace

import pytest

from jupyter_dist import Executor, Future, progress
from jupyter_dist.client import progress as module
from jupyter_dist.client.containers import futures_given
from jupyter_dist.client.progress import Following
from jupyter_dist.client.tally import Tally
from jupyter_dist.client.text_bars import TextBars, clock
from tests.client.quiet import QuietCluster


def inc(number: int) -> int:
    return number + 1


def double(number: int) -> int:
    return number * 2


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Ascii(Terminal):
    encoding = "ascii"


def give_stdout(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
    """Have `progress` write there; pytest puts its own `sys.stdout` back before the test begins."""
    monkeypatch.setattr(module, "sys", SimpleNamespace(stdout=stream, modules=sys.modules))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    give_stdout(monkeypatch, stream)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    return stream


def last_lines(terminal: io.StringIO, count: int) -> list[str]:
    return [re.sub(r"\x1b\[\d*[AJK]|\r", "", line) for line in terminal.getvalue().split("\n")[:-1][-count:]]


def test_bars_in_a_terminal_end_when_all_are_done(quiet, terminal):
    futures, others = quiet.executor.map(inc, range(3)), quiet.executor.map(double, range(2))

    def end_all() -> None:
        quiet.finish(futures[0], 1)
        quiet.fail(futures[1], ValueError("no"))
        quiet.cancel(futures[2], "by the test")
        for future in others:
            quiet.finish(future, 2)

    timer = threading.Timer(0.15, end_all)
    timer.start()
    assert progress({"a": futures}, [(others,)]) is None
    timer.join()
    first, second = last_lines(terminal, 2)
    assert first.startswith("inc    ████████████████████████ 3/3, 1 erred, 1 cancelled, 0.")
    assert second.startswith("double ████████████████████████ 2/2, 0.")


def test_one_bar_for_all_functions_when_it_is_asked_for(quiet, terminal):
    futures = [*quiet.executor.map(inc, range(3)), *quiet.executor.map(double, range(2))]
    for future in futures:
        quiet.finish(future, 0)
    progress(futures, multi=False)
    assert last_lines(terminal, 9)[0].startswith("all ████████████████████████ 5/5")


def test_what_is_done_already_is_not_counted_when_it_is_not_asked_for(quiet, terminal):
    futures = quiet.executor.map(inc, range(3))
    quiet.finish(futures[0], 1)
    following = Following(futures, complete=False)
    assert [line.total for line in following.lines()] == [2]
    following.stop()
    for future in futures[1:]:
        quiet.finish(future, 1)
    progress(futures, complete=False)
    assert terminal.getvalue() == ""


def test_redraw_goes_up_over_the_lines_before_and_stays_away_when_nothing_changed(terminal):
    tally = Tally(["f", "g"], 0.0, multi=True)
    tally.note("f", "finished", 1.0)
    tally.note("g", "finished", 1.0)
    bars = TextBars(terminal, tally)
    bars.draw(tally.lines())
    drawn = terminal.getvalue()
    bars.draw(tally.lines())
    assert terminal.getvalue() == drawn
    bars.draw(tally.lines()[:1])
    assert terminal.getvalue().startswith(drawn + "\x1b[2A\r\x1b[K")
    assert terminal.getvalue().endswith("\x1b[J")


def test_lines_are_cut_at_the_width_of_the_terminal_and_folded_at_its_height(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "4")
    tally = Tally([f"f{index}" for index in range(10)], 0.0, multi=True)
    TextBars(terminal, tally).draw(tally.lines())
    lines = last_lines(terminal, 9)
    assert len(lines) == 3
    assert all(len(line) == 19 for line in lines)
    assert lines[-1].startswith("8 more")


def test_label_with_control_characters_is_defused(terminal):
    tally = Tally(["\x1b[2Jevil\n"], 0.0, multi=True)
    TextBars(terminal, tally).draw(tally.lines())
    assert "?[2Jevil?" in terminal.getvalue()


def test_stream_that_cannot_write_blocks_gets_plain_ones(terminal):
    stream = Ascii()
    tally = Tally(["f", "f"], 0.0, multi=True)
    tally.note("f", "finished", 1.0)
    TextBars(stream, tally).draw(tally.lines())
    assert "############------------ 1/2" in stream.getvalue()


def test_plain_lines_where_nothing_can_be_drawn_over(quiet, monkeypatch):
    stream = io.StringIO()
    give_stdout(monkeypatch, stream)
    futures = quiet.executor.map(inc, range(2))
    for future in futures:
        quiet.finish(future, 1)
    progress(futures)
    assert re.fullmatch(r"inc █{24} 2/2, 0\.\d s\n", stream.getvalue())


def test_plain_lines_come_rarer_and_only_when_something_is_new(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    tally = Tally(["f"] * 100, 0.0, multi=True)
    bars = TextBars(stream, tally)
    for tenth in range(600):
        now[0] = tenth / 10
        bars.draw(tally.lines())
        if tenth % 10 == 0:
            tally.note("f", "finished", now[0])
    assert 5 <= stream.getvalue().count("\n") <= 12
    now[0] = 10_000.0
    bars.draw(tally.lines())
    count = stream.getvalue().count("\n")
    now[0] = 20_000.0
    bars.draw(tally.lines())
    assert stream.getvalue().count("\n") == count


def test_interrupt_ends_the_display_and_cancels_nothing(quiet, terminal, monkeypatch):
    futures = quiet.executor.map(inc, range(3))

    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jupyter_dist.client.waiting.Gate.wait", interrupt)
    progress(futures)
    assert "the tasks go on" in last_lines(terminal, 1)[0]
    assert [future.status for future in futures] == ["pending"] * 3
    assert all(not future.wish.watchers for future in futures)


def test_futures_of_several_executors_are_followed_together(quiet, terminal):
    other = QuietCluster(name="other")
    mine, theirs = quiet.executor.submit(inc, 1), other.executor.submit(inc, 1)
    quiet.finish(mine, 2)
    other.finish(theirs, 2)
    progress(mine, theirs)
    assert "2/2" in last_lines(terminal, 1)[0]
    other.end()


def test_asynchronous_executor_gives_an_awaitable_in_text_mode(terminal):
    cluster = QuietCluster(asynchronous=True)
    future = cluster.executor.submit(inc, 1)

    async def follow() -> None:
        shown = progress(future)
        asyncio.get_running_loop().call_later(0.05, cluster.finish, future, 2)
        await shown

    asyncio.run(follow())
    assert "1/1" in last_lines(terminal, 1)[0]
    cluster.end()


def test_awaitable_that_is_cancelled_follows_nothing_any_more(terminal):
    cluster = QuietCluster(asynchronous=True)
    future = cluster.executor.submit(inc, 1)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await progress(future)

    asyncio.run(give_up())
    assert not future.wish.watchers
    assert future.status == "pending"
    cluster.end()


def test_followed_future_is_let_go_when_it_is_done_or_the_following_stops(quiet):
    futures: list[Future] = quiet.executor.map(inc, range(2))
    known = [weakref.ref(future) for future in futures]
    following = Following(futures)
    keys = [future.key for future in futures]
    quiet.finish(futures[0], 1)
    futures.clear()
    gc.collect()
    assert known[0]() is None
    assert known[1]() is not None
    assert quiet.released() == keys[:1]
    following.stop()
    gc.collect()
    assert quiet.released() == keys
    assert following.over.is_open


def test_same_task_given_twice_is_counted_once(quiet):
    future = quiet.executor.submit(inc, 1)
    again = quiet.executor.submit(inc, 1)
    following = Following([future, again, future])
    assert [line.total for line in following.lines()] == [1]
    following.stop()


def test_executor_that_closes_ends_the_bars(quiet, terminal):
    future = quiet.executor.submit(inc, 1)
    timer = threading.Timer(0.05, quiet.end)
    timer.start()
    progress(future)
    timer.join()
    assert "1/1, 1 cancelled" in last_lines(terminal, 1)[0]


def test_iterators_and_nothing_at_all_are_fine(quiet, terminal):
    future = quiet.executor.submit(inc, 1)
    quiet.finish(future, 2)
    progress(iter([future, (future,)]))
    assert "1/1" in last_lines(terminal, 1)[0]
    shown = terminal.getvalue()
    assert progress() is None
    assert progress([]) is None
    assert terminal.getvalue() == shown


def test_what_is_no_future_or_no_switch_is_refused(quiet):
    future = quiet.executor.submit(inc, 1)
    for given in (3, "text", None, inc):
        with pytest.raises(TypeError, match="give futures"):
            progress(given)
    for switches in ({"multi": 1}, {"complete": None}, {"notebook": "yes"}):
        with pytest.raises(TypeError, match="True or False"):
            progress(future, **switches)
    assert not future.wish.watchers


def test_dask_collection_of_futures_is_followed(quiet, terminal):
    delayed = pytest.importorskip("dask").delayed
    executor: Executor = quiet.executor
    given = executor.submit(inc, 1)
    persisted = executor.persist(delayed(double)(3))
    following = Following(futures_given([persisted, delayed(inc)(given)]))
    assert {line.label for line in following.lines()} == {"double", "inc"}
    following.stop()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (185, "3:05"), (7440, "2:04:00")]
)
def test_clock_is_read_as_on_a_wall(seconds, text):
    assert clock(seconds) == text
