"""A client's table of futures: stale wishes, lost and finished again, values that never change, output's tail."""

import pytest

from jupyter_dist.core.futures import FutureTable
from jupyter_dist.messages import Answer, ErrorInfo, KeyCancelled, KeyErred, KeyFinished, KeyLost, KeyOutput, KeyRetried

ERROR = ErrorInfo("ValueError", "no", "trace")


@pytest.fixture
def table():
    return FutureTable(output_chars_max=10)


def wish_for(table, key="a"):
    wish, is_new = table.wish(key, "f")
    assert is_new
    return wish


def finished(wish, value=b"v", holders=()):
    return KeyFinished(wish.number, wish.key, value, 1, "bytes", holders)


def test_wish_for_a_known_key_is_shared_until_the_last_reference_is_dropped(table):
    wish = wish_for(table)
    assert table.wish("a", "f") == (wish, False)
    assert not table.drop(wish)
    assert table.drop(wish)
    assert not table.by_key
    assert not table.drop(wish)


def test_answer_to_a_wish_given_up_is_not_heard_when_its_key_lives_again(table):
    old = wish_for(table)
    table.drop(old)
    new = wish_for(table)
    assert table.handle([finished(old), KeyErred(old.number, "a", ERROR), KeyCancelled((old.number,), "x")]) == []
    assert (old.status, new.status) == ("pending", "pending")
    table.remove(old)
    assert table.by_key == {"a": new}


def test_finished_gives_value_type_and_holders(table):
    wish = wish_for(table)
    assert table.handle([finished(wish, None, ("unix:/w0",))]) == [wish]
    assert (wish.status, wish.value, wish.holders, wish.type_name) == ("finished", None, ("unix:/w0",), "bytes")
    assert wish.is_settled


def test_lost_and_finished_again_is_pending_between(table):
    wish = wish_for(table)
    table.handle([finished(wish, None, ("unix:/w0",)), KeyLost(wish.number, "a")])
    assert (wish.status, wish.holders, wish.is_settled) == ("lost", (), False)
    table.handle([finished(wish, b"again")])
    assert (wish.status, wish.value) == ("finished", b"again")


@pytest.mark.parametrize("how", ["value", "loaded"])
def test_delivered_value_is_never_replaced_lost_or_turned_into_an_error(table, how):
    wish = wish_for(table)
    table.handle([finished(wish, b"first" if how == "value" else None)])
    if how == "loaded":
        wish.loaded = None  # a user's None is a value as well
    before = wish.value
    assert table.handle([KeyLost(wish.number, "a"), KeyErred(wish.number, "a", ERROR)]) == []
    table.handle([finished(wish, b"second")])
    assert (wish.status, wish.value, wish.error) == ("finished", before, None)


def test_error_stays_the_first(table):
    wish = wish_for(table)
    assert table.handle([KeyErred(wish.number, "a", ERROR)]) == [wish]
    other = ErrorInfo("KeyError", "other", "")
    assert table.handle([KeyErred(wish.number, "a", other), KeyLost(wish.number, "a"), finished(wish)]) == []
    assert (wish.status, wish.error) == ("error", ERROR)


def test_cancelled_is_never_revived(table):
    wish = wish_for(table)
    table.handle([finished(wish)])
    assert table.handle([KeyCancelled((wish.number, 99), "restarted")]) == [wish]
    assert (wish.status, wish.reason, wish.value) == ("cancelled", "restarted", None)
    assert table.handle([finished(wish), KeyErred(wish.number, "a", ERROR), KeyLost(wish.number, "a")]) == []
    assert wish.status == "cancelled"
    assert table.cancel([wish], "again") == []
    assert wish.reason == "restarted"


def test_end_of_the_cluster_cancels_what_was_not_delivered(table):
    keys = ("pending", "error", "value", "loaded", "far")
    wishes = {key: wish_for(table, key) for key in keys}
    table.handle([KeyErred(wishes["error"].number, "error", ERROR), finished(wishes["value"])])
    table.handle([finished(wishes["loaded"], None), finished(wishes["far"], None)])
    wishes["loaded"].loaded = 1
    changed = table.cancel_all("the cluster is gone")
    assert {wish.key for wish in changed} == {"pending", "far"}
    assert wishes["value"].status == "finished"


def test_output_keeps_the_tail_and_counts_what_it_cut(table):
    wish = wish_for(table)
    for text in ("12345", "678", "90ab"):
        table.handle([KeyOutput(wish.number, "a", "stdout", text)])
    assert wish.output == [("stdout", "345"), ("stdout", "678"), ("stdout", "90ab")]
    assert wish.output_cut == 2
    table.handle([KeyOutput(wish.number, "a", "stderr", "0123456789+")])
    assert wish.output == [("stderr", "123456789+")]
    assert wish.output_cut == 13


def test_output_in_small_pieces_stays_bounded(table):
    wish = wish_for(table)
    for number in range(1000):
        table.handle([KeyOutput(wish.number, "a", "stdout", str(number % 10))])
    assert "".join(text for _, text in wish.output) == "0123456789"


def test_other_messages_are_for_others(table):
    wish = wish_for(table)
    assert table.handle([Answer(1)]) == []
    assert wish.status == "pending"


def test_retry_makes_erred_wishes_pending_and_leaves_the_others(table):
    erred, done, gone = wish_for(table, "erred"), wish_for(table, "done"), wish_for(table, "gone")
    table.handle([KeyErred(erred.number, "erred", ERROR), finished(done), KeyErred(gone.number, "gone", ERROR)])
    table.drop(gone)
    assert table.retry([erred, done, gone]) == [erred]
    assert (erred.status, erred.error, done.status) == ("pending", None, "finished")
    table.handle([finished(erred)])
    assert erred.status == "finished"


def test_erred_wish_that_others_had_tried_again_is_pending_and_takes_the_new_answer():
    table = FutureTable(100)
    wish, _ = table.wish("k", "f")
    table.handle([KeyErred(wish.number, "k", ErrorInfo("ValueError", "no", ""))])
    assert table.handle([KeyRetried(wish.number, "k")]) == [wish]
    assert (wish.status, wish.error) == ("pending", None)
    table.handle([KeyFinished(wish.number, "k", b"v", 1, "int")])
    assert wish.status == "finished"
    assert table.handle([KeyRetried(wish.number, "k")]) == []
    assert wish.status == "finished"
