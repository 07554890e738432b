"""A user's exception on its way from a worker to a client.

On the worker `describe_exception` makes an `ErrorInfo` of it: text every process can show, and beside it the exception
itself, pickled, for a client. On the client `load_exception` makes it an exception again, with the worker's traceback.

An exception is a user's object and anything about it may be hostile: printing it, pickling it, loading it, its size,
its ring of causes. So the chain is flattened into links, each link is pickled alone and loaded again for a test, what
fails is replaced by a stand-in that shows its name and text, and everything has a bound. How it looks as text is the
business of `protocol.tracebacks`.
"""

import io
import pickle
from collections.abc import Sequence
from pickle import loads
from types import FunctionType, TracebackType
from typing import Any

import msgspec
import tblib

from jupyter_dist.errors import (
    DataLostError,
    JupyterDistError,
    RemoteError,
    ResultError,
    StorageFullError,
    TaskOverrunError,
    TaskTimeoutError,
    WorkerCrashedError,
)
from jupyter_dist.messages.base import ErrorInfo, Record
from jupyter_dist.protocol.by_value import ByValuePickler
from jupyter_dist.protocol.tracebacks import (
    Place,
    extract_stack,
    find_position,
    find_user_place,
    format_chain,
    name_type,
    places_of,
    raw_attribute,
    say_exception,
    set_raw_attribute,
)

LINKS_MAX = 20  # exceptions in one chain of causes and contexts
PICKLE_BYTES_MAX = 1024 * 1024  # of one exception
CRASHES = {"crashed": WorkerCrashedError, "overrun": TaskOverrunError}
KINDS: dict[str, type[JupyterDistError]] = {  # of errors that are this package's own
    "lost": DataLostError,
    "timeout": TaskTimeoutError,
    "result": ResultError,
    "full": StorageFullError,
}


class Link(Record, frozen=True):
    """One exception of a chain. ``cause`` and ``context`` are places in the list of links; -1: none."""

    pickled: bytes  # empty when it cannot be pickled, or cannot be loaded again
    type_name: str
    text: str
    places: tuple[Place, ...]
    cause: int
    context: int
    suppress_context: bool


_DECODER = msgspec.msgpack.Decoder(list[Link])


def describe_exception(error: BaseException, key: str) -> ErrorInfo:
    """Return what is to be told of an exception that a user's code raised. Never raises, whatever the exception does.

    Parameters
    ----------
    error : BaseException
        The exception, with its traceback.
    key : str
        The task that raised it.
    """
    try:
        return _describe(error, key)
    except BaseException as failure:  # noqa: BLE001 - the exception's own methods may raise anything
        words = f"(nothing more can be told of it: describing it raised {name_type(type(failure))})"
        text = say_exception(error)
        return ErrorInfo(name_type(type(error)), f"{text} {words}" if text else words, traceback="", key=key)


def describe_result_error(error: BaseException, value_type: str, key: str, remedy: str = "") -> ErrorInfo:
    """Return what is to be told of a result that cannot be sent."""
    info = describe_exception(error, key)
    words = f"the result of task {key!r}, of type {value_type}, cannot be sent: {info.text}{remedy}"
    return msgspec.structs.replace(info, type_name="ResultError", text=words, pickled=b"", kind="result")


def load_exception(info: ErrorInfo) -> BaseException:
    """Return the exception an `ErrorInfo` tells of, ready to be raised. This runs the user's code.

    A user's exception is as it was, with the worker's traceback; one that cannot be loaded here is a `RemoteError`.
    Other kinds are the errors of this package. Each call returns a new exception.
    """
    if info.kind == "user":
        return _load_links(info.pickled) or _stand_in(info.type_name, info.text, info.traceback)
    if info.kind in CRASHES:
        return CRASHES[info.kind](info.text, info.certificates)
    error = KINDS.get(info.kind, RemoteError)(info.text)
    if info.traceback:
        error.add_note(info.traceback)
    return error


