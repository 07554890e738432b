"""What a distributed cell needs, makes and shows, found from its source alone.

Pure: no IPython, nothing is executed, nothing is looked up in the notebook. A cell is plain Python in this version:
magics, shell lines, help lines and top-level ``await`` are refused with the reason and what to write instead. A syntax
error is raised as Python raises it, so that IPython shows it as its own.

Inferred outputs are the names the cell assigns or defines at its top level. Left out: imports (a module is
imported where it is needed), variables of loops, ``with`` and ``except`` (by-products, often impossible to
send), names that begin with an underscore, and names deleted again.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from dataclasses import dataclass

from jupyter_dist.errors import CaptureError
from jupyter_dist.notebook.bindings import Read, find_bindings

OUTPUT_KINDS = frozenset({"assign", "define"})
ASYNC_NODES = {ast.Await: "await", ast.AsyncFor: "async for", ast.AsyncWith: "async with"}
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class CellAnalysis:
    """What a cell needs and makes.

    Attributes
    ----------
    inputs : tuple of Read
        Names read before they are written, in the order of their lines. One that is not ``certain`` is sent when
        the notebook has it and is no error when it has not.
    outputs : tuple of str
        Names the cell makes, in alphabetical order.
    assigned : frozenset of str
        Every name the cell may bind at its top level: what ``-o`` may ask for.
    uncertain : frozenset of str
        Outputs that may stay unassigned; the notebook's own value is then passed through.
    imports, functions : tuple of str
        Names bound by imports, and by ``def`` and ``class``.
    star_imports : tuple of str
        Modules imported by ``*``: with one, a name that is nowhere may still come from there.
    has_value : bool
        The last statement is an expression whose value shall be shown.
    """

    inputs: tuple[Read, ...]
    outputs: tuple[str, ...]
    assigned: frozenset[str]
    uncertain: frozenset[str]
    imports: tuple[str, ...]
    functions: tuple[str, ...]
    star_imports: tuple[str, ...]
    has_value: bool


def analyse_cell(source: str, filename: str = "<cell>") -> CellAnalysis:
    """Return what a cell needs, makes and shows.

    Raises
    ------
    SyntaxError
        As Python raises it.
    CaptureError
        The cell is not plain Python: a magic, a shell line, a top-level ``await``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # the worker compiles the cell again and says it there
        tree = _parse(source, filename)
        found = find_bindings(tree)
    outputs = {
        name
        for name, kinds in found.kinds.items()
        if kinds & OUTPUT_KINDS and name not in found.deleted and not name.startswith("_")
    }
    return CellAnalysis(
        inputs=tuple(sorted(found.reads.values(), key=lambda read: (read.line, read.name))),
        outputs=tuple(sorted(outputs)),
        assigned=frozenset(found.kinds) - found.deleted,
        uncertain=frozenset(outputs - found.definite),
        imports=_bound_by(found.kinds, "import"),
        functions=_bound_by(found.kinds, "define"),
        star_imports=tuple(found.star_imports),
        has_value=bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not is_silenced(source),
    )


def is_silenced(source: str) -> bool:
    """Tell whether the last statement ends in a semicolon, which keeps its value from being shown."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, IndentationError):
        return False
    quiet = {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.ENDMARKER, tokenize.DEDENT, tokenize.INDENT}
    last = next((token for token in reversed(tokens) if token.type not in quiet), None)
    return last is not None and last.string == ";"


def _bound_by(kinds: dict[str, set[str]], kind: str) -> tuple[str, ...]:
    return tuple(sorted(name for name, how in kinds.items() if kind in how))


def _parse(source: str, filename: str) -> ast.Module:
    try:
        tree = ast.parse(source, filename)
        _refuse_await(tree)
        # Some errors, such as a `return` outside a function, are only found by compiling.
        compile(tree, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        _refuse_line(source, error.lineno or 0)
        raise
    return tree


def _refuse_line(source: str, number: int) -> None:
    """Raise when the line Python stumbled over is IPython's own syntax."""
    lines = source.splitlines()
    if not 0 < number <= len(lines):
        return
    line = lines[number - 1].strip()
    value = line.partition("=")[2].strip()
    for what, is_it, instead in (
        ("a cell magic", line.startswith("%%"), "run it in a cell of its own"),
        ("a magic", line.startswith("%") or value.startswith("%"), "run it in a cell of its own"),
        ("a shell line", line.startswith("!") or value.startswith("!"), "use subprocess.run(...) in the cell"),
        ("a help line", line.startswith("?") or line.endswith("?"), "ask for help in a cell of its own"),
    ):
        if is_it:
            raise CaptureError(
                f"line {number}: `{line}` is {what}. A distributed cell is plain Python, because it runs on a worker "
                f"that has no IPython shell: {instead}."
            )


def _refuse_await(tree: ast.Module) -> None:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        word = ASYNC_NODES.get(type(node)) or ("async for" if getattr(node, "is_async", 0) else None)
        if word:
            line = getattr(node, "lineno", None) or getattr(getattr(node, "target", None), "lineno", 0)
            raise CaptureError(
                f"line {line}: `{word}` at the top level of a distributed cell cannot run: a worker has no event loop "
                "for it. Put it in an `async def main()` and call asyncio.run(main())."
            )
        todo += [child for child in ast.iter_child_nodes(node) if not isinstance(node, SCOPES)]
