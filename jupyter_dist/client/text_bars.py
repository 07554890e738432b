"""Progress as text: bars that are drawn over in a terminal, plain lines anywhere else.

A terminal's line is never longer than it is wide, or drawing over it would leave remains. What is not a terminal, a
file or a pipe, gets a line when something has changed and some time has passed, the longer the job the rarer.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TextIO

from jupyter_dist.client.tally import Line, Tally, fold

BAR_CHARS = 24
LABEL_CHARS_MAX = 24
LINES_MAX = 20
PLAIN_S_MIN = 1.0  # between two reports where nothing can be drawn over
PLAIN_S_MAX = 60.0
PLAIN_GROWTH = 1.5
BLOCKS = "█░"
PLAIN_BLOCKS = "#-"


class TextBars:
    """Draws a tally on a stream.

    Parameters
    ----------
    stream
        Where to.
    tally
        What.
    """

    def __init__(self, stream: TextIO, tally: Tally) -> None:
        self._stream = stream
        self._tally = tally
        self._blocks = _blocks_of(stream)
        self._is_terminal = stream.isatty()
        self._drawn: list[str] = []
        self._counts: dict[str, int] = {}
        self._pause_s = PLAIN_S_MIN
        self._next_s = tally.started_s + PLAIN_S_MIN

    def draw(self, lines: list[Line], *, is_last: bool = False) -> None:
        """Draw what is new; ``is_last`` leaves the lines as they are to stay."""
        now = time.monotonic()
        if self._is_terminal:
            self._draw_over(lines, now)
        elif is_last or now >= self._next_s:
            self._report(lines, now)

    def say(self, text: str) -> None:
        """Write a line below the bars."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def _draw_over(self, lines: list[Line], now: float) -> None:
        size = shutil.get_terminal_size()
        shown = fold(lines, max(1, min(LINES_MAX, size.lines - 1)))
        width = max(map(len, (_label(line) for line in shown)), default=0)
        texts = [self._text(line, now, width)[: size.columns - 1] for line in shown]
        if texts == self._drawn:
            return
        up = f"\x1b[{len(self._drawn)}A" if self._drawn else ""
        below = "\x1b[J" if len(texts) < len(self._drawn) else ""
        self._stream.write(up + "".join(f"\r\x1b[K{text}\n" for text in texts) + below)
        self._stream.flush()
        self._drawn = texts

    def _report(self, lines: list[Line], now: float) -> None:
        self._pause_s = min(self._pause_s * PLAIN_GROWTH, PLAIN_S_MAX)
        self._next_s = now + self._pause_s
        fresh = [line for line in lines if self._counts.get(line.label, -1) != line.done]
        for line in fresh:
            self._counts[line.label] = line.done
            self._stream.write(self._text(line, now, 0) + "\n")
        if fresh:
            self._stream.flush()

    def _text(self, line: Line, now: float, width: int) -> str:
        full = BAR_CHARS * line.done // line.total if line.total else BAR_CHARS
        bar = self._blocks[0] * full + self._blocks[1] * (BAR_CHARS - full)
        facts = [f"{line.done:,}/{line.total:,}"]
        facts += [
            f"{count:,} {word}" for count, word in ((line.erred, "erred"), (line.cancelled, "cancelled")) if count
        ]
        facts.append(clock(self._tally.elapsed_s(line, now)))
        left = line.left_s(now)
        if left is not None:
            facts.append(f"{clock(left)} left")
        return f"{_label(line):<{width}} {bar} {', '.join(facts)}"


def clock(seconds: float) -> str:
    """Return a time span as a clock would show it: ``0.4 s``, ``12 s``, ``3:05``, ``2:04:00``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _label(line: Line) -> str:
    text = "".join(char if char.isprintable() else "?" for char in line.label)
    return text if len(text) <= LABEL_CHARS_MAX else text[: LABEL_CHARS_MAX - 1] + "~"


def _blocks_of(stream: TextIO) -> str:
    """Return what a bar is made of: what the stream can write."""
    with contextlib.suppress(UnicodeEncodeError, LookupError):
        BLOCKS.encode(stream.encoding or "utf-8")
        return BLOCKS
    return PLAIN_BLOCKS
