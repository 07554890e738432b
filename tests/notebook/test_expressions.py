from __future__ import annotations

import pytest

from jupyter_dist.errors import UsageError
from jupyter_dist.notebook.expressions import read_call


def f(*args, **kwargs):
    raise AssertionError("the call is read, not made")


@pytest.mark.parametrize(
    ("text", "args", "kwargs"),
    [
        ("f()", (), {}),
        ("f(x, 2)", (1, 2), {}),
        ("f(x + 1, y=x)", (2,), {"y": 1}),
        ("f(*a, **k)", (1, 2), {"z": 3}),
        ("f(*a, 5, y=1, **k)", (1, 2, 5), {"y": 1, "z": 3}),
    ],
)
def test_a_call_is_taken_apart(text, args, kwargs):
    call = read_call(text, {"f": f, "x": 1, "a": [1, 2], "k": {"z": 3}})
    assert (call.function, call.args, call.kwargs, call.label) == (f, args, kwargs, "f")


@pytest.mark.parametrize(("text", "words"), [("", "needs a call"), ("x", "not 'x'"), ("x()", "`x` is a int")])
def test_what_is_no_call_is_answered_with_a_sentence(text, words):
    with pytest.raises(UsageError, match=words):
        read_call(text, {"x": 1})
