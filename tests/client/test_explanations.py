"""Explanations as a person sees them, and what is explained without a cluster."""

import pytest

from jupyter_dist.client.explaining import Explaining
from jupyter_dist.client.explanations import Explanation, Explanations, explain_here
from jupyter_dist.client.future import load_future
from jupyter_dist.client.orphans import failed_wish, gone_wish
from jupyter_dist.core.futures import Wish
from jupyter_dist.messages import ErrorInfo


def test_explanation_is_text_and_its_html_is_escaped():
    one = Explanation("f-1", "queued", ("it needs <GPU>: 1", "7 tasks are before it"))
    assert str(one) == repr(one) == "f-1 is queued\n  - it needs <GPU>: 1\n  - 7 tasks are before it"
    assert "&lt;GPU&gt;" in one._repr_html_()
    both = Explanations([one, Explanation("f-2", "memory", ())])
    assert repr(both).splitlines()[-1] == "f-2 is memory"
    assert both._repr_html_().count("<ul>") == 2
    assert repr(Explanations()) == "no futures"


def test_cancelled_future_is_explained_by_what_cancelled_it():
    told = explain_here(gone_wish("f-1", "f", "the cluster was restarted"))
    assert (told.state, told.reasons) == ("cancelled", ("the cluster was restarted",))


def test_call_that_could_not_be_sent_is_explained_by_its_error():
    told = explain_here(failed_wish("f", ValueError("no")))
    assert told.state == "error"
    assert told.reasons[0] == "ValueError: no"


def test_error_is_told_with_its_place_its_origin_and_bounded():
    wish = Wish("f-2", 1, "f")
    wish.status = "error"
    wish.error = ErrorInfo("ValueError", "x" * 1000, "", filename="cell.py", line=3, function="f", key="f-1")
    told = explain_here(wish).reasons
    assert len(told[0]) < 600
    assert told[1:] == ("it was raised by f-1, which this was made from", "in f, cell.py:3")


def test_future_of_a_closed_executor_is_explained_by_what_is_known_here():
    wish = Wish("f-1", 1, "f")
    told = explain_here(wish, "this executor was shut down")
    assert told.state == "pending"
    assert "this executor was shut down" in str(told)
    wish.status, wish.value, wish.nbytes, wish.type_name = "finished", b"v", 1, "int"
    assert "int, 1 bytes) is in this process" in str(explain_here(wish, "closed"))


def test_future_that_was_loaded_far_from_its_cluster_is_explained():
    future = load_future("nowhere", "f-1", "f")
    assert "no open executor" in str(future.explain())


@pytest.mark.parametrize("value", [5, "f-1", None, [5], iter([]), {"a": "f"}, [["f"]]])
def test_what_is_no_future_is_a_type_error(value):
    with pytest.raises(TypeError):
        Explaining.explain(None, value)  # type: ignore[arg-type]  # refused before the executor is asked
