"""Everything public that takes arguments is tried with wrong ones: what is added without such a case fails here."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import jupyter_dist
from jupyter_dist import Event, Executor, Future, LocalCluster, Lock, Queue, Semaphore, Variable, as_completed
from tests.client.wrong_calls import ASKING, FOREIGN, WRONG, WRONG_OF_FUTURES

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "api.md"
OWNERS = (Executor, Future, Lock, Event, Queue, Semaphore, Variable, LocalCluster, as_completed)
FOR_TOOLS = {"load_ipython_extension"}  # called by IPython alone
INSIDE = {"as_completed.notify", "as_completed.collect"} | {
    f"{owner.__name__}.move" for owner in (Lock, Event, Queue, Semaphore, Variable)
}

STILL_TELLS = {  # what a closed executor does all the same, see test_closed_executor_still_tells_what_is_here
    "Executor.as_current",
    "Executor.cancel",
    "Executor.close",
    "Executor.explain",
    "Executor.gather",
    "Executor.shutdown",
}
OF_ALL_EXECUTORS = {"wait", "as_completed", "as_completed.add", "as_completed.update", "progress"}
FUTURES = {"fs", "future", "futures"}


def the_inside() -> set[str]:
    """What the document of names says is for those who build on it."""
    rows = [row for row in DOCUMENT.read_text(encoding="utf-8").splitlines() if "| the inside" in row]
    return {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} | INSIDE


def public_callables() -> dict[str, list[str]]:
    """Return the names of the parameters of everything public that can be called."""
    found: dict[str, Any] = {name: getattr(jupyter_dist, name) for name in jupyter_dist.__all__}
    for owner in OWNERS:
        found |= {f"{owner.__name__}.{name}": member for name, member in inspect.getmembers(owner, inspect.isfunction)}
    inside = the_inside() | FOR_TOOLS
    return {
        name: [parameter for parameter in inspect.signature(one).parameters if parameter != "self"]
        for name, one in found.items()
        if callable(one) and name not in inside and not name.split(".")[-1].startswith("_")
    }


def called_by(case: str) -> str:
    """Return what a case is about, by the first word of its name."""
    word = case.split(maxsplit=1)[0]
    return word if "." in word or word in jupyter_dist.__all__ else f"Executor.{word}"


def test_everything_that_takes_arguments_is_tried_with_wrong_ones():
    tried = {called_by(case[0]) for case in [*WRONG, *WRONG_OF_FUTURES]}
    public = public_callables()
    assert len(public) > 80
    made_by_others = {"Future"}  # nobody makes one himself
    assert {name for name, parameters in public.items() if parameters} - tried - made_by_others == set()
    assert tried - set(public) == set()


def test_every_method_of_an_executor_is_tried_when_it_is_closed():
    tried = {called_by(name) if name != "fire_and_forget" else "Executor.fire_and_forget" for name in ASKING}
    methods = {name for name in public_callables() if name.startswith("Executor.")}
    assert methods - tried - STILL_TELLS == set()


def test_everything_that_takes_futures_is_tried_with_a_foreign_one():
    tried = {called_by(name) for name in FOREIGN}
    takes = {name for name, parameters in public_callables().items() if FUTURES.intersection(parameters)}
    by_their_own_executor = {"fire_and_forget"}
    assert takes - tried - OF_ALL_EXECUTORS - by_their_own_executor == set()
