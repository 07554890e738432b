import threading

import cloudpickle
import pytest

from jupyter_dist.errors import UsageError
from jupyter_dist.protocol.inputs import InputRef, inputs_available, load_input


def test_load_arguments_with_nested_inputs_puts_values_in_their_place():
    shared = InputRef("a")
    packed = cloudpickle.dumps(([shared, {"deep": (InputRef("b"), shared)}], {"kw": {InputRef("a")}}))
    with inputs_available({"a": 1, "b": "two"}):
        assert cloudpickle.loads(packed) == ([1, {"deep": ("two", 1)}], {"kw": {1}})


def test_load_input_outside_of_a_task_says_who_can():
    with pytest.raises(UsageError, match="only the worker"):
        load_input("a")
    with inputs_available({}), pytest.raises(UsageError, match="input 'a'"):
        load_input("a")


def test_inputs_available_in_one_thread_are_not_in_another():
    found = []

    def look():
        with pytest.raises(UsageError):
            load_input("a")
        found.append(True)

    with inputs_available({"a": 1}):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert load_input("a") == 1
    assert found


def test_inputs_available_nested_returns_to_the_outer_ones():
    with inputs_available({"a": 1}):
        with inputs_available({"a": 2}):
            assert load_input("a") == 2
        assert load_input("a") == 1


def test_input_ref_repr_names_its_key():
    assert repr(InputRef("a")) == "<InputRef a>"
