"""dask graphs on a cluster: each task of dask is one task here, its dependencies are our inputs.

Loaded by `adapters` alone, because it imports dask. Graphs of every kind become dask's own task objects first, legacy
tuples too. Tasks are sent in the order dask would run them in, which is the order the scheduler prefers. Nothing is sent
before all of a graph is packed. A task is sent as `operator.call(node, values)`, so workers need dask and not this
module.

Keys: `get` gives the tasks of each call keys of their own, because names in a raw graph may mean something else the next
time. In collections dask's names are hashes of what they mean: `compute` and `persist` share equal tasks.
"""

from __future__ import annotations

import copy
import itertools
import operator
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import dask
from dask._expr import FinalizeCompute, HLGExpr
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_graph, parse_input
from dask.base import collections_to_expr, unpack_collections
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.order import order
from dask.utils import key_split

from jupyter_dist.client.calls import check_count, make_options
from jupyter_dist.client.containers import futures_in
from jupyter_dist.client.future import Future
from jupyter_dist.client.lane import Owner
from jupyter_dist.client.packing import digest, dump, pack_function
from jupyter_dist.errors import PackingError, UsageError
from jupyter_dist.ids import new_token
from jupyter_dist.messages import FunctionBody, TaskOptions
from jupyter_dist.protocol.inputs import InputRef

VALUE_BYTES_MAX = 1024  # a constant up to this size travels with each task that needs it
OPTIONS = ("workers", "allow_other_workers", "retries", "priority", "resources")

Key = Hashable
Spec = tuple[str, bytes, tuple[str, ...]]


def get(owner: Owner, dsk: Any, keys: Any, options: Mapping[str, Any]) -> Any:
    """Return the futures of keys, lists of keys as tuples. See `Executor.get`."""
    known = {name: value for name, value in options.items() if name in OPTIONS}
    futures = _submit(owner, dsk, flatten([keys]), known, token=new_token())
    return _arrange(keys, futures)


def _arrange(keys: Any, futures: Mapping[Key, Future]) -> Any:
    return tuple(_arrange(key, futures) for key in keys) if isinstance(keys, list) else futures[keys]


def compute(owner: Owner, collections: Any, optimize_graph: bool, options: Mapping[str, Any]) -> Any:
    """Return a future for each collection. See `Executor.compute`."""
    _check_options(options)
    items, is_single = _listed(collections)
    items = [_as_collection(item) for item in items]
    variables = [item for item in items if dask.is_dask_collection(item)]
    results: list[Future] = []
    if variables:
        expression = FinalizeCompute(collections_to_expr(variables, optimize_graph)).optimize()
        keys = list(flatten(expression.__dask_keys__()))
        futures = _submit(owner, expression, keys, options)
        results = [futures[key] for key in keys]
    found = iter(results)
    computed = [next(found) if dask.is_dask_collection(item) else item for item in items]
    return computed[0] if is_single else computed


def persist(owner: Owner, collections: Any, optimize_graph: bool, options: Mapping[str, Any]) -> Any:
    """Return the collections made of futures. See `Executor.persist`."""
    _check_options(options)
    items, is_single = _listed(collections)
    for item in items:
        if not dask.is_dask_collection(item):
            raise TypeError(f"persist takes dask collections; a {type(item).__name__} is none")
    if not items:
        return []
    expression = collections_to_expr(items, optimize_graph).optimize()
    keys = expression.__dask_keys__()
    futures = _submit(owner, expression, flatten(keys), options)
    persisted = []
    for item, names in zip(items, keys, strict=True):
        rebuild, state = item.__dask_postpersist__()
        persisted.append(rebuild({name: futures[name] for name in flatten(names)}, *state))
    return persisted[0] if is_single else persisted


def _listed(collections: Any) -> tuple[list[Any], bool]:
    if isinstance(collections, list | tuple | set | frozenset):
        return list(collections), False
    return [collections], True


def _as_collection(item: Any) -> Any:
    """Return a container with collections in it as one collection, anything else as it is."""
    is_container = isinstance(item, list | tuple | set | dict)
    return dask.delayed(item) if is_container and unpack_collections(item)[0] else item


def _check_options(options: Mapping[str, Any]) -> None:
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise UsageError(f"{', '.join(unknown)}: no such option; there are {', '.join(OPTIONS)}")


# -- one graph ---------------------------------------------------------------------------------------------------------


class PackedTask(NamedTuple):
    """A task ready to be sent, and the key dask knows it by."""

    name: Key
    function: FunctionBody
    options: TaskOptions
    spec: Spec


