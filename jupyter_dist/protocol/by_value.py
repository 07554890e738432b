"""Pickling by value, of what a notebook or script defines, such that tracebacks still know where it was written.

From 3.1.2 on cloudpickle gives each function it packs the file name ``<dynamic-code>``, and a traceback then has no
source lines. Here the name is put back when the function is loaded.
"""

import collections
import io
import pickle
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar

import cloudpickle

PICKLE_PROTOCOL = 5

_reduce_code: Callable[[CodeType], tuple[Any, ...]] = cloudpickle.Pickler.dispatch_table[CodeType]


def load_code(filename: str, make: Callable[..., CodeType], *args: Any) -> CodeType:
    """Return a function's code under the name of the file it was written in. Called by the unpickler alone."""
    return make(*args).replace(co_filename=filename)


def _reduce_code_with_its_file(code: CodeType) -> tuple[Any, ...]:
    make, args, *rest = _reduce_code(code)
    return load_code, (code.co_filename, make, *args), *rest


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """A pickler of cloudpickle that keeps the names of files."""

    dispatch_table: ClassVar[Any] = collections.ChainMap(
        {CodeType: _reduce_code_with_its_file}, cloudpickle.Pickler.dispatch_table
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
