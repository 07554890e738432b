import asyncio
import time
import traceback

import msgspec
import pytest

from jupyter_dist.errors import (
    DataLostError,
    RemoteError,
    ResultError,
    TaskTimeoutError,
    WorkerCrashedError,
)
from jupyter_dist.messages import DeathCertificate, ErrorInfo
from jupyter_dist.protocol.exceptions import PICKLE_BYTES_MAX, describe_exception, describe_result_error, load_exception
from jupyter_dist.protocol.tracebacks import TEXT_CHARS_MAX


def caught(function, *args):
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001 - every kind is under test
        return error
    raise AssertionError("it did not raise")


def journey(error):
    """Return the description, and the exception a client gets."""
    info = describe_exception(error, "k")
    info = msgspec.msgpack.decode(msgspec.msgpack.encode(info), type=ErrorInfo)
    return info, load_exception(info)


def raiser(error):
    raise error


class TwoArgumentsError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first = first


class QuietOSError(OSError):
    def __init__(self, path):
        super().__init__(2, "gone", path)


class BadStrError(Exception):
    def __str__(self):
        raise SystemExit(3)


class BadReduceError(Exception):
    def __reduce__(self):
        raise KeyboardInterrupt


class UnloadableError(Exception):
    def __reduce__(self):
        return int, ("not a number",)


class BadAttributesError(Exception):
    @property
    def __cause__(self):  # type: ignore[override]
        raise ZeroDivisionError

    def __eq__(self, other):
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