def _submit(
    owner: Owner, dsk: Any, keys: Iterable[Key], options: Mapping[str, Any], *, token: str = ""
) -> dict[Key, Future]:
    """Submit what keys need of a graph; return the futures of the keys."""
    owner.session.check_open()
    wanted = set(keys)
    nodes, annotations = _read_graph(dsk)
    for key in wanted:
        if key not in nodes:
            raise KeyError(f"{key!r} is not in the graph")
    nodes = {key: _refer_to_futures(node) for key, node in _cull(nodes, wanted).items()}
    packing = GraphPacking(owner, nodes, TaskChoices(options, annotations), token)
    tasks = packing.pack(wanted)
    futures = dict(packing.given)
    with owner.session.lock:  # nothing is released before all that needs it was said
        for (function, choice), group in itertools.groupby(tasks, key=lambda task: (task.function, task.options)):
            batch = list(group)
            wishes = owner.session.submit(function, choice, [task.spec for task in batch])
            futures.update((task.name, Future(owner, wish)) for task, wish in zip(batch, wishes, strict=True))
    return {key: futures[packing.target_of(key)] for key in wanted}


def _read_graph(dsk: Any) -> tuple[dict[Key, GraphNode], Mapping[str, Mapping[Key, Any]]]:
    """Return a graph's nodes by key, and its annotations by kind and key."""
    graph = HLGExpr(dsk) if isinstance(dsk, HighLevelGraph) else dsk
    is_expression = hasattr(graph, "__dask_graph__")
    if not is_expression and not isinstance(graph, Mapping):
        raise TypeError(f"a dask graph is a dict, a HighLevelGraph or an expression, not a {type(graph).__name__}")
    nodes = convert_legacy_graph(dict(graph.__dask_graph__() if is_expression else graph))
    return nodes, graph.__dask_annotations__() if is_expression else {}


def _refer_to_futures(value: Any) -> Any:
    """Return a task, or an argument of one, with references in the places of Futures."""
    if type(value) is Future:
        return TaskRef(value.key)
    if isinstance(value, Task):
        args = tuple(map(_refer_to_futures, value.args))
        kwargs = {name: _refer_to_futures(arg) for name, arg in value.kwargs.items()}
        old = (*value.args, *value.kwargs.values())
        new = [arg for arg, before in zip((*args, *kwargs.values()), old, strict=True) if arg is not before]
        return _with_arguments(value, args, kwargs, new) if new else value
    if type(value) in (list, tuple, set, dict) and futures_in(value):
        return parse_input(value)
    return value


def _with_arguments(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], new: Iterable[Any]) -> Task:
    other = copy.copy(task)
    other.args, other.kwargs = args, kwargs
    needed = ({arg.key} if isinstance(arg, TaskRef) else arg.dependencies for arg in new)
    other._dependencies = task.dependencies.union(*needed)  # noqa: SLF001 - dask has no other way to say so
    return other


def _cull(nodes: Mapping[Key, GraphNode], wanted: Iterable[Key]) -> dict[Key, GraphNode]:
    """Return the nodes that are needed."""
    needed: dict[Key, GraphNode] = {}
    stack = list(wanted)
    while stack:
        key = stack.pop()
        if key not in needed and key in nodes:
            needed[key] = nodes[key]
            stack.extend(nodes[key].dependencies)
    return needed


class TaskChoices:
    """The options of each task: dask's annotations, else what was given for all."""

    def __init__(self, options: Mapping[str, Any], annotations: Mapping[str, Mapping[Key, Any]]) -> None:
        self._for_all = {
            **{name: value for name, value in dask.get_annotations().items() if name in OPTIONS},
            **options,
        }
        self._for_one = {name: values for name, values in annotations.items() if name in OPTIONS}
        self._plain = self._make(self._for_all) if not any(map(callable, self._for_all.values())) else None

    def options_of(self, key: Key) -> TaskOptions:
        """Return those of one task."""
        own = {name: values[key] for name, values in self._for_one.items() if key in values}
        if not own and self._plain is not None:
            return self._plain
        mixed = {**self._for_all, **own}
        return self._make({name: value(key) if callable(value) else value for name, value in mixed.items()})

    @staticmethod
    def _make(chosen: Mapping[str, Any]) -> TaskOptions:
        retries = chosen.get("retries") or 0
        check_count("retries", retries)
        workers, loose = chosen.get("workers"), chosen.get("allow_other_workers") or False
        priority, resources = chosen.get("priority") or 0, chosen.get("resources")
        return make_options(workers or None, loose, resources, retries=retries, priority=priority, pure=True)


