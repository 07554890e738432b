"""Users' code on its way to every worker."""

from jupyter_dist.core.machine import Disconnected
from jupyter_dist.messages import (
    Answer,
    AssignTask,
    CodeFile,
    CodeReplaced,
    CodeTaken,
    Describe,
    DescribeVersions,
    ErrorInfo,
    PutCode,
    RestartCluster,
    TakeCode,
    Welcome,
)
from tests.core.scheduler.bench import Bench

FIRST = (1 << 32) + 1  # the number of the first code that workers are told by a scheduler of the first epoch


def module(name="m", body=b"X = 1", **changes):
    return CodeFile(name, f"v-{body.decode()}", body, **changes)


def told(bench, worker):
    return [file.name for message in bench.heard(worker, TakeCode) for file in message.files]


def test_code_put_reaches_every_worker_before_what_is_submitted_after():
    bench = Bench()
    first, second = bench.worker("w0"), bench.worker("w1")
    client = bench.client()
    bench.say(client, PutCode(0, (module(),)))
    bench.submit(client, "a")
    kinds = [type(message) for message in bench.sent[first]]
    assert kinds.index(TakeCode) < kinds.index(AssignTask)
    assert (told(bench, first), told(bench, second)) == (["m"], ["m"])
    assert not bench.heard(client, Answer)


def test_worker_that_joins_later_gets_the_newest_code_before_its_first_task():
    bench = Bench()
    client = bench.client()
    bench.say(client, PutCode(0, (module("a", b"1"), module("b"))), PutCode(0, (module("a", b"2"),)))
    bench.submit(client, "t")
    worker = bench.worker()
    kinds = [type(message) for message in bench.sent[worker]]
    assert kinds.index(Welcome) < kinds.index(TakeCode) < kinds.index(AssignTask)
    (message,) = bench.heard(worker, TakeCode)
    assert {file.name: file.body for file in message.files} == {"a": b"2", "b": b"X = 1"}


def test_worker_that_joins_a_cluster_without_code_is_told_none():
    bench = Bench()
    assert not bench.heard(bench.worker(), TakeCode)


def test_request_is_answered_when_all_workers_have_it():
    bench = Bench()
    first, second = bench.worker("w0"), bench.worker("w1")
    client = bench.client()
    bench.say(client, PutCode(7, (module(is_upload=True),)))
    bench.say(first, CodeTaken(FIRST, None, (("m", "v"),)))
    assert not bench.heard(client, Answer)
    bench.say(second, CodeTaken(FIRST))
    assert bench.heard(client, Answer) == [Answer(7)]
    bench.say(client, Describe(8))
    (answer,) = bench.heard(client, Answer)
    assert {view.name: view.modules for view in answer.snapshot.workers} == {"w0": (("m", "v"),), "w1": ()}


def test_request_without_workers_is_answered_at_once():
    bench = Bench()
    client = bench.client()
    bench.say(client, PutCode(7, (module(),)))
    assert bench.heard(client, Answer) == [Answer(7)]


def test_request_about_some_workers_waits_for_these_alone():
    bench = Bench()
    first, second = bench.worker("w0"), bench.worker("w1")
    client = bench.client()
    bench.say(client, PutCode(7, (), ("w1",)))
    bench.say(second, CodeTaken(FIRST))
    assert bench.heard(client, Answer) == [Answer(7)]
    assert bench.heard(first, TakeCode)


def test_answer_to_an_earlier_request_does_not_stand_for_a_later_one():
    bench = Bench()
    worker, client = bench.worker(), bench.client()
    bench.say(client, PutCode(7, (module(),)), PutCode(8))
    bench.say(worker, CodeTaken(FIRST + 1))
    assert bench.heard(client, Answer) == [Answer(8)]
    bench.say(worker, CodeTaken(FIRST))
    assert bench.heard(client, Answer) == [Answer(7)]


def test_fault_of_a_worker_is_in_the_answer_with_its_name():
    bench = Bench()
    first, second = bench.worker("w0"), bench.worker("w1")
    client = bench.client()
    bench.say(client, PutCode(7, (module(is_upload=True),)))
    bench.say(first, CodeTaken(FIRST, ErrorInfo("ValueError", "bad", "")))
    bench.say(second, CodeTaken(FIRST, ErrorInfo("ValueError", "second", "")))
    (answer,) = bench.heard(client, Answer)
    assert answer.error == "w0: bad"
    assert answer.failure.text == "bad"


