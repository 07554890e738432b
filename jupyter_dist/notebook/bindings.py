"""Which names a piece of top-level code reads before it binds them, and which it binds.

A walk over the syntax tree in the order the code runs, with two sets: names *definitely* bound here and names
*possibly* bound. A name read while not definitely bound must come from outside; it is certain when it was not even
possibly bound. Branches meet by intersection and union, a loop's body may not run at all, a branch that raises
does not count.

Bodies of functions run later. Which globals they read is taken from their compiled code, because Python has decided
it there already, and looked up at the first statement that could call something.

Pure: no IPython, nothing is executed.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType

READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
INERT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom, ast.Pass, ast.Global)
INERT_NODES = (ast.Constant, ast.Name, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.expr_context, ast.Assign)

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True)
class Read:
    """A name that must come from outside. ``certain``: there is no way the code could have bound it before."""

    name: str
    line: int
    certain: bool


@dataclass(slots=True)
class Bindings:
    """What a walk found. ``kinds`` tells how each name is bound: assign, define, import, loop, with, except."""

    reads: dict[str, Read] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    definite: set[str] = field(default_factory=set)
    possible: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    star_imports: list[str] = field(default_factory=list)


def find_bindings(tree: ast.Module) -> Bindings:
    """Return what the module's code reads from outside and binds."""
    walk = _Walk()
    walk.run_block(tree.body)
    walk.flush()
    return walk.found


def global_reads(function: Function) -> Iterator[tuple[str, int]]:
    """Yield ``(name, line)`` for each global that a function's body, or a function in it, reads."""
    for code in _codes(_body_code(function)):
        own = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"}
        for step in dis.get_instructions(code):
            if step.opname in READS and step.argval not in own and not str(step.argval).startswith("__"):
                line = step.positions.lineno if step.positions else None
                yield str(step.argval), line or function.lineno


def global_writes(function: Function) -> set[str]:
    """Return the globals that a function's body, or a function in it, binds."""
    return {
        str(step.argval)
        for code in _codes(_body_code(function))
        for step in dis.get_instructions(code)
        if step.opname == "STORE_GLOBAL"
    }


def _body_code(function: Function) -> CodeType:
    """Return the function's own code; its decorators, defaults and annotations run where it is defined, not in it."""
    names = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    rest = [argument for argument in (function.args.vararg, function.args.kwarg) if argument]
    bare = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(argument.arg) for argument in [*names, *rest]],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    body: Sequence[ast.stmt] = (
        [ast.copy_location(ast.Return(function.body), function.body)]
        if isinstance(function, ast.Lambda)
        else function.body
    )
    kind = ast.AsyncFunctionDef if isinstance(function, ast.AsyncFunctionDef) else ast.FunctionDef
    definition = kind(name="body", args=bare, body=list(body), decorator_list=[], returns=None)
    if "type_params" in kind._fields:  # from Python 3.12 on; they are evaluated outside and left out here
        setattr(definition, "type_params", [])  # noqa: B010  # mypy checks against 3.11, which has no such field
    module = ast.Module([ast.copy_location(definition, function)], [])
    code = compile(ast.fix_missing_locations(module), "<body>", "exec", dont_inherit=True)
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