class GraphPacking:
    """Packs a graph's tasks, in the order they are to run.

    Attributes
    ----------
    given
        Futures that stand in the graph, by the names its tasks know them by.
    """

    def __init__(self, owner: Owner, nodes: dict[Key, GraphNode], choices: TaskChoices, token: str) -> None:
        self.given: dict[Key, Future] = {}
        self._owner = owner
        self._nodes = nodes
        self._choices = choices
        self._token = token.encode()
        self._keys: dict[Key, str] = {}  # in the cluster
        self._values: dict[Key, Any] = {}  # small constants
        self._functions: dict[str, FunctionBody] = {}
        self._find_given()

    def _find_given(self) -> None:
        for key, node in list(self._nodes.items()):
            if isinstance(node, DataNode) and type(node.value) is Future:
                self._give(key, node.value)
                del self._nodes[key]
        for node in self._nodes.values():
            for key in node.dependencies:
                if key not in self._nodes and key not in self.given:
                    self._give(key, _find_future(self._owner, key))

    def _give(self, key: Key, future: Future) -> None:
        if future.executor is not self._owner:
            raise UsageError(
                f"{future!r} belongs to another executor: gather it there and put its value into the graph"
            )
        self.given[key] = future
        self._keys[key] = future.key

    def target_of(self, key: Key) -> Key:
        """Return the key whose future stands for a key: another one for an alias."""
        node = self._nodes.get(key)
        while isinstance(node, Alias):
            key = node.target
            node = self._nodes.get(key)
        return key

    def pack(self, wanted: Iterable[Key]) -> list[PackedTask]:
        """Return the tasks. Raises PackingError when one cannot be pickled."""
        kept = {self.target_of(key) for key in wanted}
        places = order(self._nodes)
        tasks = []
        for key in sorted(self._nodes, key=places.__getitem__):
            node = self._nodes[key]
            if isinstance(node, Alias) or (
                isinstance(node, DataNode) and key not in kept and self._keep_value(key, node)
            ):
                continue
            tasks.append(self._pack(key, node))
        return tasks

    def _keep_value(self, key: Key, node: DataNode) -> bool:
        """Keep a constant to travel with the tasks that need it, when it is small."""
        is_small = len(_pack_call(key, node.value)) <= VALUE_BYTES_MAX
        if is_small:
            self._values[key] = node.value
        return is_small

    def _pack(self, key: Key, node: GraphNode) -> PackedTask:
        inputs: dict[Key, Any] = {}
        needed: dict[str, None] = {}
        for name in node.dependencies:
            target = self.target_of(name)
            if target in self._values:
                inputs[name] = self._values[target]
            else:
                inputs[name] = InputRef(self._keys[target])
                needed[self._keys[target]] = None
        label = key_split(key)
        arguments = _pack_call(key, ((node, inputs), {}))
        if len(arguments) > self._owner.settings.argument_bytes_max:
            raise PackingError(
                f"the task {key!r} carries {len(arguments):,} bytes of data, more than the "
                f"{self._owner.settings.argument_bytes_max:,} a call may carry: make smaller chunks of it"
            )
        version = self._owner.session.code.cover(arguments)
        name = f"{label}-{digest(self._token, arguments, version.encode())}"
        self._keys[key] = name
        return PackedTask(key, self._function(label), self._choices.options_of(key), (name, arguments, tuple(needed)))

    def _function(self, label: str) -> FunctionBody:
        """Return the function that runs a node, under the name people know the task by."""
        known = self._functions.get(label)
        if known is None:
            body = pack_function(operator.call, label).body
            known = self._functions[label] = FunctionBody(digest(label.encode(), body), label, body)
        return known


def _pack_call(key: Key, value: object) -> bytes:
    try:
        return dump(value)
    except Exception as error:
        raise PackingError(f"the task {key!r} cannot be pickled: {type(error).__name__}: {error}") from error


def _find_future(owner: Owner, key: Key) -> Future:
    """Return a future for a key that a graph needs and does not define: one of this executor's, by its name."""
    wish = owner.session.join(key) if isinstance(key, str) else None
    if wish is None:
        raise UsageError(
            f"the graph needs {key!r} and does not define it, and this executor holds no future of that name: it is of "
            "another executor, or was cancelled or released"
        )
    return Future(owner, wish)
