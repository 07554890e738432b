"""Connections as TCP gives them: what is sent arrives in order or not at all, and both sides learn of the end late.

A connection has two directions, each a queue whose frames take their own time. When it breaks, each direction loses
some tail of what was under way, and each receiver is told at its own time.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tests.simulator.clock import Clock

GAP_S = 1e-6  # between two frames of one direction

Receive = Callable[[Sequence[Any]], None]
Closed = Callable[[str], None]


class Direction:
    """One way of a connection."""

    def __init__(
        self,
        clock: Clock,
        delay: Callable[[], float],
        receive: Receive,
        closed: Closed,
        on_arrival: Callable[[float], None],
    ) -> None:
        self._on_arrival = on_arrival  # told when a frame that arrives was sent
        self._clock = clock
        self._delay = delay
        self._receive = receive
        self._closed = closed
        self._last_s = 0.0
        self._cut_s = float("inf")
        self._is_over = False

    def send(self, messages: Sequence[Any]) -> None:
        """Put a frame on its way."""
        if self._cut_s == float("inf"):
            self._last_s = max(self._last_s + GAP_S, self._clock.now + self._delay())
            self._clock.at(self._last_s, partial(self._arrive, self._clock.now, messages))

    def cut(self, share: float, told_after_s: float, reason: str) -> None:
        """Let a share of what is under way arrive and nothing else, and tell the receiver after that."""
        if self._cut_s == float("inf"):
            now = self._clock.now
            self._cut_s = now + share * max(0.0, self._last_s - now)
            told_s = max(self._cut_s + GAP_S, now + told_after_s)
            self._clock.at(told_s, partial(self._end, reason))

    def _arrive(self, sent_s: float, messages: Sequence[Any]) -> None:
        if not self._is_over and self._clock.now <= self._cut_s:
            self._on_arrival(sent_s)
            self._receive(messages)

    def _end(self, reason: str) -> None:
        self._is_over = True
        self._closed(reason)


class Link:
    """A connection of one peer to the scheduler."""

    def __init__(self, source: int, up: Direction, down: Direction) -> None:
        self.source = source
        self.up = up  # to the scheduler
        self.down = down  # to the peer
        self.is_broken = False

    def break_off(self, up_share: float, up_s: float, down_share: float, down_s: float, reason: str) -> None:
        """End the connection: what share of each direction still arrives, and when each receiver is told."""
        self.is_broken = True
        self.up.cut(up_share, up_s, reason)
        self.down.cut(down_share, down_s, reason)
