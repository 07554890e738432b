from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from jupyter_dist.errors import CaptureError
from jupyter_dist.notebook.capture import capture_names, measure
from jupyter_dist.notebook.cell import analyse_cell
from tests.notebook.fakes import FakeFuture

LIMIT = 1_000_000


def is_future(value):
    return isinstance(value, FakeFuture)


def capture(source, namespace, limit=LIMIT, extra=()):
    return capture_names(analyse_cell(source), namespace, is_future=is_future, nbytes_max=limit, extra=extra)


def test_values_modules_and_futures_are_told_apart():
    future = FakeFuture(None, "k")
    taken = capture("math.sin(x) + f", {"x": 3, "math": math, "f": future, "unused": 1})
    assert taken.values == {"x": 3, "f": future}
    assert taken.modules == {"math": "math"}
    assert {item.name: item.kind for item in taken.shipped} == {"math": "module", "x": "value", "f": "future"}


def test_a_name_that_is_nowhere_is_refused_with_its_line():
    with pytest.raises(CaptureError, match=r"line 2: name 'missing' is not defined"):
        capture("a = 1\nb = missing", {})


def test_a_builtin_is_not_sent():
    assert capture("print(len([]))", {}).values == {}


def test_a_name_that_hides_a_builtin_is_sent():
    assert capture("len", {"len": 3}).values == {"len": 3}


def test_a_name_that_may_come_from_a_star_import_is_no_error():
    assert capture("from math import *\nsqrt(2)", {}).values == {}


def test_an_uncertain_name_is_sent_when_there_and_no_error_when_not():
    source = "if c:\n    x = 1\nx"
    assert capture(source, {"c": 0}).values == {"c": 0}
    assert capture(source, {"c": 0, "x": 5}).values == {"c": 0, "x": 5}


def test_the_earlier_value_of_an_output_of_a_branch_is_passed_through():
    assert capture("if c:\n    x = 1", {"c": 0, "x": 5}).values == {"c": 0, "x": 5}


@pytest.mark.parametrize("outcome", ["pending", "error"])
def test_an_uncertain_future_that_has_no_value_is_left_out(outcome):
    earlier = FakeFuture(None, "x")
    if outcome == "error":
        earlier.inner.set_exception(ValueError())
    assert capture("for i in r:\n    x = i", {"r": [1], "x": earlier}).values == {"r": [1]}


def test_a_value_over_the_limit_names_the_culprit_the_line_and_what_mends_it():
    with pytest.raises(CaptureError) as caught:
        capture("a = 1\nb = big + a", {"big": np.zeros(1_000_000)})
    words = str(caught.value)
    assert words.startswith("line 2: `big` is larger than 1.0 MB")
    assert "[big] = executor.scatter([big])" in words


def test_values_that_are_too_much_together_name_the_largest():
    with pytest.raises(CaptureError, match=r"send 1\.5 MB in all .* the largest is `b` \(900 kB\)"):
        capture("a, b", {"a": bytes(600_000), "b": bytes(900_000)})


def test_a_value_that_cannot_be_pickled_is_named_with_its_line():
    with pytest.raises(CaptureError, match=r"line 2: `lock` \(a lock\) cannot be sent to a worker: .*pickle"):
        capture("a = 1\nlock.acquire()", {"lock": threading.Lock()})


@pytest.mark.parametrize("name", ["get_ipython", "exit", "input"])
def test_what_exists_only_in_the_notebook_is_refused(name):
    with pytest.raises(CaptureError, match="exists only in the notebook"):
        capture(f"{name}()", {})


def test_a_name_asked_for_is_sent_although_the_cell_does_not_read_it():
    assert capture("eval('x')", {"x": 1}, extra=("x",)).values == {"x": 1}


def test_a_function_of_the_notebook_is_measured_with_what_it_refers_to():
    namespace: dict[str, object] = {"table": bytes(2_000_000), "__name__": "__main__"}
    exec("def f(): return table", namespace)
    with pytest.raises(CaptureError, match="`f` is larger"):
        capture("f()", namespace)


def test_measuring_counts_buffers_and_stops_at_the_limit():
    assert 800_000 < measure(np.zeros(100_000), 10**7, is_future) < 801_000
    assert measure(np.zeros(10**6), 1000, is_future) == 1001


def test_futures_inside_containers_weigh_nothing():
    assert measure([FakeFuture(None, "k")], 1000, is_future) < 100
