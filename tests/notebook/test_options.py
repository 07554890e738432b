from __future__ import annotations

import pytest

from jupyter_dist.errors import UsageError
from jupyter_dist.notebook.options import Option, describe_options, parse_options

OPTIONS = (
    Option(("-o", "--outputs"), "names", "names", "NAMES"),
    Option(("-n", "--workers"), "number", "workers", "N"),
    Option(("--timeout",), "seconds", "time", "S"),
    Option(("--block",), "flag", "wait"),
    Option(("--no-capture",), "flag", "quiet"),
    Option(("--name",), "text", "name", "NAME"),
    Option(("--only",), "words", "where", "WORKERS"),
    Option(("--of",), "python", "what", "X"),
    Option(("--how",), "choice", "how", "{slow,fast}", ("slow", "fast")),
)


@pytest.mark.parametrize(
    ("line", "values", "words"),
    [
        ("", {}, ()),
        ("-o a", {"outputs": ("a",)}, ()),
        ("-o a,b", {"outputs": ("a", "b")}, ()),
        ("-o a, b", {"outputs": ("a", "b")}, ()),
        ("-o a , b --block", {"outputs": ("a", "b"), "block": True}, ()),
        ("--outputs=a,b x", {"outputs": ("a", "b")}, ("x",)),
        ("-n 4", {"workers": 4}, ()),
        ("--only worker-0,host", {"only": ("worker-0", "host")}, ()),
        ("--how fast x", {"how": "fast"}, ("x",)),
        ("--of x --block", {"of": "x", "block": True}, ()),
        ("--of x=['a', \"b c\"] --block", {"of": "x=['a', \"b c\"]", "block": True}, ()),
        ("--of=x=range(3, 4) y", {"of": "x=range(3, 4)"}, ("y",)),
        ("--of 'x=a or b' y", {"of": "x=a or b"}, ("y",)),
        ("--of x=[1, y", {"of": "x=[1, y"}, ()),
        ("--timeout 2.5", {"timeout": 2.5}, ()),
        ("--no-capture", {"no_capture": True}, ()),
        ("--name 'a b'", {"name": "a b"}, ()),
        ("one two", {}, ("one", "two")),
        ("-h", {"help": True}, ()),
        ("-o a, a", {"outputs": ("a",)}, ()),
    ],
)
def test_a_line_is_read(line, values, words):
    parsed = parse_options(line, OPTIONS, "%m")
    assert dict(parsed.values) == values
    assert parsed.words == words


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--nmae x", "%m has no option --nmae. Did you mean --name?"),
        ("-x", "%m has no option -x. `%m --help` lists them."),
        ("-o", "-o of %m needs a value: -o NAMES"),
        ("-o --block", "-o of %m needs a value"),
        ("-n four", "-n needs a whole number from 0 on, not 'four'"),
        ("-n -4", "-n needs a whole number from 0 on, not '-4'"),
        ("--only ,", "--only needs at least one name"),
        ("--how then", "--how of %m needs one of slow, fast, not 'then'"),
        ("--timeout soon", "needs a number of seconds above zero, not 'soon'"),
        ("--timeout 0", "above zero"),
        ("--timeout inf", "above zero"),
        ("--block=yes", "takes no value"),
        ("-o 1a", "'1a' is not a name"),
        ("--name 'a", "close every quote"),
    ],
)
def test_a_wrong_line_is_answered_with_a_sentence(line, sentence):
    with pytest.raises(UsageError) as caught:
        parse_options(line, OPTIONS, "%m")
    assert sentence in str(caught.value)


def test_values_have_defaults():
    parsed = parse_options("", OPTIONS, "%m")
    assert parsed.names("outputs") is None
    assert (parsed.number("workers", 3), parsed.seconds("timeout"), parsed.text("name", "d")) == (3, 0.0, "d")
    assert not parsed.flag("block")


def test_the_help_names_every_option():
    text = describe_options("%m", "Does it.", OPTIONS)
    assert all(flag in text for option in OPTIONS for flag in option.flags)