def test_user_error_keeps_type_args_and_traceback():
    error = caught(raiser, ValueError("bad", 3))
    info, loaded = journey(error)
    assert (info.type_name, info.text, info.key, info.kind) == ("ValueError", "('bad', 3)", "k", "user")
    assert type(loaded) is ValueError
    assert loaded.args == ("bad", 3)
    assert [frame.name for frame in traceback.extract_tb(loaded.__traceback__)] == ["caught", "raiser"]
    assert (info.function, info.filename) == ("raiser", __file__)
    assert "raise error" in info.traceback
    assert info.traceback.endswith("ValueError: ('bad', 3)\n")


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(2),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(5),
        asyncio.CancelledError("c"),
        RecursionError("deep"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad byte"),
        FileNotFoundError(2, "gone", "/tmp/x"),
        KeyError("k"),
        ExceptionGroup("many", [ValueError(1), OSError(2, "two")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_any_kind_survives_the_journey(error):
    _, loaded = journey(caught(raiser, error))
    assert type(loaded) is type(error)
    assert str(loaded) == str(error)


def test_error_with_its_own_init_is_rebuilt_without_it():
    info, loaded = journey(caught(raiser, TwoArgumentsError("a", "b")))
    assert type(loaded) is TwoArgumentsError
    assert (str(loaded), loaded.first) == ("a and b", "a")
    assert info.type_name.endswith("TwoArgumentsError")


def test_os_error_with_its_own_init_keeps_its_number():
    _, loaded = journey(caught(raiser, QuietOSError("/x")))
    assert (type(loaded), loaded.errno, loaded.filename) == (QuietOSError, 2, "/x")


def test_chain_of_causes_is_rebuilt_with_tracebacks():
    def outer():
        try:
            raiser(KeyError("inner"))
        except KeyError as error:
            raise TypeError("outer") from error

    info, loaded = journey(caught(outer))
    assert isinstance(loaded.__cause__, KeyError)
    assert loaded.__suppress_context__
    assert loaded.__context__ is loaded.__cause__
    assert loaded.__cause__.__traceback__ is not None
    assert info.traceback.index("KeyError") < info.traceback.index("direct cause") < info.traceback.index("TypeError: ")


def test_context_is_rebuilt_and_shown_unless_suppressed():
    def outer(suppress):
        try:
            raiser(KeyError("inner"))
        except KeyError:
            if suppress:
                raise TypeError("outer") from None
            raise TypeError("outer")  # noqa: B904 - the context is under test

    info, loaded = journey(caught(outer, False))
    assert isinstance(loaded.__context__, KeyError)
    assert "During handling" in info.traceback
    info, _ = journey(caught(outer, True))
    assert "During handling" not in info.traceback


def test_ring_of_causes_is_survived():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    _, loaded = journey(caught(raiser, first))
    assert loaded.__cause__ is not None
    assert loaded.__cause__.__cause__ is loaded


def test_long_chain_is_bounded():
    error = ValueError(0)
    for number in range(1000):
        following = ValueError(number)
        following.__cause__ = error
        error = following
    info, _ = journey(error)
    assert info.traceback.count("ValueError") == 20


def test_unpicklable_link_of_a_chain_is_replaced_alone():
    error = ValueError("outer")
    error.__cause__ = BadReduceError("inner")
    _, loaded = journey(error)
    assert type(loaded) is ValueError
    assert isinstance(loaded.__cause__, RemoteError)
    assert "BadReduceError: inner" in str(loaded.__cause__)


@pytest.mark.parametrize("cls", [BadReduceError, UnloadableError])
def test_error_that_cannot_travel_leaves_name_text_and_traceback(cls):
    info, loaded = journey(caught(raiser, cls("words")))
    assert info.pickled == b""
    assert isinstance(loaded, RemoteError)
    assert f"{cls.__name__}: words" in str(loaded)
    assert "raise error" in loaded.__notes__[0]


def test_error_whose_text_raises_is_told_without_it():
    info, loaded = journey(caught(raiser, BadStrError()))
    assert "SystemExit" in info.text
    assert type(loaded) is BadStrError


def test_error_with_hostile_attributes_is_described():
    info, _ = journey(caught(raiser, BadAttributesError("x")))
    assert info.text == "x"


def test_error_with_lock_in_it_falls_back():
    error = ValueError("locked")
    error.lock = asyncio.Lock  # type: ignore[attr-defined]
    error.frame = (lambda: 0).__code__  # type: ignore[attr-defined]
    error.generator = (i for i in [1])  # type: ignore[attr-defined]
    info, loaded = journey(error)
    assert info.pickled == b""
    assert isinstance(loaded, RemoteError)


def test_error_with_huge_args_is_bounded_and_fast():
    started = time.thread_time()
    info, _ = journey(caught(raiser, ValueError(b"x" * 100_000_000)))
    assert time.thread_time() - started < 3
    assert info.pickled == b""
    assert len(info.text) < 2 * TEXT_CHARS_MAX
    assert len(msgspec.msgpack.encode(info)) < PICKLE_BYTES_MAX


def test_recursion_error_is_bounded_and_fast():
    def dive(depth):
        return dive(depth + 1)

    error = caught(dive, 0)
    started = time.thread_time()
    info, loaded = journey(error)
    assert time.thread_time() - started < 1
    assert isinstance(loaded, RecursionError)
    assert len(msgspec.msgpack.encode(info)) < 200_000
    assert "left out" in info.traceback
    assert info.function == "dive"


def test_innermost_own_frame_is_told_not_the_librarys():
    def own():
        asyncio.run("no coroutine")  # type: ignore[arg-type]

    info, _ = journey(caught(own))
    assert info.function == "own"


def test_notes_travel():
    error = ValueError("x")
    error.add_note("look here")
    info, loaded = journey(error)
    assert loaded.__notes__ == ["look here"]
    assert info.traceback.endswith("look here\n")


def test_group_shows_its_members():
    members = [caught(raiser, ValueError("first")), ExceptionGroup("deep", [TypeError("second")])]
    info, _ = journey(ExceptionGroup("many", members))
    assert "ValueError: first" in info.traceback
    assert "  |   | TypeError: second" in info.traceback


def test_unknown_bytes_on_the_client_are_a_remote_error():
    info = ErrorInfo("pkg.MissingError", "words", "trace", pickled=b"")
    assert str(load_exception(info)) == "pkg.MissingError: words"


@pytest.mark.parametrize(
    ("kind", "cls"), [("lost", DataLostError), ("timeout", TaskTimeoutError), ("result", ResultError)]
)
def test_error_of_ours_is_raised_by_its_kind(kind, cls):
    error = load_exception(ErrorInfo("X", "words", "trace", kind=kind))
    assert type(error) is cls
    assert str(error) == "words"
    assert error.__notes__ == ["trace"]


def test_crash_carries_its_certificates():
    certificate = DeathCertificate("w", "h", 1, "signal", -9, 0, (1,), "", "", "killed", 0.0)
    error = load_exception(ErrorInfo("X", "words", "", kind="crashed", certificates=(certificate,)))
    assert isinstance(error, WorkerCrashedError)
    assert error.certificates == (certificate,)


def test_result_error_names_type_key_and_remedy():
    info = describe_result_error(TypeError("cannot pickle"), "generator", "k7", "; return a list")
    assert info.text == "the result of task 'k7', of type generator, cannot be sent: cannot pickle; return a list"
    assert info.kind == "result"
