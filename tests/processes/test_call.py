import asyncio
import contextvars
import errno
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest

from jupyter_dist.core.worker.effects import Fetched, Inline, Live, ReadyTask, Stored
from jupyter_dist.messages import STORE, AssignedTask, FunctionBody, InputMissing
from jupyter_dist.processes import call
from jupyter_dist.processes.call import Functions, describe_interrupt, run_call
from jupyter_dist.processes.stored import StoredInputs
from jupyter_dist.protocol import travel
from jupyter_dist.protocol.inputs import InputRef
from jupyter_dist.protocol.payload import pack_value
from jupyter_dist.storage.shared import ObjectFolder
from jupyter_dist.storage.store import ObjectStore

VARIABLE = contextvars.ContextVar("VARIABLE", default=0)


class Hostile:
    """A value that objects to everything."""

    def _refuse(self, *_):
        raise RuntimeError("do not touch me")

    __eq__ = __len__ = __hash__ = __sizeof__ = __bool__ = __repr__ = __str__ = _refuse

    def __reduce__(self):
        return Hostile, ()


class Unloadable:
    def __reduce__(self):
        return int, ("x",)


class Exploding:
    def __reduce__(self):
        raise SystemExit(1)


def ready(function, *args, inputs=None, **kwargs):
    body = FunctionBody("f", "label", cloudpickle.dumps(function))
    return ReadyTask(AssignedTask("k", 1, "f", cloudpickle.dumps((args, kwargs))), body, inputs or {})


def run(function, *args, inline=1000, folders=(), **options):
    return run_call(ready(function, *args, **options), Functions(), StoredInputs(folders), inline)


def test_small_result_is_packed_inline():
    outcome = run(lambda x, *, y: x + y, 1, y=2)
    assert cloudpickle.loads(outcome.value) == 3
    assert (outcome.type_name, outcome.error, outcome.live) == ("int", None, None)


def test_large_result_stays_alive_with_its_size():
    outcome = run(lambda: b"x" * 5000)
    assert outcome.value is None
    assert outcome.live == b"x" * 5000
    assert 5000 <= outcome.nbytes < 5100


def test_result_with_buffers_below_the_limit_is_packed_in_band():
    outcome = run(lambda: bytearray(5000), inline=10_000)
    assert cloudpickle.loads(outcome.value) == bytearray(5000)


class Speaking:
    """Stands for a Future of a session that is over."""

    wish = SimpleNamespace(number=0)

    def __init__(self, key):
        self.key = key

    def __reduce__(self):
        travel.note(self)
        return str, (self.key,)


@pytest.mark.parametrize("inline", [0, 1000])
def test_result_with_futures_in_it_speaks_of_them_and_keeps_them(inline):
    outcome = run(lambda: [Speaking("a"), {"x": Speaking("b")}, Speaking("a")], inline=inline)
    assert outcome.error is None
    assert outcome.speaks_of == ("a", "b")
    assert [future.key for future in outcome.futures] == ["a", "b"]
    assert (outcome.value is None) == (inline == 0)


def test_futures_in_what_cannot_be_packed_are_not_taken_for_those_of_the_next_result():
    assert run(lambda: [Speaking("a"), (number for number in range(3))]).error.kind == "result"
    assert run(lambda: 3).speaks_of == ()


def test_result_with_more_futures_than_a_message_may_name_errs(monkeypatch):
    monkeypatch.setattr(call, "SPEAKS_OF_BYTES_MAX", 2)
    outcome = run(lambda: [Speaking("a"), Speaking("b"), Speaking("c")])
    assert outcome.error.kind == "result"
    assert "3 futures in it" in outcome.error.text


def test_hostile_result_is_never_touched():
    outcome = run(Hostile)
    assert outcome.error is None
    assert type(cloudpickle.loads(outcome.value)) is Hostile
    assert type(run(Hostile, inline=0).live) is Hostile


def test_generator_result_errs_with_a_remedy():
    outcome = run(lambda: (i for i in range(3)))
    assert outcome.error.kind == "result"
    assert "of type generator" in outcome.error.text
    assert "'k'" in outcome.error.text
    assert "return a list" in outcome.error.text


def test_result_whose_packing_exits_errs_alone():
    outcome = run(Exploding)
    assert outcome.error.kind == "result"


