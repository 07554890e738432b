import random
import signal
import threading
import time
from typing import Any

import cloudpickle
import pytest

from jupyter_dist.client.pausing import wait_here
from jupyter_dist.client.waiting import Gate
from jupyter_dist.core.worker.effects import ReadyTask
from jupyter_dist.core.worker.events import Began, Ended, GoesOn, Waits
from jupyter_dist.messages import AssignedTask, FunctionBody, TaskErred, TaskFinished, TaskOutput
from jupyter_dist.processes import inside
from jupyter_dist.processes.interrupt import STOP_SIGNAL
from jupyter_dist.processes.output import RoutedStream, current_capture
from jupyter_dist.processes.slots import WITHDRAWN_MAX, Hand, Reports, Slots, entries_of, make_output
from jupyter_dist.settings import Settings
from jupyter_dist.storage.page import Inside, PageWriter, read_page

PATIENCE_S = 20


def ready(attempt, function=int, *args, **options):
    body = FunctionBody(f"f{attempt}", "f", cloudpickle.dumps(function))
    return ReadyTask(AssignedTask(f"k{attempt}", attempt, body.id, cloudpickle.dumps((args, {})), **options), body, {})


class FakeLoop:
    """Collects the reports of slots, as the loop's thread would."""

    def __init__(self):
        self.slots = None
        self.woken = 0
        self.reports = []
        self._news = threading.Condition()

    def wake(self):
        with self._news:
            self.woken += 1
            self._news.notify_all()

    def until(self, condition):
        with self._news:
            while True:
                self.reports += self.slots.reports.take()
                if condition():
                    return
                assert self._news.wait(PATIENCE_S), "nothing came"

    def ended(self, attempt):
        found: list[Any] = []

        def look():
            found[:] = [r for r in self.reports if isinstance(r, Ended) and r.reply.attempt == attempt]
            return found

        self.until(look)
        return found[0]


@pytest.fixture
def loop():
    return FakeLoop()


@pytest.fixture
def slots(loop, tmp_path):
    """Two slots in threads: slot 0's guard stays unused, as pytest has the main thread."""
    before = signal.getsignal(STOP_SIGNAL)
    settings = Settings(output_bytes_max=1000, waiting_max=20)
    made = Slots(3, PageWriter(tmp_path / "page", entries_of(3, settings)), loop.wake, settings)
    loop.slots = made
    made.start_others()  # they wait at their empty hand when the test is over
    yield made
    signal.signal(STOP_SIGNAL, before)


# -- hand ----------------------------------------------------------------------------------------------------------------


def test_hand_gives_tasks_in_order_and_blocks_when_empty():
    hand = Hand()
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.extend(hand.take().task.attempt for _ in range(3)))
    thread.start()
    hand.put([ready(1), ready(2)])
    hand.put([ready(3)])
    thread.join(PATIENCE_S)
    assert taken == [1, 2, 3]
    assert len(hand) == 0


def test_hand_takes_back_only_what_no_slot_has():
    hand = Hand()
    hand.put([ready(1), ready(2), ready(3)])
    assert hand.take().task.attempt == 1
    assert hand.take_back([1, 2, 99]) == (2,)
    assert hand.take().task.attempt == 3


def test_hand_raced_by_slots_and_loop_gives_each_task_to_one():
    hand = Hand()
    taken: list[int] = []
    back: list[int] = []
    count = 20_000

    def take():
        while (number := hand.take().task.attempt) < count:
            taken.append(number)

    one = ready(0)
    tasks = [
        ReadyTask(AssignedTask("k", number, "f", b""), one.function, {})
        for number in [*range(1, count), count, count + 1]
    ]
    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(0, len(tasks), 50):
        batch = tasks[start : start + 50]
        hand.put(batch)
        back.extend(hand.take_back([task.task.attempt for task in batch[::2] if task.task.attempt < count]))
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(taken + back) == list(range(1, count))


def test_hand_with_many_taken_back_forgets_their_numbers_and_keeps_the_order():
    hand = Hand()
    tasks = [ready(number) for number in range(1, 4)]
    hand.put(tasks[:1])
    for _ in range(3 * WITHDRAWN_MAX):
        hand.put([tasks[1]])
        hand.take_back([2])
    hand.put(tasks[2:])
    assert hand._order.qsize() <= WITHDRAWN_MAX + 3
    assert [hand.take().task.attempt for _ in range(2)] == [1, 3]