def test_worker_that_is_lost_is_not_waited_for():
    bench = Bench()
    worker, client = bench.worker(), bench.client()
    bench.say(client, PutCode(7, (module(),)))
    bench.say(worker, Disconnected("end of stream"))
    assert bench.heard(client, Answer) == [Answer(7)]


def test_worker_that_does_not_take_it_in_time_is_named():
    bench = Bench(code_wait_s_max=2.0, lease_s=100.0)
    bench.worker("w0")
    client = bench.client()
    bench.say(client, PutCode(7, (module(),)))
    bench.tick(1.0)
    assert not bench.heard(client, Answer)
    bench.tick(1.5)
    (answer,) = bench.heard(client, Answer)
    assert answer.error.startswith("w0 did not take it within 2 s")


def test_worker_that_joins_meanwhile_is_waited_for_and_tells_of_that_file_alone():
    bench = Bench()
    worker, client = bench.worker("w0"), bench.client()
    bench.say(client, PutCode(0, (module("bad", is_upload=True),)))
    bench.say(client, PutCode(7, (module("good", is_upload=True),)))
    late = bench.worker("w1")
    everything, asked = bench.heard(late, TakeCode)
    assert [[file.name for file in message.files] for message in (everything, asked)] == [["bad", "good"], ["good"]]
    bench.say(worker, CodeTaken(FIRST + 1))
    bench.say(late, CodeTaken(everything.number, ErrorInfo("ValueError", "bad", "")))
    assert not bench.heard(client, Answer)
    bench.say(late, CodeTaken(asked.number))
    assert bench.heard(client, Answer) == [Answer(7)]


def test_client_that_is_gone_is_not_answered():
    bench = Bench()
    worker, client = bench.worker(), bench.client(linger_s=0.0)
    bench.say(client, PutCode(7, (module(),)))
    bench.say(client, Disconnected("gone"))
    bench.tick(1.0)
    bench.say(worker, CodeTaken(FIRST))
    assert not bench.heard(client, Answer)


def test_restart_keeps_code_for_the_fresh_workers():
    bench = Bench()
    bench.nanny()
    bench.worker()
    client = bench.client()
    bench.say(client, PutCode(7, (module(),)), RestartCluster(8))
    assert [answer.request for answer in bench.heard(client, Answer)] == [7]
    assert told(bench, bench.worker("w0")) == ["m"]


def test_other_client_is_told_that_its_file_was_replaced():
    bench = Bench()
    mine, other = bench.client(), bench.client()
    bench.say(mine, PutCode(0, (module("a", b"1"), module("b", b"1"))))
    bench.say(mine, PutCode(0, (module("a", b"2"),)))
    assert not bench.heard(mine, CodeReplaced)
    bench.say(other, PutCode(0, (module("a", b"3"),)))
    assert bench.heard(mine, CodeReplaced) == [CodeReplaced(("a",))]
    assert not bench.heard(other, CodeReplaced)


def test_code_past_the_limit_goes_oldest_first_and_its_client_is_told():
    bench = Bench(code_total_bytes_max=20)
    first, second = bench.client(), bench.client()
    bench.say(first, PutCode(0, (module("a", b"0123456789"),)))
    bench.say(first, PutCode(0, (module("up", b"01234", is_upload=True),)))
    bench.say(second, PutCode(0, (module("b", b"0123456789"),)))
    assert bench.heard(first, CodeReplaced) == [CodeReplaced(("a",))]
    assert told(bench, bench.worker()) == ["up", "b"]


def test_code_that_cannot_fit_is_refused_and_nothing_is_changed():
    bench = Bench(code_total_bytes_max=20)
    client, worker = bench.client(), bench.worker()
    bench.say(client, PutCode(1, (module("up", b"0123456789", is_upload=True),)))
    bench.say(worker, CodeTaken(FIRST))
    bench.heard(client, Answer)
    bench.heard(worker, TakeCode)
    bench.say(client, PutCode(2, (module("big", b"0" * 11),)))
    (answer,) = bench.heard(client, Answer)
    assert "20 bytes (code_total_bytes_max)" in answer.error
    (replaced,) = bench.heard(client, CodeReplaced)
    assert replaced.names == ("big",)
    assert replaced.refused == answer.error
    assert not bench.heard(worker, TakeCode)
    bench.say(client, PutCode(3, (module("up", b"0" * 20, is_upload=True),)))
    bench.say(worker, CodeTaken(FIRST + 1))
    assert bench.heard(client, Answer) == [Answer(3)]


