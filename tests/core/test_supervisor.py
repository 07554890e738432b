"""The machine that decides which processes live on a host: tables, stories, and chance with a seed."""

import random

import pytest

from jupyter_dist.core.supervisor import (
    ABORT_S,
    EARLY_S,
    SCHEDULER,
    AbortProcess,
    Begin,
    Bury,
    Exited,
    Fail,
    KillProcess,
    OverMemory,
    Ready,
    Report,
    Say,
    StartProcess,
    Stop,
    Supervisor,
    worker_name,
)
from jupyter_dist.errors import InvariantError
from jupyter_dist.messages import AbortWorker, EndWorkers, ReplaceWorkers, SetWorkers, StopHost
from jupyter_dist.settings import Settings

SETTINGS = Settings()
LONG_S = 100.0  # later than any lease


def begin(*, head=True, workers=2, settings=SETTINGS, is_ready=True):
    """Return a machine whose processes are there, and ready unless told otherwise."""
    machine = Supervisor(head=head, workers=workers, settings=settings)
    machine.handle(Begin(), 0.0)
    if is_ready:
        machine.handle(Ready(SCHEDULER), 0.0)
        for number in range(workers):
            machine.handle(Ready(worker_name(number)), 0.0)
    machine.check()
    return machine


def handle(machine, event, now=LONG_S):
    effects = machine.handle(event, now)
    machine.check()
    return effects


def test_begin_on_the_head_host_starts_scheduler_and_workers():
    machine = Supervisor(head=True, workers=2, settings=SETTINGS)
    assert machine.handle(Ready("worker-0"), 0.0) == []
    expected = [StartProcess(SCHEDULER, 1), StartProcess("worker-0"), StartProcess("worker-1")]
    assert machine.handle(Begin(), 0.0) == expected
    assert machine.deadline() is None


def test_begin_on_another_host_starts_workers_only():
    machine = Supervisor(head=False, workers=1, settings=SETTINGS)
    assert machine.handle(Begin(), 0.0) == [StartProcess("worker-0")]


def test_ready_in_any_order_is_reported_once_in_phases():
    machine = begin(is_ready=False)
    assert handle(machine, Ready("worker-1")) == []
    assert handle(machine, Ready(SCHEDULER)) == [Report("scheduler up"), Report("workers 1/2")]
    assert handle(machine, Ready(SCHEDULER)) == []
    assert handle(machine, Ready("worker-0")) == [Report("workers 2/2"), Report("ready")]
    assert handle(machine, Ready(SCHEDULER)) == []


def test_ready_without_workers_wanted_is_reported():
    machine = begin(workers=0, is_ready=False)
    assert handle(machine, Ready(SCHEDULER)) == [Report("scheduler up"), Report("ready")]


@pytest.mark.parametrize(
    ("code", "words", "cause", "reason"),
    [(-9, "", "signal", ""), (3, "", "exit", ""), (0, "no room", "exit", "no room")],
)
def test_exited_after_a_while_is_buried_then_started_again_at_once(code, words, cause, reason):
    machine = begin()
    effects = handle(machine, Exited("worker-1", code, words=words))
    assert effects == [Bury("worker-1", code, cause, reason), StartProcess("worker-1")]


def test_exited_when_unknown_is_ignored():
    assert handle(begin(), Exited("worker-7", 1)) == []


def test_exited_scheduler_is_started_again_in_the_next_epoch():
    machine = begin()
    for epoch in (2, 3):
        effects = handle(machine, Exited(SCHEDULER, -9), LONG_S * epoch)
        assert effects == [Bury(SCHEDULER, -9, "signal", ""), StartProcess(SCHEDULER, epoch)]


def test_exited_scheduler_by_itself_stops_the_host():
    effects = handle(begin(workers=1), Exited(SCHEDULER, 0))
    assert effects == [
        Bury(SCHEDULER, 0, "exit", ""),
        Say("stopping: the scheduler ended by itself"),
        KillProcess("worker-0", force=True),
    ]


