from __future__ import annotations

from jupyter_dist.client.tally import SAMPLES_MIN, Line, Tally, fold


def counted(line: Line) -> tuple[int, int, int, int]:
    return line.total, line.finished, line.erred, line.cancelled


def test_futures_are_counted_by_function_and_by_how_they_ended():
    tally = Tally(["f", "g", "f", "f"], 10.0, multi=True)
    for status in ("finished", "error", "cancelled"):
        tally.note("f", status, 11.0)
    first, second = tally.lines()
    assert (first.label, *counted(first)) == ("f", 3, 1, 1, 1)
    assert (second.label, *counted(second)) == ("g", 1, 0, 0, 0)
    assert first.is_over
    assert not second.is_over


def test_one_line_stands_for_all_when_it_is_asked_for():
    tally = Tally(["f", "g"], 0.0, multi=False)
    tally.note("g", "finished", 1.0)
    [line] = tally.lines()
    assert counted(line) == (2, 1, 0, 0)


def test_elapsed_time_stops_with_the_last_of_a_line():
    tally = Tally(["f", "g"], 100.0, multi=True)
    tally.note("f", "finished", 103.0)
    ended, running = tally.lines()
    assert tally.elapsed_s(ended, 110.0) == 3.0
    assert tally.elapsed_s(running, 110.0) == 10.0


def test_time_left_is_told_after_five_samples_at_their_pace():
    tally = Tally(["f"] * 10, 0.0, multi=True)
    for second in range(1, SAMPLES_MIN):
        tally.note("f", "finished", float(second))
        assert tally.lines()[0].left_s(float(second) + 1) is None
    tally.note("f", "finished", float(SAMPLES_MIN))
    assert tally.lines()[0].left_s(5.0) == 5.0  # one a second, five are left


def test_what_was_done_before_the_look_is_no_sample():
    tally = Tally(["f"] * 10, 0.0, multi=True)
    for _ in range(6):
        tally.note("f", "finished", 0.0, is_sample=False)
    tally.note("f", "finished", 1.0)
    assert tally.lines()[0].left_s(9.0) is None


def test_time_left_of_many_that_end_at_one_moment_is_not_told():
    tally = Tally(["f"] * 10, 0.0, multi=True)
    for _ in range(6):
        tally.note("f", "finished", 2.0)
    assert tally.lines()[0].left_s(2.0) is None


def test_too_many_lines_are_folded_and_those_that_go_on_are_kept():
    tally = Tally(["a", "b", "c", "d"], 0.0, multi=True)
    tally.note("a", "finished", 1.0)
    tally.note("b", "error", 2.0)
    lines = tally.lines()
    assert fold(lines, 4) == lines
    folded = fold(lines, 3)
    assert [line.label for line in folded] == ["c", "d", "2 more"]
    assert counted(folded[-1]) == (2, 1, 1, 0)
    assert folded[-1].ended_s == 2.0
    assert [line.label for line in fold(lines, 1)] == ["4 more"]


def test_a_line_without_futures_is_over():
    assert Line("nothing").is_over
