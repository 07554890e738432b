"""dask graphs as packed tasks, without a cluster."""

import threading
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
from dask._task_spec import Task, TaskRef

from jupyter_dist.client.dask_graph import GraphPacking, TaskChoices, _cull, _read_graph
from jupyter_dist.client.shipping import Shipping
from jupyter_dist.errors import PackingError, UsageError
from jupyter_dist.protocol.inputs import inputs_available
from jupyter_dist.settings import Settings


def inc(number: int) -> int:
    return number + 1


def make_packing(graph: dict[Any, Any], *wanted: Any, token: str = "", **options: Any) -> list[Any]:
    code = Shipping(lambda _message: None, Settings())
    session = SimpleNamespace(join=lambda _key: None, lock=threading.RLock(), code=code)
    owner: Any = SimpleNamespace(session=session, settings=Settings())
    nodes, annotations = _read_graph(graph)
    return GraphPacking(owner, _cull(nodes, wanted), TaskChoices(options, annotations), token).pack(wanted)


def run(tasks: list[Any]) -> dict[Any, Any]:
    """Do what workers do."""
    values: dict[str, object] = {}
    results = {}
    for task in tasks:
        key, arguments, needed = task.spec
        assert set(needed) <= set(values)
        with inputs_available({name: values[name] for name in needed}):
            args, kwargs = cloudpickle.loads(arguments)
        values[key] = results[task.name] = cloudpickle.loads(task.function.body)(*args, **kwargs)
    return results


def test_tasks_come_in_an_order_in_which_they_can_run():
    graph = {"c": (sum, ["a", "b"]), "b": (inc, "a"), "a": (inc, 0), "unneeded": (inc, 5)}
    tasks = make_packing(graph, "c")
    assert [task.name for task in tasks] == ["a", "b", "c"]
    assert run(tasks) == {"a": 1, "b": 2, "c": 3}


def test_small_constants_and_aliases_are_no_tasks_unless_wanted():
    graph = {"a": 1, "b": "a", "c": (inc, "b"), "d": bytes(5000), "e": (len, "d")}
    assert [task.name for task in make_packing(graph, "c")] == ["c"]
    assert {task.name for task in make_packing(graph, "b", "c", "e")} == {"a", "c", "d", "e"}
    assert run(make_packing(graph, "b", "c", "e")) == {"a": 1, "c": 2, "d": bytes(5000), "e": 5000}


def test_keys_are_equal_for_equal_tasks_and_never_with_another_token():
    graph = {("x-1", 0): (inc, 1)}
    [first], [second], [third] = (make_packing(graph, ("x-1", 0), token=token) for token in ("", "", "call"))
    assert first.spec[0] == second.spec[0] != third.spec[0]
    assert first.spec[0].startswith("x-")
    assert first.function.label == "x"
    [other] = make_packing({("x-1", 0): (inc, 2)}, ("x-1", 0))
    assert other.spec[0] != first.spec[0]


def test_task_that_cannot_be_pickled_or_is_too_large_is_named():
    with pytest.raises(PackingError, match="'bad' cannot be pickled"):
        make_packing({"bad": (inc, threading.Lock())}, "bad")
    with pytest.raises(PackingError, match="'big' carries"):
        make_packing({"big": (len, bytes(Settings().argument_bytes_max))}, "big")


def test_options_of_a_task_are_annotations_before_those_for_all():
    choices = TaskChoices({"priority": 1, "retries": 2}, {"priority": {"a": 7}, "unknown": {"a": 1}})
    assert (choices.options_of("a").priority, choices.options_of("a").retries) == (7, 2)
    assert choices.options_of("b").priority == 1
    with pytest.raises(UsageError, match="retries"):
        TaskChoices({"retries": -1}, {})


def test_key_that_nobody_defines_is_refused():
    with pytest.raises(UsageError, match="'elsewhere' and does not define it"):
        make_packing({"a": Task("a", inc, TaskRef("elsewhere"))}, "a")