class _Walk(ast.NodeVisitor):
    """One walk. `hidden` are the scopes of comprehensions and classes around the node being visited."""

    def __init__(self) -> None:
        self.found = Bindings()
        self.hidden: list[tuple[str, set[str]]] = []
        self.pending: list[tuple[str, int]] = []  # globals read by functions that nothing could have called yet
        self.ended = False  # this branch raised, returned, broke or continued

    # what happens to a name

    def read(self, name: str, line: int) -> None:
        if any(name in names for _, names in self.hidden) or name in self.found.definite:
            return
        certain = name not in self.found.possible
        old = self.found.reads.get(name)
        if old is None or (certain and not old.certain):
            self.found.reads[name] = Read(name, old.line if old else line, certain)

    def bind(self, name: str, kind: str = "assign") -> None:
        scope = self.hidden[-1] if self.hidden else None
        if scope and (scope[0] == "class" or kind == "comprehension"):
            scope[1].add(name)
            return
        self.found.definite.add(name)
        self.found.possible.add(name)
        self.found.deleted.discard(name)
        self.found.kinds.setdefault(name, set()).add(kind)

    def unbind(self, name: str, line: int) -> None:
        self.read(name, line)
        if not self.hidden:
            # It stays "definite": a later read is this code's own error, not a name to fetch from outside.
            self.found.definite.add(name)
            self.found.deleted.add(name)

    def bind_target(self, target: ast.expr, kind: str) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.bind(node.id, kind)
        for node in ast.iter_child_nodes(target):
            self._visit_loads(node)
        self._visit_loads(target)

    def _visit_loads(self, target: ast.AST) -> None:
        """Visit what a target such as ``a[i].b`` reads: ``a`` and ``i``."""
        if isinstance(target, ast.Attribute | ast.Subscript):
            self.generic_visit(target)
        elif isinstance(target, ast.Tuple | ast.List | ast.Starred):
            for node in ast.iter_child_nodes(target):
                self._visit_loads(node)

    def flush(self) -> None:
        """Look up what the functions defined so far read: from here on they may be called."""
        pending, self.pending = self.pending, []
        for name, line in pending:
            self.read(name, line)

    # blocks and branches

    def run_block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            if self.pending and not _is_inert(statement):
                self.flush()
            self.visit(statement)

    def branch(self, *branches: Callable[[], None], may_skip: bool = False) -> None:
        """Run alternatives from one state; afterwards definite is what all of them bound."""
        before, ends = set(self.found.definite), []
        for run in branches:
            self.found.definite, self.ended = set(before), False
            run()
            if not self.ended:
                ends.append(self.found.definite)
        self.ended = not ends and not may_skip
        ends = [*ends, before] if may_skip or not ends else ends
        self.found.definite = set.intersection(*ends)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self.branch(lambda: self.run_block(node.body), lambda: self.run_block(node.orelse))

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self.branch(lambda: self.run_block(node.body), may_skip=True)
        self.run_block(node.orelse)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)

        def body() -> None:
            self.bind_target(node.target, "loop")
            self.run_block(node.body)

        self.branch(body, may_skip=True)
        self.run_block(node.orelse)

    visit_AsyncFor = visit_For  # noqa: N815  # ast's names

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars:
                self.bind_target(item.optional_vars, "with")
        self.run_block(node.body)

    visit_AsyncWith = visit_With  # noqa: N815  # ast's names

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        def body() -> None:
            self.run_block(node.body)
            self.run_block(node.orelse)

        self.branch(body, *(self._handler(handler) for handler in node.handlers))
        self.run_block(node.finalbody)

    visit_TryStar = visit_Try  # noqa: N815  # ast's names

    def _handler(self, handler: ast.ExceptHandler) -> Callable[[], None]:
        def run() -> None:
            if handler.type:
                self.visit(handler.type)
            if handler.name:
                self.bind(handler.name, "except")
            self.run_block(handler.body)
            if handler.name:
                self.found.deleted.add(handler.name)

        return run

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        last = node.cases[-1]
        catches_all = last.guard is None and isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        self.branch(*(self._case(case) for case in node.cases), may_skip=not catches_all)

    def _case(self, case: ast.match_case) -> Callable[[], None]:
        def run() -> None:
            self.visit(case.pattern)
            if case.guard:
                self.visit(case.guard)
            self.run_block(case.body)

        return run

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.generic_visit(node)
        if node.name:
            self.bind(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self.bind(node.rest)

    def _end(self, node: ast.AST) -> None:
        self.generic_visit(node)
        self.ended = True

    visit_Raise = visit_Return = visit_Break = visit_Continue = _end  # noqa: N815  # ast's names

    # binding statements

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.bind_target(target, "assign")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.read(node.target.id, node.target.lineno)
        self.visit(node.value)
        self.bind_target(node.target, "assign")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value:
            self.visit(node.value)
            self.bind_target(node.target, "assign")

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        kept, self.hidden = self.hidden, [scope for scope in self.hidden if scope[0] == "class"]
        self.bind(node.target.id)
        self.hidden = kept

    def visit_Delete(self, node: ast.Delete) -> None:
        todo = list(reversed(node.targets))
        while todo:
            target = todo.pop()
            if isinstance(target, ast.Tuple | ast.List):
                todo += reversed(target.elts)
            elif isinstance(target, ast.Name):
                self.unbind(target.id, target.lineno)
            else:
                self.generic_visit(target)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.bind(alias.asname or alias.name.partition(".")[0], "import")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.found.star_imports.append(node.module or ".")
            else:
                self.bind(alias.asname or alias.name, "import")

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.read(node.id, node.lineno)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if not self.hidden:
            self.flush()  # it may call any function there is, its own arguments among them

    # scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._signature(node)
        if node.returns:
            self.visit(node.returns)
        self._defer(node)
        self.bind(node.name, "define")  # first: a decorated function may call itself
        if node.decorator_list:
            self.flush()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # ast's names

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._signature(node)
        self._defer(node)

    def _signature(self, node: Function) -> None:
        """Defaults and annotations are evaluated where the function is defined."""
        self.visit(node.args)

    def _defer(self, node: Function) -> None:
        comprehension = {name for kind, names in self.hidden if kind == "comprehension" for name in names}
        self.pending += [(name, line) for name, line in global_reads(node) if name not in comprehension]
        for name in sorted(global_writes(node)):
            self.found.possible.add(name)
            self.found.kinds.setdefault(name, set()).add("assign")

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(part)
        self.hidden.append(("class", {"__module__", "__qualname__"}))
        definite = set(self.found.definite)
        for statement in node.body:
            self.visit(statement)
        self.found.definite = definite
        self.hidden.pop()
        self.bind(node.name, "define")

    def _comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        self.hidden.append(("comprehension", set()))
        for position, generator in enumerate(node.generators):
            if position:
                self.visit(generator.iter)
            self.bind_target(generator.target, "comprehension")
            for condition in generator.ifs:
                self.visit(condition)
        for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self.visit(part)
        self.hidden.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815  # ast's names


def _is_inert(statement: ast.stmt) -> bool:
    """Tell whether a statement can call nothing: definitions, imports, assignments of names and constants."""
    if isinstance(statement, INERT):
        return not getattr(statement, "decorator_list", ())
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Assign) and all(isinstance(node, INERT_NODES) for node in ast.walk(statement))
