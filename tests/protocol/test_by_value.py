"""What is packed by value, and what by its name."""

import functools
import pickle
from typing import Any

from jupyter_dist.protocol.by_value import dump_by_value

NOTEBOOK = """
import functools

@functools.lru_cache(maxsize=10, typed=True)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def use(n):
    return fib(n)
"""


@functools.cache
def cached_here(number: int) -> int:
    return number


def defined_in_a_notebook() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(NOTEBOOK, names)
    return names


def test_cached_function_of_a_notebook_is_packed_with_an_empty_cache():
    fib = defined_in_a_notebook()["fib"]
    fib(5)
    loaded = pickle.loads(dump_by_value(fib))
    assert loaded.cache_parameters() == {"maxsize": 10, "typed": True}
    assert loaded.cache_info().currsize == 0
    assert loaded.__name__ == "fib"
    assert loaded(50) == 12586269025  # it finds itself: without its cache this would take hours


def test_function_that_uses_a_cached_one_of_a_notebook_comes_back_working():
    assert pickle.loads(dump_by_value(defined_in_a_notebook()["use"]))(50) == 12586269025


def test_cached_function_made_inside_a_function_is_packed_by_value():
    factor = 3
    loaded = pickle.loads(dump_by_value(functools.cache(lambda number: number * factor)))
    assert loaded(2) == 6


def test_cached_function_of_a_module_is_packed_by_its_name():
    assert pickle.loads(dump_by_value(cached_here)) is cached_here
