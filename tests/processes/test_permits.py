"""Permits move between runners as they should, also when many threads pass them on at once."""

import itertools
import random
import threading
import time

import pytest

from jupyter_dist.errors import WaitingLimitError
from jupyter_dist.processes import permits as permits_module
from jupyter_dist.processes.permits import Holder, Permits

PATIENCE_S = 20


class Desk:
    """Permits, the runners that were added, and how often the hand was nudged."""

    def __init__(self, *, waiting_max=10):
        self.permits = Permits(waiting_max, self._add, self._end, self._nudge)
        self.main = Holder(0)
        self.permits.issue(self.main)
        self.added: list[Holder] = []
        self.ended: list[Holder] = []
        self.told: list[int] = []
        self.nudges = 0
        self.has_threads = True

    def _add(self):
        if not self.has_threads:
            raise RuntimeError("can't start new thread")
        self.added.append(Holder(len(self.added) + 1))
        return self.added[-1]

    def _end(self, holder):
        self.ended.append(holder)

    def _nudge(self):
        self.nudges += 1

    def leave(self, holder):
        self.permits.leave(holder, lambda: self.told.append(holder.index))

    def start_keeping(self, holder):
        """Have a runner ask for a task in a thread of its own; return what tells its answer."""
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(self.permits.keep(holder)), daemon=True)
        thread.start()

        def answer():
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
            return answers[0]

        return answer


def test_first_wait_adds_a_runner_that_has_the_permit():
    desk = Desk()
    desk.leave(desk.main)
    (added,) = desk.added
    assert (desk.main.has_permit, added.has_permit, desk.told, desk.permits.away) == (False, True, [0], 1)
    assert desk.permits.keep(added)


def test_return_is_served_between_two_tasks_and_the_added_runner_falls_idle(monkeypatch):
    monkeypatch.setattr(permits_module, "IDLE_S", 0.05)
    desk = Desk()
    desk.leave(desk.main)
    (added,) = desk.added
    assert not desk.permits.want(desk.main)
    assert desk.nudges == 1
    answer = desk.start_keeping(added)
    assert desk.main.turn.acquire(timeout=PATIENCE_S)
    desk.permits.take_up(desk.main)
    assert (desk.main.has_permit, added.has_permit, desk.permits.away) == (True, False, 0)
    assert answer() is False  # nobody needed it for IDLE_S
    assert desk.ended == [added]


def test_idle_runner_is_used_before_a_new_one_is_added():
    desk = Desk()
    desk.leave(desk.main)
    (added,) = desk.added
    desk.permits.want(desk.main)
    answer = desk.start_keeping(added)
    assert desk.main.turn.acquire(timeout=PATIENCE_S)
    desk.permits.take_up(desk.main)
    while not desk.permits._idle:
        threading.Event().wait(0.001)
    desk.leave(desk.main)
    assert answer() is True
    assert (added.has_permit, len(desk.added)) == (True, 1)


def test_main_runner_that_is_idle_gets_the_permit_of_an_added_one():
    desk = Desk()
    desk.leave(desk.main)
    (added,) = desk.added
    answer = desk.start_keeping(desk.main)  # its task has ended without a permit: it had seceded
    while not desk.permits._idle:
        threading.Event().wait(0.001)
    assert desk.permits.away == 0
    later = desk.start_keeping(added)
    assert answer() is True
    assert desk.main.has_permit
    desk.leave(desk.main)
    assert later() is True


def test_oldest_of_those_that_return_goes_first_and_before_idle_ones():
    desk = Desk()
    desk.leave(desk.main)
    first = desk.added[0]
    desk.leave(first)
    second = desk.added[1]
    desk.permits.want(first)
    desk.permits.want(desk.main)
    desk.leave(second)
    assert (first.has_permit, desk.main.has_permit, len(desk.added)) == (True, False, 2)


def test_wait_beyond_the_limit_is_refused_and_keeps_its_permit():
    desk = Desk(waiting_max=1)
    desk.leave(desk.main)
    (added,) = desk.added
    with pytest.raises(WaitingLimitError, match="1 tasks of this worker wait"):
        desk.leave(added)
    assert (added.has_permit, desk.told, desk.permits.away) == (True, [0], 1)


def test_wait_when_the_system_has_no_thread_is_refused_and_keeps_its_permit():
    desk = Desk()
    desk.has_threads = False
    with pytest.raises(WaitingLimitError, match="no thread"):
        desk.leave(desk.main)
    assert (desk.main.has_permit, desk.told, desk.permits.away) == (True, [], 0)


def test_struck_wait_that_is_followed_by_another_counts_once():
    desk = Desk()
    desk.leave(desk.main)
    (added,) = desk.added
    assert not desk.permits.want(desk.main)  # struck: it goes on without a permit
    desk.leave(desk.main)  # and waits again
    assert desk.permits.away == 1
    assert desk.permits.keep(added)  # nobody returns
    assert not desk.permits.want(desk.main)
    answer = desk.start_keeping(added)
    assert desk.main.turn.acquire(timeout=PATIENCE_S)
    assert desk.permits.want(desk.main)
    desk.permits.take_up(desk.main)
    assert desk.permits.away == 0
    desk.leave(desk.main)
    assert answer() is True


class Crowd:
    """Threads that wait at random, and how many compute at a time."""

    def __init__(self, slots, rounds):
        self.permits = Permits(100, self._add, lambda _: None, lambda: None)
        self.most = self.computing = 0
        self.left = rounds
        self._lock = threading.Lock()
        self._pause = threading.Event()
        self._numbers = itertools.count(slots)
        for index in range(slots):
            holder = Holder(index)
            self.permits.issue(holder)
            self._start(holder)

    def _add(self):
        holder = Holder(next(self._numbers))
        self._start(holder)
        return holder

    def _start(self, holder):
        threading.Thread(target=self._run, args=(holder,), daemon=True).start()

    def _count(self, step):
        with self._lock:
            self.computing += step
            self.most = max(self.most, self.computing)

    def _begin(self):
        """Take one of the rounds that are left, and compute; False when there is none."""
        with self._lock:
            if self.left <= 0:
                return False
            self.left -= 1
            self.computing += 1
            self.most = max(self.most, self.computing)
            return True

    def is_over(self):
        with self._lock:
            return not (self.left or self.computing or self.permits.away)

    def _run(self, holder):
        rng = random.Random(holder.index)
        while self.permits.keep(holder):
            if not self._begin():
                self._pause.wait(0.001)  # like one that waits at the hand, but it looks
                continue
            for _ in range(rng.randint(0, 3)):
                self._wait(holder, rng.random() * 0.002)
            self._count(-1)

    def _wait(self, holder, seconds):
        self.permits.leave(holder, lambda: self._count(-1))
        self._pause.wait(seconds)
        if not self.permits.want(holder):
            while not holder.has_permit:
                holder.turn.acquire()
        self.permits.take_up(holder)
        self._count(1)


def test_many_runners_that_wait_at_random_never_compute_more_than_there_are_permits():
    crowd = Crowd(3, 300)
    deadline = time.monotonic() + PATIENCE_S
    while not crowd.is_over() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert crowd.is_over(), (crowd.left, crowd.computing, crowd.permits.away)
    assert 1 <= crowd.most <= 3
