from __future__ import annotations

import pytest

from jupyter_dist.notebook.wording import count, duration, escape, listing, plain, shorten, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"), (0.008, "8 ms"), (0.9999, "1.0 s"), (1.24, "1.2 s"), (9.96, "10 s"), (59.4, "59 s"),
        (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3599.9, "1 h 00 min"), (7440, "2 h 04 min"),
    ],
)  # fmt: skip
def test_time_spans_are_said(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("nbytes", "words"),
    [(0, "0 B"), (999, "999 B"), (4200, "4.2 kB"), (50_000_000, "50 MB"), (999_700, "1.0 MB"), (3e15, "3000 TB")],
)
def test_sizes_are_said(nbytes, words):
    assert size(nbytes) == words


def test_text_is_made_safe():
    assert escape("<script>'\"&") == "&lt;script&gt;&#x27;&quot;&amp;"
    assert plain("\x1b[31mred\x1b[0m\x07\n\tx") == "red\n\tx"


def test_long_text_is_cut_to_one_line():
    assert shorten("a\n  b", 10) == "a b"
    assert shorten("abcdef", 4) == "abc…"


def test_counts_and_lists_are_said():
    assert (count(1, "worker"), count(1200, "task")) == ("1 worker", "1,200 tasks")
    assert [listing(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
