"""Amounts of resources: what is taken, what is refused, and how they are compared."""

import math

import pytest

from jupyter_dist.core.resources import check_resources, describe_amounts, is_within, parse_resources
from jupyter_dist.errors import UsageError


def test_amounts_are_sorted_and_none_is_none():
    assert check_resources({"memory": 4, "GPU": 1.5}) == (("GPU", 1.5), ("memory", 4.0))
    assert check_resources({}) == check_resources(None) == ()


@pytest.mark.parametrize("given", [["GPU"], "GPU", 1, {1: 1}, {"GPU": "1"}, {"GPU": True}, {"GPU": None}])
def test_what_is_no_dict_of_numbers_is_a_type_error(given):
    with pytest.raises(TypeError):
        check_resources(given)


@pytest.mark.parametrize("amount", [0, -1, math.nan, math.inf])
def test_amount_that_is_not_positive_is_refused(amount):
    with pytest.raises(UsageError, match="GPU"):
        check_resources({"GPU": amount})


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\udc80"])
def test_name_that_cannot_be_said_is_refused(name):
    with pytest.raises(UsageError, match="name"):
        check_resources({name: 1})


def test_text_of_the_command_line_is_parsed():
    assert parse_resources("GPU=1, memory=4e9") == {"GPU": 1.0, "memory": 4e9}
    assert parse_resources(None) == parse_resources("") == {}


@pytest.mark.parametrize("text", ["GPU", "GPU=", "GPU=many", "=1", "GPU=0", "GPU=1,,memory=2", "GPU=nan"])
def test_text_that_names_no_resource_is_refused(text):
    with pytest.raises(UsageError):
        parse_resources(text)


def test_ten_tenths_are_one():
    declared = {"GPU": 0.3}
    left = {"GPU": 0.3 - 0.1 - 0.1}
    assert left["GPU"] < 0.1
    assert is_within((("GPU", 0.1),), left, declared)
    assert not is_within((("GPU", 0.2),), left, declared)
    assert not is_within((("TPU", 0.1),), left, declared)


def test_amounts_are_described():
    assert describe_amounts((("GPU", 1.0), ("memory", 4e9))) == "GPU: 1, memory: 4e+09"