def test_exited_early_too_often_during_the_start_fails_it():
    machine = begin(workers=1, is_ready=False)
    machine.handle(Ready(SCHEDULER), 0.0)
    for _ in range(SETTINGS.restart_burst_max - 1):
        assert handle(machine, Exited("worker-0", 1), 1.0)[-1] == StartProcess("worker-0")
    bury, fail, say, *rest = handle(machine, Exited("worker-0", 1), 1.0)
    text = "worker-0 died 5 times in a row right after its start"
    assert (bury, fail, say) == (Bury("worker-0", 1, "exit", ""), Fail("worker-0", text), Say(f"stopping: {text}"))
    assert rest == [KillProcess(SCHEDULER, force=False)]


def test_exited_early_too_often_later_waits_longer_each_time_up_to_the_limit():
    machine = begin(workers=1)
    now, waits = LONG_S, []
    machine.handle(Exited("worker-0", -9), now)  # it had lived long: not counted
    for _ in range(SETTINGS.restart_burst_max + 8):
        effects = handle(machine, Exited("worker-0", -9), now)
        if StartProcess("worker-0") in effects:
            continue
        due_s = machine.deadline()
        assert machine.tick(due_s - 0.001) == []
        assert machine.tick(due_s) == [StartProcess("worker-0")]
        machine.check()
        waits.append(due_s - now)
        now = due_s
    assert waits[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert waits[-1] == pytest.approx(SETTINGS.restart_wait_s_max)
    assert len(waits) == 9


@pytest.mark.parametrize(
    ("is_ready", "busy", "after_s"), [(True, True, 0.0), (True, False, EARLY_S), (True, True, LONG_S)]
)
def test_exited_at_work_or_late_is_never_early(is_ready, busy, after_s):
    machine = begin(workers=1)
    now = LONG_S
    for _ in range(3 * SETTINGS.restart_burst_max):
        now += after_s
        assert handle(machine, Exited("worker-0", -11, busy), now)[-1] == StartProcess("worker-0")
        if is_ready:
            machine.handle(Ready("worker-0"), now)


def test_exited_in_back_off_then_a_long_life_starts_counting_anew():
    machine = begin(workers=1)
    now = LONG_S
    for _ in range(SETTINGS.restart_burst_max):
        handle(machine, Exited("worker-0", -9), now)
    handle(machine, Exited("worker-0", -9), now)
    machine.tick(machine.deadline())
    handle(machine, Ready("worker-0"), now + 1)
    assert handle(machine, Exited("worker-0", -9), now + LONG_S)[-1] == StartProcess("worker-0")
    assert handle(machine, Exited("worker-0", -9), now + LONG_S)[-1] == StartProcess("worker-0")


def test_replace_all_kills_each_worker_and_starts_it_when_it_is_dead():
    machine = begin()
    effects = handle(machine, ReplaceWorkers((), "restart"))
    assert effects == [KillProcess("worker-0", force=True), KillProcess("worker-1", force=True)]
    effects = handle(machine, Exited("worker-1", -9))
    assert effects == [Bury("worker-1", -9, "asked", "restart"), StartProcess("worker-1")]


def test_replace_twice_kills_once():
    machine = begin()
    handle(machine, ReplaceWorkers(("worker-0",), "first"))
    assert handle(machine, ReplaceWorkers(("worker-0",), "second")) == []
    assert handle(machine, Exited("worker-0", -9))[0] == Bury("worker-0", -9, "asked", "first")


def test_replace_unknown_and_the_scheduler_does_nothing():
    assert handle(begin(), ReplaceWorkers(("worker-9", SCHEDULER), "")) == []


def test_replace_in_back_off_starts_at_once():
    machine = begin(workers=1)
    handle(machine, Exited("worker-0", 1))
    for _ in range(SETTINGS.restart_burst_max):
        handle(machine, Exited("worker-0", 1))
    assert machine.deadline() is not None
    assert handle(machine, ReplaceWorkers((), "restart")) == [StartProcess("worker-0")]
    assert machine.deadline() is None


def test_over_memory_aborts_with_that_cause():
    machine = begin()
    assert handle(machine, OverMemory("worker-0", "3 GB")) == [AbortProcess("worker-0")]
    assert handle(machine, OverMemory("worker-0", "4 GB")) == []
    effects = handle(machine, Exited("worker-0", -9))
    assert effects == [Bury("worker-0", -9, "memory", "3 GB"), StartProcess("worker-0")]


def test_abort_that_does_not_end_the_process_kills_it_soon():
    machine = begin()
    assert handle(machine, AbortWorker("worker-0", 1, "too long")) == [AbortProcess("worker-0")]
    assert machine.deadline() == LONG_S + ABORT_S
    assert machine.tick(LONG_S + ABORT_S) == [KillProcess("worker-0", force=True)]
    assert machine.deadline() is None
    effects = handle(machine, Exited("worker-0", -9))
    assert effects == [Bury("worker-0", -9, "overrun", "too long"), StartProcess("worker-0")]


def test_abort_of_a_process_that_is_being_ended_does_nothing():
    machine = begin()
    handle(machine, ReplaceWorkers(("worker-0",), "restart"))
    assert handle(machine, AbortWorker("worker-0", 1, "too long")) == []
    assert machine.deadline() is None


def test_stop_while_a_process_is_aborted_kills_it_in_time():
    machine = begin(workers=1)
    handle(machine, AbortWorker("worker-0", 1, "too long"))
    handle(machine, StopHost("asked"))
    assert machine.deadline() == LONG_S + ABORT_S
    assert KillProcess("worker-0", force=True) in machine.tick(LONG_S + ABORT_S)


def test_set_workers_up_starts_those_that_are_missing():
    assert handle(begin(), SetWorkers(4)) == [StartProcess("worker-2"), StartProcess("worker-3")]


def test_set_workers_down_ends_the_highest_first_and_forgets_them():
    machine = begin(workers=12)
    effects = handle(machine, SetWorkers(9))
    assert effects == [KillProcess(worker_name(number), force=True) for number in (11, 10, 9)]
    assert handle(machine, Exited("worker-10", -9)) == [
        Bury("worker-10", -9, "asked", "the cluster was scaled down"),
    ]


def test_set_workers_down_ends_those_last_that_are_to_be_kept():
    machine = begin(workers=4)
    effects = handle(machine, SetWorkers(1, keep=("worker-3", "worker-1")))
    assert effects == [KillProcess(worker_name(number), force=True) for number in (3, 2, 0)]
    assert machine.wanted == 1


def test_end_workers_ends_these_for_good_and_their_numbers_are_used_again():
    machine = begin(workers=3)
    assert handle(machine, EndWorkers(("worker-1", "worker-9", "scheduler"), "retired")) == [
        KillProcess("worker-1", force=True)
    ]
    assert handle(machine, Exited("worker-1", -9)) == [Bury("worker-1", -9, "asked", "retired")]
    assert machine.wanted == 2
    assert handle(machine, EndWorkers(("worker-1",), "again")) == []
    assert handle(machine, SetWorkers(4)) == [StartProcess("worker-1"), StartProcess("worker-3")]


def test_end_workers_forgets_one_in_back_off():
    machine = begin()
    for _ in range(SETTINGS.restart_burst_max + 1):
        handle(machine, Exited("worker-1", 1))
    assert machine.deadline() is not None
    assert handle(machine, EndWorkers(("worker-1",), "retired")) == []
    assert machine.deadline() is None


def test_set_workers_up_again_before_the_old_one_is_dead_starts_it_then():
    machine = begin()
    handle(machine, SetWorkers(1))
    assert handle(machine, SetWorkers(2)) == []
    assert handle(machine, Exited("worker-1", -9))[-1] == StartProcess("worker-1")


def test_set_workers_down_forgets_one_in_back_off():
    machine = begin()
    handle(machine, Exited("worker-1", 1))
    for _ in range(SETTINGS.restart_burst_max):
        handle(machine, Exited("worker-1", 1))
    handle(machine, SetWorkers(1))
    assert machine.deadline() is None
    assert handle(machine, SetWorkers(2)) == [StartProcess("worker-1")]


def test_named_workers_end_and_their_numbers_are_used_again():
    machine = begin(workers=3)
    assert handle(machine, EndWorkers(("worker-0", "worker-9", SCHEDULER), "idle")) == [
        KillProcess("worker-0", force=True)
    ]
    assert machine.wanted == 2
    assert handle(machine, Exited("worker-0", -9)) == [Bury("worker-0", -9, "asked", "idle")]
    assert handle(machine, EndWorkers(("worker-0",), "again")) == []
    assert handle(machine, SetWorkers(4)) == [StartProcess("worker-0"), StartProcess("worker-3")]
    assert handle(machine, SetWorkers(3)) == [KillProcess("worker-3", force=True)]


def test_named_worker_in_back_off_is_forgotten():
    machine = begin()
    handle(machine, Exited("worker-1", 1))
    for _ in range(SETTINGS.restart_burst_max):
        handle(machine, Exited("worker-1", 1))
    handle(machine, EndWorkers(("worker-1",), "idle"))
    assert machine.deadline() is None
    assert machine.wanted == 1


@pytest.mark.parametrize(("asked", "given"), [(-3, 0), (10**9, 4)])
def test_set_workers_out_of_bounds_is_cut(asked, given):
    machine = begin(settings=Settings(workers_max=4))
    handle(machine, SetWorkers(asked))
    assert machine.wanted == given


def test_stop_goes_in_order_workers_scheduler_nanny():
    machine = begin()
    assert handle(machine, StopHost("enough"), 50.0) == [
        Say("stopping: enough"),
        KillProcess("worker-1", force=True),
        KillProcess("worker-0", force=True),
    ]
    assert machine.is_stopping
    assert handle(machine, StopHost("again"), 50.0) == []
    cause = "the cluster was stopped"
    assert handle(machine, Exited("worker-1", -9), 50.1) == [Bury("worker-1", -9, "asked", cause)]
    assert handle(machine, Exited("worker-0", -9), 50.1) == [
        Bury("worker-0", -9, "asked", cause),
        KillProcess(SCHEDULER, force=False),
    ]
    assert machine.deadline() == 50.1 + SETTINGS.stop_s_max / 2
    assert handle(machine, Exited(SCHEDULER, 0), 50.2) == [Bury(SCHEDULER, 0, "asked", cause), Stop()]
    assert machine.deadline() is None
    assert handle(machine, SetWorkers(2), 51.0) == []
    assert machine.tick(52.0) == []


def test_stop_scheduler_that_does_not_end_is_killed_and_then_left():
    machine = begin(workers=0)
    assert handle(machine, StopHost("enough"), 50.0)[-1] == KillProcess(SCHEDULER, force=False)
    assert machine.tick(51.0) == []
    assert machine.tick(machine.deadline()) == [KillProcess(SCHEDULER, force=True)]
    assert machine.deadline() == 50.0 + SETTINGS.stop_s_max
    assert machine.tick(machine.deadline()) == [Stop()]


def test_stop_worker_that_does_not_die_is_left_in_time():
    machine = begin(head=False, workers=1)
    handle(machine, StopHost("enough"), 50.0)
    assert machine.deadline() == 50.0 + SETTINGS.stop_s_max
    assert machine.tick(machine.deadline()) == [Stop()]


def test_stop_while_one_waits_to_be_started_starts_nothing_more():
    machine = begin(head=False, workers=1)
    handle(machine, Exited("worker-0", 1))
    for _ in range(SETTINGS.restart_burst_max):
        handle(machine, Exited("worker-0", 1))
    assert handle(machine, StopHost("enough")) == [Say("stopping: enough"), Stop()]


def test_stop_with_nothing_alive_is_over_at_once():
    machine = begin(head=False, workers=0)
    assert handle(machine, StopHost("enough")) == [Say("stopping: enough"), Stop()]


@pytest.mark.parametrize(
    "damage",
    [
        lambda machine: machine._living.pop("worker-0"),
        lambda machine: machine._waiting.update({"worker-0": 1.0}),
        lambda machine: machine._numbers.discard(1),
        lambda machine: (machine.handle(StopHost(""), 1.0), machine._waiting.update(a=1.0)),
    ],
)
def test_check_finds_tables_that_contradict(damage):
    machine = begin()
    machine.check()
    damage(machine)
    with pytest.raises(InvariantError):
        machine.check()


class World:
    """What the effects would have done: processes that live, and those that were told to die."""

    def __init__(self, random_):
        self.random = random_
        self.living = {}
        self.doomed = set()
        self.is_over = False
        self.epochs = []

    def perform(self, effects):
        for effect in effects:
            match effect:
                case StartProcess(name, epoch):
                    assert name not in self.living, f"{name} was started twice"
                    self.living[name] = True
                    if name == SCHEDULER:
                        self.epochs.append(epoch)
                case KillProcess(name):
                    assert name in self.living
                    self.doomed.add(name)
                case Bury(name):
                    assert name not in self.living
                case Stop():
                    assert not self.living
                    self.is_over = True

    def event(self):
        if self.doomed and self.random.random() < 0.5:
            return self.exit(self.random.choice(sorted(self.doomed)))
        choice = self.random.randrange(11)
        if choice < 4 and self.living:
            return self.exit(self.random.choice(sorted(self.living)))
        if choice < 7 and self.living:
            return Ready(self.random.choice(sorted(self.living)))
        if choice == 7:
            return SetWorkers(self.random.randrange(5))
        if choice == 8:
            return ReplaceWorkers(self.random.choice([(), ("worker-0",), ("worker-1", "worker-3")]), "restart")
        if choice == 9:
            return EndWorkers(self.random.choice([("worker-0",), ("worker-1", "worker-3"), ("nobody",)]), "idle")
        return OverMemory(f"worker-{self.random.randrange(5)}", "3 GB")

    def exit(self, name):
        del self.living[name]
        self.doomed.discard(name)
        return Exited(name, self.random.choice([-9, -11, 1]), self.random.random() < 0.3)


@pytest.mark.parametrize("seed", range(60))
def test_chance_whatever_happens_what_is_wanted_lives_in_the_end(seed):
    print(f"seed {seed}")
    chance = random.Random(seed)
    world = World(chance)
    machine = Supervisor(head=chance.random() < 0.5, workers=chance.randrange(4), settings=SETTINGS)
    now = 0.0
    world.perform(machine.handle(Begin(), now))
    for name in sorted(world.living):  # a storm during the start would end it
        world.perform(machine.handle(Ready(name), now))
    world.perform(machine.handle(Ready(SCHEDULER), now))
    for _ in range(300):
        now += chance.choice([0.0, 0.01, 1.0, 10.0])
        due_s = machine.deadline()
        if due_s is not None and due_s <= now:
            world.perform(machine.tick(now))
        world.perform(machine.handle(world.event(), now))
        machine.check()
    while world.doomed or machine.deadline() is not None:  # nothing else happens from here
        now = max(now, machine.deadline() or now)
        world.perform(machine.tick(now))
        if world.doomed:
            world.perform(machine.handle(world.exit(min(world.doomed)), now))
        machine.check()
    wanted = {worker_name(number) for number in machine._numbers}
    assert len(wanted) == machine.wanted
    assert {name for name in world.living if name != SCHEDULER} == wanted
    assert world.epochs == sorted(set(world.epochs))
    world.perform(machine.handle(StopHost("enough"), now))
    while not world.is_over:
        world.perform(machine.handle(world.exit(min(world.doomed)), now))
        machine.check()


def test_begin_of_a_follower_goes_on_with_the_numbers_and_the_epoch_and_reports_nothing():
    machine = Supervisor(head=True, workers=9, settings=SETTINGS, numbers=(1, 4), epoch=3)
    assert (machine.numbers, machine.epoch, machine.wanted) == ((1, 4), 3, 2)
    expected = [StartProcess(SCHEDULER, 4), StartProcess("worker-1"), StartProcess("worker-4")]
    assert handle(machine, Begin(), 0.0) == expected
    assert machine.epoch == 4
    assert [handle(machine, Ready(name), 0.0) for name in (SCHEDULER, "worker-1", "worker-4")] == [[], [], []]


def test_deaths_at_the_start_of_a_follower_are_waited_for_and_are_no_failed_start():
    machine = Supervisor(head=True, workers=0, settings=SETTINGS, numbers=(0,), epoch=1)
    handle(machine, Begin(), 0.0)
    for _ in range(SETTINGS.restart_burst_max):
        effects = handle(machine, Exited("worker-0", 1), 0.0)
    assert [type(effect) for effect in effects] == [Bury, Say]
    assert machine.deadline() == pytest.approx(0.2)


def test_numbers_after_scaling_are_those_that_shall_live():
    machine = begin(workers=2)
    handle(machine, EndWorkers(("worker-0",), "left"))
    handle(machine, SetWorkers(3))
    assert machine.numbers == (0, 1, 2)
    handle(machine, SetWorkers(1))
    assert machine.numbers == (0,)