def test_hand_says_whether_somebody_listens():
    hand = Hand()
    hand.put([ready(1)])
    assert not hand.has_output()
    hand.put([ready(2, output=True)])
    assert hand.has_output()


# -- reports -------------------------------------------------------------------------------------------------------------


def test_reports_of_a_burst_wake_the_loop_once():
    woken = []
    reports = Reports(lambda: woken.append(1))
    reports.add(Began(1), wake=False)
    assert woken == []
    for _ in range(5):
        reports.add(Began(2), wake=True)
    assert woken == [1]
    assert len(reports.take()) == 6
    reports.add(Began(3), wake=True)
    assert woken == [1, 1]


# -- slots ---------------------------------------------------------------------------------------------------------------


def test_task_run_reports_its_beginning_and_its_end(slots, loop):
    slots.hand.put([ready(1, lambda: 41)])
    reply = loop.ended(1).reply
    assert isinstance(loop.reports[0], Began)
    assert isinstance(reply, TaskFinished)
    assert (reply.key, cloudpickle.loads(reply.value), reply.type_name) == ("k1", 41, "int")
    assert reply.slot in {1, 2}
    assert 0 < reply.started_s <= reply.stopped_s <= time.time()
    assert slots.list_running() == ()


def test_task_that_raises_reports_its_error(slots, loop):
    slots.hand.put([ready(1, lambda: 1 / 0)])
    reply = loop.ended(1).reply
    assert isinstance(reply, TaskErred)
    assert reply.error.type_name == "ZeroDivisionError"


def test_large_result_is_reported_alive(slots, loop):
    slots.inline_bytes_max = 10
    slots.hand.put([ready(1, lambda: "x" * 100)])
    ended = loop.ended(1)
    assert ended.reply.value is None
    assert ended.value == "x" * 100


def test_page_names_the_attempt_while_it_is_inside_user_code(slots, loop, tmp_path):
    path = tmp_path / "page"
    slots.hand.put([ready(7, read_page, str(path))])
    assert cloudpickle.loads(loop.ended(7).reply.value).computing == (7,)
    assert read_page(path) == Inside((), (), ())


def test_page_names_the_attempt_that_must_not_run_again_when_it_has_ended(slots, loop, tmp_path):
    slots.hand.put([ready(7, once=True), ready(8), ready(9, divmod, 1, 0, once=True)])
    loop.ended(7)
    loop.ended(9)
    assert read_page(tmp_path / "page") == Inside((), (), (7, 9))


def test_two_slots_run_at_the_same_time(slots, loop):
    gate = threading.Barrier(2, timeout=PATIENCE_S)
    for attempt in (1, 2):
        task = ready(attempt)
        slots.functions._loaded[task.function.id] = gate.wait
        slots.hand.put([task])
    assert {loop.ended(1).reply.slot, loop.ended(2).reply.slot} == {1, 2}


def test_printed_tail_rides_in_the_reply_or_goes_before_it(slots, loop):
    stream = RoutedStream("stdout", None)  # type: ignore[arg-type]  # nothing goes outside here
    for attempt, output in ((1, False), (2, True)):
        task = ready(attempt, output=output)
        slots.functions._loaded[task.function.id] = lambda: stream.write("hello")
        slots.hand.put([task])
    quiet, loud = loop.ended(1), loop.ended(2)
    assert (quiet.reply.output, quiet.output) == ("hello", ())
    assert (loud.reply.output, loud.output) == ("", (TaskOutput("k2", 2, "stdout", "hello"),))


def test_output_of_a_running_task_can_be_taken(slots, loop):
    stream, printed, go = RoutedStream("stdout", None), threading.Event(), threading.Event()  # type: ignore[arg-type]

    def talk():
        stream.write("first")
        printed.set()
        go.wait(PATIENCE_S)

    task = ready(1, output=True)
    slots.functions._loaded[task.function.id] = talk
    slots.hand.put([task])
    assert printed.wait(PATIENCE_S)
    assert slots.has_output()
    assert slots.take_output().output == (TaskOutput("k1", 1, "stdout", "first"),)
    ((attempt, slot, started_s),) = slots.list_running()
    assert (attempt, slot in {1, 2}, started_s > 0) == (1, True, True)
    go.set()
    assert loop.ended(1).output == ()
    assert not slots.has_output()


