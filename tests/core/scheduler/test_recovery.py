"""What a death costs, and who is to blame."""

import pytest

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import KeyErred, KeyLost, WorkerDied
from tests.core.scheduler.bench import Bench, certificate


@pytest.fixture
def bench():
    return Bench()


def test_death_makes_only_what_is_lost_and_needed_again(bench):
    client, nanny = bench.client(), bench.nanny()
    dead, alive = bench.worker("w0", nanny="n"), bench.worker("w1", nanny="n")
    for key, where in (("lost", "w0"), ("kept", "w1"), ("small", "w0"), ("unneeded", "w0")):
        bench.submit(client, key, workers=(where,), loose=True)
        bench.finish(dead if where == "w0" else alive, key, b"v" if key == "small" else None)
    bench.submit(client, "made", "unneeded", workers=("w1",))
    bench.finish(alive, "made", None)
    bench.release(client, "unneeded")
    bench.die(dead, nanny)
    assert bench.states("lost", "kept", "small", "unneeded", "made") == [
        "processing", "memory", "memory", "released", "memory",
    ]  # fmt: skip
    assert [message.key for message in bench.heard(client, KeyLost)] == ["lost"]


def test_death_makes_the_lineage_of_what_is_lost_again(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    bench.finish(worker, "a", None)
    bench.finish(worker, "b", None)
    bench.release(client, "a")
    bench.die(worker, nanny)
    assert bench.states("a", "b") == ["queued", "waiting"]
    again = bench.worker("w0", nanny="n")
    bench.finish(again, "a", None)
    bench.finish(again, "b", None)
    assert bench.states("a", "b") == ["released", "memory"]


def test_second_holder_makes_a_loss_harmless(bench):
    client = bench.client()
    first, second = bench.worker("w0"), bench.worker("w1")
    bench.submit(client, "a", workers=("w0",))
    bench.finish(first, "a", None)
    bench.state.hold(bench.task("a"), bench.state.members[second])
    bench.state.hold(bench.task("a"), bench.state.members[second])
    bench.say(first, Disconnected("gone"))
    assert bench.states("a") == ["memory"]
    assert not bench.heard(client, KeyLost)


def test_scattered_data_let_go_and_needed_again_errs_and_says_so(bench):
    client, worker = bench.client(), bench.worker()
    bench.put(client, "data")
    bench.submit(client, "b", "data")
    bench.submit(client, "c", "b")
    bench.finish(worker, "b", None)
    bench.release(client, "data")
    bench.finish(worker, "c")
    assert bench.states("data") == ["released"]
    bench.say(worker, Disconnected("gone"))
    (message,) = bench.heard(client, KeyErred)
    assert (message.key, message.error.kind, message.error.type_name) == ("b", "lost", "DataLostError")
    assert "scatter it again" in message.error.text
    assert bench.states("c") == ["memory"]  # what was computed stays readable


def test_loss_of_two_inputs_one_of_which_cannot_be_made_leaves_the_other_alone(bench):
    client, worker = bench.client(), bench.worker()
    bench.put(client, "data")
    bench.submit(client, "plain")
    bench.finish(worker, "plain")
    bench.submit(client, "both", "plain", "data")
    bench.finish(worker, "both", None)
    bench.release(client, "data", "plain")
    assert bench.states("plain", "data") == ["released", "released"]
    bench.say(worker, Disconnected("gone"))
    assert bench.states("plain", "both") == ["released", "erred"]


def test_crash_makes_only_what_ran_a_suspect_that_reruns_alone(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker("w0", slots=2, nanny="n")
    for key in ("ran", "neighbour", "in-hand"):
        bench.submit(client, key)
    bench.die(worker, nanny, [bench.attempt("ran"), bench.attempt("neighbour")])
    assert [bool(bench.task(key).certificates) for key in ("ran", "neighbour", "in-hand")] == [True, True, False]
    again = bench.worker("w0", slots=2, nanny="n")
    member = bench.state.members[again]
    assert len(member.processing) == 1  # a suspect, alone
    assert member.solo.key == "ran"
    bench.finish(again, "ran")
    assert [task.key for task in member.processing.values()] == ["neighbour"]
    bench.finish(again, "neighbour")
    assert bench.task("neighbour").certificates == ()
    assert [task.key for task in member.processing.values()] == ["in-hand"]


def test_crash_while_alone_convicts_with_every_certificate(bench):
    client, nanny = bench.client(), bench.nanny()
    wish = bench.submit(client, "poison")
    bench.submit(client, "victim", "poison")
    for _ in range(2):
        worker = bench.worker("w0", nanny="n")
        attempt = bench.attempt("poison")
        bench.say(worker, Disconnected("end of stream"))
        details = {"output": "printed", "stack": "in f"}
        bench.say(nanny, WorkerDied(certificate("w0", bench.pids[worker], [attempt], **details)))
    message, victim = bench.heard(client, KeyErred)
    assert (message.wish, message.error.kind, len(message.error.certificates)) == (wish, "crashed", 2)
    assert "2 times" in message.error.text
    assert "printed" in message.error.text
    assert "in f" in message.error.text
    assert victim.error is message.error
    late = bench.client()
    bench.submit(late, "later victim", "poison")
    assert bench.heard(late, KeyErred)


def test_crash_limit_of_one_convicts_at_once():
    bench = Bench(crash_limit=1)
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker("w0", nanny="n")
    bench.submit(client, "poison")
    bench.die(worker, nanny, [bench.attempt("poison")])
    assert bench.heard(client, KeyErred)[0].error.text.count("\n") == 0


@pytest.mark.parametrize("cause", ["asked", "host"])
def test_death_nobody_but_we_caused_blames_nobody(bench, cause):
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    bench.die(worker, nanny, [bench.attempt("a")], cause)
    assert (bench.states("a"), bench.task("a").certificates) == (["queued"], ())


def test_zombie_that_kills_its_worker_is_nobodys_fault(bench):
    client, nanny, worker = bench.client(), bench.nanny(), bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    old = bench.attempt("a")
    bench.release(client, "a")
    bench.submit(client, "a")
    bench.die(worker, nanny, [old])
    assert bench.task("a").certificates == ()


def test_conviction_lets_go_of_an_input_that_ran_on_the_same_dead_worker(bench):
    """The input is being made again beside the poison: when that is convicted nobody needs it any more."""
    client, nanny = bench.client(), bench.nanny()
    bench.state.settings = bench.state.settings.__class__(crash_limit=1)
    holder, worker = bench.worker("w0", nanny="n"), bench.worker("w1", slots=2, nanny="n")
    bench.submit(client, "input", workers=("w0",), loose=True)
    bench.finish(holder, "input", None)
    bench.submit(client, "poison", "input", workers=("w1",))
    bench.release(client, "input")
    bench.say(holder, Disconnected("gone"))
    assert bench.states("input", "poison") == ["processing", "processing"]
    bench.die(worker, nanny, [bench.attempt("poison")])
    assert bench.states("input", "poison") == ["released", "erred"]


def test_suspect_that_raises_is_told_as_a_users_error_and_forgets_its_deaths_when_let_go(bench):
    client, nanny = bench.client(), bench.nanny()
    worker = bench.worker("w0", nanny="n")
    bench.submit(client, "a")
    bench.submit(client, "b", "a")
    bench.die(worker, nanny, [bench.attempt("a")])
    worker = bench.worker("w0", nanny="n")
    bench.err(worker, "a")
    assert bench.heard(client, KeyErred)[0].error.kind == "user"
    bench.release(client, "a")
    assert bench.task("a").certificates == ()


def test_deaths_a_task_has_behind_it_count_on_under_the_next_scheduler(bench):
    client, nanny, worker = bench.client("c"), bench.nanny(), bench.worker(nanny="n")
    bench.submit(client, "poison")
    bench.die(worker, nanny, [bench.attempt("poison")])
    assert len(bench.task("poison").certificates) == 1
    bench.succeed()  # what is said to the worker that tries it next is said after this was written
    nanny, worker = bench.nanny(), bench.worker(nanny="n")
    bench.tick(bench.state.settings.lease_s)
    assert bench.states("poison") == ["processing"]
    bench.die(worker, nanny, [bench.attempt("poison")])
    assert bench.states("poison") == ["erred"]
    assert len(bench.task("poison").error.certificates) == 2
    bench.succeed()
    assert bench.states("poison") == ["erred"]