def test_versions_are_told():
    bench = Bench()
    bench.state.versions = {"python": "3.11"}
    client = bench.client()
    bench.say(client, DescribeVersions(4))
    assert bench.heard(client, Answer) == [Answer(4, versions=(("python", "3.11"),))]


# -- a scheduler that follows another ------------------------------------------------------------------------------------


def test_scheduler_that_dies_is_followed_by_one_that_has_all_code_in_its_order():
    bench = Bench(code_total_bytes_max=20)
    mine, other = bench.client("mine"), bench.client("other")
    bench.say(mine, PutCode(0, (module("a", b"1"), module("b", b"1"))), PutCode(0, (module("a", b"2"),)))
    bench.say(other, PutCode(0, (module("up", b"01234", is_upload=True),)))
    bench.succeed()
    assert [(entry.file, entry.session) for entry in bench.state.code.entries.values()] == [
        (module("b", b"1"), "mine"),
        (module("a", b"2"), "mine"),
        (module("up", b"01234", is_upload=True), "other"),
    ]
    assert told(bench, bench.worker()) == ["b", "a", "up"]
    mine = bench.client("mine")
    bench.say(bench.client("third"), PutCode(0, (module("c", b"0" * 15),)))
    assert bench.heard(mine, CodeReplaced) == [CodeReplaced(("b", "a"))]
    bench.succeed()
    assert list(bench.state.code.entries) == ["up", "c"]


def test_scheduler_with_less_room_than_the_one_before_keeps_what_fits():
    bench = Bench(code_total_bytes_max=20)
    client = bench.client()
    bench.say(client, PutCode(0, (module("a", b"0" * 15, is_upload=True),)))
    bench.say(client, PutCode(0, (module("b", b"0" * 5, is_upload=True),)))
    bench.succeed(code_total_bytes_max=10)
    assert list(bench.state.code.entries) == ["b"]
    bench.succeed(code_total_bytes_max=20)
    assert list(bench.state.code.entries) == ["b"]


def test_worker_that_comes_back_is_told_what_it_missed_before_it_is_given_work():
    bench = Bench()
    client, worker = bench.client("c"), bench.worker("w0", pid=5)
    bench.say(client, PutCode(0, (module("a", b"1"),)))
    bench.say(worker, Disconnected("end of stream"))
    bench.say(client, PutCode(0, (module("a", b"2"),)))
    bench.succeed()
    bench.submit(bench.client("c"), "t")
    worker = bench.worker("w0", pid=5)
    bench.tick(4.0)
    kinds = [type(message) for message in bench.sent[worker]]
    assert kinds.index(Welcome) < kinds.index(TakeCode) < kinds.index(AssignTask)
    assert [file.body for message in bench.heard(worker, TakeCode) for file in message.files] == [b"2"]


def test_request_asked_again_puts_nothing_back_and_waits_for_workers_that_may_come_back():
    bench = Bench()
    bench.nanny()
    client, worker = bench.client("c"), bench.worker("w0", nanny="n", pid=5)
    bench.say(client, PutCode(7, (module("a", b"1", is_upload=True),)))
    bench.say(client, PutCode(0, (module("a", b"2", is_upload=True),)))
    bench.succeed()
    bench.nanny()
    client = bench.client("c")
    bench.say(client, PutCode(7, (), (), ("a",)), Describe(8))
    (answer,) = bench.heard(client, Answer)
    assert answer.snapshot.recovering
    worker = bench.worker("w0", nanny="n", pid=5)
    everything, asked = bench.heard(worker, TakeCode)
    assert [file.body for file in everything.files + asked.files] == [b"2", b"2"]
    bench.say(worker, CodeTaken(FIRST))  # an answer to the scheduler before
    assert not bench.heard(client, Answer)
    bench.say(worker, CodeTaken(asked.number, ErrorInfo("ValueError", "bad", "")), CodeTaken(everything.number))
    (answer,) = bench.heard(client, Answer)
    assert answer.error == "w0: bad"
    bench.say(client, Describe(9))
    (answer,) = bench.heard(client, Answer)
    assert not answer.snapshot.recovering


def test_request_asked_again_about_a_file_that_is_lost_is_answered_so():
    bench = Bench()
    client = bench.client()
    bench.say(client, PutCode(7, (), (), ("a", "b")))
    (answer,) = bench.heard(client, Answer)
    assert "has no a, b any more" in answer.error