def test_user_error_has_only_the_users_frames():
    def boom():
        raise ValueError("bad")

    outcome = run(boom)
    assert (outcome.error.type_name, outcome.error.function) == ("ValueError", "boom")
    assert "jupyter_dist/processes" not in outcome.error.traceback


@pytest.mark.parametrize("cls", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, asyncio.CancelledError])
def test_base_exception_is_the_tasks_error(cls):
    def boom():
        raise cls

    assert run(boom).error.type_name.endswith(cls.__name__)


def test_wrong_number_of_arguments_is_an_error_without_our_frames():
    outcome = run(lambda: 1, 2)
    assert outcome.error.type_name == "TypeError"
    assert outcome.error.traceback.startswith("TypeError")


def test_coroutine_function_is_run_to_its_end():
    async def slow(x):
        await asyncio.sleep(0)
        return x * 2

    async def boom():
        raise ValueError("async")

    assert cloudpickle.loads(run(slow, 4).value) == 8
    outcome = run(boom)
    assert outcome.error.function == "boom"
    assert "runners.py" not in outcome.error.traceback


def test_arguments_that_cannot_be_loaded_err_and_say_when():
    outcome = run(lambda _: 1, Unloadable())
    assert outcome.error.type_name == "ValueError"
    assert "while the call of label was being loaded" in outcome.error.traceback


def test_inputs_of_every_kind_reach_the_call():
    live = [1]
    inputs = {
        "small": Inline(cloudpickle.dumps(10)),
        "far": Fetched(pack_value(b"x" * 10_000)),
        "here": Live(live, 100),
    }

    def call(values, here):
        here.append(values["a"])
        return len(values["b"][0])

    values = {"a": InputRef("small"), "b": [InputRef("far")]}
    assert cloudpickle.loads(run(call, values, InputRef("here"), inputs=inputs).value) == 10_000
    assert live == [1, 10]


def test_input_that_cannot_be_loaded_is_the_tasks_error():
    inputs = {"x": Inline(cloudpickle.dumps(Unloadable()))}
    assert run(lambda x: x, InputRef("x"), inputs=inputs).error.type_name == "ValueError"


def test_function_is_loaded_once_until_forgotten():
    functions = Functions()
    body = FunctionBody("f", "label", cloudpickle.dumps(lambda: 1))
    first = functions.load(body)
    assert functions.load(body) is first
    functions.forget(["f", "unknown"])
    assert functions.load(body) is not first


def test_interrupt_between_the_lines_is_described():
    outcome = describe_interrupt(KeyboardInterrupt(), ready(lambda: 1))
    assert outcome.error.type_name == "KeyboardInterrupt"
    assert repr(outcome) == "<Outcome>"


@pytest.fixture
def folders(tmp_path):
    ObjectFolder(tmp_path / "objects").make()
    return (str(tmp_path / "objects"),)


def test_stored_input_is_loaded_over_read_only_memory(folders):
    name, _size = ObjectStore(folders).write(pack_value(np.arange(300_000)))
    outcome = run(
        lambda a: (int(a.sum()), a.flags.writeable, a.flags.owndata),
        InputRef("a"),
        inputs={"a": Stored(name)},
        folders=folders,
    )
    assert cloudpickle.loads(outcome.value) == (300_000 * 299_999 // 2, False, False)


def test_write_to_a_stored_input_is_the_tasks_error(folders):
    name, _size = ObjectStore(folders).write(pack_value(np.arange(300_000)))
    outcome = run(lambda a: a.fill(0), InputRef("a"), inputs={"a": Stored(name)}, folders=folders)
    assert (outcome.error.type_name, outcome.error.text) == ("ValueError", "assignment destination is read-only")


def test_stored_input_that_is_gone_is_missing_and_nothing_is_called(folders):
    called: list[object] = []
    outcome = run(called.append, InputRef("a"), inputs={"a": Stored("0" * 16)}, folders=folders)
    missing = outcome.missing
    assert isinstance(missing, InputMissing)
    assert (missing.attempt, missing.key, missing.holder) == (1, "a", STORE + "0" * 16)
    assert "No such file" in missing.reason
    assert not called


def test_stored_input_without_descriptors_is_the_tasks_error(folders, monkeypatch):
    def fail(_self, _name):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(ObjectStore, "read", fail)
    outcome = run(lambda a: a, InputRef("a"), inputs={"a": Stored("0" * 16)}, folders=folders)
    assert (outcome.missing, outcome.error.type_name) == (None, "OSError")