def rebuild_exception(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Return an exception without calling the ``__init__`` its class defines in Python.

    That one often takes other arguments than it gives to its base, and the base's are all that is known.
    """
    error = cls.__new__(cls, *args)
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if init is not None and not isinstance(init, FunctionType):
            init(error, *args)
            break
    return error


# -- on the worker -------------------------------------------------------------------------------------------------------


def _describe(error: BaseException, key: str) -> ErrorInfo:
    chain = _flatten(error)
    texts = [say_exception(one) for one in chain]
    stacks = [extract_stack(raw_attribute(one, "__traceback__")) for one in chain]
    places = [places_of(stack) for stack in stacks]
    filename, function, line = find_user_place(places[0])
    links = [_make_link(one, text, where, chain) for one, text, where in zip(chain, texts, places, strict=True)]
    return ErrorInfo(
        type_name=name_type(type(error)),
        text=texts[0],
        traceback=format_chain(chain, texts, stacks),
        filename=filename,
        line=line,
        function=function,
        pickled=msgspec.msgpack.encode(links) if links[0].pickled else b"",
        key=key,
    )


def _flatten(error: BaseException) -> list[BaseException]:
    chain = [error]
    for one in chain:  # grows while it is walked
        for other in (raw_attribute(one, "__cause__"), raw_attribute(one, "__context__")):
            if other is not None and len(chain) < LINKS_MAX and find_position(other, chain) < 0:
                chain.append(other)
    return chain


def _make_link(error: BaseException, text: str, places: tuple[Place, ...], chain: Sequence[BaseException]) -> Link:
    return Link(
        _pickle_exception(error),
        name_type(type(error)),
        text,
        places,
        cause=find_position(raw_attribute(error, "__cause__"), chain),
        context=find_position(raw_attribute(error, "__context__"), chain),
        suppress_context=raw_attribute(error, "__suppress_context__"),
    )


def _pickle_exception(error: BaseException) -> bytes:
    """Return an exception without its traceback and its chain; nothing when it would not survive the journey."""
    file = _BoundedFile()
    try:
        _ExceptionPickler(file, pickle.HIGHEST_PROTOCOL).dump(error)
        data = file.getvalue()
        loaded = loads(data)  # noqa: S301 - just pickled here
    except BaseException:  # noqa: BLE001 - the user's `__reduce__`, `__init__` and `__setstate__` may raise anything
        return b""
    return data if issubclass(type(loaded), BaseException) else b""


class _BoundedFile(io.BytesIO):
    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > PICKLE_BYTES_MAX:
            raise OverflowError(f"the exception is larger than {PICKLE_BYTES_MAX} bytes")
        return super().write(data)


class _ExceptionPickler(ByValuePickler):
    def reducer_override(self, value: Any) -> Any:
        if issubclass(type(value), BaseException):
            return _reduce_exception(value)
        if type(value) is TracebackType:
            return type(None), ()  # tracebacks travel as places
        return super().reducer_override(value)


def _reduce_exception(error: BaseException) -> Any:
    cls = type(error)
    reduced = error.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    has_own_reduce = isinstance(cls.__reduce__, FunctionType) or isinstance(cls.__reduce_ex__, FunctionType)
    if has_own_reduce or not isinstance(cls.__init__, FunctionType) or type(reduced) is not tuple:
        return reduced
    return rebuild_exception, (cls, reduced[1]), *reduced[2:]


# -- on the client -------------------------------------------------------------------------------------------------------


def _load_links(data: bytes) -> BaseException | None:
    if not data:
        return None
    links = _DECODER.decode(data)
    first = _load_link(links[0])
    if first is None:
        return None
    errors = [first, *(_load_link(link) or _stand_in(link.type_name, link.text, "") for link in links[1:])]
    for error, link in zip(errors, links, strict=True):
        set_raw_attribute(error, "__traceback__", _make_traceback(link.places))
        set_raw_attribute(error, "__cause__", errors[link.cause] if link.cause >= 0 else None)
        set_raw_attribute(error, "__context__", errors[link.context] if link.context >= 0 else None)
        set_raw_attribute(error, "__suppress_context__", link.suppress_context)
    return first


def _load_link(link: Link) -> BaseException | None:
    try:
        loaded = loads(link.pickled)  # noqa: S301 - from a worker, which has proved itself
    except BaseException:  # noqa: BLE001 - a module that is not here, or a user's `__setstate__` that raises
        return None
    return loaded if issubclass(type(loaded), BaseException) else None


def _stand_in(type_name: str, text: str, traceback: str) -> RemoteError:
    error = RemoteError(f"{type_name}: {text}")
    if traceback:
        error.add_note(traceback)
    return error


class _Code:
    def __init__(self, place: Place) -> None:
        self.co_filename, self.co_name, _ = place


class _Frame:
    def __init__(self, place: Place) -> None:
        self.f_code = _Code(place)
        self.f_lineno = place[2]
        self.f_globals = {"__file__": place[0], "__name__": "?"}


class _Step:
    """What `tblib` needs to know of one entry of a traceback."""

    def __init__(self, place: Place, tb_next: "_Step | None") -> None:
        self.tb_frame = _Frame(place)
        self.tb_lineno = place[2]
        self.tb_next = tb_next


def _make_traceback(places: Sequence[Place]) -> TracebackType | None:
    step: _Step | None = None
    for place in reversed(places):
        step = _Step(place, step)
    if step is None:
        return None
    made: TracebackType | None = tblib.Traceback(step).as_traceback()
    return made
