"""What a distributed cell needs, makes and shows, found from its source alone.

Pure: no IPython, nothing is executed. A cell is Python with top-level ``await`` and IPython's shell lines, which run on
the worker; magics and help lines are refused with the reason and what to write instead. A syntax error is raised as
Python raises it, so that IPython shows it as its own.

Inferred outputs are the names the cell assigns or defines at its top level. Left out: imports (a module is
imported where it is needed), variables of loops, ``with`` and ``except`` (by-products, often impossible to
send), names that begin with an underscore, and names deleted again.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Container
from dataclasses import dataclass

from jupyter_dist.errors import CaptureError
from jupyter_dist.notebook.bindings import Read, find_bindings
from jupyter_dist.notebook.shell_lines import translate_shell_line

OUTPUT_KINDS = frozenset({"assign", "define"})
AWAITING = (ast.Await, ast.AsyncFor, ast.AsyncWith)
WORD = re.compile(r"[A-Za-z_]\w*")
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
    code : str
        The cell as plain Python: its shell lines are calls, on the same lines.
    is_async : bool
        It awaits at its top level.
    """

    inputs: tuple[Read, ...]
    outputs: tuple[str, ...]
    assigned: frozenset[str]
    uncertain: frozenset[str]
    imports: tuple[str, ...]
    functions: tuple[str, ...]
    star_imports: tuple[str, ...]
    has_value: bool
    code: str = ""
    is_async: bool = False


def analyse_cell(source: str, filename: str = "<cell>", known: Container[str] = ()) -> CellAnalysis:
    """Return what a cell needs, makes and shows.

    Parameters
    ----------
    known
        The notebook's names: ``$name`` in a shell line is one of these or of the cell's, or else the shell's variable.

    Raises
    ------
    SyntaxError
        As Python raises it.
    CaptureError
        The cell has a magic or a help line.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # the worker compiles the cell again and says it there
        tree, code = _parse(source, filename, known)
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
        has_value=bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and not is_silenced(code),
        code=code,
        is_async=_awaits(tree),
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


def _parse(source: str, filename: str, known: Container[str]) -> tuple[ast.Module, str]:
    """Return the cell's tree, and its text with shell lines made calls: those at which Python stumbles, and no string."""
    lines = source.split("\n")
    words = frozenset(WORD.findall(source))

    def is_known(name: str) -> bool:
        return name in known or bool(re.search(rf"(?<!\$)\b{name}\b", source)) if name in words else False

    for _ in range(len(lines) + 1):
        code = "\n".join(lines)
        try:
            tree = ast.parse(code, filename)
            # Some errors, such as a `return` outside a function, are only found by compiling.
            compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError as error:
            number = error.lineno or 0
            if 0 < number <= len(lines) and translate_shell_line(lines, number, is_known):
                continue
            _refuse_line(source, number)
            raise
        break
    return tree, code


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
        ("a help line", line.startswith("?") or line.endswith("?"), "ask for help in a cell of its own"),
    ):
        if is_it:
            raise CaptureError(
                f"line {number}: `{line}` is {what}. A distributed cell runs on a worker, which has no IPython shell that "
                f"knows it: {instead}."
            )


def _awaits(tree: ast.Module) -> bool:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, AWAITING) or getattr(node, "is_async", False):
            return True
        todo += [child for child in ast.iter_child_nodes(node) if not isinstance(node, SCOPES)]
    return False
