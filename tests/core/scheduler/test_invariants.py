"""Each invariant notices a table that was changed by hand."""

import pytest

from jupyter_dist.core.scheduler.moves import Rebalance, Retirement
from jupyter_dist.core.scheduler.records import Member
from jupyter_dist.errors import InvariantError
from tests.core.scheduler.bench import Bench


def make():
    """Return a bench with a task in each state."""
    bench = Bench()
    client, worker = bench.client("s"), bench.worker(slots=2)
    for key in ("memory", "inline", "lineage", "erred", "runs"):
        bench.submit(client, key)
    for key in ("memory", "inline", "lineage"):
        bench.finish(worker, key, b"v" if key == "inline" else None)
    bench.submit(client, "made", "lineage")
    bench.finish(worker, "made")
    bench.release(client, "lineage")
    bench.err(worker, "erred")
    bench.submit(client, "waits", "runs")
    bench.submit(client, "fast", label="other")
    bench.finish(worker, "fast")
    bench.release(client, "fast")
    bench.submit(client, "queued", workers=("nobody",))
    return bench, bench.state.members[worker]


def set_state(key, state):
    def change(bench, _member):
        bench.task(key).state = state

    return change


def set_field(key, name, value):
    def change(bench, _member):
        setattr(bench.task(key), name, value)

    return change


def refile(bench, member):
    bench.state.members[99] = bench.state.members.pop(member.incarnation)


def forget_worker(bench, member):
    del bench.state.members[member.incarnation]


def forget_session(bench, _member):
    bench.state.sessions.clear()


def forget_input(bench, _member):
    del bench.state.tasks["runs"]


def drop_from_idle(bench, member):
    bench.state.idle.pop(member)


def add_to_open(bench, member):
    bench.state.open[member] = None


def add_to_laden(bench, member):
    bench.state.laden[member] = None


def add_zombie(bench, member):
    member.zombies.add(bench.attempt("runs"))


def withdraw_unknown(_bench, member):
    member.withdrawing.add(12345)


def lower_occupancy(_bench, member):
    member.occupancy_s = -1.0


def hold_more(bench, member):
    member.held[bench.task("inline")] = None


def want_more(bench, _member):
    bench.state.sessions["s"].wants[bench.task("lineage")] = 1


def name_what_is_not_wanted(bench, _member):
    bench.state.sessions["s"].names.give("x", "lineage")


def count_function(bench, _member):
    bench.state.functions["id-f"].tasks = 0


def forget_function(bench, _member):
    del bench.state.functions["id-f"]


def queue_without_bound(bench, _member):
    (queue,) = bench.state.restricted.values()
    bench.state.queue.extend(queue)


def begin_copy(bench, member, *, of="memory"):
    task, target = bench.task(of), bench.state.members[bench.worker("w1", address="unix:/w1")]
    copy = bench.state.moves.begin(task, member, target, 0.0)
    bench.state.moves.join(wait_for_nothing(bench, member), copy)
    return copy


def wait_for_nothing(bench, _member):
    job = Rebalance(bench.state.sessions["s"], 1, None, ())
    bench.state.moves.jobs.append(job)
    return job


def copy_what_is_not_there(bench, member):
    begin_copy(bench, member, of="runs")


def copy_to_a_holder(bench, member):
    bench.state.hold(bench.task("memory"), begin_copy(bench, member).target)


def copy_for_nobody(bench, member):
    begin_copy(bench, member).jobs.clear()


def count_copies_wrongly(bench, member):
    begin_copy(bench, member)
    bench.state.moves.making.clear()


def count_flying_wrongly(bench, member):
    begin_copy(bench, member)
    bench.state.moves.jobs[0].flying = 2


def retire_without_a_word(bench, member):
    member.state = "retiring"
    bench.state.refresh(member)


def stay_too_long(bench, _member):
    idle = bench.state.members[bench.worker("w1", address="unix:/w1")]
    retire_without_a_word(bench, idle)
    bench.state.moves.leaving[idle] = Retirement(idle, "", ends=True, replaced=False, for_scale=False)


def retire_a_stranger(bench, _member):
    gone = Member(77, "gone", "h", 1, "unix:/gone", 1)
    bench.state.moves.leaving[gone] = Retirement(gone, "", ends=True, replaced=False, for_scale=False)


def hold_less(bench, member):
    del member.held[bench.task("memory")]


def choose_from_the_dead(bench, _member):
    gone = Member(77, "gone", "h", 1, "unix:/gone", 1)
    bench.state.member_at["unix:/gone"] = gone


def fence(bench, member):
    bench.state.fenced.add((member.name, member.pid))


def suspect_nobody_looks_after(bench, _member):
    bench.worker("w1", address="unix:/w1")
    bench.state.suspects[bench.task("runs")] = None


FAULTS = [
    (hold_less, "one of which says otherwise"),
    (set_field("runs", "attempt", 5), "is said to run as attempt 5"),
    (choose_from_the_dead, "still chosen from"),
    (fence, "were replaced, and are there"),
    (suspect_nobody_looks_after, "a suspect, is queued although"),
    (copy_what_is_not_there, "is of what is not there"),
    (copy_to_a_holder, "is made for nobody"),
    (copy_for_nobody, "is filed wrongly"),
    (count_copies_wrongly, "counted wrongly"),
    (count_flying_wrongly, "waits for 2 copies"),
    (wait_for_nothing, "waits for nothing"),
    (retire_without_a_word, "nobody knows"),
    (stay_too_long, "should have left"),
    (retire_a_stranger, "leaves that is not there"),
    (set_state("runs", "memory"), "are said to be"),
    (set_field("inline", "value", b"longer"), "inline bytes noted"),
    (set_field("waits", "missing", 0), "waits for nothing|inputs noted"),
    (set_field("runs", "consumers", 0), "consumers noted"),
    (set_field("runs", "dependents", {}), "does not know its dependent"),
    (forget_input, "not in the tables"),
    (set_state("lineage", "waiting"), "waits for nothing"),
    (set_state("runs", "released"), "nobody makes"),
    (set_state("waits", "queued"), "without its inputs"),
    (set_field("runs", "member", None), "contradict"),
    (set_field("memory", "holders", ()), "holders"),
    (set_field("erred", "error", None), "error None"),
    (set_field("memory", "sessions", ()), "needed by nobody"),
    (set_field("lineage", "dependents", None), "should be forgotten"),
    (refile, "filed under 99"),
    (set_field("runs", "attempt", 5), "which says otherwise"),
    (hold_more, "holds <Task inline memory>"),
    (add_to_laden, "laden True with 1 of 2 slots"),
    (add_zombie, "zombie and current"),
    (withdraw_unknown, "withdraws what it does not have"),
    (lower_occupancy, "occupancy -1"),
    (drop_from_idle, "idle False"),
    (add_to_open, "in hand and idle at once"),
    (forget_worker, "a worker that is gone"),
    (want_more, "session"),
    (name_what_is_not_wanted, r"names for \['lineage'\], which it does not want"),
    (forget_session, "a session that is gone"),
    (count_function, "0 tasks noted"),
    (forget_function, "a function that is not known"),
    (queue_without_bound, "although 1 workers are idle"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_check_of_a_table_changed_by_hand_raises(fault, words):
    bench, member = make()
    bench.machine.check()
    fault(bench, member)
    with pytest.raises(InvariantError, match=words):
        bench.machine.check()
