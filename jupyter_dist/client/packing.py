"""A call as bytes: the function once, the arguments for each task, and the futures among them as inputs.

Futures anywhere inside list, tuple, set or dict arguments become inputs: their value stands in their place when the
call is loaded on the worker. A Future elsewhere (in an attribute, or in what the function closes over) travels as a
Future, and the call holds it: the cluster keeps its task until the call was made. A notebook's functions and classes
are packed by value, anew at each submit, so that a redefined helper or global is never stale.
"""

from __future__ import annotations

import hashlib
import pickle
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_dist.client.future import Future
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.errors import PackingError, UsageError
from jupyter_dist.ids import new_token
from jupyter_dist.messages import FunctionBody
from jupyter_dist.protocol import travel
from jupyter_dist.protocol.by_value import PICKLE_PROTOCOL, dump_by_value
from jupyter_dist.protocol.inputs import InputRef
from jupyter_dist.protocol.payload import PLAIN_TYPES

DIGEST_BYTES = 16
CONTAINERS = (list, tuple, set, frozenset, dict)
CLOSURES_MAX = 1000  # functions with futures in what they close over that are remembered

_closures: OrderedDict[str, tuple[weakref.ref[Future], ...]] = OrderedDict()  # by the function's id


def label_of(function: Callable[..., Any]) -> str:
    """Return the name people know a function by."""
    name = getattr(function, "__name__", None) or getattr(getattr(function, "func", None), "__name__", None)
    return str(name or type(function).__name__).strip("<>")


def pack_function(function: Callable[..., Any], label: str | None = None, code: Shipping | None = None) -> FunctionBody:
    """Return a function as bytes, under the hash of them; with ``code`` that of the local modules it reaches as well.

    Raises
    ------
    PackingError
        The function, or a global or closure variable it uses, cannot be pickled.
    UsageError, ClusterClosedError
        As `Shipping.cover`.
    """
    label = (label or label_of(function)).encode(errors="replace").decode()  # a name may be no text
    met: list[Future] = []
    before = travel.note_in(met)
    try:
        body = dump_by_value(function)
    except Exception as error:
        raise PackingError(f"the function {label!r} cannot be pickled: {_words(error)}") from error
    finally:
        travel.note_in(before)
    packed = FunctionBody(digest(body), label, body)
    if code is not None:
        packed = code.cover_function(packed)
    if met:
        _closures[packed.id] = tuple(map(weakref.ref, dict.fromkeys(met)))
        while len(_closures) > CLOSURES_MAX:
            _closures.popitem(last=False)
    return packed


def digest(*parts: bytes) -> str:
    """Return a hash of bytes as text."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def pack_arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], function: FunctionBody
) -> tuple[bytes, dict[str, Future], tuple[Future, ...]]:
    """Return a call's arguments as bytes, the futures that are its inputs by key, and those it holds.

    Raises
    ------
    PackingError
        An argument cannot be pickled; the text names it.
    """
    futures: dict[str, Future] = {}
    call = (tuple(replace_futures(arg, futures) for arg in args), replace_futures(dict(kwargs), futures))
    met: list[Future] = []
    before = travel.note_in(met)
    try:
        arguments = dump(call)
    except Exception as error:
        raise _blame_argument(args, kwargs, error) from error
    finally:
        travel.note_in(before)
    met += [future for closed_over in _closures.get(function.id, ()) if (future := closed_over()) is not None]
    return arguments, futures, tuple({future.key: future for future in met}.values()) if met else ()


def pack_outside(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], bytes_max: int
) -> bytes:
    """Return a call outside scheduling as bytes, by `Executor.run`.

    Raises
    ------
    PackingError
        The function or an argument cannot be pickled, or all together are too large.
    UsageError
        There is a future among the arguments.
    """
    found: dict[str, Future] = {}
    call = (function, tuple(replace_futures(arg, found) for arg in args), replace_futures(dict(kwargs), found))
    if found:
        raise UsageError(
            f"`run` waits for no future, and {next(iter(found.values()))!r} is one: pass its result instead"
        )
    try:
        packed = dump_by_value(call)
    except Exception as error:
        pack_function(function)  # says so when it is to blame
        raise _blame_argument(args, kwargs, error) from error
    if len(packed) > bytes_max:
        raise PackingError(
            f"the call of {label_of(function)!r} is {len(packed):,} bytes packed, more than the {bytes_max:,} it may be"
        )
    return packed


def dump(value: object) -> bytes:
    """Pickle a value: by reference where that is safe and fast, else by value with cloudpickle."""
    try:
        plain = pickle.dumps(value, PICKLE_PROTOCOL)
        if b"__main__" not in plain:  # what a notebook defines exists on no worker: it goes by value
            return plain
    except Exception:  # noqa: BLE001, S110 - cloudpickle can more, and says what it cannot
        pass
    return dump_by_value(value)


def replace_futures(value: Any, found: dict[str, Future]) -> Any:
    """Return the value with each Future in nested containers replaced by its input, and note the futures found.

    Containers without a Future are returned as they are, not copied.
    """
    kind = type(value)
    if kind is Future:
        found[value.key] = value
        return InputRef(value.key)
    if kind in PLAIN_TYPES or kind not in CONTAINERS:
        return value
    if kind is dict:
        new = {name: replace_futures(item, found) for name, item in value.items()}
        return new if any(new[name] is not item for name, item in value.items()) else value
    items = [replace_futures(item, found) for item in value]
    return kind(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value


def make_key(function: FunctionBody, arguments: bytes, *, pure: bool, version: str = "") -> str:
    """Return the key of a call: the same for the same call if pure, else one of its own.

    ``version`` is that of the local modules its arguments reach.
    """
    if pure:
        return f"{function.label}-{digest(function.id.encode(), arguments, version.encode())}"
    return f"{function.label}-{new_token()}"


def _blame_argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception) -> PackingError:
    named = [*((f"argument {index}", arg) for index, arg in enumerate(args)), *kwargs.items()]
    for name, value in named:
        try:
            dump(replace_futures(value, {}))
        except Exception as reason:  # noqa: BLE001 - this is the search for it
            return PackingError(f"{name} (a {type(value).__qualname__}) cannot be pickled: {_words(reason)}")
    return PackingError(f"the arguments cannot be pickled together: {_words(error)}")


def _words(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the text of a user's error is the user's code
        return type(error).__name__
