"""Pickling by value, of what a notebook or script defines, such that tracebacks still know where it was written.

From 3.1.2 on cloudpickle gives each function it packs the file name ``<dynamic-code>``, and a traceback then has no
source lines. Here the name is put back when the function is loaded.

What `functools.cache` and `lru_cache` make pickles as a name alone, which means nothing on a worker when it is a notebook's.
Here it is packed as the function in it, with an empty cache.
"""

import collections
import functools
import io
import operator
import pickle
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar

import cloudpickle

PICKLE_PROTOCOL = 5

_CACHED = type(functools.cache(abs))
_reduce_code: Callable[[CodeType], tuple[Any, ...]] = cloudpickle.Pickler.dispatch_table[CodeType]


def load_code(filename: str, make: Callable[..., CodeType], *args: Any) -> CodeType:
    """Return a function's code under the name of the file it was written in. Called by the unpickler alone."""
    return make(*args).replace(co_filename=filename)


def _reduce_code_with_its_file(code: CodeType) -> tuple[Any, ...]:
    make, args, *rest = _reduce_code(code)
    return load_code, (code.co_filename, make, *args), *rest


def make_cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Return a function with an empty cache. Called by the unpickler alone."""
    return functools.lru_cache(maxsize, typed)(function)


def _reduce_cached(cached: Any) -> Any:
    if _is_importable(cached):
        return cached.__reduce__()
    parameters = cached.cache_parameters()
    return make_cached, (cached.__wrapped__, parameters["maxsize"], parameters["typed"])


def _is_importable(cached: Any) -> bool:
    """Whether the place its name tells has it, and others find that place."""
    module = sys.modules.get(cached.__module__)
    if module is None or cached.__module__ == "__main__":
        return False
    try:
        return operator.attrgetter(cached.__qualname__)(module) is cached
    except AttributeError:
        return False


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """A pickler of cloudpickle that keeps the names of files."""

    dispatch_table: ClassVar[Any] = collections.ChainMap(
        {CodeType: _reduce_code_with_its_file, _CACHED: _reduce_cached},
        cloudpickle.Pickler.dispatch_table,
    )


def dump_by_value(value: object, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """Return a value as a pickle stream, functions and classes that are importable nowhere by value.

    Raises
    ------
    Exception
        Whatever pickling the value raises.
    """
    with io.BytesIO() as file:
        ByValuePickler(file, PICKLE_PROTOCOL, buffer_callback).dump(value)
        return file.getvalue()
