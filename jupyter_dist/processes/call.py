"""One task, from its packed call to its packed result, in the thread of a slot.

Everything here runs a user's code: loading the function and the arguments, the call, packing the result, describing the
exception. So everything is inside one `try`, whatever is raised becomes the task's error, and nothing of a user's value
is used but its type: no comparison, no length, no truth, no text.
"""

import contextlib
from collections.abc import Iterable, Mapping
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from cloudpickle import loads

from jupyter_dist.core.worker.effects import Fetched, Inline, InputValue, Live, Opaque, ReadyTask
from jupyter_dist.errors import PackingError
from jupyter_dist.messages import ErrorInfo, FunctionBody, InputMissing
from jupyter_dist.processes import inside
from jupyter_dist.processes.code_store import CodeStore
from jupyter_dist.processes.coroutine import run_coroutine
from jupyter_dist.processes.stored import Inputs, StoredInputs
from jupyter_dist.protocol import travel
from jupyter_dist.protocol.exceptions import describe_exception, describe_result_error
from jupyter_dist.protocol.inputs import inputs_available
from jupyter_dist.protocol.payload import pack_inline, pack_value, unpack_value
from jupyter_dist.protocol.tracebacks import name_type

SPEAKS_OF_BYTES_MAX = 16 * 1024 * 1024  # of the keys of the futures in one result: they travel in its message
GENERATORS = (GeneratorType, AsyncGeneratorType)


class Outcome(Opaque, frozen=True, eq=False):
    """How a task ended: with an error, a small packed value, or a live one; or it did not begin for want of an input.

    ``speaks_of`` are the keys of the futures in the value, ``futures`` these themselves.
    """

    value: bytes | None = None
    live: object = None
    nbytes: int = 0
    type_name: str = ""
    error: ErrorInfo | None = None
    missing: InputMissing | None = None
    speaks_of: tuple[str, ...] = ()
    futures: tuple[Any, ...] = ()


class Functions:
    """The functions this process has loaded, by id, none from code that has changed since. Slots share it."""

    def __init__(self, code: CodeStore | None = None) -> None:
        self._code = code or CodeStore("")
        self._generation = self._code.generation
        self._loaded: dict[str, Any] = {}

    def load(self, body: FunctionBody) -> Any:
        """Return a function, loaded at its first use.

        Raises
        ------
        OSError
            Code it may need cannot be put in place.
        Exception
            Whatever loading it raises.
        """
        code = self._code
        if code.pending:
            code.settle()
        generation = code.generation
        if generation != self._generation:
            self._loaded.clear()
            self._generation = generation
        try:
            return self._loaded[body.id]
        except KeyError:
            function = loads(body.body)
            if generation == code.generation:  # else it may have parts of both
                self._loaded[body.id] = function
            return function

    def forget(self, ids: Iterable[str]) -> None:
        """Unload functions no task calls any more."""
        for function in ids:
            self._loaded.pop(function, None)


def run_call(ready: ReadyTask, functions: Functions, stored: StoredInputs, inline_bytes_max: int) -> Outcome:
    """Run a task. Raises only what strikes it from outside (`jupyter_dist.processes.interrupt`)."""
    key = ready.task.key
    try:
        inputs = stored.map_inputs(ready)
        if isinstance(inputs, InputMissing):
            return Outcome(missing=inputs)
        value = _call(ready, functions, inputs)
    except BaseException as error:  # noqa: BLE001 - SystemExit and its like are the task's error, not the worker's
        return Outcome(error=describe_exception(error, key))
    return _pack(value, key, inline_bytes_max)


def describe_interrupt(error: BaseException, ready: ReadyTask) -> Outcome:
    """Return the outcome of a task that was struck between its own code and ours."""
    return Outcome(error=describe_exception(error, ready.task.key))


def _call(ready: ReadyTask, functions: Functions, inputs: Inputs) -> object:
    try:
        function = functions.load(ready.function)
        args, kwargs = _load_arguments(ready, inputs)
    except BaseException as error:
        _note(error, f"raised while the call of {ready.function.label} was being loaded on the worker")
        raise
    value: object = function(*args, **kwargs)
    if type(value) is CoroutineType:
        return run_coroutine(value)
    return value


def _load_arguments(ready: ReadyTask, inputs: Inputs) -> tuple[Iterable[Any], Mapping[str, Any]]:
    if not inputs:
        args, kwargs = loads(ready.task.arguments)
        return args, kwargs
    values = {key: _load_input(value) for key, value in inputs.items()}
    with inputs_available(values):
        args, kwargs = loads(ready.task.arguments)
    return args, kwargs


def _load_input(value: InputValue) -> object:
    if isinstance(value, Live):
        return value.value
    if isinstance(value, Inline):
        return unpack_value((value.stream,))
    return unpack_value(value.buffers if isinstance(value, Fetched) else ())


def _note(error: BaseException, words: str) -> None:
    with contextlib.suppress(TypeError):  # the user put something else where notes are
        BaseException.add_note(error, words)


def _pack(value: object, key: str, inline_bytes_max: int) -> Outcome:
    cls = type(value)
    type_name = name_type(cls)
    met: list[Any] = []
    before = travel.note_in(met)
    try:
        buffers = pack_value(value)
        speaks_of = _keys_of(met)
        nbytes = sum(map(len, buffers))
        spoken = (tuple(speaks_of), tuple(speaks_of.values()))
        if nbytes > inline_bytes_max:
            return Outcome(None, value, nbytes, type_name, None, None, *spoken)
        packed = bytes(buffers[0]) if len(buffers) == 1 else pack_inline(value)
    except KeyboardInterrupt:
        raise  # the task was struck; its result is not to blame
    except BaseException as error:  # noqa: BLE001 - a user's `__reduce__` may raise anything
        remedy = "; return a list of what it yields" if cls in GENERATORS else ""
        return Outcome(error=describe_result_error(error, type_name, key, remedy))
    finally:
        travel.note_in(before)
    return Outcome(packed, None, nbytes, type_name, None, None, *spoken)


def _keys_of(futures: list[Any]) -> dict[str, Any]:
    """Return the futures that were met in a value by their keys, once the scheduler has heard of them.

    It hears of them and of this result on two connections.
    """
    if not futures:
        return {}
    inside.confirm(futures)
    found = {future.key: future for future in futures}
    if sum(map(len, found)) > SPEAKS_OF_BYTES_MAX:
        raise PackingError(f"there are {len(found):,} futures in it, too many for one result: return fewer")
    return found