def test_interrupt_ends_a_computation_and_leaves_its_slot_well(slots, loop):
    begun = threading.Event()

    def spin():
        begun.set()
        while True:
            sum(range(100))

    task = ready(1)
    slots.functions._loaded[task.function.id] = spin
    slots.hand.put([task])
    assert begun.wait(PATIENCE_S)
    slots.interrupt([1])
    assert not slots.strike()  # a thread needs to be struck but once
    ended = loop.ended(1)
    assert ended.reply.error.type_name == "KeyboardInterrupt"
    slots.forget_interrupts([ended])
    assert slots._stopping == set()
    slots.hand.put([ready(2, lambda: 2), ready(3, lambda: 3)])
    assert all(isinstance(loop.ended(attempt).reply, TaskFinished) for attempt in (2, 3))


def test_task_that_sets_context_variables_leaves_none_behind(slots, loop):
    def spoil():
        current_capture.set(None)

    for attempt in range(1, 6):
        task = ready(attempt)
        slots.functions._loaded[task.function.id] = spoil
        slots.hand.put([task])
    for attempt in range(1, 6):
        assert isinstance(loop.ended(attempt).reply, TaskFinished)


def test_make_output_joins_neighbours_of_one_stream():
    task = ready(1)
    made = make_output(task, [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")])
    assert [(one.stream, one.text) for one in made] == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d")]


# -- tasks that wait -----------------------------------------------------------------------------------------------------


def run(slots, attempt, function):
    """Put a task into the hand whose function is an object of this process."""
    task = ready(attempt)
    slots.functions._loaded[task.function.id] = function
    slots.hand.put([task])


def wait_for(event):
    """Wait as a call of the client does: without the slot."""
    runner = inside.runner()
    runner.step_aside()
    assert event.wait(PATIENCE_S)
    runner.step_back()
    return runner.index


def kinds(loop, attempt):
    found = [report for report in loop.reports if getattr(report, "attempt", None) == attempt]
    return [type(report) for report in found]


def test_tasks_that_wait_let_others_run_and_go_on_afterwards(slots, loop, tmp_path):
    go = threading.Event()
    waiting = range(1, 11)
    for attempt in waiting:
        run(slots, attempt, lambda: wait_for(go))
    run(slots, 11, lambda: read_page(tmp_path / "page"))
    page = cloudpickle.loads(loop.ended(11).reply.value)
    assert 11 in page.computing
    assert len(page.computing) <= 2  # another may be about to wait
    assert set(page.waiting) <= set(waiting)
    run(slots, 12, lambda: 12)
    assert isinstance(loop.ended(12).reply, TaskFinished)
    loop.until(lambda: sum(isinstance(report, Waits) for report in loop.reports) == 10)
    assert {attempt for attempt, _, _ in slots.list_running()} == set(waiting)
    assert read_page(tmp_path / "page").waiting
    go.set()
    for attempt in waiting:
        assert isinstance(loop.ended(attempt).reply, TaskFinished)
        assert kinds(loop, attempt) == [Began, Waits, GoesOn]
    assert slots.permits.away == 0
    assert read_page(tmp_path / "page") == Inside((), (), ())


def test_no_more_tasks_compute_than_there_are_slots_when_many_go_on_at_once(slots, loop):
    go, lock = threading.Event(), threading.Lock()
    computing: list[int] = []
    most = [0]

    def work():
        wait_for(go)
        with lock:
            computing.append(1)
            most[0] = max(most[0], len(computing))
        time.sleep(0.002)
        with lock:
            computing.pop()

    for attempt in range(1, 16):
        run(slots, attempt, work)
    loop.until(lambda: sum(isinstance(report, Waits) for report in loop.reports) == 15)
    go.set()
    for attempt in range(1, 16):
        loop.ended(attempt)
    assert 1 <= most[0] <= 2


def test_wait_beyond_the_limit_errs_in_the_task_that_begins_it(slots, loop):
    go = threading.Event()
    for attempt in range(1, 22):
        run(slots, attempt, lambda: wait_for(go))
    loop.until(lambda: any(isinstance(report, Ended) for report in loop.reports))
    (refused,) = [report.reply for report in loop.reports if isinstance(report, Ended)]
    assert refused.error.type_name.endswith("WaitingLimitError")
    go.set()
    for attempt in {*range(1, 22)} - {refused.attempt}:
        assert isinstance(loop.ended(attempt).reply, TaskFinished)


def test_strike_of_a_task_that_waits_wakes_it_and_leaves_the_slots_well(slots, loop):
    gate = Gate()
    began = threading.Event()

    def wait():
        began.set()
        wait_here(gate)

    run(slots, 1, wait)
    loop.until(lambda: Waits(1) in loop.reports)
    slots.interrupt([1])
    slots.strike()
    ended = loop.ended(1)
    assert ended.reply.error.type_name == "KeyboardInterrupt"
    assert GoesOn(1) not in loop.reports
    slots.forget_interrupts([ended])
    for attempt in range(2, 8):
        run(slots, attempt, lambda: 1)
    assert all(isinstance(loop.ended(attempt).reply, TaskFinished) for attempt in range(2, 8))
    assert slots.permits.away == 0


def test_strike_at_every_moment_of_a_wait_neither_hangs_nor_loses_a_slot(slots, loop):
    for attempt in range(1, 200):
        gate = Gate()

        def work(gate=gate):
            for _ in range(3):
                wait_here(gate, 0.0015)
            return True

        run(slots, attempt, work)
        time.sleep(random.random() * 0.004)
        slots.interrupt([attempt])
        slots.strike()
        slots.forget_interrupts([loop.ended(attempt)])
    deadline = time.monotonic() + PATIENCE_S
    while slots.permits.away and time.monotonic() < deadline:
        time.sleep(0.001)
    assert slots.permits.away == 0
    barrier = threading.Barrier(2, timeout=PATIENCE_S)
    for attempt in (1000, 1001):
        run(slots, attempt, lambda: barrier.wait() >= 0)
    assert all(isinstance(loop.ended(attempt).reply, TaskFinished) for attempt in (1000, 1001))


def test_task_that_caught_its_interrupt_waits_and_goes_on_like_others(slots, loop):
    gate, later = Gate(), Gate()

    def stubborn():
        try:
            wait_here(gate)
        except KeyboardInterrupt:
            wait_here(later)
        return "survived"

    run(slots, 1, stubborn)
    loop.until(lambda: Waits(1) in loop.reports)
    slots.interrupt([1])
    slots.strike()
    deadline = time.monotonic() + PATIENCE_S
    while inside_wait(slots, later) is False and time.monotonic() < deadline:
        time.sleep(0.001)
    later.open()
    assert cloudpickle.loads(loop.ended(1).reply.value) == "survived"
    assert slots.permits.away == 0


def inside_wait(slots, gate):
    return any(runner.wake == gate.stir for runner in slots._runners.values())


def test_task_that_seceded_leaves_its_slot_until_it_rejoins(slots, loop):
    go = threading.Event()

    def work():
        runner = inside.runner()
        runner.secede()
        runner.secede()
        assert go.wait(PATIENCE_S)
        wait_here(Gate(), 0.005)  # keeps no slot, and takes none up
        assert not runner.has_permit
        runner.rejoin()
        runner.rejoin()
        return runner.has_permit

    for attempt in (1, 2, 3):
        run(slots, attempt, work)
    run(slots, 4, lambda: 4)
    loop.ended(4)
    go.set()
    assert [cloudpickle.loads(loop.ended(attempt).reply.value) for attempt in (1, 2, 3)] == [True] * 3
    run(slots, 5, lambda: inside.runner().secede())
    assert isinstance(loop.ended(5).reply, TaskFinished)
    run(slots, 6, lambda: inside.runner().has_seceded)
    assert cloudpickle.loads(loop.ended(6).reply.value) is False
