"""Questions for what is shared by name, over several connections."""

import pytest

from jupyter_dist.core.questions import QuestionTable
from jupyter_dist.messages import (
    AcquireLease,
    ClaimParcels,
    ClaimRequests,
    Coordinated,
    CountItems,
    GetValue,
    GiveUpRequest,
    Parcel,
    PutItem,
    TakeItems,
)


@pytest.fixture
def table():
    return QuestionTable()


def acquire(table):
    return table.ask(lambda request: AcquireLease(request, "lock", "x", 1))


def take(table):
    return table.ask(lambda request: TakeItems(request, "q"))


def put(table):
    return table.ask(lambda request: PutItem(request, "q", Parcel(b"v")))


def get(table):
    return table.ask(lambda request: GetValue(request, "variable", "v"))


def test_answer_is_heard_once(table):
    number, _ = acquire(table)
    assert table.hear(Coordinated(number)) == (True, [])
    assert table.hear(Coordinated(number)) == (False, [])
    assert not table
    assert list(table) == []


def test_answer_that_is_kept_is_claimed(table):
    number, _ = put(table)
    assert table.hear(Coordinated(number, done=False, error="no", is_kept=True)) == (True, [ClaimParcels(number)])


def test_answer_to_an_abandoned_question_is_not_heard(table):
    number, _ = take(table)
    assert table.abandon(number) == GiveUpRequest(number, undo=True)
    assert table.hear(Coordinated(number, parcels=(Parcel(b""),))) == (False, [])
    assert table.resume([], is_known=True) == ([ClaimRequests()], [])


def test_new_connection_claims_the_answers_to_what_was_said_and_asks_again_what_only_looks(table):
    first, _ = acquire(table)
    second, _ = take(table)
    third, _ = put(table)
    count = table.ask(lambda request: CountItems(request, "q"))[1]
    assert table.give_up(second) == GiveUpRequest(second)
    assert table.resume([], is_known=True) == ([ClaimRequests((first,), (second,), (third,)), count], [])


def test_new_connection_leaves_out_what_is_said_anyway(table):
    _, said = acquire(table)
    _, look = get(table)
    assert table.resume([look, said], is_known=True) == ([ClaimRequests()], [])
    assert len(table) == 2


def test_look_that_was_given_up_is_asked_and_given_up_again(table):
    number, look = get(table)
    table.give_up(number)
    assert table.resume([], is_known=True)[0] == [ClaimRequests(), look, GiveUpRequest(number)]


def test_session_that_is_not_known_any_more_has_lost_what_it_asked_and_is_told_so(table):
    number, _ = acquire(table)
    _, again = put(table)
    _, look = get(table)
    said, lost = table.resume([again], is_known=False)
    assert said == [look]
    assert [answer.request for answer in lost] == [number]
    assert "ask again" in lost[0].error
    assert len(table) == 2


@pytest.mark.parametrize("is_repeated", [False, True])
def test_second_answer_to_a_repeated_look_is_undone_if_the_first_brought_no_value(table, is_repeated):
    number, _ = get(table)
    if is_repeated:
        table.resume([], is_known=True)
    said = table.hear(Coordinated(number, done=False))[1]
    assert said == ([GiveUpRequest(number, undo=True)] if is_repeated else [])


def test_second_answer_to_a_repeated_look_is_left_to_the_claim_of_the_first(table):
    number, _ = get(table)
    table.resume([], is_known=True)
    assert table.hear(Coordinated(number, parcels=(Parcel(b""),))) == (True, [])


def test_giving_up_what_was_answered_is_said_and_changes_nothing(table):
    assert table.give_up(7) == GiveUpRequest(7)
    assert not table
